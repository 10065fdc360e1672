"""Splitting a store or a label table into parts on disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from protloc.atlas.files import StrPath
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.split import PARTS, Split, balance, split
from protloc.errors import SettingsError, SplitError

FRACTIONS = (0.70, 0.15, 0.15)


@dataclass(frozen=True)
class SplitResult:
    """What ``split`` did.

    Attributes:
        split: Which field is in which part.
        table: The fields and their labels.
        file: Where the split was written.
    """

    split: Split
    table: LabelTable
    file: Path

    @property
    def summary(self) -> str:
        """Return in words how many fields each part has, how even the classes are, and where it was written."""
        off = balance(self.split, self.table).filter(like="_off").abs().drop(index="all fields")
        worst = str(off.max(axis=1).idxmax())
        sizes = ", ".join(f"{len(self.split.rows(part))} {part}" for part in PARTS)
        return (
            f"{self.file}: {sizes} fields. No class is further than {off.max(axis=None):.2f} fields from its share "
            f"({worst})."
        )


def split_source(
    source: Store | LabelTable,
    *,
    name: str = "default",
    out: StrPath | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> SplitResult:
    """Split fields into train, validation and test, each class in its share, and write who is where.

    Args:
        source: A store, or a label table.
        name: Name of the split of a store.
        out: File to write a label table's split to, ``.parquet``.
        fractions: Shares of the three parts.
        seed: Another seed gives another split of the same balance.

    Raises:
        StoreError: if the store is unlabelled.
        SplitError: if there is a different split of this name already, or the fields cannot be split so.
        SettingsError: if ``out`` is missing for a label table, or no ``.parquet`` file.
    """
    table = source.table if isinstance(source, Store) else source
    file = Path(out) if out is not None else (split_file(source, name) if isinstance(source, Store) else None)
    if file is None or file.suffix != ".parquet":
        raise SettingsError(f"--out: {file}, expected the .parquet file to write the split of a label table to.")
    made = split(table, fractions=fractions, seed=seed)
    if file.exists() and Split.read(file) != made:
        raise SplitError(f"{file}: there is another split of this name. Remove it, or give a new one with --name.")
    made.write(file)
    return SplitResult(made, table, file)


def split_file(store: Store, name: str) -> Path:
    """Return where a store keeps the split of this name.

    Raises:
        SettingsError: if the name would not do as a file's.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise SettingsError(f"split name {name!r}: expected letters, digits, dots, dashes, as in by-field.")
    return store.folder / "splits" / f"{name}.parquet"


def read_split(store: Store, name: str) -> Split:
    """Read a split of a store; the one named ``default`` is made where it is missing.

    Raises:
        SplitError: if there is no such split.
        StoreError: if the store is unlabelled.
    """
    file = split_file(store, name)
    if file.is_file():
        return Split.read(file)
    if name != "default":
        made = sorted(path.stem for path in file.parent.glob("*.parquet"))
        raise SplitError(
            f"{file}: no such split (there is {', '.join(made) or 'none'}). Make it: protloc split --name {name}."
        )
    return split_source(store, name=name).split
