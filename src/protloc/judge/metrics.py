"""Metrics of multi-label answers: F1, average precision, loss.

Everywhere ``truth`` is a multi-hot array of shape (fields, classes), uint8; ``answers`` says which classes were called,
bool, of the same shape; ``scores`` and ``logits`` are floats of the same shape, higher where a class is likelier.

Rules, the same everywhere: a class is *present* if a field of the part has it. Means over classes (macro-F1, mean
average precision) run over the present classes, and are nan if there is none. A present class that is never called has
an F1 of 0. A field without a location for which nothing is called counts 1 in samples-F1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

_ROWS = 2**12  # of 28 classes: 1 MB a table, which caches hold

Floats = NDArray[np.float64]
Hot = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassScores:
    """How well each class was called.

    Attributes:
        precision: Share of the calls that are right, (classes,) in 0..1; nan where the class was never called.
        recall: Share of the fields with the class that were called, (classes,) in 0..1; nan where it is absent.
        f1: Harmonic mean of the two, (classes,) in 0..1; 0 where a present class was never called, nan where absent.
        positives: Fields with the class, (classes,) int64.
        called: Fields for which it was called, (classes,) int64.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    positives: NDArray[np.int64]
    called: NDArray[np.int64]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision at each recall, as the threshold rises.

    Attributes:
        precision: (thresholds + 1,) in 0..1, ending with 1.
        recall: (thresholds + 1,) in 0..1, falling, ending with 0; nan without a positive.
        thresholds: (thresholds,) distinct scores, rising; a class is called at its threshold and above.
    """

    precision: Floats
    recall: Floats
    thresholds: Floats


def sigmoid(logits: ArrayLike) -> Floats:
    """Turn logits into probabilities in 0..1, without overflow, float64 of the same shape."""
    return expit(np.asarray(logits, np.float64))


def answers_of(logits: ArrayLike, *, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Call the classes whose probability reaches their threshold.

    Args:
        logits: Floats of shape (fields, classes).
        thresholds: A probability a class; a class *at* its threshold is called.

    Returns:
        Answers of shape (fields, classes), bool.
    """
    return sigmoid(logits) >= np.asarray(thresholds, np.float64)


def per_class(truth: ArrayLike, answers: ArrayLike) -> ClassScores:
    """Score every class by itself.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    truth, answers = _hot(truth, answers)
    positives, called, right = (hot.sum(axis=0, dtype=np.int64) for hot in (truth, answers, truth & answers))
    f1 = np.where(positives > 0, _ratio(2 * right, positives + called), np.nan)
    return ClassScores(_ratio(right, called), _ratio(right, positives), f1, positives, called)


def macro_f1(truth: ArrayLike, answers: ArrayLike) -> float:
    """Average F1 over the present classes; nan if there is none.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    return _mean_of_present(per_class(truth, answers).f1)


def samples_f1(truth: ArrayLike, answers: ArrayLike) -> float:
    """Average over fields the F1 between each field's label set and its answer; nan without fields.

    A field with neither label nor call counts 1 (scikit-learn's ``zero_division=1``).

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    each = field_f1(truth, answers)
    return float(each.mean()) if len(each) else float("nan")


def field_f1(truth: ArrayLike, answers: ArrayLike) -> Floats:
    """Compute the F1 between each field's label set and its answer, 1 where both are empty; shape (fields,).

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    truth, answers = _hot(truth, answers)
    named = truth.sum(1) + answers.sum(1)
    return np.where(named > 0, 2 * (truth & answers).sum(1) / np.maximum(named, 1), 1.0)


def micro_f1(truth: ArrayLike, answers: ArrayLike) -> float:
    """Compute F1 over all fields and classes pooled; 1 if nothing is labelled and nothing called, nan without fields.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    truth, answers = _hot(truth, answers)
    if not len(truth):
        return float("nan")
    named = int(truth.sum() + answers.sum())
    return float(2 * (truth & answers).sum() / named) if named else 1.0


def average_precision(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """Compute the average precision of every class: the step-wise area under its precision-recall curve.

    Equal scores are one step, so the order of the fields does not matter.

    Returns:
        (classes,) in 0..1; nan where the class is absent.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    truth, scores = np.asarray(truth), np.asarray(scores)
    _check_shapes(truth, scores)
    columns = zip(truth.T.astype(np.bool_), scores.T, strict=True)
    return np.array([_average_precision(*column) for column in columns], np.float64)


