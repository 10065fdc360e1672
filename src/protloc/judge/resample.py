"""Every metric, in many resamples of the groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from protloc.judge.blocks import RESAMPLES, codes_of, group_weights
from protloc.judge.evaluation import CLASS_METRICS, METRICS, STABLE_GROUPS, Estimate
from protloc.judge.intervals import FEW_GROUPS, TAIL, distances, exact_f1, exact_share, least_reach
from protloc.judge.predictions import PartPredictions
from protloc.judge.tallies import SHARES, Family, Scores, by_group, families, shares

AT_ONCE = 16  # resamples: a group's counts in 32 bits fill a line of a cache; 32 are no faster per resample

MEANS = {  # over the classes of a part
    "macro_f1": "f1",
    "stable_macro_f1": "f1",
    "mean_average_precision": "average_precision",
}
REFLECTED = {*MEANS, "calibration_error"}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Resampled:
    """Metrics of a part, as they are and in each resample of its groups.

    Attributes:
        values: By metric, of the fields as they are: () or (classes,); nan where undefined.
        draws: By metric, in each resample: (resamples,) or (resamples, classes). A class that is in the part but in no
            drawn group is nan by itself, and counts with its value on all fields in the means over classes.
        fields: Fields in the part.
        groups: Groups in the part; its fields where it is a single group, for which draws are of fields.
        support: By class metric, on how many groups it rests, (classes,): those with the class for recall and average
            precision, those called for precision, those with either for F1.
        averaged: By mean over classes, which classes it runs over, (classes,).
        least: By share, how far down and up its interval reaches at least
            (:func:`~protloc.judge.intervals.least_reach`).
        worst_loss: What the loss would be if every question was answered as surely as the surest, and wrongly.
    """

    values: Mapping[str, Floats]
    draws: Mapping[str, Floats]
    fields: int
    groups: int
    support: Mapping[str, Ints]
    averaged: Mapping[str, Flags]
    least: Mapping[str, tuple[float, float]]
    worst_loss: float

    def estimate(self, metric: str) -> Estimate:
        """Return one of :data:`METRICS` with its 95 % interval; nan, without one, where it is undefined.

        A single group tells nothing of others: its interval holds every value there is, 0 to 1, of the loss 0 to
        ``worst_loss``.
        """
        most = self.worst_loss if metric == "loss" else 1.0
        if self.groups == 1:
            return _estimate(float(self.values[metric]), np.inf, np.inf, most=most)
        drawn = distances(self.values[metric], self.draws[metric], groups=self.groups)
        below, above = _reach(metric, drawn, _excess(self, metric))
        if metric == "calibration_error":
            below = max(below, float(np.quantile(_filled(self, "calibration_shift"), 1 - 2 * TAIL)))
        return _estimate(float(self.values[metric]), below, above, most=most)

    def estimates(self, metric: str) -> tuple[Estimate, ...]:
        """Return one of :data:`CLASS_METRICS` with 95 % intervals, an estimate a class in column order."""
        ends = zip(self.values[metric].tolist(), *(each.tolist() for each in _class_reach(self, metric)), strict=True)
        return tuple(_estimate(value, below, above) for value, below, above in ends)


def resample_metrics(
    said: PartPredictions,
    *,
    universe: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    metrics: Collection[str] = (*METRICS, *CLASS_METRICS),
) -> Resampled:
    """Compute metrics of a part, and of resamples in which its groups are drawn with replacement.

    Draws depend on the set of groups in the universe, ``resamples`` and ``seed`` alone: two runs on the same fields, or
    two parts resampled over the union of their groups, are resampled alike, so that their difference can be told from
    noise. A part that is a single group says nothing about others: its fields are drawn instead.

    Args:
        said: The part. Average precision and loss are those of its logits, calibration those of its probabilities.
        universe: Names of the groups that are drawn from, those of the part among them; by default these.
        resamples: How many.
        seed: Another seed, other draws.
        metrics: Which are wanted; others may come with them at no cost.

    Raises:
        ValueError: if there is no field, or a group of the part is not in the universe.
    """
    codes, places, drawn_from = _places(said, universe)
    groups = len(places)
    prepared = families(said, codes, groups=groups, metrics=metrics)
    values = {name: each[0] for name, each in _measured(prepared, np.ones((groups, 1))).items()}
    parts = [_measured(prepared, weights[places]) for weights in _weights(drawn_from, resamples=resamples, seed=seed)]
    draws = {name: np.concatenate([part[name] for part in parts]) for name in values}
    support, averaged = _support(said, codes)
    for mean, of_class in MEANS.items():
        if of_class in values:
            values[mean], draws[mean] = _class_means(values[of_class], draws[of_class], averaged[mean])
    below, above = least_reach(*shares(said, codes, groups))
    least = {share: (float(below[at]), float(above[at])) for at, share in enumerate(SHARES)}
    worst_loss = float(np.logaddexp(0.0, np.abs(said.logits, dtype=np.float64).max(initial=0.0)))
    return Resampled(values, draws, len(said), groups, support, averaged, least, worst_loss)


def difference(first: Resampled, second: Resampled, metric: str) -> Estimate:
    """Subtract a metric of two sets of fields that were resampled over one universe, with one seed.

    Args:
        first: What is subtracted from.
        second: What is subtracted.
        metric: One of :data:`METRICS`.

    Returns:
        The difference with its 95 % interval; nan, without one, where either is undefined. Of a single group it holds
        every value there is.

    Raises:
        ValueError: if they hold different numbers of resamples.
    """
    if first.draws[metric].shape != second.draws[metric].shape:
        numbers = f"{len(first.draws[metric])} and {len(second.draws[metric])}"
        raise ValueError(f"expected as many resamples of both, got {numbers}. Resample both over one universe.")
    value, groups = first.values[metric] - second.values[metric], min(first.groups, second.groups)
    most = max(first.worst_loss, second.worst_loss) if metric == "loss" else 1.0
    drawn = distances(value, _filled(first, metric) - _filled(second, metric), groups=groups)
    (below, above), (their_below, their_above) = _excess(first, metric), _excess(second, metric)
    below, above = _reach(metric, drawn, (below + their_above, above + their_below))
    if np.isnan(value):
        return Estimate(float(value))
    ends = (-most, most) if groups == 1 else (max(float(value - below), -most), min(float(value + above), most))
    return Estimate(float(value), *ends)


def _weights(groups: int, *, resamples: int, seed: int) -> Iterator[Floats]:
    """Draw as :func:`group_weights` does, many at once: (groups, at most :data:`AT_ONCE`)."""
    drawn = group_weights(groups, resamples=resamples, seed=seed)
    while chunk := list(islice(drawn, AT_ONCE)):
        yield np.ascontiguousarray(np.array(chunk).T)


def _places(said: PartPredictions, universe: Sequence[str] | None) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Number the groups of a part; tell the place of each in the sorted universe, and how many there are in that."""
    if not len(said):
        raise ValueError("expected a field at least, got none")
    names = np.unique(np.asarray(said.groups, np.str_))
    if universe is None:
        codes = codes_of(said.groups) if len(names) > 1 else np.arange(len(said))
        groups = int(codes.max()) + 1
        return codes, np.arange(groups), groups
    whole = np.unique(np.asarray(universe, np.str_))
    places = np.searchsorted(whole, names)
    missing = names[whole[np.minimum(places, len(whole) - 1)] != names]
    if len(missing):
        raise ValueError(f"expected the groups of the part to be in the universe, got {str(missing[0])!r} besides")
    return codes_of(said.groups), places, len(whole)


