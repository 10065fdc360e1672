"""Splits, folds: which fields train, which validate, which test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.atlas.files import write_parquet
from protloc.atlas.table import LabelTable
from protloc.curate.stratify import stratify
from protloc.errors import SplitError

PARTS = ("train", "validation", "test")
FEWEST_FOLDS = 3  # one tests, one validates, the rest trains
REMEDY = "Make it with: protloc split"


@dataclass(frozen=True)
class Split:
    """The part of every field.

    Attributes:
        ids: Field ids, unique.
        parts: ``train``, ``validation`` or ``test`` for each of them.
    """

    ids: tuple[str, ...]
    parts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, part: str) -> NDArray[np.intp]:
        """Return the places of a part's fields in ``ids``, rising.

        Raises:
            SplitError: if there is no such part.
        """
        if part not in PARTS:
            raise SplitError(f"part {part!r}: expected one of {', '.join(PARTS)}.")
        return np.flatnonzero(np.fromiter((mine == part for mine in self.parts), bool, len(self)))

    def write(self, file: Path) -> None:
        """Write the columns ``id`` and ``part`` as parquet, whole or not at all."""
        write_parquet(file, pd.DataFrame({"id": list(self.ids), "part": list(self.parts)}, dtype="str"))

    @classmethod
    def read(cls, file: Path) -> Split:
        """Read what :meth:`write` wrote.

        Raises:
            SplitError: if the file is missing or is no split.
        """
        ids, parts = _read_columns(file, "part")
        unknown = sorted(set(map(str, parts)) - set(PARTS))
        if unknown:
            raise SplitError(f"{file}: part {unknown[0]!r}, expected {', '.join(PARTS)}. {REMEDY}")
        return cls(ids, parts)


@dataclass(frozen=True)
class Folds:
    """The fold of every field, for cross-validation.

    Attributes:
        ids: Field ids, unique.
        folds: 0, 1, … for each of them, as many as ``count``.
    """

    ids: tuple[str, ...]
    folds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def count(self) -> int:
        """Return how many folds there are."""
        return max(self.folds) + 1

    def split(self, fold: int) -> Split:
        """Return the split that is tested on this fold, validated on the next (the first follows the last).

        Raises:
            SplitError: if there is no such fold.
        """
        if not 0 <= fold < self.count:
            raise SplitError(f"fold {fold}: there are {self.count} folds, expected 0 to {self.count - 1}.")
        part_of = ["train"] * self.count
        part_of[fold], part_of[(fold + 1) % self.count] = "test", "validation"
        return Split(self.ids, tuple(part_of[mine] for mine in self.folds))

    def write(self, file: Path) -> None:
        """Write the columns ``id`` and ``fold`` as parquet, whole or not at all."""
        ids = pd.Series(list(self.ids), dtype="str")
        write_parquet(file, pd.DataFrame({"id": ids, "fold": np.array(self.folds, np.int64)}))

    @classmethod
    def read(cls, file: Path) -> Folds:
        """Read what :meth:`write` wrote.

        Raises:
            SplitError: if the file is missing or holds no folds.
        """
        ids, folds = _read_columns(file, "fold")
        numbers = set(folds)
        if len(numbers) < FEWEST_FOLDS or numbers != set(range(len(numbers))):
            found = ", ".join(sorted(map(str, numbers))[:5])
            raise SplitError(f"{file}: the folds are {found}, expected {FEWEST_FOLDS} or more from 0 on. {REMEDY}")
        return cls(ids, folds)


def read_partition(file: Path) -> Split | Folds:
    """Read a split or folds, whichever the file holds.

    Raises:
        SplitError: if the file is missing or holds neither.
    """
    try:
        has_folds = "fold" in pq.read_schema(file).names
    except (OSError, ValueError):
        has_folds = False  # Split.read says what is wrong
    return Folds.read(file) if has_folds else Split.read(file)


def _read_columns(file: Path, name: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    if not file.is_file():
        raise SplitError(f"{file}: there is no such split. {REMEDY}")
    try:
        columns = pq.read_table(file, columns=["id", name]).to_pydict()
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are subclasses of these
        raise SplitError(f"{file}: not a split with the columns id and {name} ({error}). {REMEDY}") from error
    ids = tuple(columns["id"])
    if len(set(ids)) != len(ids):
        raise SplitError(f"{file}: {len(ids)} rows but {len(set(ids))} ids, expected each id once. {REMEDY}")
    return ids, tuple(columns[name])


def split(table: LabelTable, *, fractions: Sequence[float] = (0.70, 0.15, 0.15), seed: int = 0) -> Split:
    """Part fields into training, validation and test with every class near its share in each.

    Fields of one group (``table.groups``) are never parted. Where every group is one field, every class count and every
    part's size come within one of the ideal share; larger groups, or a few dozen fields with crowded label sets, may
    have no such split and then get the nearest found. A class with at least three groups comes into every part, unless
    several such classes exclude each other (classes A, B, C in the groups AB, BC, CA and two parts) or there are so
    many groups and classes that the search ends first; no part is empty if there are three groups. The result depends
    on the ids, labels, groups and seed, not on the order of the rows or the platform. Method:
    :mod:`protloc.curate.stratify`.

    Args:
        table: The labelled fields.
        fractions: Shares of training, validation and test; positive, summing to 1.
        seed: Chooses among equally good splits.

    Raises:
        SplitError: if the fractions are no such shares, the table is empty or the seed negative.
    """
    dealt = _dealt(table, _shares(fractions), seed)
    return Split(table.ids, tuple([PARTS[part] for part in dealt.tolist()]))


def fold(table: LabelTable, *, folds: int, seed: int = 0) -> Folds:
    """Part fields into folds of equal size with every class near its share in each; otherwise as :func:`split`.

    Args:
        table: The labelled fields.
        folds: How many, 3 or more.
        seed: Chooses among equally good folds.

    Raises:
        SplitError: if there are fewer groups than folds or fewer than 3 folds, the table is empty or the seed negative.
    """
    groups = len(set(table.groups))
    if not FEWEST_FOLDS <= folds <= groups:
        raise SplitError(
            f"--folds {folds}: expected {FEWEST_FOLDS} or more (one tests, one validates, the rest train), and no more "
            f"than there are groups of fields, {groups}."
        )
    return Folds(table.ids, tuple(_dealt(table, [Fraction(1, folds)] * folds, seed).tolist()))


def rows_of(split: Split, ids: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Find the rows of each part among ``ids``, such as those of a store, whatever their order.

    Returns:
        For ``train``, ``validation`` and ``test`` the places of their fields in ``ids``, rising.

    Raises:
        SplitError: if the split is of other fields.
    """
    part_of = dict(zip(split.ids, split.parts, strict=True))
    missing = [field for field in ids if field not in part_of]
    if missing or len(ids) != len(part_of):
        raise SplitError(
            f"The split has {len(part_of)} fields, the store {len(ids)}, and {len(missing)} of the store are not in it"
            f"{f' (such as {missing[0]})' if missing else ''}. Split this store anew with: protloc split"
        )
    parts = np.array([part_of[field] for field in ids], dtype=np.str_)
    return {part: np.flatnonzero(parts == part) for part in PARTS}


