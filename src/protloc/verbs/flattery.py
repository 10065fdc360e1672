"""By how much a split that parts groups flatters a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from protloc.judge.evaluation import HEADLINES, Estimate
from protloc.judge.predictions import PartPredictions
from protloc.judge.resample import Resampled, difference, resample_metrics

METRICS = ("macro_f1", "samples_f1", "mean_average_precision")  # stable macro-F1 would be of other classes
ALL = "all recipes, on average"


@dataclass(frozen=True, eq=False)
class Flattery:
    """How a recipe scores on two splits of one store.

    Attributes:
        recipe: Its name, or ``ALL``.
        scores: Of each of ``METRICS`` the score on the split, the score on the other one, and how much higher that is.
    """

    recipe: str
    scores: Mapping[str, tuple[Estimate, Estimate, Estimate]]


def flattery(runs: Mapping[str, tuple[Path, Path]], *, groups: Sequence[str]) -> tuple[Flattery, ...]:
    """Compare what recipes score on one split with what they score on another.

    The fields judged are not the same, but share groups: all groups of the store are drawn at once, with replacement,
    for both (:mod:`protloc.judge.resample`), so that what the two have in common falls out of the difference.

    Args:
        runs: For each recipe the predictions of the judged part: of the split, and of the other one.
        groups: The group of every field of the store.

    Returns:
        A line a recipe, and if there are several a last one for their mean.
    """
    drawn = {name: (_drawn(one, groups), _drawn(other, groups)) for name, (one, other) in runs.items()}
    if len(drawn) > 1:
        drawn[ALL] = (_mean([one for one, _ in drawn.values()]), _mean([other for _, other in drawn.values()]))
    return tuple(Flattery(name, {metric: _scores(*pair, metric) for metric in METRICS}) for name, pair in drawn.items())


def flattery_in_words(found: Flattery, *, split: str, beside: str) -> str:
    """Say by how much, and whether that can be told from noise."""
    said: list[str] = []
    for metric, (_, _, more) in found.scores.items():
        resolved = more.low is not None and more.low > 0
        verdict = "" if resolved else ", which is not resolvable from none"
        said.append(f"{HEADLINES[metric]} by {more.value:+.3f} ({more.low:+.3f} to {more.high:+.3f}){verdict}")
    return f"The split {beside} flatters {found.recipe} against {split}: {'; '.join(said)}."


def _drawn(file: Path, groups: Sequence[str]) -> Resampled:
    return resample_metrics(PartPredictions.read(file), universe=groups, metrics=METRICS)


def _mean(drawn: Sequence[Resampled]) -> Resampled:
    """Average every metric over recipes, draw by draw."""
    return replace(
        drawn[0],
        values={metric: np.mean([each.values[metric] for each in drawn], axis=0) for metric in drawn[0].values},
        draws={metric: np.mean([each.draws[metric] for each in drawn], axis=0) for metric in drawn[0].draws},
    )


def _scores(first: Resampled, second: Resampled, metric: str) -> tuple[Estimate, Estimate, Estimate]:
    return first.estimate(metric), second.estimate(metric), difference(second, first, metric)
