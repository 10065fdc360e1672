"""Reliability: probabilities against what came true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protloc.judge.blocks import RESAMPLES, codes_of, group_weights
from protloc.judge.intervals import distances, least_reach, ratio

Floats = NDArray[np.float64]

# Fixed, so that two models and two resamples share them; finer towards 0 and 1, since nine in ten questions about 28
# compartments have a probability under 0.1 and would share one of the customary bins of equal width
EDGES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
BINS = len(EDGES) + 1
ROWS = 2**12  # fields of 28 classes at a time: 1 MB a table


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was said against what came true, one entry for each bin of probabilities that holds any.

    Attributes:
        predicted: Mean probability of the bin's questions (a field and a class), ascending in 0..1.
        observed: Share of them for which the field has the class, in 0..1.
        low: Lower end of the 95 % band of ``observed``.
        high: Upper end.
        counts: Questions in the bin.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error, in 0..1; nan without questions."""
        gaps = np.abs(self.observed - self.predicted) * self.counts
        return float(gaps.sum() / self.counts.sum()) if len(gaps) else float("nan")


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Compute the mean squared distance of probabilities from the truth over all fields and classes (Brier, 1950).

    Returns:
        In 0..1, 0 the best; nan without fields.

    Raises:
        ValueError: if the shapes differ or a probability is not in 0..1.
    """
    parts = [((said - true) ** 2).sum() for true, said in _in_parts(truth, probabilities)]
    questions = np.asarray(truth).size
    return float(sum(parts) / questions) if questions else float("nan")


def bins_of(probabilities: ArrayLike) -> NDArray[np.intp]:
    """Tell the bin of each probability.

    The edges are fixed (:data:`EDGES`); a probability at an edge is in the bin above it. Equal-width bins (Guo et al.,
    2017, "On calibration of modern neural networks") would put nearly all questions of a many-class problem into the
    first, and bins of equal counts (Nixon et al., 2019, "Measuring calibration in deep learning") nearly all of theirs
    into that first one.

    Returns:
        Bin in 0..BINS-1, of the shape of ``probabilities``.
    """
    return np.searchsorted(np.asarray(EDGES), np.asarray(probabilities, np.float64), side="right").astype(np.intp)


def calibration_error(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Compute the expected calibration error: the mean gap between said and true share over the bins of questions.

    Bins count by their number of questions, as by Guo et al. (2017); classes are pooled.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        probabilities: Probabilities in 0..1 of the same shape.

    Returns:
        In 0..1, 0 the best; nan without fields.

    Raises:
        ValueError: if the shapes differ or a probability is not in 0..1.
    """
    gaps = np.zeros(BINS)
    for true, said in _in_parts(truth, probabilities):
        gaps += np.bincount(bins_of(said).ravel(), (true - said).ravel(), minlength=BINS)
    questions = np.asarray(truth).size
    return float(np.abs(gaps).sum() / questions) if questions else float("nan")


def reliability(truth: ArrayLike, probabilities: ArrayLike, *, groups: Sequence[str], seed: int = 0) -> Reliability:
    """Compare probabilities with how often they came true, bin by bin of :func:`bins_of`, classes pooled.

    Bands are from a bootstrap of the groups (Bröcker & Smith, 2007, resample likewise), :func:`share_bands`. For one
    class, give one column: ``truth[:, [column]]``.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        probabilities: Probabilities in 0..1 of the same shape.
        groups: Group of each field; whole groups are drawn.
        seed: Of the draws.

    Raises:
        ValueError: if the shapes differ or a probability is not in 0..1.
    """
    truth, probabilities = checked(truth, probabilities)
    bins, codes = bins_of(probabilities), codes_of(groups)
    counts, positives, said = (sums_of_bins(codes, bins, each) for each in (np.ones(truth.shape), truth, probabilities))
    held = counts.sum(axis=0) > 0
    number = counts.sum(axis=0)[held]
    observed = positives.sum(axis=0)[held] / number
    low, high = share_bands(positives[:, held], counts[:, held], seed=seed)
    return Reliability(said.sum(axis=0)[held] / number, observed, low, high, number.astype(np.int64))


def share_bands(parts: Floats, wholes: Floats, *, seed: int, resamples: int = RESAMPLES) -> tuple[Floats, Floats]:
    """Compute 95 % bands of shares by a bootstrap of groups; exact limits where few of them deviate from 0 or 1.

    A bootstrap of five groups without the class has no width: :func:`~protloc.judge.intervals.least_reach` gives one.

    Args:
        parts: What each group has of each share's numerator, (groups, shares), 0 or more.
        wholes: What each group has of its denominator, likewise.
        seed: Of the draws.
        resamples: How many.

    Returns:
        Lower and upper ends, each (shares,) in 0..1; 0 and 1 where a denominator is 0.
    """
    share = ratio(parts.sum(axis=0), wholes.sum(axis=0))
    if not parts.size:
        return np.zeros_like(share), np.ones_like(share)
    weights = group_weights(len(parts), resamples=resamples, seed=seed)
    draws = np.array([ratio(each @ parts, each @ wholes) for each in weights])
    drawn = distances(share, draws, groups=len(parts))
    below, above = (np.maximum(*both) for both in zip(drawn, least_reach(parts, wholes), strict=True))
    return np.fmax(share - below, 0.0), np.fmin(share + above, 1.0)


def sums_of_bins(codes: NDArray[np.intp], bins: NDArray[np.intp], values: Floats) -> Floats:
    """Sum values inside each group and bin.

    Args:
        codes: Number of each field's group, (fields,).
        bins: Bin of each question, (fields, classes).
        values: What is summed, of the same shape.

    Returns:
        (groups, bins).
    """
    groups = int(codes.max(initial=-1)) + 1
    places = codes[:, None] * BINS + bins
    return np.bincount(places.ravel(), values.ravel(), minlength=groups * BINS).astype(np.float64).reshape(groups, BINS)


def _in_parts(truth: ArrayLike, probabilities: ArrayLike) -> Iterator[tuple[Floats, Floats]]:
    """Yield both, checked, so many fields at a time that caches hold them; one part at least, empty without fields."""
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    if truth.shape != probabilities.shape or not len(truth):
        yield checked(truth, probabilities)  # or says what is wrong
    for start in range(0, len(truth), ROWS):
        yield checked(truth[start : start + ROWS], probabilities[start : start + ROWS])


def checked(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
    """Take both as float64 of one shape (fields, classes), truth as 0 or 1.

    Raises:
        ValueError: if the shapes differ or a probability is not in 0..1.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    if truth.ndim != 2 or truth.shape != probabilities.shape:
        raise ValueError(
            f"expected truth and probabilities of one shape (fields, classes), got {truth.shape} and "
            f"{probabilities.shape}"
        )
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # nan is neither
    if wrong.any():
        raise ValueError(f"expected probabilities in 0..1, got {probabilities[wrong][0]}. Calibrate logits first.")
    return (truth > 0).astype(np.float64), probabilities
