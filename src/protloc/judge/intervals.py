"""95 % intervals from resamples, honest for few groups too.

Which construction is used where was decided by measured coverage (``benchmarks/intervals_study.py``), not by theory:

- Means over fields, pooled scores, and a class by itself: percentiles of the resamples, expanded for few groups.
- Means over classes and the calibration error: the same percentiles reflected at the value, because resampling shifts
  such scores by about as much as sampling did.
- The calibration error is a sum of distances, which noise only makes longer. Its true value is within the sum over the
  bins of how far each gap is off (triangle inequality), so the interval reaches down by 95 % of what this is in draws.
- A class that few groups have: a bootstrap of three groups has next to no width, and none where the score is 0 or 1. So
  a class has at least the exact interval of a share among as many questions as it has groups.
- A share of which few groups deviate from 0, or from 1, has at least the exact interval with groups for questions:
  where nothing went wrong no resample has an error, and where little did, they hardly tell how much more there is.
- A mean over classes is widened by what its rare classes were widened by, squares added (Zou & Donner, 2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, stdtrit

TAIL = 0.025  # on each side of a 95 % interval
FEW_GROUPS = 30  # from here on the bootstrap of a class covers by itself

FEW_DEVIATING = 20  # groups; from here on the bootstrap of a share near 0 or 1 covers by itself
ROUNDING = 1e-12  # deviations below it are arithmetic

Floats = NDArray[np.float64]


def distances(value: ArrayLike, draws: Floats, *, groups: int) -> tuple[Floats, Floats]:
    """Measure how far percentiles of the resamples lie below and above a value.

    The percentiles are expanded (Hesterberg, 2015, "What teachers should know about the bootstrap"): from few groups
    a bootstrap is too narrow by the root of (groups - 1) / groups, and Student's t is wider than the normal. A resample
    in which the score is undefined counts with the value itself.

    Args:
        value: The score of the fields as they are, () or (classes,).
        draws: The score in each resample, (resamples,) or (resamples, classes).
        groups: How many groups were drawn from.

    Returns:
        Distances to the lower and to the upper percentile, of the shape of ``value``, 0 or more.
    """
    value, freedom = np.asarray(value, np.float64), max(groups - 1, 1)
    tail = float(ndtr(stdtrit(freedom, TAIL) * np.sqrt((freedom + 1) / freedom)))
    low, high = np.quantile(np.where(np.isnan(draws), value, draws), [tail, 1 - tail], axis=0)
    return np.maximum(value - low, 0.0), np.maximum(high - value, 0.0)


def exact_share(share: ArrayLike, number: ArrayLike) -> tuple[Floats, Floats]:
    """Compute the exact 95 % interval of a share (Clopper & Pearson, 1934), for fractional counts too.

    Args:
        share: Shares in 0..1; nan gives 0 and 1.
        number: How many independent questions each is a share of, of the same shape; 0 gives 0 and 1.

    Returns:
        Lower and upper ends in 0..1, of the shape of ``share``.
    """
    share, number = np.nan_to_num(np.asarray(share, np.float64)), np.asarray(number, np.float64)
    right, wrong = share * number, (1 - share) * number
    low = np.where(right > 0, betaincinv(np.maximum(right, 1e-9), wrong + 1, TAIL), 0.0)
    high = np.where(wrong > 0, betaincinv(right + 1, np.maximum(wrong, 1e-9), 1 - TAIL), 1.0)
    return np.minimum(low, share), np.where(number > 0, np.maximum(high, share), 1.0)


def exact_f1(f1: ArrayLike, number: ArrayLike) -> tuple[Floats, Floats]:
    """Compute the exact 95 % interval of F1 scores from that of shares.

    F1 is 2 J / (1 + J) of J, the share of right calls among the fields that have the class or were called it.

    Args:
        f1: F1 scores in 0..1; nan gives 0 and 1.
        number: How many independent fields have the class or were called it, of the same shape.

    Returns:
        Lower and upper ends in 0..1, of the shape of ``f1``.
    """
    f1 = np.asarray(f1, np.float64)
    low, high = exact_share(f1 / (2 - f1), number)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def least_reach(parts: Floats, wholes: Floats) -> tuple[Floats, Floats]:
    """Compute how far the 95 % intervals of shares reach at least, where few groups deviate from 0 or from 1.

    Each group is taken as one question. Where none deviates, this is the exact interval of a share. Where k do, the
    next one deviates by more than they with chance 1 / (k + 1), and at worst wholly; so the exact interval is that of
    groups that deviate by no more than the larger of 1 / (k + 1) and the most that was seen.

    Args:
        parts: What each group has of each share's numerator, (groups, shares), 0 or more.
        wholes: What each group has of its denominator, likewise; groups with 0 say nothing of the share.

    Returns:
        Distances from the shares down and up, each (shares,), 0 or more: 0 where :data:`FEW_DEVIATING` groups deviate
        from 0 and as many from 1, infinite where all denominators are 0.
    """
    held, share = wholes > 0, ratio(parts.sum(axis=0), wholes.sum(axis=0))
    of_group, number = ratio(parts, wholes), held.sum(axis=0)
    below, above = _deviating(share, np.where(held, of_group, 0.0), number)
    above_one, below_one = _deviating(1 - share, np.where(held, 1 - of_group, 0.0), number)
    unknown = np.where(number > 0, 0.0, np.inf)
    return np.fmax(np.fmax(below, below_one), unknown), np.fmax(np.fmax(above, above_one), unknown)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, elementwise; nan where the whole is 0."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _deviating(share: Floats, of_group: Floats, number: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Compute how far the exact interval reaches down and up from shares that few groups lift above 0."""
    few = (of_group > ROUNDING).sum(axis=0)
    worst = np.maximum(of_group.max(axis=0, initial=0.0), 1 / (few + 1))
    low, high = exact_share(np.minimum(share / worst, 1.0), number)
    below, above = (np.where(few < FEW_DEVIATING, reach, 0.0) for reach in (share - low * worst, high * worst - share))
    return np.maximum(below, 0.0), np.maximum(above, 0.0)
