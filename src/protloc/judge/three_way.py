"""Three-way answers: present, absent, or ask an expert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protloc.judge.blocks import codes_of
from protloc.judge.reliability import checked, share_bands

PRESENT, ASK, ABSENT = 1, 0, -1
NEVER_ABSENT, NEVER_PRESENT = 0.0, 2.0
LADDER = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)  # error rates of a deferral curve

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cuts:
    """Where a class is present for certain, where absent for certain; between the two an expert is to be asked.

    Attributes:
        absent_below: Probability in 0..1 under which each class is said to be absent, (classes,); 0 says it never.
        present_from: Probability from which each class is said to be present, (classes,); above 1 says it never.
        error_rate: The rate in 0..1 that the cuts were chosen to keep: of the fields with a class the share told
            absent, and of the fields told present the share that lacks it; see :func:`fit_cuts`.
    """

    absent_below: tuple[float, ...]
    present_from: tuple[float, ...]
    error_rate: float

    @classmethod
    def never(cls, classes: int) -> Cuts:
        """Return cuts that always ask, for a model that was never judged."""
        return cls((NEVER_ABSENT,) * classes, (NEVER_PRESENT,) * classes, 0.0)

    def verdicts(self, probabilities: ArrayLike) -> NDArray[np.int8]:
        """Return 1 present, 0 ask, -1 absent: int8 (fields, classes), of calibrated probabilities of this shape."""
        given = np.asarray(probabilities, np.float64)
        present, absent = given >= np.asarray(self.present_from), given < np.asarray(self.absent_below)
        return (present.astype(np.int8) - (absent & ~present).astype(np.int8)).astype(np.int8)


def risk_control(risks: ArrayLike, *, units: int, error_rate: float, bound: float = 1.0) -> int | None:
    """Choose the least strict candidate whose risk stays under a rate on new units (conformal risk control).

    With losses that are at most ``bound`` and do not fall from one candidate to the next, and units that are
    exchangeable with new ones, the expected loss of a new unit under the chosen candidate is at most ``error_rate``
    (Angelopoulos, Bates, Fisch, Lei & Schuster, ICLR 2024, theorem 1).

    Args:
        risks: Mean loss of the units under each candidate, (candidates,), the strictest candidate first.
        units: How many units the means are over.
        error_rate: The rate.
        bound: The largest loss a unit can have.

    Returns:
        Place of the last candidate with (units × risk + bound) / (units + 1) <= error_rate; None if there is none.
    """
    corrected = (units * np.asarray(risks, np.float64) + bound) / (units + 1)
    kept = np.flatnonzero(corrected <= error_rate + 1e-12)  # 0.1 × 10 - 1 is not 0 in floating point
    return int(kept[-1]) if len(kept) else None


def fit_cuts(truth: ArrayLike, probabilities: ArrayLike, *, groups: Sequence[str], error_rate: float) -> Cuts:
    """Find the cuts that ask least while errors stay under a rate on new groups, for each class.

    Promised for each class that at least 1 / ``error_rate`` - 1 groups have, on average over draws of groups:

    * of the fields that have the class, the share told *absent* is at most ``error_rate``. This is exact in any number
      of groups for probabilities of a network in whose choice these fields had no part (:func:`risk_control`; the loss
      of a group is the mean over its fields that have the class). Calibration by the same fields takes nothing from it,
      since it keeps the order of a class's probabilities. But validation also chooses the epoch, so in practice it is
      approximate: in a simulation that chose among 60 unrelated epochs by the same fields, a rate of .10 gave .106
      where other fields gave .097.
    * of the fields told *present*, the share that lacks the class is at most ``error_rate``. This one falls and rises
      with the cut, so that the same correction is exact only in the limit of many groups (ibid., section 2.3). A cut
      must therefore pass twice: by the wrong answers that are counted, and by those that the probabilities expect,
      which no lucky run of a few right answers can lower. That it holds in small samples is shown by simulation
      (``benchmarks/calibration_study.py``).

    Classes in fewer groups share their cuts, and the promises hold for all their labels and answers together. They are
    fitted on the labels of these classes, joined by the next rarest where they have too few groups together.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        probabilities: Calibrated probabilities in 0..1 of the same shape.
        groups: Group of each field; groups weigh alike, whatever their number of fields.
        error_rate: The rate of both promises, in 0..1.

    Raises:
        ValueError: if the shapes differ, a probability is not in 0..1 or ``error_rate`` not between 0 and 1.
    """
    truth, probabilities = checked(truth, probabilities)
    if not 0 < error_rate < 1:
        raise ValueError(f"expected an error_rate between 0 and 1, got {error_rate}. A tenth is 0.1.")
    codes = codes_of(groups)
    rare, pool = _pool(truth, codes, error_rate)
    shared = _class_cuts(truth[:, pool], probabilities[:, pool], codes, error_rate)
    pairs = [
        shared if rare[at] else _class_cuts(truth[:, [at]], probabilities[:, [at]], codes, error_rate)
        for at in range(truth.shape[1])
    ]
    absent, present = zip(*pairs, strict=True) if pairs else ((), ())
    return Cuts(absent, present, error_rate)


@dataclass(frozen=True, eq=False)
class Bands:
    """A share at each error rate with its 95 % interval.

    Attributes:
        value: (rates,) in 0..1; nan where there is nothing to take a share of.
        low: Lower ends, in 0..1.
        high: Upper ends, in 0..1.
    """

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Deferral:
    """What is left to an expert, and how often the rest is wrong, by the error rate that was chosen.

    Attributes:
        error_rates: The rates, ascending.
        asked: Share of questions (a field and a class) that an expert is asked.
        answered: Share of fields in which no question is.
        missed: Share of the fields' true labels that are told absent.
        wrong: Share of the answers *present* that are wrong.
    """

    error_rates: tuple[float, ...]
    asked: Bands
    answered: Bands
    missed: Bands
    wrong: Bands


def deferral(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    groups: Sequence[str],
    fit_truth: ArrayLike,
    fit_probabilities: ArrayLike,
    fit_groups: Sequence[str],
    error_rates: Sequence[float] = LADDER,
    seed: int = 0,
) -> Deferral:
    """Fit cuts for every error rate on some fields, and judge them on others.

    Args:
        truth: Multi-hot array of the fields to judge on, (fields, classes).
        probabilities: Their calibrated probabilities in 0..1.
        groups: Group of each of them; intervals are from a bootstrap of groups.
        fit_truth: The same of the fields that cuts are fitted on.
        fit_probabilities: Likewise.
        fit_groups: Likewise.
        error_rates: Ascending, each between 0 and 1.
        seed: Of the bootstrap.

    Raises:
        ValueError: if shapes differ, a probability is not in 0..1 or a rate not between 0 and 1.
    """
    hot, given = checked(truth, probabilities)
    codes = codes_of(groups)
    parts, wholes = [], []
    for rate in error_rates:
        cuts = fit_cuts(fit_truth, fit_probabilities, groups=fit_groups, error_rate=rate)
        part, whole = _tally(hot, cuts.verdicts(given))
        parts.append(part)
        wholes.append(whole)
    bands = _bands(_by_group(codes, np.hstack(parts)), _by_group(codes, np.hstack(wholes)), seed=seed)
    return Deferral(tuple(error_rates), *(Bands(*(row[kind::4] for row in bands)) for kind in range(4)))


def _class_cuts(
    truth: Floats, probabilities: Floats, codes: NDArray[np.intp], error_rate: float
) -> tuple[float, float]:
    """Find both cuts for some classes together; where they cross, nobody needs to be asked."""
    present = _present_from(truth, probabilities, codes, error_rate)
    return min(_absent_below(truth, probabilities, codes, error_rate), present), present


def _absent_below(truth: Floats, probabilities: Floats, codes: NDArray[np.intp], error_rate: float) -> float:
    labels = truth.sum(axis=1)
    fields = np.bincount(codes, labels > 0)[codes] if len(codes) else labels  # that are labelled, in the field's group
    rows, columns = np.nonzero(truth)
    scores, losses = _steps(probabilities[rows, columns], 1 / (labels * fields)[rows])
    units = len(np.unique(codes[rows]))
    risks = np.append(0.0, losses.cumsum()[:-1]) / max(units, 1)  # a label at the cut is not under it
    best = risk_control(risks[: len(scores)], units=units, error_rate=error_rate)
    return NEVER_ABSENT if best is None else float(scores[best])


def _present_from(truth: Floats, probabilities: Floats, codes: NDArray[np.intp], error_rate: float) -> float:
    weights = np.repeat(1 / np.bincount(codes)[codes], truth.shape[1]) if len(codes) else np.empty(0)
    scores, counted = _steps(-probabilities.ravel(), weights * (1 - truth.ravel() - error_rate))
    _, expected = _steps(-probabilities.ravel(), weights * (1 - probabilities.ravel() - error_rate))
    units = int(codes.max(initial=-1)) + 1
    risks = np.maximum(counted.cumsum(), expected.cumsum()) / max(units, 1)
    best = risk_control(risks, units=units, error_rate=0.0, bound=1 - error_rate)
    return NEVER_PRESENT if best is None else float(-scores[best])


def _steps(scores: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Add up the losses at each distinct score; both ascending by score."""
    distinct, places = np.unique(scores, return_inverse=True)
    return distinct, np.bincount(places, losses, minlength=len(distinct)).astype(np.float64)


