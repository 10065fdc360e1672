"""Label shift: answers adapted to the batch at hand.

Under label shift a class becomes rarer or more frequent while its fields look as before. How frequent it is among
unlabelled fields is then estimated from the answers alone: by expectation maximisation (Saerens, Latinne, Decaestecker:
Adjusting the outputs of a classifier to new a priori probabilities, Neural Computation 14, 2002) or from the rates of
hits and false alarms (Lipton, Wang, Smola: Detecting and correcting for label shift with black box predictors,
ICML 2018). Both are taken class by class, since fields have several labels.

Networks of an ensemble are counted one by one and averaged: hits and alarms were measured on single networks, and their
mean calls less often by mistake, which would pass for a shift.

Neither is believed outright. The change of a class's log-odds is multiplied by T / (T + its own squared standard
error), where T is what the squared changes of all classes are above their errors: an empirical Bayes estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from protloc.judge.answering import AnswerRule

Floats = NDArray[np.float64]
Estimator = Literal["black box", "em"]

FEWEST = 100  # fields; a class of 1 % is then in one of them: hardly anything to count
HALVINGS = 30  # of the interval 0..1 in which a prevalence is sought: to 1e-9
UNTOLD = 0.1  # squared change of log-odds, that of Kaggle's test fields; weighs classes when changes are pooled


@dataclass(frozen=True, eq=False)
class Prevalences:
    """How frequent classes are in a batch of unlabelled fields.

    Attributes:
        before: Share of the fields with each class where the model was judged, (classes,) in 0..1.
        estimated: What the batch alone says, (classes,) in 0..1.
        errors: Standard error of the estimated change of log-odds, (classes,).
        after: The estimate shrunk towards ``before`` by how much the batch can tell, (classes,) in 0..1.
    """

    before: Floats
    estimated: Floats
    errors: Floats
    after: Floats

    @property
    def changes(self) -> Floats:
        """By how much log-odds change from ``before`` to ``after``, (classes,), in nats; 0 where before is 0 or 1."""
        return _changes(self.before, self.after)


@dataclass(frozen=True, eq=False)
class Adaptation:
    """A rule adapted to a batch of fields.

    Attributes:
        rule: The rule for this batch; the one given if the batch cannot be adapted to.
        prevalences: What was estimated; None if nothing was.
        fields: How many fields were looked at.
        reason: Why nothing was changed; empty if something was.
    """

    rule: AnswerRule
    prevalences: Prevalences | None
    fields: int
    reason: str

    def words(self, names: Sequence[str], *, most: int = 3) -> str:
        """Say in one sentence what was adapted, with the ``most`` changed classes, whose names are given in order."""
        if self.prevalences is None:
            return f"Not adapted: {self.reason}."
        before, after = self.prevalences.before, self.prevalences.after
        order = np.argsort(-np.abs(self.prevalences.changes), kind="stable")[:most]
        changed = ", ".join(f"{names[place]} {before[place]:.1%} to {after[place]:.1%}" for place in order)
        return f"Adapted to how frequent classes are in these {self.fields:,} fields; changed most: {changed}."


def em_prevalences(probabilities: ArrayLike, *, prevalences: ArrayLike, judged: int) -> Prevalences:
    """Estimate how frequent each class is in a batch, from calibrated probabilities.

    Where the prevalence is q instead of p, a field whose probability was s has the likelihood q s / p + (1 - q)
    (1 - s) / (1 - p). Expectation maximisation climbs to the q of the highest likelihood of all fields; as the
    likelihood has one peak, halving an interval finds the same q in fewer steps.

    Args:
        probabilities: Calibrated for ``prevalences``, (fields, classes) in 0..1, one field at least; or those of an
            ensemble's networks, (members, fields, classes): the mean of their log likelihoods is climbed.
        prevalences: Share of the fields with each class where they were calibrated, (classes,) in 0..1.
        judged: How many fields those were.
    """
    given, before = each_member(probabilities), np.asarray(prevalences, np.float64)
    known = (before > 0) & (before < 1)
    old = np.where(known, before, 0.5)
    absent = (1 - given) / (1 - old)
    difference = given / old - absent
    low, high = np.zeros(len(old)), np.ones(len(old))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rising = (difference / (absent + middle * difference)).sum(axis=(0, 1)) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    members, fields, _ = given.shape
    found = _inside((low + high) / 2, old, fields=fields)
    information = ((difference / (absent + found * difference)) ** 2).sum(axis=(0, 1)) / members
    variance = 1 / np.maximum(information, 1e-12) / (found * (1 - found)) ** 2
    return _shrink(before, found, variance + 1 / (judged * old * (1 - old)))


def black_box_prevalences(
    called: ArrayLike, *, hits: ArrayLike, alarms: ArrayLike, prevalences: ArrayLike, judged: int
) -> Prevalences:
    """Estimate how frequent each class is in a batch, from how often it is called.

    A class of prevalence q is called in q hits + (1 - q) alarms of the fields; solved for q, and kept in 0..1.

    Args:
        called: Which classes are called, (fields, classes) bool, one field at least; or by which of an ensemble's
            networks, (members, fields, classes).
        hits: Share of labelled fields with each class for which the same rule called it, (classes,) in 0..1.
        alarms: Share of those without each class, likewise.
        prevalences: Share of the labelled fields with each class, (classes,) in 0..1.
        judged: How many labelled fields there were.
    """
    share, before = each_member(called).mean(axis=0), np.asarray(prevalences, np.float64)
    hits, alarms, fields = np.asarray(hits, np.float64), np.asarray(alarms, np.float64), len(share)
    gap = np.maximum(hits - alarms, 1e-3)
    found = _inside((share.mean(axis=0) - alarms) / gap, before, fields=fields)
    often = (share.sum(axis=0) + 0.5) / (fields + 1)
    variances = often * (1 - often) / fields  # of one network; the mean of several has no more
    variances += found**2 * hits * (1 - hits) / np.maximum(judged * before, 1)
    variances += (1 - found) ** 2 * alarms * (1 - alarms) / np.maximum(judged * (1 - before), 1)
    return _shrink(before, found, variances / (gap * found * (1 - found)) ** 2)


def adapted(rule: AnswerRule, logits: ArrayLike, *, estimator: Estimator = "black box") -> Adaptation:
    """Adapt a rule to the prevalences of the fields it is to answer.

    The calibration's intercepts move by the change of the log-odds of the prevalences, which is Bayes' rule. Thresholds
    and cuts stay: they are probabilities, and the probabilities have moved. But the error rate that the cuts were
    chosen for is promised only for fields like those they were fitted on.

    Args:
        rule: The rule as it was fitted, not adapted before.
        logits: Raw logits of the batch, (fields, classes); of an ensemble those of each network, (members, fields,
            classes), not their mean. Fields with nan are left aside.
        estimator: Of prevalences: ``black box``, or ``em``, which gains less and loses where calibrated logits are not
            quite log-odds (``docs/thresholds.md``).
    """
    logits = each_member(logits)
    told = logits[:, ~np.isnan(logits).any(axis=(0, 2))]
    fields = told.shape[1]
    reason = _why_not(rule, fields=fields)
    if reason:
        return Adaptation(rule, None, fields, reason)
    found = _estimate(rule, rule.probabilities(told), estimator=estimator)
    intercepts = np.asarray(rule.calibration.intercepts) + found.changes
    calibration = replace(rule.calibration, intercepts=tuple(intercepts.tolist()))
    prevalences = tuple(found.after.tolist())
    return Adaptation(replace(rule, calibration=calibration, prevalences=prevalences), found, fields, "")


def _estimate(rule: AnswerRule, probabilities: Floats, *, estimator: Estimator) -> Prevalences:
    if estimator == "em":
        return em_prevalences(probabilities, prevalences=rule.prevalences, judged=rule.fields)
    return black_box_prevalences(
        rule.called(probabilities),
        hits=rule.thresholds.hits,
        alarms=rule.thresholds.alarms,
        prevalences=rule.prevalences,
        judged=rule.fields,
    )


def _why_not(rule: AnswerRule, *, fields: int) -> str:
    """Say why a rule cannot be adapted, or nothing."""
    if not rule.fields or not rule.thresholds.hits:
        return "the model was never judged, so it is unknown how frequent classes were"
    if fields < FEWEST:
        return f"too few fields ({fields}) to tell how frequent classes are, {FEWEST} are needed"
    return ""


def each_member(given: ArrayLike) -> Floats:
    """Give what is of one network the shape of an ensemble's, (members, fields, classes), float64."""
    given = np.asarray(given, np.float64)
    return given if given.ndim == 3 else given[None]


