"""Judging the answers for one part of the fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protloc.atlas.vocabulary import Vocabulary
from protloc.curate.imbalance import commonest_classes
from protloc.errors import RunError
from protloc.judge.evaluation import ClassEvaluation, Estimate, Evaluation, Floor, PartEvaluation
from protloc.judge.metrics import (
    answers_of,
    average_precision,
    bce_loss,
    macro_f1,
    mean_average_precision,
    micro_f1,
    per_class,
    samples_f1,
)

__all__ = ["ClassEvaluation", "Estimate", "Evaluation", "Floor", "PartEvaluation", "evaluate_part"]


def evaluate_part(
    truth: ArrayLike,
    logits: ArrayLike,
    *,
    vocabulary: Vocabulary,
    thresholds: Sequence[float],
    training_truth: ArrayLike,
) -> PartEvaluation:
    """Judge the logits of one part.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        logits: Floats of shape (fields, classes), classes in the order of ``vocabulary``.
        vocabulary: What the columns mean.
        thresholds: Probability from which each class is called, in 0..1, in column order.
        training_truth: Multi-hot array (training fields, classes): its two commonest classes make the first floor.

    Raises:
        RunError: if there is no field, or a logit is not a number.
        ValueError: if the shapes do not agree with each other and the vocabulary.
    """
    truth, logits = np.asarray(truth), np.asarray(logits, np.float64)
    _check(truth, logits, vocabulary)
    answers = answers_of(logits, thresholds=thresholds)
    return PartEvaluation(
        fields=len(truth),
        classes_present=int(truth.any(axis=0).sum()),
        loss=Estimate(bce_loss(truth, logits)),
        **_f1_scores(truth, answers),
        mean_average_precision=Estimate(mean_average_precision(truth, logits)),
        per_class=_classes(truth, logits, answers, vocabulary),
        floors=(
            _floor("two commonest classes", truth, commonest_classes(training_truth), vocabulary),
            _floor("all classes", truth, range(len(vocabulary)), vocabulary),
        ),
    )


def _check(truth: NDArray[Any], logits: NDArray[np.float64], vocabulary: Vocabulary) -> None:
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


def _f1_scores(truth: NDArray[Any], answers: NDArray[np.bool_]) -> dict[str, Estimate]:
    scores = {"macro_f1": macro_f1, "samples_f1": samples_f1, "micro_f1": micro_f1}
    return {name: Estimate(score(truth, answers)) for name, score in scores.items()}


def _classes(
    truth: NDArray[Any], logits: NDArray[np.float64], answers: NDArray[np.bool_], vocabulary: Vocabulary
) -> tuple[ClassEvaluation, ...]:
    scores = per_class(truth, answers)
    areas = average_precision(truth, logits)
    return tuple(
        ClassEvaluation(
            id=compartment.id,
            name=compartment.name,
            go=compartment.go,
            precision=Estimate(float(scores.precision[column])),
            recall=Estimate(float(scores.recall[column])),
            f1=Estimate(float(scores.f1[column])),
            average_precision=Estimate(float(areas[column])),
            positives=int(scores.positives[column]),
            called=int(scores.called[column]),
        )
        for column, compartment in enumerate(vocabulary.compartments)
    )


def _floor(name: str, truth: NDArray[Any], columns: Sequence[int], vocabulary: Vocabulary) -> Floor:
    answers = np.zeros(truth.shape, bool)
    answers[:, list(columns)] = True
    classes = tuple(vocabulary.compartments[column].id for column in columns)
    return Floor(name, classes, **_f1_scores(truth, answers))
