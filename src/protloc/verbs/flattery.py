"""By how much a split that parts groups flatters a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

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


def flattery_table(found: Sequence[Flattery], *, split: str, beside: str) -> pd.DataFrame:
    """Set the scores on two splits side by side, in words: a row a recipe and metric.

    Columns ``recipe``, ``metric``, the names of the splits, ``difference`` and whether noise could have made it.
    """
    return pd.DataFrame(
        [
            {
                "recipe": each.recipe,
                "metric": HEADLINES[metric],
                split: _in_words(first),
                beside: _in_words(second),
                "difference": _in_words(more, sign="+"),
                "resolved": "yes" if excludes_none(more) else "no",
            }
            for each in found
            for metric, (first, second, more) in each.scores.items()
        ]
    )


def excludes_none(difference: Estimate) -> bool:
    """Tell whether the interval of a difference leaves out 0."""
    return difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high


def _in_words(estimate: Estimate, *, sign: str = "") -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    words = f"{estimate.value:{sign}.3f} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"
    return words.replace("-", "−")


def _drawn(file: Path, groups: Sequence[str]) -> Resampled:
    return resample_metrics(PartPredictions.read(file), universe=groups, metrics=METRICS)


def _mean(drawn: Sequence[Resampled]) -> Resampled:
    """Average every metric over recipes, draw by draw."""
    return replace(
        drawn[0],
        values={metric: np.mean([each.values[metric] for each in drawn], axis=0) for metric in drawn[0].draws},  # noqa: PD011
        draws={metric: np.mean([each.draws[metric] for each in drawn], axis=0) for metric in drawn[0].draws},
    )


def _scores(first: Resampled, second: Resampled, metric: str) -> tuple[Estimate, Estimate, Estimate]:
    return first.estimate(metric), second.estimate(metric), difference(second, first, metric)
