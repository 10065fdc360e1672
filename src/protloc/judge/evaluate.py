"""Judging the answers for one part of the fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from protloc.atlas.vocabulary import Vocabulary
from protloc.curate.imbalance import commonest_classes
from protloc.errors import RunError
from protloc.judge.evaluation import (
    CLASS_METRICS,
    FLOOR_METRICS,
    METRICS,
    ClassEvaluation,
    Estimate,
    Evaluation,
    Floor,
    PartEvaluation,
)
from protloc.judge.metrics import per_class
from protloc.judge.predictions import PartPredictions
from protloc.judge.resample import RESAMPLES, Resampled, resample_metrics

__all__ = ["ClassEvaluation", "Estimate", "Evaluation", "Floor", "PartEvaluation", "evaluate_part"]

CERTAIN = 10**9  # groups, which leave nothing open


def evaluate_part(
    said: PartPredictions,
    *,
    vocabulary: Vocabulary,
    training_truth: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PartEvaluation:
    """Judge what was said of one part, every number with its 95 % interval.

    Args:
        said: The part, classes in the order of ``vocabulary``.
        vocabulary: What the columns mean.
        training_truth: Multi-hot array (training fields, classes): its two commonest classes make the first floor.
        resamples: Resamples of the groups behind the intervals.
        seed: Of these.

    Raises:
        RunError: if there is no field, or a logit is not a number.
        ValueError: if the shapes do not agree with each other and the vocabulary.
    """
    _check(said, vocabulary)
    drawn = resample_metrics(said, resamples=resamples, seed=seed)
    floors = {
        "two commonest classes": commonest_classes(training_truth),
        "all classes": range(len(vocabulary)),
    }
    return PartEvaluation(
        fields=len(said),
        groups=len(set(said.groups)),
        resamples=resamples,
        classes_present=int(drawn.averaged["macro_f1"].sum()),
        stable_classes=int(drawn.averaged["stable_macro_f1"].sum()),
        **{metric: drawn.estimate(metric) for metric in METRICS},
        per_class=_classes(said, drawn, vocabulary),
        floors=tuple(
            _floor(name, said, columns, vocabulary, resamples=resamples, seed=seed) for name, columns in floors.items()
        ),
    )


def _check(said: PartPredictions, vocabulary: Vocabulary) -> None:
    truth, logits = said.truth, said.logits
    if truth.ndim != 2 or truth.shape != logits.shape or truth.shape[1] != len(vocabulary):
        raise ValueError(
            f"expected truth and logits of one shape (fields, {len(vocabulary)}), got {truth.shape} and {logits.shape}"
        )
    if not len(truth):
        raise RunError(
            "evaluate: the part holds no field, expected one at least. Split more fields, or other fractions."
        )
    bad = int((~np.isfinite(logits)).any(axis=1).sum())
    if bad:
        raise RunError(
            f"evaluate: {bad} of {len(logits)} fields have logits that are not finite numbers: the training diverged. "
            "Train again with a lower learning_rate."
        )


def _classes(said: PartPredictions, drawn: Resampled, vocabulary: Vocabulary) -> tuple[ClassEvaluation, ...]:
    scores = per_class(said.truth, said.called)
    estimates = {metric: drawn.estimates(metric) for metric in CLASS_METRICS}
    return tuple(
        ClassEvaluation(
            id=compartment.id,
            name=compartment.name,
            go=compartment.go,
            **{metric: each[column] for metric, each in estimates.items()},
            positives=int(scores.positives[column]),
            called=int(scores.called[column]),
            groups=int(drawn.support["recall"][column]),
        )
        for column, compartment in enumerate(vocabulary.compartments)
    )


def _floor(
    name: str, said: PartPredictions, columns: Sequence[int], vocabulary: Vocabulary, *, resamples: int, seed: int
) -> Floor:
    called = np.zeros(said.truth.shape, np.bool_)
    called[:, list(columns)] = True
    drawn = resample_metrics(replace(said, called=called), resamples=resamples, seed=seed, metrics=FLOOR_METRICS)
    # what the answer never calls has an F1 of 0 on any fields, however few were seen
    support = {**drawn.support, "f1": np.where(called.any(axis=0), drawn.support["f1"], CERTAIN)}
    drawn = replace(drawn, support=support)
    classes = tuple(vocabulary.compartments[column].id for column in columns)
    return Floor(name, classes, **{metric: drawn.estimate(metric) for metric in FLOOR_METRICS})
