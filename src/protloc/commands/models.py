"""Commands that use a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from protloc import console
from protloc.errors import MissingExtraError
from protloc.learn.engines import Engine, Precision
from protloc.options import (
    BitDepthOption,
    JobsOption,
    MaxPixelsOption,
    SeedOption,
    StainsOption,
    TileOption,
    bundle_folder,
    given_stains,
    parsed_classes,
    prior_of,
    reading_for,
)

# What a command needs is imported when it runs: torch alone takes seconds, and --help shall not.
# ruff: noqa: UP045 - typer reads Optional[...] at run time


def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle, an export, a run, or starter.")],
    source: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .csv or .parquet.")],
    format_: Annotated[
        Literal["table", "long", "kaggle"],
        typer.Option("--format", help="table; long: a row a class, with intervals; kaggle: Id,Predicted."),
    ] = "table",
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
    from protloc.learn.export import load_model

    check_output(out)
    model = load_model(bundle_folder(bundle))
    reading = reading_for(model, tile=tile, bit_depth=bit_depth, max_pixels=max_pixels)
    with console.bar("predicting") as progress:
        made = run(
            model, source, stains=given_stains(stains), reading=reading,
            tta=tta, adapt=adapt, prior=None if prior is None else prior_of(prior, model.vocabulary), jobs=jobs,
            progress=progress,
        )  # fmt: skip
    write_predictions(made, out, style=format_)
    console.say(made.summary(out))


def export(
    bundle: Annotated[Path, typer.Argument(help="A bundle, a run that has one, or starter.")],
    to: Annotated[Engine, typer.Option("--to", help="What is to compute it.")],
    precision: Annotated[
        Precision, typer.Option("--precision", help="bf16 and int8 are faster and round; of openvino only.")
    ] = "float32",
    out: Annotated[
        Optional[Path],
        typer.Option("--out", help="Folder to make; exports/ENGINE-PRECISION in the bundle if not said."),
    ] = None,
    store: Annotated[
        Optional[Path], typer.Option("--store", help="The store it was trained on; a run knows its own.")
    ] = None,
    split: Annotated[Optional[str], typer.Option("--split", help="The split; a run knows its own.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write it though it costs more than 0.003 of macro-F1.")
    ] = False,
) -> None:
    """Write a model for ONNX Runtime or OpenVINO, held against the bundle.

    Example: `protloc export runs/standard --to openvino --precision bf16`
    """
    from protloc.learn.bundle import Bundle
    from protloc.verbs.export import export_bundle, trained_on

    model = Bundle.load(bundle_folder(bundle))
    fields, split_name = trained_on(bundle, store=store, split_name=split)
    with console.bar("judging") as progress:
        made = export_bundle(
            model, engine=to, precision=precision, out=out, store=fields, split_name=split_name, force=force,
            progress=progress,
        )  # fmt: skip
    console.say(made.summary)


def explain(
    bundle: Annotated[Path, typer.Argument(help="A bundle, a run that has one, or starter.")],
    source: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for heat maps, figures and a table.")],
    classes: Annotated[
        Optional[str],
        typer.Option("--classes", help="Classes to explain in every field, commas between. Those called if not said."),
    ] = None,
    stains: StainsOption = None,
    tile: TileOption = None,
    bit_depth: BitDepthOption = None,
    max_pixels: MaxPixelsOption = None,
    adapt: Annotated[Optional[bool], typer.Option("--adapt/--no-adapt", help="As for predict.")] = None,
    prior: Annotated[Optional[Path], typer.Option("--prior", help="As for predict.")] = None,
    jobs: JobsOption = None,
) -> None:
    """Show what answers rest on: heat maps, what each stain adds, a figure a field.

    Example: `protloc explain starter images --out why --classes "Golgi apparatus,Cytosol"`
    """
    from protloc.learn.bundle import Bundle
    from protloc.verbs.explain import explain as run

    model = Bundle.load(bundle_folder(bundle))
    with console.bar("explaining") as progress:
        made = run(
            model, source, out=out, classes=parsed_classes(classes), stains=given_stains(stains),
            reading=reading_for(model, tile=tile, bit_depth=bit_depth, max_pixels=max_pixels), adapt=adapt,
            prior=None if prior is None else prior_of(prior, model.vocabulary), jobs=jobs, progress=progress,
        )  # fmt: skip
    console.say(made.summary)


def embed(
    bundle: Annotated[Path, typer.Argument(help="A bundle, an export, a run, or starter.")],
    source: Annotated[Path, typer.Argument(help="Folder of images, or a store.")],
    out: Annotated[Path, typer.Option("--out", help=".parquet, an index for neighbours, or .h5ad for scanpy.")],
    labels: Annotated[Optional[Path], typer.Option("--labels", help="Label table; a store brings its own.")] = None,
    vocabulary: Annotated[
        Optional[str], typer.Option("--vocabulary", help="Classes of the table; the model's if not said.")
    ] = None,
    stains: StainsOption = None,
    tile: TileOption = None,
    bit_depth: BitDepthOption = None,
    max_pixels: MaxPixelsOption = None,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
) -> None:
    """Write what the model sees of each field, and draw a map of them.

    Example: `protloc embed starter store --out atlas.parquet`
    """
    from protloc.apply.embedded_files import check_embedding_output
    from protloc.atlas.table import read_labels
    from protloc.atlas.vocabulary import load_vocabulary
    from protloc.learn.export import load_model
    from protloc.verbs.embed import embed as run

    check_embedding_output(out)
    model = load_model(bundle_folder(bundle))
    names = model.vocabulary if vocabulary is None else load_vocabulary(vocabulary)
    with console.bar("embedding") as progress:
        made = run(
            model, source, out=out, labels=None if labels is None else read_labels(labels, names),
            stains=given_stains(stains),
            reading=reading_for(model, tile=tile, bit_depth=bit_depth, max_pixels=max_pixels), jobs=jobs, seed=seed,
            progress=progress,
        )  # fmt: skip
    console.say(made.summary)


def neighbours(
    bundle: Annotated[Path, typer.Argument(help="The model that the index was made with.")],
    source: Annotated[Path, typer.Argument(help="Folder of images, or a store.")],
    index: Annotated[Path, typer.Option("--index", help="What protloc embed wrote, .parquet.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .csv or .parquet.")],
    k: Annotated[int, typer.Option("--k", min=1, help="How many for each field.")] = 5,
    approximate: Annotated[bool, typer.Option("--approximate", help="Search by faiss, for very many fields.")] = False,
    stains: StainsOption = None,
    tile: TileOption = None,
    bit_depth: BitDepthOption = None,
    max_pixels: MaxPixelsOption = None,
    jobs: JobsOption = None,
) -> None:
    """Find the labelled fields that are most like each of yours.

    Example: `protloc neighbours starter images --index atlas.parquet --out near.csv`
    """
    from protloc.learn.export import load_model
    from protloc.verbs.neighbours import neighbours as run

    model = load_model(bundle_folder(bundle))
    with console.bar("embedding") as progress:
        made = run(
            model, source, index=index, out=out, k=k, approximate=approximate, stains=given_stains(stains),
            reading=reading_for(model, tile=tile, bit_depth=bit_depth, max_pixels=max_pixels), jobs=jobs,
            progress=progress,
        )  # fmt: skip
    console.say(made.summary)


def preflight(
    bundle: Annotated[Path, typer.Argument(help="A bundle, an export, a run, or starter.")],
    source: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Table to write, .csv or .parquet, a line a finding.")
    ] = None,
    pixel_size: Annotated[
        Optional[float], typer.Option("--pixel-size", help="µm a pixel; what the files state if not said.")
    ] = None,
    stains: StainsOption = None,
    tile: TileOption = None,
    bit_depth: BitDepthOption = None,
    max_pixels: MaxPixelsOption = None,
    jobs: JobsOption = None,
) -> None:
    """Check fields before prediction: stains, light, focus, pixel size, distance from the atlas.

    Example: `protloc preflight starter images --out findings.csv`
    """
    from protloc.learn.export import load_model
    from protloc.verbs.preflight import preflight_fields

    model = load_model(bundle_folder(bundle))
    with console.bar("checking") as progress:
        made = preflight_fields(
            model, source, out=out, stains=given_stains(stains),
            reading=reading_for(model, tile=tile, bit_depth=bit_depth, max_pixels=max_pixels), pixel_size=pixel_size,
            jobs=jobs, progress=progress,
        )  # fmt: skip
    console.say(made.summary)


def serve(
    bundles: Annotated[
        Optional[list[Path]], typer.Argument(help="Bundles, exports or runs; starter if none is named.")
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
    from protloc.learn.export import load_model

    try:
        from protloc.serve.limits import Limits
        from protloc.serve.run import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serve: {error.name} is not installed. pip install 'protloc[serve]'") from error
    named = [(folder.name, load_model(bundle_folder(folder))) for folder in bundles or [Path("starter")]]
    limits = Limits(token=token, hosts=(*Limits().hosts, host, *(name or []))).with_overrides(set_ or [])
    run(named, atlases=atlas or [], host=host, port=port, limits=limits, say=console.say)