def log_odds(shares: Floats) -> Floats:
    """Return the log-odds of shares in 0..1, of the same shape, in nats; finite at 0 and 1 too."""
    return logit(np.clip(shares, 1e-12, 1 - 1e-12))


def believed(changes: Floats, variances: Floats, *, untold: float) -> Floats:
    """Shrink changes of log-odds by how well they are known: an empirical Bayes estimate over the classes.

    Args:
        changes: As they were found, (classes,), in nats.
        variances: Squares of their standard errors, (classes,), above 0; inf where nothing is known.
        untold: Squared change to be expected, which weighs the classes when their changes are pooled.
    """
    weights = 1 / (variances + untold) ** 2
    above = changes**2 - np.where(np.isfinite(variances), variances, 0)
    spread = max(float(np.sum(weights * above)), 0) / max(float(weights.sum()), 1e-12)
    return changes * spread / (spread + variances)


def _shrink(before: Floats, found: Floats, variances: Floats) -> Prevalences:
    """Shrink what was found towards what was before; ``variances`` are those of the change of log-odds."""
    known = (before > 0) & (before < 1)
    squared = np.where(known, variances, np.inf)
    change = believed(_changes(before, found), squared, untold=UNTOLD)
    after = np.where(known, expit(log_odds(before) + change), before)
    return Prevalences(before, np.where(known, found, before), np.sqrt(squared), after)


def _inside(found: Floats, before: Floats, *, fields: int) -> Floats:
    """Keep estimates half a field away from 0 and 1, where log-odds are finite, or as near as they were before."""
    low, high = np.minimum(before, 0.5 / fields), np.maximum(before, 1 - 0.5 / fields)
    return np.clip(found, np.maximum(low, 1e-9), np.minimum(high, 1 - 1e-9))


def _changes(before: Floats, after: Floats) -> Floats:
    known = (before > 0) & (before < 1)
    return np.where(known, log_odds(after) - log_odds(before), 0.0)
