"""Class imbalance: how rare each compartment is, over-sampling against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protloc.errors import SettingsError

RARE = 0.01  # of the fields; on Kaggle 2018 this gives the seven classes that its baseline over-samples


def class_counts(targets: ArrayLike) -> NDArray[np.int64]:
    """Count the fields of each class.

    Args:
        targets: Multi-hot array of shape (fields, classes).

    Returns:
        (classes,) int64.
    """
    return np.asarray(targets).sum(axis=0, dtype=np.int64)


def minority_classes(targets: ArrayLike, *, below: float = RARE) -> NDArray[np.intp]:
    """Find the classes that some field has, but under ``below`` of all fields.

    Args:
        targets: Multi-hot array of shape (fields, classes).
        below: Prevalence in 0..1 that a minority class stays under.

    Returns:
        Columns of the minority classes, rising, intp.
    """
    counts = class_counts(targets)
    return np.flatnonzero((counts > 0) & (counts < below * len(np.asarray(targets))))


def commonest_classes(targets: ArrayLike, *, most: int = 2) -> tuple[int, ...]:
    """Find the classes which most fields have, commonest first; of equally common ones the first column.

    Args:
        targets: Multi-hot array of shape (fields, classes).
        most: How many columns to return, fewer where fewer are present.
    """
    counts = class_counts(targets)
    ranked = np.argsort(-counts, kind="stable")
    return tuple(int(column) for column in ranked[:most] if counts[column] > 0)


def labels_per_field(targets: ArrayLike) -> NDArray[np.int64]:
    """Count the fields that have 0, 1, 2, … labels.

    Args:
        targets: Multi-hot array of shape (fields, classes).

    Returns:
        (most labels of a field + 1,) int64: entry k is the number of fields with k labels.
    """
    return np.bincount(np.asarray(targets).sum(axis=1, dtype=np.int64), minlength=1).astype(np.int64)


def co_occurrence(targets: ArrayLike) -> NDArray[np.int64]:
    """Count the fields that have two classes together.

    Args:
        targets: Multi-hot array of shape (fields, classes).

    Returns:
        Symmetric (classes, classes) int64; the diagonal holds the class counts.
    """
    hot = np.asarray(targets).astype(np.float64)  # exact below 2**53 fields, and much faster than integer products
    return np.rint(hot.T @ hot).astype(np.int64)


def repeats(
    targets: ArrayLike, *, minority: Sequence[int] | NDArray[np.intp], factor: float, cap: float
) -> NDArray[np.int64]:
    """Plan the over-sampling of minority classes: how often each training field is drawn in an epoch.

    A field with a minority class is drawn ``factor`` times, any other once. ``cap`` stops a class from being raised
    further than it needs: a minority class asks for at most as many draws of each of its fields as bring it to
    ``cap`` of the fields as they were (rounded up), and a field with several minority classes follows the rarest.

    Args:
        targets: Multi-hot array of shape (fields, classes) of the training part.
        minority: Columns of the classes to over-sample.
        factor: Draws of a field with a minority class, 1 or more; rounded to a whole number.
        cap: Prevalence in 0..1 above which over-sampling does not lift a class; 1 leaves ``factor`` alone to decide.

    Returns:
        (fields,) int64 of 1 or more.

    Raises:
        SettingsError: if ``factor`` is below 1 or ``cap`` is not in 0..1.
    """
    if not factor >= 1:
        raise SettingsError(f"oversampling factor: {factor!r}, expected 1 or more. 1 draws every field once.")
    if not 0 <= cap <= 1:
        raise SettingsError(f"oversampling cap: {cap!r}, expected a share of the fields in 0..1. 1 sets no cap.")
    targets = np.asarray(targets)
    columns = np.asarray(minority, np.intp)
    counts = np.maximum(class_counts(targets)[columns], 1)
    wanted = np.ceil(cap * len(targets) / counts - 1e-9)  # 1e-9: 0.1 * 30 / 3 is one draw, not two
    draws = np.clip(np.minimum(round(factor), wanted), 1, None).astype(np.int64)
    return np.max(np.where(targets[:, columns] > 0, draws, 1), axis=1, initial=1)
