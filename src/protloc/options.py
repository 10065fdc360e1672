"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from protloc.atlas.reading import Reading
    from protloc.atlas.stains import Stain
    from protloc.atlas.vocabulary import Vocabulary
    from protloc.judge.prior import Prior
    from protloc.learn.model import Model

# ruff: noqa: UP045 - typer reads Optional[...] at run time

StainsOption = Annotated[
    Optional[str],
    typer.Option(
        "--stains", help="NAME or NAME=SUFFIX, commas between, as in green,blue=_ch00. All four of HPA if not said."
    ),
]
VocabularyOption = Annotated[
    str, typer.Option("--vocabulary", help="kaggle2018, or a .csv or .toml file of your classes.")
]
JobsOption = Annotated[
    Optional[int], typer.Option("--jobs", min=1, help="How many at a time. All processors if not said.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Another seed gives another draw.")]
SetOption = Annotated[
    Optional[list[str]], typer.Option("--set", help="A setting other than the recipe's, NAME=VALUE; repeat it.")
]
EpochsOption = Annotated[Optional[int], typer.Option("--epochs", help="The most epochs, other than the recipe's.")]
SplitOption = Annotated[
    str, typer.Option("--split", help="Which split; the one named default is made where it is missing.")
]
TileOption = Annotated[
    Optional[int], typer.Option("--tile", help="Cut fields into tiles of this many source px a side.")
]
BitDepthOption = Annotated[
    Optional[int], typer.Option("--bit-depth", help="Bits of 16-bit files. Told from each field if not said.")
]
KeysOption = Annotated[
    Optional[str],
    typer.Option(
        "--keys",
        help="What fields share: a table with id, antibody, gene, plate, parent, or the words of their ids, as in "
        "gene_antibody_plate_well_field.",
    ),
]
JoinOption = Annotated[
    Optional[str],
    typer.Option(
        "--join", help="Keys that join into groups, commas between. All that chain no unlike fields if not said."
    ),
]
MaxPixelsOption = Annotated[
    Optional[int], typer.Option("--max-pixels", help="Reject images with more pixels; 8192 x 8192 if not said.")
]


def parsed_stains(words: str | None) -> tuple[Stain, ...]:
    """Read ``--stains``; the four of the HPA if it was not said."""
    from protloc.atlas.stains import HPA_STAINS, parse_stains

    return HPA_STAINS if words is None else parse_stains(words.split(","))


def given_stains(words: str | None) -> tuple[Stain, ...] | None:
    """Read ``--stains`` for a model, which knows its own if it was not said."""
    return None if words is None else parsed_stains(words)


def parsed_classes(words: str | None) -> list[str]:
    """Read ``--classes``: names with commas between, or semicolons where a name has a comma; none if not said."""
    return [word.strip() for word in (words or "").split(";" if ";" in (words or "") else ",") if word.strip()]


def reading_for(model: Model, *, tile: int | None, bit_depth: int | None, max_pixels: int | None) -> Reading:
    """Return how images are read for a model, with what was said of it."""
    from protloc.atlas.images import MAX_PIXELS
    from protloc.atlas.reading import Reading

    return Reading(model.stains, model.side, tile, bit_depth, MAX_PIXELS if max_pixels is None else max_pixels)


def parsed_keys(words: str | None) -> list[str] | None:
    """Read ``--join``.

    Raises:
        SettingsError: if it names no key.
    """
    from protloc.atlas.keys import KEYS
    from protloc.errors import SettingsError

    if words is None:
        return None
    names = [word.strip() for word in words.split(",") if word.strip()]
    if not names:
        raise SettingsError(f"--join: no key named, expected any of {', '.join(KEYS)}, as in --join antibody,gene.")
    return names


def with_settings(assignments: list[str] | None, **named: int | str | None) -> list[str]:
    """Join ``--set`` and the settings that have an option of their own, those that were said."""
    return [*(assignments or []), *(f"{name}={value}" for name, value in named.items() if value is not None)]


def prior_of(table: Path, vocabulary: Vocabulary) -> Prior:
    """State the prevalences of a label table as the prior of fields to come.

    Raises:
        TableError: if it is no label table of the vocabulary.
    """
    from protloc.atlas.table import read_labels
    from protloc.judge.prior import Prior

    labels = read_labels(table, vocabulary)
    return Prior(f"{table.name} ({len(labels.ids):,} fields)", tuple(labels.targets.mean(axis=0).tolist()))


def bundle_folder(given: Path) -> Path:
    """Return the bundle of a run, or the folder itself; of ``starter`` see :func:`protloc.learn.starter.named_bundle`.

    Raises:
        RunError, BundleError: if it is a run that has no bundle yet, or the starter model is missing.
    """
    from protloc.learn.starter import named_bundle

    found = named_bundle(given)
    if (found / "settings.toml").is_file() and not (found / "model.json").is_file():
        from protloc.learn.runs import read_run

        read_run(found).bundle()  # says what is missing
    return found