def _dealt(table: LabelTable, shares: Sequence[Fraction], seed: int) -> NDArray[np.intp]:
    """Return the part of each field, in 0..parts-1."""
    if not len(table):
        raise SplitError("split: the table holds no field, expected one at least. Give a table with labelled fields.")
    if seed < 0:
        raise SplitError(f"--seed: {seed}, expected a whole number of 0 or more.")
    unit_of, counts = _units(table)
    generator = np.random.Generator(np.random.PCG64(seed))
    return stratify(counts, shares=shares, generator=generator)[unit_of]


def _shares(fractions: Sequence[float]) -> list[Fraction]:
    """Turn fractions such as 0.15 or 1/3 as a float into exact shares with small denominators."""
    values = [float(fraction) for fraction in fractions]
    if len(values) != len(PARTS) or not all(0 < value < 1 for value in values) or abs(sum(values) - 1) > 1e-6:
        raise SplitError(
            f"--fractions: {' '.join(map(str, fractions))} given, expected three positive numbers that sum to 1 "
            "(training, validation, test), as in 0.7 0.15 0.15."
        )
    shares = [Fraction(value).limit_denominator(1000) for value in values]
    if sum(shares) == 1:
        return shares
    millionths = [max(round(value * 1_000_000), 1) for value in values]
    return [Fraction(part, sum(millionths)) for part in millionths]


def _units(table: LabelTable) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the unit of each field, and for each unit the fields of each class and, last, its fields in all."""
    names = {group: unit for unit, group in enumerate(sorted(set(table.groups)))}
    unit_of = np.fromiter((names[group] for group in table.groups), np.intp, len(table))
    order = np.argsort(unit_of, kind="stable")
    starts = np.searchsorted(unit_of[order], np.arange(len(names)))
    hot = np.column_stack([table.targets, np.ones(len(table), np.uint8)])
    return unit_of, np.add.reduceat(hot[order], starts, axis=0, dtype=np.int64)
