"""Commands that use a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from protloc import console
from protloc.options import (
    BitDepthOption,
    Format,
    JobsOption,
    MaxPixelsOption,
    StainsOption,
    TileOption,
    bundle_folder,
    parsed_stains,
    prior_of,
)

# What a command needs is imported when it runs: torch alone takes seconds, and --help shall not.
# ruff: noqa: UP045 - typer reads Optional[...] at run time


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


def serve(
    bundles: Annotated[
        Optional[list[Path]], typer.Argument(help="Bundles, or runs that have one; starter if none is named.")
    ] = None,
    atlas: Annotated[
        Optional[list[Path]],
        typer.Option("--atlas", help="Labelled fields, as protloc embed wrote them, to show similar ones; repeat it."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 127.0.0.1 is this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8000,
    token: Annotated[
        str,
        typer.Option("--token", envvar="PROTLOC_TOKEN", help="What requests must bring; PROTLOC_TOKEN hides it."),
    ] = "",
    name: Annotated[
        Optional[list[str]], typer.Option("--name", help="Other names the server is asked under; repeat it.")
    ] = None,
    set_: Annotated[
        Optional[list[str]], typer.Option("--set", help="A limit, NAME=VALUE, such as upload_bytes=1e8; repeat it.")
    ] = None,
) -> None:
    """Serve models as a page and an interface, until Ctrl-C; accepted requests are finished then.

    Example: `protloc serve starter runs/standard --port 8000`
    """
    from protloc.learn.bundle import Bundle
    from protloc.serve.limits import Limits
    from protloc.serve.run import serve as run

    named = [(folder.name, Bundle.load(bundle_folder(folder))) for folder in bundles or [Path("starter")]]
    limits = Limits(token=token, hosts=(*Limits().hosts, host, *(name or []))).with_overrides(set_ or [])
    run(named, atlases=atlas or [], host=host, port=port, limits=limits, say=console.say)
