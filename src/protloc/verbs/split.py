"""Splitting a store or a label table into parts on disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from protloc.atlas.files import StrPath
from protloc.atlas.keys import known_keys
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.balance import balance, part_rows
from protloc.curate.groups import GROUPS_FILE, Groups, Joined, join_groups
from protloc.curate.split import Folds, Split, fold, read_partition, split
from protloc.errors import SettingsError, SplitError, StoreError

FRACTIONS = (0.70, 0.15, 0.15)


@dataclass(frozen=True)
class SplitResult:
    """What ``split`` did.

    Attributes:
        split: Which field is in which part, or in which fold.
        table: The fields, their labels, and the groups that were kept whole.
        file: Where the split was written.
        joined: How keys were joined into groups, where keys were given.
    """

    split: Split | Folds
    table: LabelTable
    file: Path
    joined: Joined | None = None

    @property
    def summary(self) -> str:
        """Return in words the size of each part, the groups, how even the classes are, and where it was written."""
        off = balance(self.split, self.table).filter(like="_off").abs().drop(index="all fields")
        sizes = ", ".join(f"{len(rows)} {part}" for part, rows in part_rows(self.split, self.table).items())
        groups = len(set(self.table.groups))
        kept = f" in {groups} groups" if groups < len(self.table) else ""
        worst = f"{off.max(axis=None):.2f} fields from its share ({off.max(axis=1).idxmax()})"
        said = [f"{self.file}: {sizes} fields{kept}. No class is further than {worst}."]
        if self.joined is not None:
            said.append(self.joined.summary)
        if self.table.repeated:
            said.append(f"{self.table.repeated} lines of the label table repeat another and were read once.")
        return " ".join(said)


def split_source(
    source: Store | LabelTable,
    *,
    name: str = "default",
    out: StrPath | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    folds: int | None = None,
    by: Literal["groups", "fields"] | None = None,
    keys: StrPath | None = None,
    join: Sequence[str] | None = None,
    seed: int = 0,
) -> SplitResult:
    """Split fields into train, validation and test, or into folds, each class in its share, and write who is where.

    Args:
        source: A store, or a label table.
        name: Name of the split of a store.
        out: File to write a label table's split to, ``.parquet``.
        fractions: Shares of the three parts.
        folds: Make this many folds instead, 3 or more.
        by: Keep ``groups`` whole, or only the tiles of each of the ``fields``; by default groups where there are any,
            from ``protloc audit`` or by ``keys``.
        keys: Table of the antibody, gene, plate of each field, or the words of its id; see
            :func:`protloc.atlas.keys.read_keys`. Near-duplicates that an audit of the store found are joined too.
        join: The keys to join by, whatever becomes of the groups; see :func:`protloc.curate.groups.join_groups`.
        seed: Another seed gives another split of the same balance.

    Raises:
        StoreError: if the store is unlabelled, or its groups are of other fields.
        TableError: if the keys cannot be read.
        SplitError: if there is a different split of this name already, the fields cannot be split so, or there are no
            groups to split by.
        SettingsError: if ``out`` is missing for a label table, or no ``.parquet`` file, or settings contradict.
    """
    _check_settings(fractions, folds=folds, by=by, keys=keys, join=join)
    file = Path(out) if out is not None else (split_file(source, name) if isinstance(source, Store) else None)
    if file is None or file.suffix != ".parquet":
        raise SettingsError(f"--out: {file}, expected the .parquet file to write the split of a label table to.")
    table, joined = _grouped(source, by=by, keys=keys, join=join)
    made = split(table, fractions=fractions, seed=seed) if folds is None else fold(table, folds=folds, seed=seed)
    if file.exists() and read_partition(file) != made:
        raise SplitError(f"{file}: there is another split of this name. Remove it, or give a new one with --name.")
    made.write(file)
    return SplitResult(made, table, file, joined)


def split_file(store: Store, name: str) -> Path:
    """Return where a store keeps the split of this name.

    Raises:
        SettingsError: if the name would not do as a file's.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise SettingsError(f"split name {name!r}: expected letters, digits, dots, dashes, as in by-field.")
    return store.folder / "splits" / f"{name}.parquet"