def _measured(prepared: Sequence[Family], weights: Floats) -> Scores:
    return {name: scores for family in prepared for name, scores in family(weights).items()}


def _class_means(values: Floats, draws: Floats, averaged: Flags) -> tuple[Floats, Floats]:
    """Average over classes; one missing from a resample counts with its value, lest rare classes drop out."""
    if not averaged.any():
        return np.asarray(np.nan), np.full(len(draws), np.nan)
    filled = np.where(np.isnan(draws), values, draws)[:, averaged]
    return np.asarray(values[averaged].mean()), filled.mean(axis=1)


def _support(said: PartPredictions, codes: NDArray[np.intp]) -> tuple[dict[str, Ints], dict[str, Flags]]:
    """Count the groups that each class metric rests on, and tell the classes of each mean."""
    truth = said.truth > 0
    groups = int(codes.max()) + 1
    # np.unique of (group, class) would count them too, in a hash table that outgrows the caches
    having, called, either = (
        np.diff(by_group(hot, codes, groups).indptr).astype(np.int64)
        for hot in (truth, said.called, truth | said.called)
    )
    support = {"precision": called, "recall": having, "f1": either, "average_precision": having}
    enough = {mean: having >= (STABLE_GROUPS if mean == "stable_macro_f1" else 1) for mean in MEANS}
    return support, enough


def _reach(metric: str, drawn: tuple[Floats, Floats], excess: tuple[float, float]) -> tuple[float, float]:
    """Join what resampling says with what is added to it: how far the interval reaches down and up."""
    below, above = drawn[::-1] if metric in REFLECTED else drawn
    return float(np.sqrt(below**2 + excess[0])), float(np.sqrt(above**2 + excess[1]))


def _class_reach(resampled: Resampled, metric: str) -> tuple[Floats, Floats]:
    """Measure how far the interval of each class reaches down and up, (classes,)."""
    values = resampled.values[metric]
    low, high = (exact_f1 if metric == "f1" else exact_share)(values, resampled.support[metric])
    below, above = distances(values, resampled.draws[metric], groups=resampled.groups)
    return np.maximum(below, values - low), np.maximum(above, high - values)


def _excess(resampled: Resampled, metric: str) -> tuple[float, float]:
    """Tell what squares, down and up, are to be added for what resampling cannot show: rare classes, rare errors."""
    if metric in resampled.least:
        drawn = distances(resampled.values[metric], resampled.draws[metric], groups=resampled.groups)
        drawn = drawn[::-1] if metric in REFLECTED else drawn
        below, above = (max(w**2 - float(d) ** 2, 0.0) for w, d in zip(resampled.least[metric], drawn, strict=True))
        return below, above
    averaged = resampled.averaged.get(metric)
    if averaged is None or not averaged.any():
        return 0.0, 0.0
    of_class, rare = MEANS[metric], averaged & (resampled.support["recall"] < FEW_GROUPS)
    drawn = distances(resampled.values[of_class], resampled.draws[of_class], groups=resampled.groups)
    wide = _class_reach(resampled, of_class)
    squares = (float((w[rare] ** 2 - d[rare] ** 2).sum()) for w, d in zip(wide, drawn, strict=True))
    below, above = (each / int(averaged.sum()) ** 2 for each in squares)
    return below, above


def _filled(resampled: Resampled, metric: str) -> Floats:
    """Return the draws of a metric, its value in place of undefined ones."""
    return np.where(np.isnan(resampled.draws[metric]), resampled.values[metric], resampled.draws[metric])


def _estimate(value: float, below: float, above: float, *, most: float = 1.0) -> Estimate:
    if np.isnan(value):
        return Estimate(value)
    return Estimate(value, max(value - below, 0.0), max(value, min(value + above, most)))
