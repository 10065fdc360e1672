"""Metrics as functions of how often each group counts."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from protloc.judge.metrics import field_f1, field_losses
from protloc.judge.predictions import PartPredictions
from protloc.judge.reliability import BINS, bins_of

COUNTED = ("macro_f1", "stable_macro_f1", "micro_f1", "precision", "recall", "f1")
RANKED = ("mean_average_precision", "average_precision")

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Scores = dict[str, Floats]
Family = Callable[[Floats], Scores]  # from weights (groups, resamples) to scores (resamples,) or (resamples, classes)


def families(
    said: PartPredictions, codes: NDArray[np.intp], *, groups: int, metrics: Collection[str]
) -> tuple[Family, ...]:
    """Prepare metrics of a part for being computed under many weights of its groups.

    Args:
        said: The part.
        codes: Number of each field's group, (fields,).
        groups: How many groups there are.
        metrics: Which are wanted; means over classes come as what they are means of.

    Returns:
        Functions that take how often each group counts, (groups, resamples), and give scores by metric,
        (resamples,) or (resamples, classes), nan where undefined. With the calibration error comes the
        ``calibration_shift``: how far the gaps of all bins, one by one, are from those of the fields as they are.
    """
    wanted = set(metrics)
    prepared: list[Family] = []
    if wanted & set(COUNTED):
        prepared.append(_counted(said, codes, groups))
    if wanted - set(COUNTED) - set(RANKED):
        prepared.append(_averaged(said, codes, groups))
    if wanted & set(RANKED):
        prepared.append(_ranked(said, codes, groups))
    return tuple(prepared)


def by_group(hot: Flags, codes: NDArray[np.intp], groups: int) -> sparse.csr_array:
    """Count the set fields of each group.

    Args:
        hot: Flags of shape (fields, classes).
        codes: Number of each field's group, (fields,).
        groups: How many groups there are.

    Returns:
        (classes, groups).
    """
    fields, classes = np.nonzero(hot)
    shape = (hot.shape[1], groups)
    return sparse.coo_array((np.ones(len(fields)), (classes, codes[fields])), shape=shape).tocsr()


def _counted(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Family:
    """Prepare what needs only counts of positives, calls, right calls: precision, recall, F1 scores."""
    truth, called = said.truth > 0, said.called
    counts = sparse.vstack([by_group(hot, codes, groups) for hot in (truth, called, truth & called)], format="csr")

    def scores(weights: Floats) -> Scores:
        positives, calls, right = np.split((counts @ weights).T, 3, axis=1)
        named = positives.sum(axis=1) + calls.sum(axis=1)
        return {
            "precision": _ratio(right, calls),
            "recall": _ratio(right, positives),
            "f1": np.where(positives > 0, _ratio(2 * right, positives + calls), np.nan),
            "micro_f1": np.where(named > 0, _ratio(2 * right.sum(axis=1), named), 1.0),
        }

    return scores


def _averaged(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Family:
    """Prepare what is a mean over fields, or over questions: a field and a class."""
    truth, certain = said.truth > 0, said.verdicts != 0
    fields = np.column_stack(
        [
            np.ones(len(said)),
            field_f1(truth, said.called),
            field_losses(truth, said.logits),
            np.square(said.probabilities - truth, dtype=np.float64).mean(axis=1),
            certain.mean(axis=1),
            (certain & ((said.verdicts > 0) != truth)).mean(axis=1),
        ]
    )
    of_group = sparse.coo_array((np.ones(len(said)), (codes, np.arange(len(said)))), shape=(groups, len(said))).tocsr()
    sums, gaps = of_group @ fields, _gaps(said, codes, groups)
    mean_gaps = gaps.sum(axis=0)[:, None] / len(said)

    def scores(weights: Floats) -> Scores:
        number, f1, loss, brier, answered, wrong = sums.T @ weights
        means = {"samples_f1": f1, "loss": loss, "brier": brier, "answered": answered}
        drawn_gaps = gaps.T @ weights
        return {
            **{name: _ratio(total, number) for name, total in means.items()},
            "calibration_error": _ratio(np.abs(drawn_gaps).sum(axis=0), number),
            "calibration_shift": _ratio(np.abs(drawn_gaps - mean_gaps * number).sum(axis=0), number),
            "error_among_certain": _ratio(wrong, answered),
        }

    return scores


def _gaps(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Floats:
    """Sum by how much probabilities missed the truth, in each group and bin of probabilities, (groups, bins)."""
    gaps = np.zeros(groups * BINS)
    for column in range(said.truth.shape[1]):
        said_so = said.probabilities[:, column].astype(np.float64)
        gaps += np.bincount(codes * BINS + bins_of(said_so), said_so - said.truth[:, column], minlength=len(gaps))
    return gaps.reshape(groups, BINS) / said.truth.shape[1]


def _ranked(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Family:
    """Prepare the average precision of every class."""
    steps = [
        _steps(said.truth[:, column] > 0, said.logits[:, column], codes, groups)
        for column in range(said.truth.shape[1])
    ]

    def scores(weights: Floats) -> Scores:
        return {"average_precision": np.column_stack([_areas(*both, weights) for both in steps])}

    return scores


def _steps(
    truth: Flags, scores: NDArray[np.float32], codes: NDArray[np.intp], groups: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Count, for each distinct score that a positive has, what comes in with it: its positives and all fields.

    All fields are those below the next higher such score, down to it; equal scores come in together. Fields below the
    last positive change nothing.

    Returns:
        Positives and fields, each (steps, groups), from the highest score down.
    """
    reached = np.unique(scores[truth])  # rising
    step = len(reached) - np.searchsorted(reached, scores, side="right")  # 0 from the highest up
    inside = step < len(reached)
    shape = (len(reached), groups)
    both = [np.flatnonzero(truth), np.flatnonzero(inside)]
    right, called = (sparse.coo_array((np.ones(len(at)), (step[at], codes[at])), shape=shape).tocsr() for at in both)
    return right, called


def _areas(right: sparse.csr_array, called: sparse.csr_array, weights: Floats) -> Floats:
    """Compute the average precision of a class in each resample, nan where it is absent, (resamples,)."""
    if not right.nnz:
        return np.full(weights.shape[1], np.nan)
    gained = right @ weights
    reached = np.cumsum(gained, axis=0)
    gained *= reached
    calls = np.cumsum(called @ weights, axis=0)
    np.divide(gained, calls, out=gained, where=calls > 0)
    return _ratio(gained.sum(axis=0), reached[-1])


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
