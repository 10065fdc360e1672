"""Counts that the figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.judge.metrics import field_f1, field_losses
from protloc.judge.predictions import PartPredictions


@dataclass(frozen=True)
class MissedFields:
    """The fields in which a class was not called though they have it.

    Attributes:
        missed: How many there are of each class, shape (classes,), int64.
        silent: In which share of them nothing was called wrongly either, shape (classes,), NaN where none was missed.
    """

    missed: NDArray[np.int64]
    silent: NDArray[np.float64]


def missed_fields(truth: NDArray[np.uint8], answers: NDArray[np.bool_]) -> MissedFields:
    """Count the missed fields of each class.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        answers: What was called, of the same shape.
    """
    present = truth.astype(bool)
    missed = present & ~answers
    nothing_wrong: NDArray[np.bool_] = ~np.any(answers & ~present, axis=1)
    count = missed.sum(axis=0, dtype=np.int64)
    silent = (missed & nothing_wrong[:, None]).sum(axis=0)
    return MissedFields(count, np.divide(silent, count, out=np.full(len(count), np.nan), where=count > 0))


@dataclass(frozen=True)
class PickedFields:
    """Rows of a part that are worth showing.

    Attributes:
        best: Rows answered best, best first.
        worst: Rows answered worst, worst first; none of them is in ``best``.
    """

    best: NDArray[np.intp]
    worst: NDArray[np.intp]


def pick_fields(predictions: PartPredictions, *, count: int) -> PickedFields:
    """Pick the fields answered best and worst: by their F1, then by their loss; a label set once on either side.

    Args:
        predictions: Truth and answers of a part.
        count: How many to pick on either side, fewer where the fields do not give them.
    """
    truth = predictions.truth
    f1 = field_f1(truth, predictions.called)
    order = np.lexsort((field_losses(truth, predictions.logits), -f1))
    best = _first_of_each_set(order, truth, count)
    left = order[~np.isin(order, best)]
    return PickedFields(best, _first_of_each_set(left[::-1], truth, count))


def _first_of_each_set(order: NDArray[np.intp], truth: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
    sets: dict[bytes, int] = {}
    for row in order.tolist():
        sets.setdefault(truth[row].tobytes(), row)
        if len(sets) == count:
            break
    return np.array(list(sets.values()), np.intp)


def evenly_spaced(total: int, *, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of the rows 0..total-1, evenly spread, the same ones every time."""
    return (
        np.unique(np.linspace(0, total - 1, num=min(total, most)).round().astype(np.intp))
        if total
        else np.empty(0, np.intp)
    )


def intensity_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of each grey level.

    Args:
        images: Fields of shape (fields, stains, side, side).

    Returns:
        Array of shape (stains, 256).
    """
    stains = images.shape[1]
    return np.stack([np.bincount(images[:, stain].ravel(), minlength=256) for stain in range(stains)]).astype(np.int64)


def level_at(counts: NDArray[np.int64], share: float) -> int:
    """Return the lowest grey level at or under which ``share`` of the pixels lie.

    Args:
        counts: Pixels of each grey level, shape (256,).
        share: In 0..1.
    """
    return int(np.searchsorted(np.cumsum(counts), share * counts.sum()))


def commonest_sets(counts: Mapping[tuple[int, ...], int], *, most: int) -> list[tuple[tuple[int, ...], int]]:
    """Return the commonest label sets with their counts, ties in the order of their class ids."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