def mean_average_precision(truth: ArrayLike, scores: ArrayLike) -> float:
    """Average the average precision over the present classes; nan if there is none.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    return _mean_of_present(average_precision(truth, scores))


def precision_recall_curve(truth: ArrayLike, scores: ArrayLike) -> PrecisionRecall:
    """Trace precision and recall over every threshold, for one class or, with 2-d arrays, all pooled (micro).

    Args:
        truth: 0 or 1, of shape (fields,) or (fields, classes).
        scores: Floats of the same shape.

    Raises:
        ValueError: if the shapes differ or there is nothing in them.
    """
    truth, scores = np.asarray(truth).ravel() > 0, np.asarray(scores, np.float64).ravel()
    if truth.shape != scores.shape or not truth.size:
        raise ValueError(
            f"expected truth and scores of one shape with a field at least, got {truth.shape} and {scores.shape}"
        )
    right, called, thresholds = _steps(truth, scores)
    precision = np.append((right / called)[::-1], 1.0)
    recall = np.append(_ratio(right, np.full(len(right), right[-1]))[::-1], 0.0)
    return PrecisionRecall(precision, recall, thresholds[::-1])


def bce_loss(truth: ArrayLike, logits: ArrayLike) -> float:
    """Compute the mean binary cross-entropy over all fields and classes, in nats; nan without fields.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    losses = field_losses(truth, logits)
    return float(losses.mean()) if losses.size else float("nan")


def field_losses(truth: ArrayLike, logits: ArrayLike) -> Floats:
    """Compute each field's binary cross-entropy, the mean over its classes, in nats: what ranks best and worst fields.

    Returns:
        (fields,) of 0 or more.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    truth, logits = np.asarray(truth), np.asarray(logits)
    _check_shapes(truth, logits)
    losses = np.empty(len(logits))
    for start in range(0, len(logits), _ROWS):
        here = slice(start, start + _ROWS)
        hot, said = _scored(truth[here], logits[here])
        losses[here] = (np.logaddexp(0.0, said) - hot * said).mean(axis=1)
    return losses


def called_instead(truth: ArrayLike, answers: ArrayLike) -> Floats:
    """Tell what is called when a class is missed.

    Entry (i, j) is, among the fields that have class i and were not called i, the share for which class j was called
    though the field does not have it. A row may sum to more than 1 (several wrong calls a field) or less (none). The
    diagonal is 0. Unlike a single-label confusion matrix it blames no right answer.

    Returns:
        (classes, classes) in 0..1; a row is nan where its class was never missed.

    Raises:
        ValueError: if the shapes are not one and the same (fields, classes).
    """
    truth, answers = _hot(truth, answers)
    missed = (truth & ~answers).astype(np.float64)
    wrong = (answers & ~truth).astype(np.float64)
    together = missed.T @ wrong
    return _ratio(together, np.broadcast_to(missed.sum(0)[:, None], together.shape))


def _hot(truth: ArrayLike, answers: ArrayLike) -> tuple[Hot, Hot]:
    """Take both as bool arrays of one shape (fields, classes)."""
    truth, answers = np.asarray(truth), np.asarray(answers)
    _check_shapes(truth, answers)
    return truth.astype(np.bool_), answers.astype(np.bool_)


def _scored(truth: ArrayLike, scores: ArrayLike) -> tuple[Hot, Floats]:
    """Take truth as bool, scores as float64, of one shape (fields, classes)."""
    truth, scores = np.asarray(truth), np.asarray(scores, np.float64)
    _check_shapes(truth, scores)
    return truth.astype(np.bool_), scores


def _check_shapes(truth: NDArray[Any], other: NDArray[Any]) -> None:
    if truth.ndim != 2 or truth.shape != other.shape:
        raise ValueError(f"expected two arrays of one shape (fields, classes), got {truth.shape} and {other.shape}")


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Divide, giving nan where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean_of_present(values: Floats) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _steps(truth: Hot, scores: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Count right calls and calls at each distinct score, from the highest down."""
    order = np.argsort(-scores)  # equal scores in any order: they are one step
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return np.cumsum(truth[order], dtype=np.int64)[ends], ends + 1, ranked[ends]


def _average_precision(truth: Hot, scores: NDArray[Any]) -> float:
    if not truth.any():
        return float("nan")
    reached, gained = np.unique(scores[truth], return_counts=True)  # rising; elsewhere recall stands still
    right = np.cumsum(gained[::-1])[::-1]
    called = len(scores) - np.searchsorted(np.sort(scores), reached)
    return float(np.sum(gained * right / called) / right[0])
