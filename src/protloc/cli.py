"""The command line: every command is one library call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from protloc import console
from protloc.errors import ProtlocError
from protloc.options import (
    BitDepthOption,
    EpochsOption,
    Format,
    JobsOption,
    JoinOption,
    Kept,
    KeysOption,
    MaxPixelsOption,
    SeedOption,
    SetOption,
    SplitOption,
    StainsOption,
    ThresholdRule,
    TileOption,
    VocabularyOption,
    bundle_folder,
    parsed_keys,
    parsed_stains,
    prior_of,
    with_settings,
)

# What a command needs is imported when it runs: torch alone takes seconds, and --help shall not.
# ruff: noqa: UP045 - and typer reads Optional[...] at run time

INTERRUPTED = 130  # what a shell makes of Ctrl-C

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Tells where in the cell a protein is, from fluorescence images, and says how sure it is. "
    "Every command takes --debug, which shows the traceback of an error.",
)


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
def simulate(
    dest: Annotated[Path, typer.Argument(help="Folder to make.")],
    fields: Annotated[int, typer.Option("--fields", help="How many fields.")],
    side: Annotated[int, typer.Option("--side", help="Height and width in px.")] = 512,
    seed: SeedOption = 0,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Draw rare compartments far more often than they occur.")
    ] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Write the true pixels of every compartment too.")] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Leave out the camera, which training then applies anew to every batch.")
    ] = False,
    jobs: JobsOption = None,
) -> None:
    """Simulate an atlas in Kaggle's layout, with truth.

    Example: `protloc simulate atlas --fields 1500 --side 256`
    """
    from protloc.atlas.simulate import simulate as run

    with console.bar("simulating") as progress:
        made = run(
            dest, fields=fields, side=side, seed=seed, balanced=balanced, masks=masks, clean=clean, jobs=jobs,
            progress=progress,
        )  # fmt: skip
    console.say(f"{made.fields} simulated fields in {dest / 'train'}, labels in {dest / 'train.csv'}")


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of images named ID_STAIN.png (.tif, .jpg).")],
    store: Annotated[Path, typer.Argument(help="Store to make.")],
    labels: Annotated[
        Optional[Path], typer.Option("--labels", help="Label table (Id,Target). Unlabelled if not said.")
    ] = None,
    side: Annotated[int, typer.Option("--side", help="Height and width of the stored images in px.")] = 128,
    stains: StainsOption = None,
    vocabulary: VocabularyOption = "kaggle2018",
    tile: TileOption = None,
    bit_depth: BitDepthOption = None,
    max_pixels: MaxPixelsOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Make a rejected field an error.")] = False,
    jobs: JobsOption = None,
) -> None:
    """Pack a folder of images into a store. Interrupted, the same command goes on.

    Example: `protloc prepare train store --labels train.csv --side 128`
    """
    from protloc.atlas.images import MAX_PIXELS
    from protloc.atlas.prepare import prepare as run
    from protloc.atlas.reading import Reading
    from protloc.atlas.vocabulary import load_vocabulary

    limit = MAX_PIXELS if max_pixels is None else max_pixels
    reading = Reading(parsed_stains(stains), side, tile, bit_depth, limit)
    with console.bar("preparing") as progress:
        made = run(
            source, store, labels=labels, vocabulary=load_vocabulary(vocabulary), reading=reading,
            strict=strict, jobs=jobs, progress=progress,
        )  # fmt: skip
    console.say(made.summary)


@app.command()
def explore(
    source: Annotated[Path, typer.Argument(help="A store, or a label table.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and the figures.")] = Path("explore"),
    vocabulary: VocabularyOption = "kaggle2018",
) -> None:
    """Show class imbalance, co-occurrence and intensities as a page and PNGs.

    Example: `protloc explore store --out explore`
    """
    from protloc.atlas.vocabulary import load_vocabulary
    from protloc.verbs.explore import explore as run
    from protloc.verbs.source import open_source

    made = run(open_source(source, vocabulary=load_vocabulary(vocabulary)), out=out, name=source.name)
    console.say(made.summary)


@app.command()
def audit(
    store: Annotated[Path, typer.Argument(help="A store, labelled or not.")],
    keys: KeysOption = None,
    join: JoinOption = None,
    run: Annotated[
        Optional[Path], typer.Option("--run", help="A run of folds, evaluated: its answers tell labels likely wrong.")
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for pages and tables; STORE/audit if not said.")
    ] = None,
) -> None:
    """Find fields that are alike, join them into groups, tell what a naive split would leak.

    Example: `protloc audit store --keys atlas/fields.csv`
    """
    from protloc.atlas.store import Store
    from protloc.verbs.audit import audit as run_audit

    with console.bar("auditing") as progress:
        made = run_audit(Store.open(store), keys=keys, join=parsed_keys(join), run=run, out=out, progress=progress)
    console.say(made.summary)


@app.command()
def split(
    source: Annotated[Path, typer.Argument(help="A store, or a label table.")],
    fractions: Annotated[tuple[float, float, float], typer.Option("--fractions", help="Shares of the parts.")] = (
        0.70,
        0.15,
        0.15,
    ),
    folds: Annotated[
        Optional[int], typer.Option("--folds", help="Folds, 3 or more, instead of the three parts.")
    ] = None,
    by: Annotated[
        Optional[Kept], typer.Option("--by", help="What stays together: groups where there are some, else fields.")
    ] = None,
    keys: KeysOption = None,
    join: JoinOption = None,
    name: Annotated[str, typer.Option("--name", help="Name of a store's split.")] = "default",
    out: Annotated[Optional[Path], typer.Option("--out", help="File for a label table's split, .parquet.")] = None,
    seed: SeedOption = 0,
    vocabulary: VocabularyOption = "kaggle2018",
) -> None:
    """Split into train, validation and test, or folds: no group in two parts, every class in its share.

    Example: `protloc split store --folds 5 --name cv`
    """
    from protloc.atlas.vocabulary import load_vocabulary
    from protloc.verbs.source import open_source
    from protloc.verbs.split import split_source

    opened = open_source(source, vocabulary=load_vocabulary(vocabulary))
    made = split_source(
        opened, name=name, out=out, fractions=fractions, folds=folds, by=None if by is None else by.value, keys=keys,
        join=parsed_keys(join), seed=seed,
    )  # fmt: skip
    console.say(made.summary)


@app.command()
def train(
    store: Annotated[Path, typer.Argument(help="A labelled store.")],
    recipe: Annotated[str, typer.Option("--recipe", help="Name of a recipe, or a .toml file of settings.")],
    out: Annotated[Path, typer.Option("--out", help="Run to write.")],
    split: SplitOption = "default",
    weights: Annotated[
        Optional[str],
        typer.Option("--weights", help="Where to start: starter, imagenet, efficientnet-lite0, none, or a bundle."),
    ] = None,
    epochs: EpochsOption = None,
    set_: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Train a recipe on a split of a store; on folds, one network a fold and the ensemble of them.

    Recipes: baseline-cnn, baseline-resnet50, baseline-resnet50-augmented, baseline-resnet152-augmented, standard,
    starter.

    Example: `protloc train store --recipe standard --out runs/standard --set learning_rate=1e-3`
    """
    from protloc.atlas.store import Store
    from protloc.verbs.train import train_recipe

    made = train_recipe(
        Store.open(store), recipe=recipe, run=out, split_name=split,
        overrides=with_settings(set_, epochs=epochs, weights=weights), resume=resume, say=console.say,
        show_progress=sys.stderr.isatty(),
    )  # fmt: skip
    console.say(made.summary)
    if made.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A trained run.")],
    tta: Annotated[
        bool, typer.Option("--tta", help="Average the eight poses of each field; predict will too.")
    ] = False,
    error_rate: Annotated[
        float,
        typer.Option(
            "--error-rate", help="Share of a class's fields told absent, and of answers *present*, that may be wrong."
        ),
    ] = 0.10,
    thresholds: Annotated[
        ThresholdRule, typer.Option("--thresholds", help="How they are found; auto tries all on other fields.")
    ] = ThresholdRule.auto,
) -> None:
    """Fit how a run answers, and judge it: evaluation.json, report.html.

    Example: `protloc evaluate runs/standard`
    """
    from protloc.verbs.evaluate import evaluate as judge

    with console.bar("evaluating") as progress:
        made = judge(
            run, tta=tta, error_rate=error_rate, threshold_rule=thresholds.value.replace("-", " "), progress=progress
        )
    console.say(made.summary)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs; the first is what the others are set against.")],
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for table and page; beside the first run if not said.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Tell which runs differ on the same fields: better, worse or not resolvable.

    Example: `protloc compare runs/baseline-cnn runs/standard`
    """
    from protloc.verbs.compare import compare_runs

    console.say(compare_runs(runs, out=out, seed=seed).summary)


@app.command()
def baselines(
    store: Annotated[Path, typer.Argument(help="A labelled store.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the table and the runs.")],
    split: SplitOption = "default",
    beside: Annotated[
        Optional[str], typer.Option("--beside", help="Another split, to tell by how much it flatters.")
    ] = None,
    recipe: Annotated[
        Optional[list[str]], typer.Option("--recipe", help="One of the recipes only; repeat it. All five if not said.")
    ] = None,
    epochs: EpochsOption = None,
    set_: SetOption = None,
) -> None:
    """Train and judge the five recipes on one split. Interrupted, the same command goes on.

    Example: `protloc baselines store --out baselines --beside by-field`
    """
    from protloc.atlas.store import Store
    from protloc.learn.recipes import BASELINES
    from protloc.verbs.baselines import baselines as run

    made = run(
        Store.open(store), out=out, split_name=split, beside=beside, recipes=recipe or BASELINES,
        overrides=with_settings(set_, epochs=epochs), say=console.say, show_progress=sys.stderr.isatty(),
    )  # fmt: skip
    console.say(made.summary)


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle, a run that has one, or starter.")],
    source: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .csv or .parquet.")],
    format_: Annotated[
        Format, typer.Option("--format", help="Probabilities and answer, or Kaggle's Id,Predicted.")
    ] = Format.table,
    stains: StainsOption = None,
    tile: TileOption = None,
    bit_depth: BitDepthOption = None,
    max_pixels: MaxPixelsOption = None,
    tta: Annotated[
        Optional[bool], typer.Option("--tta/--no-tta", help="Average the eight poses; as evaluate did if not said.")
    ] = None,
    adapt: Annotated[
        Optional[bool],
        typer.Option(
            "--adapt/--no-adapt",
            help="Fit the answers to how often classes occur among these fields, or are stated to where the model says "
            "so. As the model wants if not said; --no-adapt for fields of few proteins.",
        ),
    ] = None,
    prior: Annotated[
        Optional[Path],
        typer.Option("--prior", help="Label table of fields like these: how often classes are to be expected."),
    ] = None,
    jobs: JobsOption = None,
) -> None:
    """Answer for every field of a folder.

    Example: `protloc predict starter images --stains green --out answers.csv`
    """
    from protloc.apply.predict import predict as run
    from protloc.apply.predictions import check_output, write_predictions
    from protloc.atlas.images import MAX_PIXELS
    from protloc.atlas.reading import Reading
    from protloc.learn.bundle import Bundle

    check_output(out)
    model = Bundle.load(bundle_folder(bundle))
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    reading = Reading(model.stains, model.side, tile, bit_depth, limit)
    with console.bar("predicting") as progress:
        made = run(
            model, source, stains=None if stains is None else parsed_stains(stains), reading=reading,
            tta=tta, adapt=adapt, prior=None if prior is None else prior_of(prior, model.vocabulary), jobs=jobs,
            progress=progress,
        )  # fmt: skip
    write_predictions(made, out, style=format_.value)
    console.say(made.summary(out))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path("demo"),
    fields: Annotated[int, typer.Option("--fields", help="How many fields to simulate.")] = 2400,
    seed: SeedOption = 0,
) -> None:
    """Simulate, prepare, audit, split, train and evaluate: all of it in minutes, without a download.

    Example: `protloc demo --out demo`
    """
    from protloc.verbs.demo import demo as run

    made = run(out, fields=fields, seed=seed, say=console.say, show_progress=sys.stderr.isatty())
    console.say(made.summary)


@app.command()
def version() -> None:
    """Show the version."""
    from importlib.metadata import version as version_of

    console.say(f"protloc {version_of('protloc')}")
