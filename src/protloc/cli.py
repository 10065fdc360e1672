"""The command line: every command is one library call."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from protloc import console
from protloc.commands import data, models, training
from protloc.errors import ProtlocError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Tells where in the cell a protein is, from fluorescence images, and says how sure it is. "
    "Every command takes --debug, which shows the traceback of an error.",
)

for command in (
    data.simulate,
    data.prepare,
    data.explore,
    data.audit,
    data.split,
    training.train,
    training.evaluate,
    training.compare,
    training.baselines,
    models.predict,
    models.export,
    models.explain,
    models.embed,
    models.neighbours,
    models.preflight,
    models.serve,
    training.demo,
):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake is told in one paragraph and ends with exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app(args=[argument for argument in given if argument != "--debug"], prog_name="protloc")
    except (ProtlocError, OSError) as error:
        if debug:
            raise
        console.complain(_in_words(error))
        sys.exit(2)


def _in_words(error: ProtlocError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Name a place that is there and may be written."
    return str(error)


@app.command()
def version() -> None:
    """Show the version."""
    from importlib.metadata import version as version_of

    console.say(f"protloc {version_of('protloc')}")
