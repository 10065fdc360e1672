"""Thresholds: from which probability a class is called.

F1 asks for lower thresholds than 0.5 where a class is hard to tell (Lipton, Elkan, Naryanaswamy: Optimal thresholding
of classifiers to maximize F1 measure, ECML 2014). But F1 is a step function of the threshold, and on few positives its
highest step is luck. So every tuned threshold is a mean over resamples of the groups, and gives way to a simpler one
the fewer groups speak for it: a class's own to the shared one, the shared one to 0.5, all on the scale of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from protloc.judge.blocks import codes_of, group_blocks, groups_with
from protloc.judge.metrics import macro_f1

Floats = NDArray[np.float64]
Hot = NDArray[np.bool_]

RULES = ("fixed", "one", "per class", "prevalence")
DEFAULT = "one"  # of `auto`, until another rule scores better by more than noise
SUPPORT = 20  # positive groups at which a threshold of one's own weighs as much as what it shrinks to
BLOCKS = 5  # of groups, in turn left out to try the rules on
CHUNKS = 60  # of groups, drawn with replacement
RESAMPLES = 100  # of the chunks; the mean over them moves by less than a step when they are drawn anew
STEPS = np.linspace(-8.0, 8.0, 161)  # logits of the thresholds that are tried: 0.1 apart, far below any noise
FURTHEST = 30.0  # logit; as near to 0 and 1 as a float can say both ways


@dataclass(frozen=True)
class Thresholds:
    """From which probability each class is called.

    Attributes:
        values: (classes,) in 0..1.
        rule: How they were found: ``fixed``, ``one``, ``per class``, ``prevalence``.
        scores: Macro-F1 of each rule on fields where it was not fitted, by its name; empty if none was tried.
            Calibration apart, which was fitted on all the fields.
        hits: Share of the fields with each class for which it is called, (classes,) in 0..1, on the very fields that
            rule and calibration were fitted on; empty if not fitted.
        alarms: Share of the fields without each class for which it is called, likewise.
    """

    values: tuple[float, ...]
    rule: str
    scores: dict[str, float]
    hits: tuple[float, ...] = ()
    alarms: tuple[float, ...] = ()

    @classmethod
    def fixed(cls, classes: int) -> Thresholds:
        """Return 0.5 for every class."""
        return cls((0.5,) * classes, "fixed", {})


def fit_thresholds(
    truth: ArrayLike, probabilities: ArrayLike, *, groups: Sequence[str], rule: str = "auto", seed: int = 0
) -> Thresholds:
    """Fit the thresholds of a rule, or of the rule that holds up best where it is not fitted.

    ``fixed`` is 0.5 everywhere; ``one`` is one threshold for all classes and ``per class`` one for each, tuned for
    macro-F1; ``prevalence`` calls each class as often as it occurs. ``auto`` fits all of them on some blocks of groups,
    scores them on the block left out, and leaves ``one`` only for a rule whose macro-F1 is higher by more than
    the standard error of the difference.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        probabilities: Calibrated, in 0..1, of the same shape.
        groups: Group of each field.
        rule: One of :data:`RULES`, or ``auto``.
        seed: Of blocks and resamples.

    Raises:
        ValueError: if the shapes differ, a probability is not in 0..1, or the rule is unknown.
    """
    truth, given = np.asarray(truth) > 0, np.asarray(probabilities, np.float64)
    _check(truth, given, groups=groups, rule=rule)
    scores: dict[str, float] = {}
    if rule == "auto":
        rule, scores = _best_rule(truth, given, groups=groups, seed=seed)
    values = _fit_all(truth, given, groups=groups, seed=seed)[rule]
    called = given >= values
    hits, alarms = (_rate(called, among=among) for among in (truth, ~truth))
    return Thresholds(tuple(values.tolist()), rule, scores, hits, alarms)


def calling(probabilities: ArrayLike, *, shares: ArrayLike) -> Floats:
    """Find the thresholds from which each class is called in a share of the fields.

    Args:
        probabilities: (fields, classes) in 0..1.
        shares: (classes,) in 0..1; what is called is the nearest whole number of fields, save for equal probabilities.

    Returns:
        (classes,) in 0..1, midway on the scale of logits between the last field called and the next.
    """
    rising = np.sort(_logits(probabilities), axis=0)
    fields, classes = rising.shape
    called = np.rint(np.clip(np.asarray(shares, np.float64), 0, 1) * fields).astype(np.intp)
    edge = np.full((1, classes), FURTHEST)
    rising = np.concatenate([-edge, rising, edge])
    below, columns = fields - called, np.arange(classes)
    return expit((rising[below, columns] + rising[below + 1, columns]) / 2)


def _fit_all(truth: Hot, probabilities: Floats, *, groups: Sequence[str], seed: int) -> dict[str, Floats]:
    """Fit every rule; (classes,) thresholds by the rule's name."""
    classes = truth.shape[1]
    positive_groups = groups_with(truth, codes_of(groups))
    f1 = _resampled_f1(truth, probabilities, groups=groups, seed=seed)  # (resamples, classes, steps)
    shared = _shrunk(_best_step(_mean_f1(f1)), 0.5, support=positive_groups.sum())
    own = np.array([_best_step(f1[:, column]) for column in range(classes)])
    prevalent = calling(probabilities, shares=truth.mean(axis=0))
    return {
        "fixed": np.full(classes, 0.5),
        "one": np.full(classes, shared),
        "per class": _shrunk(own, shared, support=positive_groups),
        "prevalence": _shrunk(prevalent, shared, support=positive_groups),
    }


