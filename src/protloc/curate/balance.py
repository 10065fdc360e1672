"""Balance: how near every class is to its share in every part."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from protloc.atlas.table import LabelTable
from protloc.curate.split import Folds, Split, rows_of


def part_rows(partition: Split | Folds, table: LabelTable) -> dict[str, NDArray[np.intp]]:
    """Find the rows of each part, or of each fold, in a table.

    Returns:
        For ``train``, ``validation``, ``test``, or for ``fold 0``, ``fold 1``, …, the rows of their fields, rising.

    Raises:
        SplitError: if the partition is of other fields.
    """
    if isinstance(partition, Split):
        return rows_of(partition, table.ids)
    return {f"fold {fold}": rows_of(partition.split(fold), table.ids)["test"] for fold in range(partition.count)}


def balance(partition: Split | Folds, table: LabelTable) -> pd.DataFrame:
    """Tell how many fields of each class every part has, and how far that is from the part's share.

    Args:
        partition: A split, or folds, of the fields of ``table``.
        table: Their labels.

    Returns:
        A row a class with its name as index, and a last row ``all fields``; a column a part with its fields (``train``,
        ``validation``, ``test``, or ``fold 0``, ``fold 1``, …), and ``train_off``, … (fields above the share which the
        part has of all fields).

    Raises:
        SplitError: if the partition is of other fields.
    """
    rows = part_rows(partition, table)
    counted = np.column_stack([table.targets, np.ones(len(table), np.uint8)])
    counts = np.array([counted[mine].sum(axis=0, dtype=np.int64) for mine in rows.values()])
    off = counts - counts[:, -1:] / len(table) * counts.sum(axis=0)
    columns = dict(zip(rows, counts, strict=True)) | {
        f"{part}_off": values for part, values in zip(rows, off, strict=True)
    }
    return pd.DataFrame(columns, index=pd.Index([*table.vocabulary.names, "all fields"], name="class"))


def label_distance(targets: ArrayLike, parts: ArrayLike) -> float:
    """Return how far the parts are from all fields in the odds of the classes: 0 where they are alike.

    The label-distribution distance of Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data", ECML
    PKDD 2011: the mean, over classes and parts, of the difference between the odds of a class (fields with it to fields
    without) in a part and in all fields. Classes that no field has, or every field, are left out; a part in which every
    field has the class counts as if one had not.

    Args:
        targets: Multi-hot array of shape (fields, classes).
        parts: The part of each field, (fields,), of any kind.
    """
    hot = np.asarray(targets).astype(np.int64)
    names, part_of = np.unique(np.asarray(parts), return_inverse=True)
    hot = hot[:, (hot.min(axis=0, initial=1) == 0) & (hot.max(axis=0, initial=0) > 0)]
    odds = [_odds(hot[part_of == part]) for part in range(len(names))]
    return float(np.mean(np.abs(np.array(odds) - _odds(hot)))) if hot.size else 0.0


def _odds(hot: NDArray[np.int64]) -> NDArray[np.float64]:
    fields = hot.sum(axis=0)
    return fields / np.maximum(len(hot) - fields, 1)
