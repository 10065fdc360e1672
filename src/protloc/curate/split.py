"""Splits: which fields train, which validate, which test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.atlas.files import write_parquet
from protloc.atlas.table import LabelTable
from protloc.curate.stratify import stratify
from protloc.errors import SplitError

PARTS = ("train", "validation", "test")


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
        remedy = "Make the split with: protloc split"
        if not file.is_file():
            raise SplitError(f"{file}: there is no such split. {remedy}")
        try:
            columns = pq.read_table(file, columns=["id", "part"]).to_pydict()
        except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are subclasses of these
            raise SplitError(f"{file}: not a split with the columns id and part ({error}). {remedy}") from error
        ids, parts = tuple(columns["id"]), tuple(columns["part"])
        unknown = sorted(set(map(str, parts)) - set(PARTS))
        if unknown:
            raise SplitError(f"{file}: part {unknown[0]!r}, expected {', '.join(PARTS)}. {remedy}")
        if len(set(ids)) != len(ids):
            raise SplitError(f"{file}: {len(ids)} rows but {len(set(ids))} ids, expected each id once. {remedy}")
        return cls(ids, parts)


def split(table: LabelTable, *, fractions: Sequence[float] = (0.70, 0.15, 0.15), seed: int = 0) -> Split:
    """Part fields into training, validation and test with every class near its share in each.

    Fields of one group (``table.groups``) stay together. Where every group is one field, every class count and every
    part's size come within one of the ideal share; larger groups, or a few dozen fields with crowded label sets, may
    have no such split and then get the nearest found. A class with at least three groups comes into every part if that
    can be had, though its share be under one; no part is empty if there are three groups. The result depends on the
    ids, labels, groups and seed, not on the order of the rows or the platform. Method: :mod:`protloc.curate.stratify`.

    Args:
        table: The labelled fields.
        fractions: Shares of training, validation and test; positive, summing to 1.
        seed: Chooses among equally good splits.

    Raises:
        SplitError: if the fractions are no such shares, the table is empty or the seed negative.
    """
    shares = _shares(fractions)
    if not len(table):
        raise SplitError("split: the table holds no field, expected one at least. Give a table with labelled fields.")
    if seed < 0:
        raise SplitError(f"--seed: {seed}, expected a whole number of 0 or more.")
    unit_of, counts = _units(table)
    generator = np.random.Generator(np.random.PCG64(seed))
    parts = stratify(counts, shares=shares, generator=generator)[unit_of]
    return Split(table.ids, tuple(PARTS[part] for part in parts))


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


def balance(split: Split, table: LabelTable) -> pd.DataFrame:
    """Tell how many fields of each class every part has, and how far that is from the part's share.

    Args:
        split: A split of the fields of ``table``.
        table: Their labels.

    Returns:
        A row a class with its name as index, and a last row ``all fields``; columns ``train``, ``validation``, ``test``
        (fields) and ``train_off``, … (fields above the share which the part has of all fields).

    Raises:
        SplitError: if the split is of other fields.
    """
    rows = rows_of(split, table.ids)
    counted = np.column_stack([table.targets, np.ones(len(table), np.uint8)])
    counts = np.array([counted[rows[part]].sum(axis=0, dtype=np.int64) for part in PARTS])
    off = counts - counts[:, -1:] / len(table) * counts.sum(axis=0)
    columns: Mapping[str, NDArray[np.generic]] = {
        **dict(zip(PARTS, counts, strict=True)),
        **{f"{part}_off": values for part, values in zip(PARTS, off, strict=True)},
    }
    return pd.DataFrame(columns, index=pd.Index([*table.vocabulary.names, "all fields"], name="class"))


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
