"""Answers matched to a stated prior, for networks on foreign images.

On images unlike those it learnt from, a network is off by an unknown constant a class: some compartments are seen
everywhere, others nowhere. Where it is known how frequent classes are among fields of many proteins, that can be mended
on the user's own unlabelled fields: the intercept of each class moves until the mean probability is what was stated.

This is the prior adjustment of Saerens, Latinne and Decaestecker (Neural Computation 14, 2002) taken the other way
round. There, and in :func:`protloc.judge.shift.adapted`, the network is trusted and the prevalence is not known. Here
the prevalence is stated and the network is not trusted, as the images are foreign to it.

It takes two steps. By Bayes' rule the log-odds move from the prevalences that the rule was fitted on to the stated
ones; that asks nothing of the batch. What is still between the batch's mean probability and the stated prevalence is
partly the network's bias and partly the batch's own composition, which varies by 1 / (n p (1 - p)) in log-odds for n
fields, as far as the network can tell it. So the change is shrunk, an empirical Bayes estimate over the classes: rare
classes in small batches move little beyond Bayes' rule.

A third step keeps the number of answers. On foreign images evidence is weak and probabilities are small, so that few
would still pass thresholds that were fitted where it is strong. The prior also states how many classes a field has on
average; all thresholds move by one constant in log-odds until as many are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from protloc.judge.answering import AnswerRule
from protloc.judge.shift import believed, each_member, log_odds

Floats = NDArray[np.float64]

FEWEST = 2  # fields; one alone tells nothing of a mean
HALVINGS = 60  # of the interval in which an intercept is sought: to 1e-15 of its width
BIAS = 1.0  # squared log-odds by which foreign images may mislead; weighs classes when their changes are pooled
SHARP_FIELDS = 2  # as if so many fields had shown that the network tells the whole composition of a batch


@dataclass(frozen=True)
class Prior:
    """How frequent classes are in fields like the user's.

    Attributes:
        name: Of what these are the prevalences, as in ``Kaggle 2018``.
        prevalences: Share of the fields with each class, (classes,) in 0..1; 0 and 1 say nothing of a class.
    """

    name: str
    prevalences: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``json`` writes and :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Prior:
        """Read what :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError: if it is no such prior.
        """
        return cls(written["name"], tuple(written["prevalences"]))


@dataclass(frozen=True, eq=False)
class Matching:
    """A rule matched to a stated prior on a batch of fields.

    Attributes:
        rule: The rule for this batch; the one given if there was nothing to match it on.
        prior: What was stated.
        fields: How many fields were looked at.
        before: Mean probability of each class over them by the rule given, (classes,) in 0..1; None without a change.
        after: The same by ``rule``.
        reason: Why nothing was changed; empty if something was.
    """

    rule: AnswerRule
    prior: Prior
    fields: int
    before: Floats | None
    after: Floats | None
    reason: str

    def words(self, names: Sequence[str], *, most: int = 3) -> str:
        """Say in one sentence what was matched, with the ``most`` changed classes, whose names are given in order."""
        if self.before is None or self.after is None:
            return f"Not matched to how frequent classes are in {self.prior.name}: {self.reason}."
        order = np.argsort(-np.abs(log_odds(self.after) - log_odds(self.before)), kind="stable")[:most]
        changed = ", ".join(f"{names[place]} {self.before[place]:.1%} to {self.after[place]:.1%}" for place in order)
        return (
            f"Matched these {self.fields:,} fields to how frequent classes are in {self.prior.name}, as fits fields of "
            f"many proteins (of a few, say --no-adapt); mean probabilities changed most: {changed}."
        )


def matched(rule: AnswerRule, logits: ArrayLike, prior: Prior, *, fields: int | None = None) -> Matching:
    """Match the mean probabilities of a batch of fields to stated prevalences, as far as so few fields can tell.

    The calibration's intercepts move, and all thresholds together, until as many classes are called a field as the
    prior states. Cuts stay: they are probabilities. But the error rate that they were chosen for is promised only for
    fields like those they were fitted on.

    Args:
        rule: The rule as it was fitted; one that never was is matched in one step, as it has no prevalences.
        logits: Raw logits of the batch, (fields, classes), or of an ensemble's networks, (members, fields, classes),
            which answer by their mean. Fields with nan are left aside.
        prior: The stated prevalences, of the rule's classes; those of 0 and 1 leave their class as it is.
        fields: How many fields the logits are of, where they are of tiles: tiles of a field are alike.

    Raises:
        ValueError: if the prior is of another number of classes, or has shares outside 0..1.
    """
    stated, given = np.asarray(prior.prevalences, np.float64), each_member(logits).mean(axis=0)
    if stated.shape != given.shape[1:] or not ((stated >= 0) & (stated <= 1)).all():
        raise ValueError(f"prior {prior.name}: expected {given.shape[1]} shares in 0..1, got {prior.prevalences}")
    told = given[~np.isnan(given).any(axis=1)]
    fields, known = len(told) if fields is None else min(fields, len(told)), (stated > 0) & (stated < 1)
    reason = _why_not(fields=fields, classes=int(known.sum()))
    if reason:
        return Matching(rule, prior, fields, None, None, reason)
    calibrated = rule.calibration.logits(told)
    moves = _by_bayes(rule, stated)
    moves = moves + _by_batch(calibrated + moves, stated, fields=fields)
    intercepts = np.asarray(rule.calibration.intercepts) + moves
    new = replace(
        rule,
        calibration=replace(rule.calibration, intercepts=tuple(intercepts.tolist())),
        thresholds=replace(rule.thresholds, values=_by_number(rule, calibrated + moves, stated)),
        prevalences=tuple(np.where(known, stated, rule.prevalences).tolist()),
    )
    before, after = (expit(each).mean(axis=0) for each in (calibrated, calibrated + moves))
    return Matching(new, prior, fields, before, after, "")


def _why_not(*, fields: int, classes: int) -> str:
    """Say why a rule cannot be matched on so many fields to a prior that tells of so many classes, or nothing."""
    if not classes:
        return "it states a share between 0 and 1 of no class"
    if fields < FEWEST:
        return f"too few fields ({fields}) to tell how the model errs on such images, {FEWEST} are needed"
    return ""


def _by_bayes(rule: AnswerRule, stated: Floats) -> Floats:
    """Return by how much log-odds change from the prevalences of a rule to the stated ones, (classes,)."""
    fitted = np.asarray(rule.prevalences, np.float64)
    known = (fitted > 0) & (fitted < 1) & (stated > 0) & (stated < 1) & (rule.fields > 0)
    return np.where(known, log_odds(stated) - log_odds(fitted), 0.0)


def _by_batch(logits: Floats, stated: Floats, *, fields: int) -> Floats:
    """Return by how much each class's logits, (fields or tiles, classes), move towards the stated mean probability."""
    probabilities = expit(logits)
    means, known = probabilities.mean(axis=0), (stated > 0) & (stated < 1)
    changes = np.where(known, log_odds(stated) - log_odds(means), 0.0)
    composition = 1 / (fields * np.where(known, stated * (1 - stated), 1.0))
    variances = np.where(known, _sharpness(probabilities, fields=fields) * composition, np.inf)
    targets = expit(log_odds(means) + believed(changes, variances, untold=BIAS))
    return np.where(known, _moves_to(logits, targets), 0.0)


