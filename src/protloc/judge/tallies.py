"""Metrics as functions of how often each group counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from protloc.judge.intervals import ratio
from protloc.judge.metrics import field_f1, field_losses
from protloc.judge.predictions import PartPredictions
from protloc.judge.reliability import bins_of, sums_of_bins

COUNTED = ("macro_f1", "stable_macro_f1", "micro_f1", "precision", "recall", "f1")
SHARES = ("samples_f1", "micro_f1", "brier", "calibration_error", "answered", "error_among_certain")
STEPS = 2**12  # of a class at a time: in 16 resamples a quarter of a megabyte, which caches hold
EXACT = 2**23  # fields: counts of twice as many are whole in 32 bits, which halves what is fetched
RANKED = ("mean_average_precision", "average_precision")

Floats = NDArray[np.float64]
Counts = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Scores = dict[str, Floats]
Steps = tuple[tuple[sparse.coo_array, sparse.coo_array], ...]
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
    counts = [np.bincount(codes[of_class], minlength=groups) for of_class in np.ascontiguousarray(hot.T)]
    return sparse.csr_array(np.array(counts, np.float64))


def shares(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> tuple[Floats, Floats]:
    """Sum in each group what :data:`SHARES` are shares of.

    For the calibration error it is the mean distance of probabilities from the truth, which that cannot exceed.

    Args:
        said: The part.
        codes: Number of each field's group, (fields,).
        groups: How many groups there are.

    Returns:
        Numerators and denominators, each (groups, shares).
    """
    truth, called, certain = said.truth > 0, said.called, said.verdicts != 0
    number, asked = np.ones(len(said)), np.full(len(said), truth.shape[1])
    named, answered = truth.sum(axis=1) + called.sum(axis=1), certain.sum(axis=1)
    misses = np.abs(said.probabilities - truth, dtype=np.float64)
    parts = (
        field_f1(truth, called),
        2 * (truth & called).sum(axis=1),
        np.einsum("fc,fc->f", misses, misses),
        misses.sum(axis=1),
        answered,
        (certain & ((said.verdicts > 0) != truth)).sum(axis=1),
    )
    return (
        _summed(parts, codes, groups),
        _summed((number, named, asked, asked, asked, answered), codes, groups),
    )


def _summed(columns: Sequence[NDArray[np.generic]], codes: NDArray[np.intp], groups: int) -> Floats:
    """Sum columns of fields in each group, (groups, columns)."""
    fields = np.column_stack(columns).astype(np.float64)
    places = (codes, np.arange(len(fields)))
    return sparse.coo_array((np.ones(len(fields)), places), shape=(groups, len(fields))).tocsr() @ fields


def _counted(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Family:
    """Prepare what needs only counts of positives, calls, right calls: precision, recall, F1 scores."""
    truth, called = said.truth > 0, said.called
    counts = sparse.vstack([by_group(hot, codes, groups) for hot in (truth, called, truth & called)], format="csc")

    def scores(weights: Floats) -> Scores:
        positives, calls, right = np.split((counts @ weights).T, 3, axis=1)
        named = positives.sum(axis=1) + calls.sum(axis=1)
        return {
            "precision": ratio(right, calls),
            "recall": ratio(right, positives),
            "f1": np.where(positives > 0, ratio(2 * right, positives + calls), np.nan),
            "micro_f1": np.where(named > 0, ratio(2 * right.sum(axis=1), named), 1.0),
        }

    return scores


def _averaged(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Family:
    """Prepare what is a mean over fields, or over questions: a field and a class."""
    truth, certain = said.truth > 0, said.verdicts != 0
    sums = _summed(
        (
            np.ones(len(said)),
            field_f1(truth, said.called),
            field_losses(truth, said.logits),
            np.square(said.probabilities - truth, dtype=np.float64).mean(axis=1),
            certain.mean(axis=1),
            (certain & ((said.verdicts > 0) != truth)).mean(axis=1),
        ),
        codes,
        groups,
    )
    gaps = _gaps(said, codes)
    mean_gaps = gaps.sum(axis=0)[:, None] / len(said)

    def scores(weights: Floats) -> Scores:
        number, f1, loss, brier, answered, wrong = sums.T @ weights
        means = {"samples_f1": f1, "loss": loss, "brier": brier, "answered": answered}
        drawn_gaps = gaps.T @ weights
        return {
            **{name: ratio(total, number) for name, total in means.items()},
            "calibration_error": ratio(np.abs(drawn_gaps).sum(axis=0), number),
            "calibration_shift": ratio(np.abs(drawn_gaps - mean_gaps * number).sum(axis=0), number),
            "error_among_certain": ratio(wrong, answered),
        }

    return scores


def _gaps(said: PartPredictions, codes: NDArray[np.intp]) -> Floats:
    """Sum by how much probabilities missed the truth, in each group and bin of probabilities, (groups, bins)."""
    said_so = said.probabilities.astype(np.float64)
    return sums_of_bins(codes, bins_of(said_so), said_so - said.truth) / said.truth.shape[1]


def _ranked(said: PartPredictions, codes: NDArray[np.intp], groups: int) -> Family:
    """Prepare the average precision of every class."""
    exact = np.float32 if len(said) <= EXACT else np.float64
    ones, order = np.ones(len(said), exact), np.argsort(codes, kind="stable")
    truth, logits, codes = said.truth[order] > 0, said.logits[order], codes[order]
    steps = [
        _steps(truth[:, column], logits[:, column], codes, ones=ones, groups=groups) for column in range(truth.shape[1])
    ]

    def scores(weights: Floats) -> Scores:
        drawn = weights.astype(exact)
        return {"average_precision": np.column_stack([_areas(of_class, drawn) for of_class in steps])}

    return scores


def _steps(truth: Flags, scores: NDArray[np.float32], codes: NDArray[np.intp], *, ones: Counts, groups: int) -> Steps:
    """Count, for each distinct score that a positive has, what comes in with it: its positives and all fields.

    All fields are those below the next higher such score, down to it; equal scores come in together. Fields below the
    last positive change nothing. Fields come in the order of their groups, so that weights are read in theirs: read as
    the scores fall, they outgrow the caches at some 100,000 groups.

    Returns:
        Positives and fields, each (steps, groups), from the highest score down, in parts of :data:`STEPS`.
    """
    reached = np.unique(scores[truth])  # rising
    if not len(reached):
        return ()
    step = len(reached) - np.searchsorted(reached, scores, side="right")  # 0 from the highest up
    both = (np.flatnonzero(truth), np.flatnonzero(step < len(reached)))
    right, called = (_parts(step[at], codes[at], ones, shape=(len(reached), groups)) for at in both)
    return tuple(zip(right, called, strict=True))


def _parts(
    step: NDArray[np.intp], codes: NDArray[np.intp], ones: Counts, *, shape: tuple[int, int]
) -> list[sparse.coo_array]:
    """Count what comes in at each step and is in each group: :data:`STEPS` steps at a time, in the order given."""
    part, within = np.divmod(step, STEPS)
    order = np.argsort(part.astype(np.uint16), kind="stable")
    firsts = range(0, shape[0], STEPS)
    ends = np.searchsorted(part[order], np.arange(len(firsts)), side="right")
    rows, columns = (np.split(each[order].astype(np.int32), ends[:-1]) for each in (within, codes))
    return [
        sparse.coo_array((ones[: len(row)], (row, column)), shape=(min(STEPS, shape[0] - first), shape[1]))
        for first, row, column in zip(firsts, rows, columns, strict=True)
    ]


def _areas(steps: Steps, weights: Counts) -> Floats:
    """Compute the average precision of a class in each resample, nan where it is absent, (resamples,)."""
    area, reached, calls = np.zeros((3, weights.shape[1]))
    for right, called in steps:
        gained = right @ weights
        all_reached = np.cumsum(gained, axis=0, dtype=np.float64) + reached
        all_calls = np.cumsum(called @ weights, axis=0, dtype=np.float64) + calls
        area += (gained * all_reached / np.maximum(all_calls, 1)).sum(axis=0)  # without a call there is no gain
        reached, calls = all_reached[-1], all_calls[-1]
    return ratio(area, reached)