def _shrunk(own: ArrayLike, towards: ArrayLike, *, support: ArrayLike) -> Floats:
    """Mix thresholds on the scale of logits; one's own weighs support / (support + 20)."""
    weight = np.asarray(support, np.float64) / (np.asarray(support) + SUPPORT)
    return expit(weight * _logits(own) + (1 - weight) * _logits(towards))


def _best_rule(truth: Hot, given: Floats, *, groups: Sequence[str], seed: int) -> tuple[str, dict[str, float]]:
    """Return the rule that is best by more than noise, and the macro-F1 of each, on blocks they were not fitted on."""
    blocks = group_blocks(groups, blocks=BLOCKS, seed=seed)
    if not truth.any() or blocks.max() + 1 < BLOCKS:
        return DEFAULT, {}
    called = _called_elsewhere(truth, given, groups=groups, blocks=blocks, seed=seed)
    chunks = group_blocks(groups, blocks=CHUNKS, seed=seed)
    drawn = {rule: _drawn_macro_f1(truth, called[rule], chunks=chunks, seed=seed) for rule in RULES}
    scores = {rule: macro_f1(truth, called[rule]) for rule in RULES}
    gains = {rule: scores[rule] - scores[DEFAULT] - float(np.std(drawn[rule] - drawn[DEFAULT])) for rule in RULES}
    return max((DEFAULT, *RULES), key=lambda rule: gains[rule]), scores


def _called_elsewhere(
    truth: Hot, given: Floats, *, groups: Sequence[str], blocks: NDArray[np.intp], seed: int
) -> dict[str, Hot]:
    """Call the classes of every block by rules fitted on the others; (fields, classes) by the rule's name."""
    names = np.asarray(groups, dtype=np.str_)
    called = {rule: np.zeros(truth.shape, np.bool_) for rule in RULES}
    for block in np.unique(blocks):
        here = blocks == block
        fitted = _fit_all(truth[~here], given[~here], groups=names[~here].tolist(), seed=seed)
        for rule, values in fitted.items():
            called[rule][here] = given[here] >= values
    return called


def _resampled_f1(truth: Hot, probabilities: Floats, *, groups: Sequence[str], seed: int) -> Floats:
    """Compute F1 at every step in resamples of groups, (resamples, classes, steps); nan without a positive."""
    chunks = group_blocks(groups, blocks=CHUNKS, seed=seed)
    passed = np.searchsorted(STEPS, _logits(probabilities), side="right")
    right, called = (_at_steps(passed, chunks, weights=weights) for weights in (truth, np.ones_like(truth)))
    positives = _sums(truth, chunks)
    draws = _draws(len(positives), seed=seed)
    right, called = np.tensordot(draws, right, 1), np.tensordot(draws, called, 1)
    return _f1(right, called, (draws @ positives)[..., None])


