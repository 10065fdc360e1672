"""Splitting a store or a label table into parts on disk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from protloc.atlas.files import StrPath
from protloc.atlas.keys import known_keys
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.balance import balance, part_rows
from protloc.curate.groups import GROUPS_FILE, Groups, Joined, counted, join_groups
from protloc.curate.split import PARTS, Folds, Split, fold, read_partition, split
from protloc.errors import SettingsError, SplitError, StoreError

FRACTIONS = (0.70, 0.15, 0.15)
FAR = 0.10  # of its share: a part that is further from it is told
MOST_LISTED = 10  # folds; of more only the sizes of the smallest and the largest are told


@dataclass(frozen=True)
class SplitResult:
    """What ``split`` did.

    Attributes:
        split: Which field is in which part, or in which fold.
        table: The fields, their labels, and the groups that were kept whole.
        file: Where the split was written.
        joined: How keys were joined into groups, where keys were given.
        fractions: Shares of all fields that were asked for, of each part or fold.
    """

    split: Split | Folds
    table: LabelTable
    file: Path
    joined: Joined | None = None
    fractions: tuple[float, ...] = FRACTIONS

    @property
    def summary(self) -> str:
        """Return in words the size of each part, the groups, how even the classes are, and where it was written."""
        off = balance(self.split, self.table).filter(like="_off").abs().drop(index="all fields")
        sizes = {part: len(rows) for part, rows in part_rows(self.split, self.table).items()}
        groups = len(set(self.table.groups))
        kept = f" in {counted(groups, 'group')}" if groups < len(self.table) and self.joined is None else ""
        worst = f"{off.max(axis=None):.2f} fields from its share ({off.max(axis=1).idxmax()})"
        said = [f"{self.file}: {_sizes_in_words(sizes)}{kept}. No class is further than {worst}."]
        said += [_far_in_words(list(sizes.values()), self.fractions, self.table)]
        if self.joined is not None:
            said.append(self.joined.summary)
        if self.table.repeated:
            said.append(f"{self.table.repeated} lines of the label table repeat another and were read once.")
        return " ".join(filter(None, said))


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
        SplitError: if there is a different split of this name already, the fields cannot be split so, a part would be
            empty, or there are no groups to split by.
        SettingsError: if ``out`` is missing for a label table, or no ``.parquet`` file, or settings contradict.
    """
    _check_settings(fractions, folds=folds, by=by, keys=keys, join=join)
    file = Path(out) if out is not None else (split_file(source, name) if isinstance(source, Store) else None)
    if file is None or file.suffix != ".parquet":
        given = "not given" if file is None else file
        raise SettingsError(f"--out: {given}, expected the .parquet file to write the split of a label table to.")
    table, joined = _grouped(source, by=by, keys=keys, join=join)
    made = split(table, fractions=fractions, seed=seed) if folds is None else fold(table, folds=folds, seed=seed)
    _check_parts(made, table, file, folds=folds)
    if file.exists() and read_partition(file) != made:
        raise SplitError(
            f"{file}: there is another split of this name, such as one from before an audit. Remove it, or give a new "
            "one with --name."
        )
    made.write(file)
    return SplitResult(made, table, file, joined, fractions if folds is None else (1 / folds,) * folds)


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
    given = f"--split {name}:{number}" if number else f"--split {name}: with nothing after the colon"
    if isinstance(whole, Split):
        raise SplitError(f"{given}: {name} is a split without folds. Say --split {name}, or the name of folds.")
    if not (number.isascii() and number.isdecimal() and int(number) < whole.count):
        raise SplitError(
            f"{given}: there are {whole.count} folds, 0 to {whole.count - 1}. Say one of them, as in {name}:0."
        )
    return whole.split(int(number))


def grouped_table(store: Store) -> LabelTable:
    """Return the label table of a store; its groups are those that ``audit`` wrote, else the fields of the tiles.

    Raises:
        StoreError: if the store is unlabelled, or its groups are damaged or of other fields.
    """
    groups = audited_groups(store)
    return store.table if groups is None else replace(store.table, groups=groups.groups)


def parting_in_words(store: Store, name: str, partition: Split | Folds) -> str:
    """Tell that a split parts groups which an audit found, as one by fields or from before the audit; else nothing."""
    groups = audited_groups(store)
    if groups is None:
        return ""
    parts = partition.parts if isinstance(partition, Split) else partition.folds
    part_of = dict(zip(partition.ids, parts, strict=True))
    places = {(group, part_of[field]) for field, group in zip(groups.ids, groups.groups, strict=True)}
    parted = sum(parts > 1 for parts in Counter(group for group, _ in places).values())
    if not parted:
        return ""
    return f"The split {name} parts {counted(parted, 'group')} of fields that are alike, so scores on it will flatter."


def _read_whole(store: Store, name: str) -> Split | Folds:
    file = split_file(store, name)
    if file.is_file():
        return read_partition(file)
    if name != "default":
        made = sorted(path.stem for path in file.parent.glob("*.parquet"))
        raise SplitError(
            f"{file}: no such split (there is {', '.join(made) or 'none'}). "
            f"Make it: protloc split {store.folder} --name {name}"
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
            f"{file}: groups of {counted(len(groups), 'field')} that are not the {len(store):,} of this store. "
            f"Audit it again: protloc audit {store.folder}"
        )
    return groups


def _sizes_in_words(sizes: Mapping[str, int]) -> str:
    if len(sizes) > MOST_LISTED:
        least, most = min(sizes.values()), max(sizes.values())
        return f"{len(sizes)} folds of " + (f"{least} to " if least < most else "") + counted(most, "field")
    return ", ".join(f"{size} {part}" for part, size in sizes.items()) + " fields"


def _far_in_words(sizes: Sequence[int], fractions: Sequence[float], table: LabelTable) -> str:
    """Tell that a part is far from the share asked for, as happens with a giant group; else nothing."""
    asked = [fraction * len(table) for fraction in fractions]
    if all(abs(size - share) <= max(FAR * share, 1) for size, share in zip(sizes, asked, strict=True)):
        return ""
    parts = [100 * size / len(table) for size in sizes]
    got, told = map(_percents_in_words, (parts, [100 * fraction for fraction in fractions]))
    largest = 100 * max(Counter(table.groups).values()) / len(table)
    return f"The parts are {got} %, asked for were {told}: the largest group holds {largest:.0f} % of the fields."


def _percents_in_words(shares: Sequence[float]) -> str:
    shown = [f"{share:.0f}" for share in shares]
    if len(shown) <= MOST_LISTED:
        return "/".join(shown)
    return " to ".join(dict.fromkeys([f"{min(shares):.0f}", f"{max(shares):.0f}"]))


def _check_parts(made: Split | Folds, table: LabelTable, file: Path, *, folds: int | None) -> None:
    filled = {f"fold {own}" for own in made.folds} if isinstance(made, Folds) else set(made.parts)
    for part in PARTS if folds is None else [f"fold {own}" for own in range(folds)]:
        if part not in filled:
            number, groups = counted(len(table), "field"), counted(len(set(table.groups)), "group")
            raise SplitError(
                f"{file}: {part} would be empty, as {number} in {groups} cannot fill every part. Split more fields, or "
                "keep fewer of them together: --join, --by fields."
            )


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
