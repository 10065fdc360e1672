"""The rule that turns a network's logits into answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protloc.judge.blocks import group_blocks
from protloc.judge.calibration import Calibration, fit_calibration
from protloc.judge.three_way import Cuts, fit_cuts
from protloc.judge.thresholds import Thresholds, fit_thresholds

ERROR_RATE = 0.10  # of a class's fields told absent, and of fields told present lacking it; a tenth unless chosen
BLOCKS = 5  # of groups, in turn left out of the fit and answered by it


@dataclass(frozen=True)
class AnswerRule:
    """How logits become probabilities, calls and certain answers.

    Attributes:
        calibration: From raw logits to probabilities.
        thresholds: The calibrated probability from which each class is called.
        cuts: The calibrated probabilities from which an answer is certain.
        prevalences: Share of the fields with each class among those it was fitted on, (classes,) in 0..1.
        fields: How many fields it was fitted on; 0 if it never was.
        poses: Poses of a field whose logits are averaged: 1, or 8 with flips and quarter turns.
    """

    calibration: Calibration
    thresholds: Thresholds
    cuts: Cuts
    prevalences: tuple[float, ...]
    fields: int = 0
    poses: int = 1

    @classmethod
    def plain(cls, classes: int) -> AnswerRule:
        """Return the rule of a network that was never judged: its own probabilities, 0.5, nothing certain."""
        return cls(Calibration.plain(classes), Thresholds.fixed(classes), Cuts.never(classes), (0.5,) * classes)

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated probabilities in 0..1, (fields, classes), of raw logits; nan stays nan.

        They are rounded to float32, as they are stored, so that what is decided from them can be decided from a file.
        """
        return _rounded(self.calibration.probabilities(logits))

    def intervals(self, logits: ArrayLike) -> NDArray[np.float64] | None:
        """Return the 95 % intervals of probabilities, (2, fields, classes), of raw logits; None if never fitted.

        See :meth:`protloc.judge.calibration.Calibration.intervals` for what they tell.
        """
        found = self.calibration.intervals(logits)
        return None if found is None else _rounded(found)

    def called(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Return which classes are called, (fields, classes); a class *at* its threshold is; of nan, none."""
        return np.asarray(probabilities, np.float64) >= np.asarray(self.thresholds.values)

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``json`` writes and :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> AnswerRule:
        """Read what :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError: if it is no such rule.
        """
        calibration, thresholds, cuts = (written[name] for name in ("calibration", "thresholds", "cuts"))
        return cls(
            Calibration(
                tuple(calibration["slopes"]),
                tuple(calibration["intercepts"]),
                tuple((slope, both, intercept) for slope, both, intercept in calibration.get("covariances", ())),
            ),
            Thresholds(
                tuple(thresholds["values"]),
                thresholds["rule"],
                dict(thresholds["scores"]),
                hits=tuple(thresholds["hits"]),
                alarms=tuple(thresholds["alarms"]),
            ),
            Cuts(tuple(cuts["absent_below"]), tuple(cuts["present_from"]), cuts["error_rate"]),
            tuple(written["prevalences"]),
            fields=written["fields"],
            poses=written["poses"],
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """What a rule makes of logits.

    Attributes:
        probabilities: Calibrated, (fields, classes) float64 in 0..1, each one exact in float32.
        called: Which classes are called, (fields, classes) bool.
        verdicts: 1 present, 0 ask an expert, -1 absent, (fields, classes) int8.
    """

    probabilities: NDArray[np.float64]
    called: NDArray[np.bool_]
    verdicts: NDArray[np.int8]


def answer(rule: AnswerRule, logits: ArrayLike) -> Answers:
    """Answer fields by a rule.

    Args:
        rule: The rule.
        logits: Raw logits of shape (fields, classes).
    """
    probabilities = rule.probabilities(logits)
    return Answers(probabilities, rule.called(probabilities), rule.cuts.verdicts(probabilities))


def fit_rule(
    truth: ArrayLike,
    logits: ArrayLike,
    *,
    groups: Sequence[str],
    error_rate: float = ERROR_RATE,
    threshold_rule: str = "auto",
    poses: int = 1,
    seed: int = 0,
) -> AnswerRule:
    """Fit calibration, thresholds and cuts to fields that the network did not learn from.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        logits: Raw logits of the same shape.
        groups: Group of each field; nothing is fitted on one part of a group and judged on another.
        error_rate: In 0..1: share of the fields with a class that may be told absent, and of the fields told present
            that may lack it; see :func:`protloc.judge.three_way.fit_cuts`. It is not the share of wrong answers among
            all certain ones.
        threshold_rule: One of :data:`protloc.judge.thresholds.RULES`, or ``auto``.
        poses: What the logits are a mean over, to be kept in the rule.
        seed: Of the blocks that rules are tried on.
    """
    truth = np.asarray(truth)
    calibration = fit_calibration(truth, logits, groups=groups)
    probabilities = _rounded(calibration.probabilities(logits))
    return AnswerRule(
        calibration,
        fit_thresholds(truth, probabilities, groups=groups, rule=threshold_rule, seed=seed),
        fit_cuts(truth, probabilities, groups=groups, error_rate=error_rate),
        prevalences=tuple(truth.mean(axis=0, dtype=np.float64).tolist()),
        fields=len(truth),
        poses=poses,
    )


def cross_fitted(
    truth: ArrayLike,
    logits: ArrayLike,
    *,
    groups: Sequence[str],
    blocks: NDArray[np.intp] | None = None,
    **how: Any,  # noqa: ANN401 - passed on to fit_rule
) -> Answers:
    """Answer every field by a rule fitted on other groups, so that the answers may be judged on these very fields.

    Where all are of one block there are no others to fit on: the answers are those of :meth:`AnswerRule.plain`, the
    network's own probabilities, called from 0.5, with nothing certain.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        logits: Raw logits of the same shape.
        groups: Group of each field.
        blocks: Block of each field, such as its fold, with no group in two; by default groups are dealt into five.
        how: Arguments of :func:`fit_rule`.
    """
    truth, logits = np.asarray(truth), np.asarray(logits, np.float64)
    names = np.asarray(groups, dtype=np.str_)
    blocks = group_blocks(groups, blocks=BLOCKS) if blocks is None else blocks
    if len(np.unique(blocks)) < 2:
        return answer(AnswerRule.plain(truth.shape[1]), logits)
    found = Answers(np.empty(truth.shape), np.empty(truth.shape, bool), np.empty(truth.shape, np.int8))
    for block in np.unique(blocks):
        here = blocks == block
        rule = fit_rule(truth[~here], logits[~here], groups=names[~here].tolist(), **how)
        answers = answer(rule, logits[here])
        found.probabilities[here], found.called[here] = answers.probabilities, answers.called
        found.verdicts[here] = answers.verdicts
    return found


def _rounded(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to what float32 can hold."""
    return probabilities.astype(np.float32).astype(np.float64)
