"""Comparing runs on the same fields, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from protloc.errors import RunError
from protloc.judge.blocks import codes_of, groups_with
from protloc.judge.evaluation import HEADLINES, STABLE_GROUPS
from protloc.judge.predictions import PartPredictions
from protloc.judge.resample import MEANS, RESAMPLES, Resampled, resample_metrics

CLASS_HEADLINES = {"f1": "F1", "average_precision": "average precision"}
LOWER_IS_BETTER = frozenset({"loss"})
CONFIDENCE = 0.95  # that all intervals of a family hold at once
MOST_DEVIATION = 6.0  # standard errors, beyond which tails are scaled, not computed: their probability rounds to 0
ROUNDING = 1e-12  # differences and errors below it are arithmetic, not findings

BETTER, WORSE, UNRESOLVED = "better", "worse", "not resolvable"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How a run differs from the reference in one metric.

    Attributes:
        run: Name of the run.
        metric: Key of :data:`~protloc.judge.evaluation.HEADLINES` or :data:`CLASS_HEADLINES`.
        column: Column of the class, or None where the metric is one of all classes.
        reference: The metric of the reference; nan where it is not defined.
        value: The metric of the run, likewise.
        error: Bootstrap standard error of ``value - reference``; nan where it cannot be told.
        low: Lower end of the interval that holds together with all others of its family; nan likewise.
        high: Upper end.
        fields: Fields judged.
        needed: Fields of the same kind with which a difference of this size would be resolved; ``inf`` if no number
            would, nan where it cannot be told.
        verdict: ``better``, ``worse`` or ``not resolvable``.
        reason: Why it cannot be resolved however many fields there are, else empty.
    """

    run: str
    metric: str
    column: int | None
    reference: float
    value: float
    error: float
    low: float
    high: float
    fields: int
    needed: float
    verdict: str
    reason: str = ""

    @property
    def difference(self) -> float:
        """Return by how much the run exceeds the reference."""
        return self.value - self.reference


@dataclass(frozen=True)
class Comparison:
    """Runs set against the first of them.

    Attributes:
        reference: Name of the first run.
        runs: Names of the others.
        fields: Fields judged, the same for all.
        groups: Groups they come from, which are what was drawn.
        resamples: How often the groups were drawn.
        headlines: A difference a run and headline metric, a family of intervals.
        classes: A difference a run, class metric and class, another family.
    """

    reference: str
    runs: tuple[str, ...]
    fields: int
    groups: int
    resamples: int
    headlines: tuple[Difference, ...]
    classes: tuple[Difference, ...]


@dataclass(frozen=True, eq=False)
class _Question:
    """One difference to be asked for: its place, its values, what it was in each draw.

    ``groups`` tells how many groups say something about it, ``excess`` what variance the draws do not show.
    """

    run: str
    metric: str
    column: int | None
    reference: float
    value: float
    draws: Floats
    groups: int
    excess: float = 0.0

    @property
    def difference(self) -> float:
        return self.value - self.reference

    @property
    def spread(self) -> float:
        """Return the standard deviation of the draws, which fall short of chance by (groups - 1) / groups."""
        spread = float(np.nanstd(self.draws, ddof=1)) * math.sqrt(self.groups / (self.groups - 1))
        return spread if spread > ROUNDING else 0.0


