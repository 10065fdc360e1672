"""Label noise: which label sets are likely wrong.

Everywhere ``truth`` is the multi-hot array of the labels as they were given, (fields, classes), right or wrong, and
``probabilities`` are calibrated ones of the same shape, from a network that did not learn from the field itself
(out-of-fold), or the surest of its mistakes would be taken for knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]
Hot = NDArray[np.bool_]

MISTAKES = ("a class is missing", "a class is wrong", "one class stands for another")
WRONG_SHARE = 0.05  # of label sets, before anything is seen of them; scales the scores, hardly moves the ranking
LEAST_PROBABILITY = 1e-4  # a network is never surer: one rare class may not outweigh everything else
LEAST_FIELDS = 5  # the mean over fewer is no threshold: a class of one odd field would be "confidently" everywhere
MOST_AGREEMENT = 0.99  # mates of small groups agree by chance, and one of them may still be mislabelled


@dataclass(frozen=True, eq=False)
class ConfidentJoint:
    """How given labels stand to what is said with confidence (Northcutt, Jiang and Chuang, JAIR 70:1373, 2021).

    A class is said with confidence to be present (absent) where its probability reaches the mean that it has among
    the fields given (not given) the class; where both are reached, the likelier counts.

    Attributes:
        present: Mean probability of the fields given each class, (classes,) in 0..1; nan where under five are.
        absent: Mean of 1 - probability of the fields not given it, (classes,) in 0..1; nan where under five are not.
        counts: Fields by class, given (0 no, 1 yes), said with confidence (0 absent, 1 present), (classes, 2, 2) int64.
        given: Fields by class that are not given it and that are, (classes, 2) int64.
    """

    present: Floats
    absent: Floats
    counts: NDArray[np.int64]
    given: NDArray[np.int64]

    @property
    def missing(self) -> Floats:
        """Estimate how many fields lack a label of each class, (classes,)."""
        return self._estimated(0)

    @property
    def wrong(self) -> Floats:
        """Estimate how many fields have each class that should not, (classes,)."""
        return self._estimated(1)

    @property
    def wrong_labels(self) -> float:
        """Estimate how many labels are missing or wrong in all.

        These are too many where the network is unsure of everything, or mates truly differ.
        """
        return float(self.missing.sum() + self.wrong.sum())

    def _estimated(self, given: int) -> Floats:
        """Scale the confident ones up to all fields with this label."""
        confident = self.counts[:, given]
        return confident[:, 1 - given] / np.maximum(confident.sum(axis=1), 1) * self.given[:, given]


@dataclass(frozen=True, eq=False)
class Suspects:
    """Fields by how likely their label set is wrong.

    Attributes:
        order: Rows, the most suspicious first, (fields,).
        scores: Probability in 0..1 that the label set is wrong, if a twentieth of all were, (fields,), row by row.
        mistakes: The likeliest mistake, a place in :data:`MISTAKES`, (fields,).
        missing: Column of the class most likely missing, (fields,); -1 where all classes are given.
        wrong: Column of the given class most likely wrong, (fields,); -1 where none is given.
        probabilities: What was believed: the network's, or pooled with the mates' labels, (fields, classes) in 0..1.
        self_confidence: Believed probability of each label as it is given, (fields, classes) in 0..1.
        mates: What mates' labels say, (fields, classes) in 0..1, or None without groups.
        joint: Thresholds and counts of confident learning, on what was believed.
    """

    order: NDArray[np.intp]
    scores: Floats
    mistakes: NDArray[np.intp]
    missing: NDArray[np.intp]
    wrong: NDArray[np.intp]
    probabilities: Floats
    self_confidence: Floats
    mates: Floats | None
    joint: ConfidentJoint


def suspects(truth: ArrayLike, probabilities: ArrayLike, *, groups: Sequence[str] | None = None) -> Suspects:
    """Rank fields by how likely their label set is wrong.

    Each field may have one mistake, of three kinds taken as equally frequent: a class was forgotten; a class was added,
    drawn by its frequency; or one class was taken for another. By Bayes' rule each possible mistake has the odds of
    the label set before it to the given one. A rare class that is given against a low probability is thus no more
    suspicious than a common one: its probability is low in nearly all fields that truly have it.

    With groups, whose fields mostly share one label set (one antibody), :func:`mates_opinion` joins in.

    Args:
        truth: Labels as given, multi-hot (fields, classes).
        probabilities: Calibrated and out-of-fold, in 0..1, (fields, classes).
        groups: Group of each field; without it every field stands alone.

    Raises:
        ValueError: if the shapes differ, there is no field, or a probability is not in 0..1.
    """
    given, believed = _checked(truth, probabilities)
    mates = None if groups is None else mates_opinion(given, groups)
    if mates is not None:
        believed = expit(_logit(believed) + logit(mates) - logit(_frequencies(given)))
    odds, missing, wrong = _odds_of_mistakes(given, believed)
    scores = expit(np.log(odds.sum(axis=1)) + logit(WRONG_SHARE))
    return Suspects(
        order=np.argsort(-scores, kind="stable"),
        scores=scores,
        mistakes=odds.argmax(axis=1),
        missing=missing,
        wrong=wrong,
        probabilities=believed,
        self_confidence=np.where(given, believed, 1 - believed),
        mates=mates,
        joint=confident_joint(given, believed),
    )


def mates_opinion(truth: ArrayLike, groups: Sequence[str]) -> Floats:
    """Say from the labels of the other fields of its group which classes a field has.

    It is their share with the class, shrunken to the class's frequency as far as mates disagree in this very table:
    a beta-binomial prediction whose prior weighs (1 - a) / a fields, a being the agreement between mates (intraclass
    correlation, all classes pooled). Where groups share no labels, or a field has no mate, it is the frequency.

    Args:
        truth: Labels as given, multi-hot (fields, classes).
        groups: Group of each field.

    Returns:
        (fields, classes) float64 between 0 and 1.
    """
    given = np.asarray(truth, np.float64)
    codes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1]
    sizes, frequencies = np.bincount(codes), _frequencies(given)
    together = np.zeros((len(sizes), given.shape[1]))
    np.add.at(together, codes, given)
    agreement = _agreement(given - given.mean(axis=0), codes, sizes)
    prior = (1 - agreement) / agreement
    return (together[codes] - given + prior * frequencies) / (sizes[codes][:, None] - 1 + prior)


def _agreement(off: Floats, codes: NDArray[np.intp], sizes: NDArray[np.intp]) -> float:
    """Return the intraclass correlation of centred labels, moved off 0 and 1."""
    together = np.zeros((len(sizes), off.shape[1]))
    np.add.at(together, codes, off)
    spread, pairs = float((off**2).sum()), int((sizes * (sizes - 1)).sum())
    if not pairs or not spread:
        return 1 - MOST_AGREEMENT
    correlation = (float((together**2).sum()) - spread) / pairs / (spread / len(off))
    return min(max(correlation, 1e-6), MOST_AGREEMENT)


def confident_joint(truth: ArrayLike, probabilities: ArrayLike) -> ConfidentJoint:
    """Count, class by class, where labels contradict what is said with confidence.

    Args:
        truth: Labels as given, multi-hot (fields, classes).
        probabilities: Of the same shape, in 0..1.

    Raises:
        ValueError: if the shapes differ, there is no field, or a probability is not in 0..1.
    """
    given, believed = _checked(truth, probabilities)
    totals = np.stack([(~given).sum(axis=0), given.sum(axis=0)], axis=1)
    present = _mean_where(believed, given, totals[:, 1])
    absent = _mean_where(1 - believed, ~given, totals[:, 0])
    reaches, falls = believed >= present, 1 - believed >= absent  # nan: neither
    said_present, said_absent = reaches & (~falls | (believed > 0.5)), falls & (~reaches | (believed <= 0.5))
    said = (said_absent, said_present)
    counts = np.array([[(label & words).sum(axis=0) for words in said] for label in (~given, given)])
    return ConfidentJoint(present, absent, np.moveaxis(counts, 2, 0), totals)


def _mean_where(values: Floats, chosen: Hot, counts: NDArray[np.int64]) -> Floats:
    sums = np.where(chosen, values, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts >= LEAST_FIELDS)


def _odds_of_mistakes(given: Hot, believed: Floats) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return the odds of each kind of mistake to none, (fields, 3), and the likeliest missing and wrong columns."""
    present = np.exp(_logit(believed))  # odds of each class
    frequencies, labels = _frequencies(given), given.sum(axis=1)
    mean_labels = frequencies.sum()
    forgotten = np.where(given, 0.0, present)
    added = np.where(given, frequencies / present, 0.0)
    lost, extra = forgotten.sum(axis=1), added.sum(axis=1)
    odds = np.stack(
        [lost / (labels + 1), extra / mean_labels, extra * lost / (np.maximum(labels, 1) * mean_labels)], axis=1
    )
    missing = np.where(given.all(axis=1), -1, forgotten.argmax(axis=1))
    return odds / len(MISTAKES), missing, np.where(given.any(axis=1), added.argmax(axis=1), -1)