def _pool(truth: Floats, codes: NDArray[np.intp], error_rate: float) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Tell which classes are in too few groups for cuts of their own, (classes,), and the columns that make the shared.

    Under (0 × groups + 1) / (groups + 1) <= rate no cut at all can be had from fewer groups.
    """
    held = _by_group(codes, truth) > 0
    needed = 1 / error_rate - 1 - 1e-9
    groups = held.sum(axis=0)
    order = np.argsort(groups, kind="stable")
    together = np.logical_or.accumulate(held[:, order], axis=1).sum(axis=0)
    rare = groups < needed
    return rare, order[: max(int(rare.sum()), int((together < needed).sum()) + 1)]


def _tally(truth: Floats, verdicts: NDArray[np.int8]) -> tuple[Floats, Floats]:
    """Count for each field what the four shares of a deferral are made of: numerators and denominators, (fields, 4)."""
    asked, present, absent = ((verdicts == each).astype(np.float64) for each in (ASK, PRESENT, ABSENT))
    one = np.ones(len(truth))
    parts = (asked.sum(axis=1), (~asked.any(axis=1)), (absent * truth).sum(axis=1), (present * (1 - truth)).sum(axis=1))
    wholes = (one * truth.shape[1], one, truth.sum(axis=1), present.sum(axis=1))
    return np.stack(parts, axis=1).astype(np.float64), np.stack(wholes, axis=1)


def _bands(parts: Floats, wholes: Floats, *, seed: int) -> tuple[Floats, Floats, Floats]:
    part, whole = parts.sum(axis=0), wholes.sum(axis=0)
    share = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return share, *share_bands(parts, wholes, seed=seed)


def _by_group(codes: NDArray[np.intp], values: Floats) -> Floats:
    """Sum the rows of each group; (groups, columns)."""
    sums = np.zeros((int(codes.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums
