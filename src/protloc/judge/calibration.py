"""Calibration: logits turned into probabilities that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gammaincinv, polygamma

from protloc.judge.metrics import sigmoid

Floats = NDArray[np.float64]

# Everywhere below the two parameters of a class are its log slope and its intercept, in this order
SHARED_SPREAD = np.array([1.0, 3.0])  # of the shared parameters around "logits are right"; a weight of 20 shifts by 3
CLASS_SPREAD = np.array([0.25, 0.5])  # of the classes around the shared ones, as if one class had shown it
LARGEST_STEP = np.array([[1.0], [2.0]])  # of Newton's; a separable class would run away
LARGEST_USUAL = 10.0  # mean size of logits that may be log odds; larger ones start scaled down to it
PASSES = 60  # over the fields at most; about ten are needed
ROUNDS = 100  # of the shared parameters in each pass; they cost nothing
NEAR = 1e-5  # a last step below this ends the search

# Log counts: by their variance, descending, how far below their mean 2.5 % of them lie; 1.96 deviations of many counts
COUNTS = np.geomspace(0.02, 1e6, 600)
VARIANCES = polygamma(1, COUNTS)
REACHES = digamma(COUNTS) - np.log(gammaincinv(COUNTS, 0.025))


@dataclass(frozen=True)
class Calibration:
    """A slope and an intercept for the logits of each class (Platt scaling; intercept 0 is temperature scaling).

    Attributes:
        slopes: (classes,), positive.
        intercepts: (classes,), in nats.
        covariances: Of each class how far log slope and intercept are left open by the fields they were fitted on:
            variance of the one, covariance, variance of the other; empty where they never were.
    """

    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    covariances: tuple[tuple[float, float, float], ...] = ()

    @classmethod
    def plain(cls, classes: int) -> Calibration:
        """Return the calibration that leaves logits as they are."""
        return cls((1.0,) * classes, (0.0,) * classes)

    def logits(self, logits: ArrayLike) -> Floats:
        """Return calibrated logits, float64 (fields, classes), of raw ones of this shape."""
        return np.asarray(logits, np.float64) * np.asarray(self.slopes) + np.asarray(self.intercepts)

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Return calibrated probabilities in 0..1, float64 (fields, classes), of raw logits of this shape."""
        return sigmoid(self.logits(logits))

    def intervals(self, logits: ArrayLike) -> Floats | None:
        """Return 95 % intervals of calibrated probabilities: what too few fields to calibrate on leave open.

        By the delta method on the log-odds, from the parameters' posterior covariance (Laplace's approximation). Where
        a class has few positives its log-odds are those of a small count, which reach further down than a normal
        distribution; intervals reach as far on both sides. They say how far the same calibration on other fields of the
        same kind would answer otherwise; not how far the network would if trained anew, nor what fields of another kind
        do to it. ``benchmarks/calibration_study.py`` counts how often they hold the true probability.

        Args:
            logits: Raw logits of shape (fields, classes); nan stays nan.

        Returns:
            Lower and upper ends, float64 (2, fields, classes) in 0..1; None where the calibration was never fitted.
        """
        if not self.covariances:
            return None
        of_slope, of_both, of_intercept = np.asarray(self.covariances).T
        tilted = np.asarray(logits, np.float64) * np.asarray(self.slopes)
        variance = of_slope * tilted**2 + 2 * of_both * tilted + of_intercept
        reach = np.interp(variance, VARIANCES[::-1], REACHES[::-1])
        middle = self.logits(logits)
        return sigmoid(np.stack([middle - reach, middle + reach]))


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What the fields say of the parameters near where they stand: a parabola for each class.

    Attributes:
        slope: Gradient of the log likelihood, (classes, 2).
        bend: Fisher's information, (classes, 2, 2).
    """

    slope: Floats
    bend: Floats


@dataclass(frozen=True, eq=False)
class _Shared:
    """What the classes have in common: the mean of their parameters, (2,), and their variance around it, (2,)."""

    mean: Floats
    variance: Floats


def fit_calibration(truth: ArrayLike, logits: ArrayLike, *, groups: Sequence[str]) -> Calibration:
    """Fit a slope and an intercept a class to fields that the network did not learn from.

    Platt scaling (1999, "Probabilistic outputs for support vector machines") of each class, with log slopes and
    intercepts drawn towards shared ones: a hierarchical model, log slope ~ N(shared, spread) and intercept likewise,
    fitted by empirical Bayes (EM on Laplace's approximation; Breslow & Clayton, 1993). A class with thousands of
    positives keeps its own line; one with two keeps nearly the shared slope, and an intercept that takes its base rate
    back to what was seen, as far as two positives can say; one with none is as rare as so many fields without it make
    it. Over-sampling and class weights are undone so, since both shift the logits of a class by a constant
    (Elkan, 2001, "The foundations of cost-sensitive learning"). No slope is ever negative.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        logits: Raw logits of the same shape.
        groups: Group of each field; all fields together say as much as there are groups, for alike fields repeat.

    Raises:
        ValueError: if the shapes differ, or a logit is not a finite number.
    """
    hot, given = _checked(truth, logits)
    if not hot.size:
        return Calibration.plain(hot.shape[1])
    weight = len(set(groups)) / len(hot)
    origin = np.array([-np.log(max(np.abs(given).mean() / LARGEST_USUAL, 1.0)), 0.0])
    at, shared = np.repeat(origin[:, None], hot.shape[1], axis=1), _Shared(origin, CLASS_SPREAD**2)
    for _ in range(PASSES):
        evidence = _evidence(hot, given, at, weight)
        aim, shared = _agree(at, evidence, shared, origin)
        step = np.clip(aim - at, -LARGEST_STEP, LARGEST_STEP)
        at = at + step
        if np.abs(step).max() < NEAR:
            break
    left = np.linalg.inv(_evidence(hot, given, at, weight).bend + np.diag(1 / shared.variance))
    covariances = zip(*(left[:, i, j].tolist() for i, j in ((0, 0), (0, 1), (1, 1))), strict=True)
    return Calibration(tuple(np.exp(at[0]).tolist()), tuple(at[1].tolist()), tuple(covariances))


def _checked(truth: ArrayLike, logits: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    hot, given = np.asarray(truth) > 0, np.asarray(logits, np.float64)
    if hot.ndim != 2 or hot.shape != given.shape:
        raise ValueError(f"expected truth and logits of one shape (fields, classes), got {hot.shape} and {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError(f"expected finite logits, got {given[~np.isfinite(given)][0]}. Leave such fields out.")
    return hot, given


def _evidence(hot: NDArray[np.bool_], logits: Floats, at: Floats, weight: float) -> _Evidence:
    tilted = logits * np.exp(at[0])  # how the calibrated logit moves with the log slope; with the intercept by 1
    chance = sigmoid(tilted + at[1])
    miss, spread = hot - chance, chance * (1 - chance)
    by_slope = spread * tilted
    slope = np.stack([(miss * tilted).sum(axis=0), miss.sum(axis=0)], axis=1)
    crossed = by_slope.sum(axis=0)
    turned = np.maximum(-slope[:, 0], 0.0)  # the rest of the curvature in the log slope, where that keeps it convex
    bend = np.array([[(by_slope * tilted).sum(axis=0) + turned, crossed], [crossed, spread.sum(axis=0)]])
    return _Evidence(weight * slope, weight * bend.transpose(2, 0, 1))


def _agree(at: Floats, evidence: _Evidence, shared: _Shared, origin: Floats) -> tuple[Floats, _Shared]:
    """Weigh each class's evidence against the shared parameters, and these against all classes, until they agree."""
    classes, aim = at.shape[1], at
    for _ in range(ROUNDS):
        trust = np.diag(1 / shared.variance)
        covariance = np.linalg.inv(evidence.bend + trust)
        pull = evidence.slope - (at.T - shared.mean) @ trust
        aim = at + np.einsum("cij,cj->ic", covariance, pull)
        mean = origin + (aim.mean(axis=1) - origin) / (1 + shared.variance / (SHARED_SPREAD**2 * classes))
        unsure = np.diagonal(covariance, axis1=1, axis2=2).T
        squares = ((aim - mean[:, None]) ** 2 + unsure).sum(axis=1)
        shared = _Shared(mean, (squares + CLASS_SPREAD**2) / (classes + 1))
    return aim, shared