def _frequencies(given: NDArray[Any]) -> Floats:
    """Return the share of the fields given each class, a class no field or every field has moved off 0 and 1."""
    least = 0.5 / len(given)
    return np.clip(given.mean(axis=0), least, 1 - least)


def _logit(probabilities: Floats) -> Floats:
    return logit(np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))


def _checked(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Hot, Floats]:
    given, believed = np.asarray(truth), np.asarray(probabilities, np.float64)
    if given.ndim != 2 or given.shape != believed.shape or not given.size:
        raise ValueError(f"expected labels and probabilities of one shape, got {given.shape} and {believed.shape}")
    if not ((believed >= 0) & (believed <= 1)).all():  # nan is caught too
        raise ValueError("expected probabilities in 0..1, got others. Give calibrated probabilities, not logits.")
    return given.astype(np.bool_), believed


@dataclass(frozen=True, eq=False)
class FlippedLabels:
    """Labels with known mistakes.

    Attributes:
        targets: Multi-hot labels with the mistakes in them, (fields, classes) uint8.
        flipped: Which fields have one, (fields,) bool.
    """

    targets: NDArray[np.uint8]
    flipped: Hot


def flip_labels(targets: ArrayLike, *, share: float, generator: np.random.Generator) -> FlippedLabels:
    """Put one mistake into a share of the label sets, so that finding them can be tried.

    A field loses one of its labels, gets one it has not, or has one exchanged for another, each as often; classes come
    in by their frequency. A field of one label does not lose it.

    Args:
        targets: Right labels, multi-hot (fields, classes) with two classes at least.
        share: Of the fields, 0..1.
        generator: Which fields, and which mistakes.
    """
    right = np.asarray(targets, np.uint8)
    flipped, frequencies = right.copy(), _frequencies(right)
    rows = generator.choice(len(right), round(share * len(right)), replace=False)
    for row in rows:
        labels, others = np.flatnonzero(right[row]), np.flatnonzero(right[row] == 0)
        loses, gains = _mistake(len(labels), len(others), generator)
        if loses:
            flipped[row, generator.choice(labels)] = 0
        if gains:
            flipped[row, generator.choice(others, p=frequencies[others] / frequencies[others].sum())] = 1
    return FlippedLabels(flipped, np.isin(np.arange(len(right)), rows))


def _mistake(labels: int, others: int, generator: np.random.Generator) -> tuple[bool, bool]:
    """Choose whether a field loses a label, and whether it gets one."""
    possible = [
        (loses, gains)
        for loses, gains in ((True, False), (False, True), (True, True))
        if (labels > (0 if gains else 1) or not loses) and (others or not gains)
    ]
    return possible[generator.integers(len(possible))]