def compare(runs: Mapping[str, PartPredictions], *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Set runs against the first of them, on the same fields.

    Groups are drawn with replacement, the same draw for all runs, so that what is hard for every run cancels out. The
    intervals are those of the greatest studentised deviation in a draw (single-step max-t: Westfall and Young 1993;
    Romano and Wolf, Econometrica 73:1237, 2005): all of a family hold at once with 95 % confidence, however many runs,
    metrics or classes it has. A difference is resolved where its interval leaves 0 out. With few groups the intervals
    are wider by as much as Student's t is than the normal distribution, and means over classes by what rare ones hide.

    A metric that fewer than ten groups tell about (of a class: that have it) is never resolved: so few groups do not
    show how much others would differ.

    Args:
        runs: What each run said of one and the same fields, in any order of fields; the first run is the reference.
        resamples: How often the groups are drawn.
        seed: Of the draws.

    Raises:
        RunError: if there are fewer than two runs, or they differ in their fields, labels or groups.
    """
    aligned = _aligned(runs)
    reference, *others = aligned
    first = aligned[reference]
    metrics = (*HEADLINES, *CLASS_HEADLINES)
    drawn = {
        name: resample_metrics(said, resamples=resamples, seed=seed, metrics=metrics) for name, said in aligned.items()
    }
    asked = [_questions(name, drawn[reference], drawn[name], first) for name in others]
    headlines = [question for questions in asked for question in questions if question.column is None]
    classes = [question for questions in asked for question in questions if question.column is not None]
    return Comparison(
        reference=reference,
        runs=tuple(others),
        fields=len(first),
        groups=len(set(first.groups)),
        resamples=resamples,
        headlines=_judged(headlines, len(first)),
        classes=_judged(classes, len(first)),
    )


def _aligned(runs: Mapping[str, PartPredictions]) -> dict[str, PartPredictions]:
    """Bring the fields of all runs into the order of the first.

    Raises:
        RunError: if there are fewer than two runs, or they do not judge the same fields alike.
    """
    if len(runs) < 2:
        raise RunError(f"compare: {len(runs)} run given, expected two or more. Name another run.")
    reference, first = next(iter(runs.items()))
    return {name: _alike(reference, first, name, said) for name, said in runs.items()}


def _alike(reference: str, first: PartPredictions, name: str, said: PartPredictions) -> PartPredictions:
    place = f"compare: {name} and {reference}"
    if set(said.ids) != set(first.ids) or len(said) != len(first):
        raise RunError(
            f"{place} judge other fields ({len(set(said.ids) & set(first.ids)):,} in both of {len(said):,} and "
            f"{len(first):,}), expected the same. Train both on one split and evaluate both."
        )
    places = {field: row for row, field in enumerate(said.ids)}
    ordered = said.rows(np.array([places[field] for field in first.ids], np.intp))
    if not np.array_equal(ordered.truth, first.truth):
        raise RunError(f"{place} were judged by other labels, expected the same. Evaluate both on one store.")
    if not np.array_equal(codes_of(ordered.groups), codes_of(first.groups)):
        raise RunError(f"{place} have other groups, expected the same. Evaluate both anew.")
    return ordered


def _questions(name: str, reference: Resampled, run: Resampled, fields: PartPredictions) -> list[_Question]:
    """List every difference of a run, class metrics class by class."""
    draws = {metric: run.draws[metric] - reference.draws[metric] for metric in (*HEADLINES, *CLASS_HEADLINES)}
    with_class, in_all = groups_with(fields.truth > 0, codes_of(fields.groups)), len(set(fields.groups))
    asked = [
        _Question(
            name, metric, None, float(reference.values[metric]), float(run.values[metric]), draws[metric], in_all,
            _excess(metric, reference, run, with_class),
        )
        for metric in HEADLINES
    ]  # fmt: skip
    for metric in CLASS_HEADLINES:
        columns = zip(reference.values[metric].tolist(), run.values[metric].tolist(), with_class.tolist(), strict=True)
        asked += [
            _Question(name, metric, column, before, after, draws[metric][:, column], groups)
            for column, (before, after, groups) in enumerate(columns)
        ]
    return asked


def _excess(metric: str, reference: Resampled, run: Resampled, with_class: NDArray[np.int64]) -> float:
    """Return the variance that rare classes add to a mean over classes beyond what their draws show.

    A class of one group has the same score in every draw that has the group, as if it had no error at all. Where there
    is no true difference, the square of the one seen is its variance.
    """
    if metric not in MEANS:
        return 0.0
    of_class, averaged = MEANS[metric], run.averaged[metric]
    rare = np.flatnonzero(averaged & (with_class < STABLE_GROUPS) & (with_class > 0))
    seen = np.square(run.values[of_class] - reference.values[of_class])[rare]
    shown = np.nanvar((run.draws[of_class] - reference.draws[of_class])[:, rare], axis=0)
    return float(np.maximum(seen - shown, 0).sum()) / max(int(averaged.sum()), 1) ** 2


def _judged(family: Sequence[_Question], fields: int) -> tuple[Difference, ...]:
    """Give every question its interval, all of them together at the confidence of one."""
    critical = _critical([question for question in family if not _unanswerable(question)])
    return tuple(_difference(question, critical, fields) for question in family)


def _unanswerable(question: _Question) -> str:
    if math.isnan(question.value) or math.isnan(question.reference):
        return "not defined on these fields"
    if question.groups < STABLE_GROUPS:
        return f"in {question.groups} {'group' if question.groups == 1 else 'groups'} only"
    return ""


def _critical(family: Sequence[_Question]) -> float:
    """Return how many spreads the farthest of the family strays in all but 5 % of the draws; 0 if none ever does."""
    deviations = [
        np.nan_to_num(np.abs(question.draws - question.difference) / question.spread)
        for question in family
        if question.spread
    ]
    return float(np.quantile(np.max(deviations, axis=0), CONFIDENCE)) if deviations else 0.0


def _widened(critical: float, groups: int) -> float:
    """Return as rare a quantile of Student's t as this is of the normal: the error of few groups is a guess itself."""
    usual = min(critical, MOST_DEVIATION)
    return critical * float(stats.t.isf(stats.norm.sf(usual), groups - 1)) / usual if usual else 0.0


def _difference(question: _Question, critical: float, fields: int) -> Difference:
    reason, difference = _unanswerable(question), question.difference
    error = math.nan if reason else math.hypot(question.spread, math.sqrt(question.excess))
    reach = math.nan if reason else _widened(critical, question.groups) * error
    same = error == 0 and abs(difference) <= ROUNDING
    resolved = not reason and not same and abs(difference) > reach
    better = (difference > 0) != (question.metric in LOWER_IS_BETTER)
    return Difference(
        run=question.run,
        metric=question.metric,
        column=question.column,
        reference=question.reference,
        value=question.value,
        error=error,
        low=difference - reach,
        high=difference + reach,
        fields=fields,
        needed=math.nan if reason else _needed(difference, reach, fields),
        verdict=(BETTER if better else WORSE) if resolved else UNRESOLVED,
        reason="the answers are the same" if same else reason,
    )


def _needed(difference: float, reach: float, fields: int) -> float:
    """Return with how many fields the interval would be as short as the difference; it shrinks with their root."""
    if abs(difference) <= ROUNDING:
        return math.inf
    return fields * (reach / abs(difference)) ** 2
