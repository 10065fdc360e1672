"""Commands on images and tables: from a folder to a split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from protloc import console
from protloc.options import (
    BitDepthOption,
    JobsOption,
    JoinOption,
    KeysOption,
    MaxPixelsOption,
    SeedOption,
    StainsOption,
    TileOption,
    VocabularyOption,
    parsed_keys,
    parsed_stains,
)

# What a command needs is imported when it runs: torch alone takes seconds, and --help shall not.
# ruff: noqa: UP045 - typer reads Optional[...] at run time


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
        Optional[Literal["groups", "fields"]],
        typer.Option("--by", help="What stays together: groups where there are some, else fields."),
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
        opened, name=name, out=out, fractions=fractions, folds=folds, by=by, keys=keys,
        join=parsed_keys(join), seed=seed,
    )  # fmt: skip
    console.say(made.summary)