def read_split(store: Store, name: str) -> Split | Folds:
    """Read a split or folds of a store; the split named ``default`` is made where it is missing.

    Args:
        store: A labelled store.
        name: Its name; ``cv:2`` is the split that tests on fold 2 of the folds named ``cv``.

    Raises:
        SplitError: if there is no such split or fold.
        StoreError: if the store is unlabelled, or its groups are of other fields.
    """
    name, colon, number = name.partition(":")
    whole = _read_whole(store, name)
    if not colon:
        return whole
    if isinstance(whole, Split) or not (number.isascii() and number.isdecimal()):
        kind = "a split without folds" if isinstance(whole, Split) else f"{whole.count} folds"
        raise SplitError(f"--split {name}:{number}: {name} is {kind}; expected the number of a fold, as in cv:2.")
    return whole.split(int(number))


def grouped_table(store: Store) -> LabelTable:
    """Return the label table of a store; its groups are those that ``audit`` wrote, else the fields of the tiles.

    Raises:
        StoreError: if the store is unlabelled, or its groups are damaged or of other fields.
    """
    groups = audited_groups(store)
    return store.table if groups is None else replace(store.table, groups=groups.groups)


def _read_whole(store: Store, name: str) -> Split | Folds:
    file = split_file(store, name)
    if file.is_file():
        return read_partition(file)
    if name != "default":
        made = sorted(path.stem for path in file.parent.glob("*.parquet"))
        raise SplitError(
            f"{file}: no such split (there is {', '.join(made) or 'none'}). Make it: protloc split --name {name}."
        )
    return split_source(store, name=name).split


def audited_groups(store: Store) -> Groups | None:
    """Read the groups that ``audit`` wrote into a store, None where it has not been audited."""
    file = store.folder / GROUPS_FILE
    if not file.is_file():
        return None
    groups = Groups.read(file)
    if groups.ids != store.ids:
        raise StoreError(
            f"{file}: groups of {len(groups)} fields that are not the {len(store)} of this store. "
            f"Audit it again: protloc audit {store.folder}"
        )
    return groups


def _check_settings(
    fractions: Sequence[float], *, folds: int | None, by: str | None, keys: StrPath | None, join: Sequence[str] | None
) -> None:
    if by not in ("groups", "fields", None):
        raise SettingsError(f"--by {by}: expected groups or fields.")
    if folds is not None and tuple(fractions) != FRACTIONS:
        raise SettingsError(f"--folds {folds} with --fractions: folds are of equal size. Say one of the two.")
    if by == "fields" and keys is not None:
        raise SettingsError(f"--keys {keys} with --by fields: keys tell groups. Say --by groups, or leave the keys.")
    if join is not None and keys is None:
        raise SettingsError(f"--join {','.join(join)}: no keys to join by. Say where they are with --keys.")


def _grouped(
    source: Store | LabelTable, *, by: str | None, keys: StrPath | None, join: Sequence[str] | None
) -> tuple[LabelTable, Joined | None]:
    """Return the label table with the groups to keep whole, and how they were joined if that is done here."""
    table = source.table if isinstance(source, Store) else source
    audited = audited_groups(source) if isinstance(source, Store) and by != "fields" else None
    if keys is not None:
        pairs = audited.twin_pairs if audited is not None else None
        joined = join_groups(table.ids, keys=known_keys(table.groups, source=keys), pairs=pairs, join=join)
        return replace(table, groups=joined.groups.groups), joined
    if audited is not None:
        return replace(table, groups=audited.groups), None
    if by == "groups":
        raise SplitError(
            "--by groups: no groups are known. Find them with protloc audit STORE, or say --keys TABLE.csv, or --keys "
            "with the words of the ids, as in gene_antibody_plate_well_field."
        )
    return table, None