def _by_number(rule: AnswerRule, logits: Floats, stated: Floats) -> tuple[float, ...]:
    """Return thresholds that call as many classes a field as are stated, of matched logits (fields, classes)."""
    known, thresholds = (stated > 0) & (stated < 1), log_odds(np.asarray(rule.thresholds.values, np.float64))
    margins = np.sort((logits - thresholds)[:, known], axis=None)[::-1]
    wanted = round(float(stated[known].sum()) * len(logits))
    if not 0 < wanted < len(margins):
        return rule.thresholds.values
    shift = (margins[wanted - 1] + margins[wanted]) / 2
    return tuple(np.where(known, expit(thresholds + shift), rule.thresholds.values).tolist())


def _sharpness(probabilities: Floats, *, fields: int) -> float:
    """Estimate how much of the variance between fields the probabilities tell, in 0..1; 1 if each is 0 or 1."""
    means = probabilities.mean(axis=0)
    whole = max(float((means * (1 - means)).sum()), 1e-12)
    told = min(float(probabilities.var(axis=0, ddof=1).sum()) / whole, 1.0)
    return ((fields - 1) * told + SHARP_FIELDS) / (fields - 1 + SHARP_FIELDS)


def _moves_to(logits: Floats, targets: Floats) -> Floats:
    """Find by halving what to add to logits, (fields, classes), for mean probabilities of ``targets``, (classes,)."""
    middle = logit(np.clip(targets, 1e-12, 1 - 1e-12))
    low, high = middle - logits.max(axis=0), middle - logits.min(axis=0)  # all fields below the target; all above
    for _ in range(HALVINGS):
        tried = (low + high) / 2
        short = expit(logits + tried).mean(axis=0) < targets
        low, high = np.where(short, tried, low), np.where(short, high, tried)
    return (low + high) / 2