def _at_steps(passed: NDArray[np.intp], chunks: NDArray[np.intp], *, weights: Hot) -> Floats:
    """Count the fields at or above each step, (chunks, classes, steps), from the number of steps each one passed."""
    classes, bins = passed.shape[1], len(STEPS) + 1
    shape = (int(chunks.max()) + 1, classes, bins)
    places = (chunks[:, None] * classes + np.arange(classes)) * bins + passed
    counts = np.bincount(places.ravel(), weights=weights.ravel(), minlength=int(np.prod(shape))).reshape(shape)
    return np.cumsum(counts[..., ::-1], axis=2, dtype=np.float64)[..., -2::-1]


def _best_step(f1: Floats) -> float:
    """Return the mean over resamples of the best threshold, (resamples, steps); 0.5 if there never is one."""
    f1 = f1[~np.isnan(f1).any(axis=1)]
    if not len(f1):
        return 0.5
    best = f1 >= f1.max(axis=1, keepdims=True) - 1e-12  # often a plateau: between two positives all are as good
    return float(expit(np.mean(best @ STEPS / best.sum(axis=1))))


def _mean_f1(f1: Floats) -> Floats:
    """Average over the classes that a resample has; nan if it has none."""
    present = ~np.isnan(f1)
    counted = present.sum(axis=1)
    return np.where(counted > 0, np.nansum(f1, axis=1) / np.maximum(counted, 1), np.nan)


def _drawn_macro_f1(truth: Hot, called: Hot, *, chunks: NDArray[np.intp], seed: int) -> Floats:
    """Compute macro-F1 in resamples of the chunks, (resamples,)."""
    sums = [_sums(hot, chunks) for hot in (truth & called, called, truth)]
    draws = _draws(len(sums[0]), seed=seed)
    right, calls, positives = (draws @ each for each in sums)
    return _mean_f1(_f1(right, calls, positives)[..., None])[:, 0]


def _f1(right: Floats, called: Floats, positives: Floats) -> Floats:
    """Compute F1 from counts; nan without a positive."""
    return np.where(positives > 0, 2 * right / np.maximum(called + positives, 1), np.nan)


def _draws(chunks: int, *, seed: int) -> Floats:
    """Draw how often each chunk is in each resample, (resamples, chunks)."""
    return np.random.default_rng(seed).multinomial(chunks, np.full(chunks, 1 / chunks), RESAMPLES).astype(np.float64)


def _sums(hot: Hot, chunks: NDArray[np.intp]) -> Floats:
    """Count the fields with each class in each chunk, (chunks, classes)."""
    return np.array([hot[chunks == chunk].sum(axis=0) for chunk in range(int(chunks.max()) + 1)], np.float64)


def _rate(called: Hot, *, among: Hot) -> tuple[float, ...]:
    """Return how often each class is called; half a field is added to both outcomes, so that no rate is 0 or 1."""
    rates = ((called & among).sum(axis=0) + 0.5) / (among.sum(axis=0) + 1)
    return tuple(rates.tolist())


def _logits(probabilities: ArrayLike) -> Floats:
    return np.clip(logit(np.asarray(probabilities, np.float64)), -FURTHEST, FURTHEST)


def _check(truth: Hot, probabilities: Floats, *, groups: Sequence[str], rule: str) -> None:
    """Refuse what thresholds cannot be fitted to."""
    if truth.ndim != 2 or truth.shape != probabilities.shape or len(groups) != len(truth) or not len(truth):
        raise ValueError(
            "expected truth and probabilities of one shape (fields, classes) and a group a field, with a field at "
            f"least, got {truth.shape}, {probabilities.shape} and {len(groups)} groups"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("expected probabilities in 0..1: give calibrated probabilities, not logits")
    if rule not in (*RULES, "auto"):
        raise ValueError(f"unknown rule {rule!r} for thresholds: choose one of auto, {', '.join(RULES)}")
