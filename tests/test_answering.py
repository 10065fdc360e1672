"""Rules and answers: no field has a say in its own, what is written is read, what is stored decides alike."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from protloc.judge.answering import BLOCKS, AnswerRule, Answers, answer, cross_fitted, fit_rule
from protloc.judge.blocks import group_blocks
from protloc.judge.calibration import Calibration
from protloc.judge.thresholds import RULES

FIELDS = 300
PREVALENCES = np.array([0.5, 0.3, 0.1])
GROUPS = [f"group{place // 3:03d}" for place in range(FIELDS)]


def draw_fields() -> tuple[np.ndarray, np.ndarray]:
    """Draw truth and logits that tell something of it."""
    generator = np.random.default_rng(0)
    truth = generator.random((FIELDS, 3)) < PREVALENCES
    return truth.astype(np.uint8), 4 * (truth - 0.5) + 2 * generator.standard_normal(truth.shape) + logit(PREVALENCES)


TRUTH, LOGITS = draw_fields()


def assert_same(found: Answers, expected: Answers, *, rows: np.ndarray | slice = slice(None)) -> None:
    """Compare all that was answered."""
    for name in ("probabilities", "called", "verdicts"):
        np.testing.assert_array_equal(getattr(found, name)[rows], getattr(expected, name)[rows])


@pytest.mark.parametrize("own_blocks", [False, True])
@pytest.mark.parametrize("block", [0, 3])
def test_a_field_has_no_say_in_its_own_answer(block: int, *, own_blocks: bool) -> None:
    blocks = np.repeat(np.arange(FIELDS // 3) // 25, 3) if own_blocks else group_blocks(GROUPS, blocks=BLOCKS)
    given = {"groups": GROUPS, "blocks": blocks if own_blocks else None}
    here = blocks == block
    before = cross_fitted(TRUTH, LOGITS, **given)
    flipped = np.where(here[:, None], 1 - TRUTH, TRUTH)
    after = cross_fitted(flipped, LOGITS, **given)
    assert_same(after, before, rows=here)
    assert (after.probabilities[~here] != before.probabilities[~here]).all()
    assert (after.called[~here] != before.called[~here]).any()
    assert (after.verdicts[~here] != before.verdicts[~here]).any()
    # nor have its logits a say in the answers of its block
    moved = np.where(here[:, None] & (np.cumsum(here) == 1)[:, None], 9.0, LOGITS)
    first = np.flatnonzero(here)[0]
    assert_same(cross_fitted(TRUTH, moved, **given), before, rows=here & (np.arange(FIELDS) != first))


def test_every_block_is_answered_by_the_rule_of_the_others() -> None:
    blocks, groups = group_blocks(GROUPS, blocks=BLOCKS), np.array(GROUPS)
    found = cross_fitted(TRUTH, LOGITS, groups=GROUPS, error_rate=0.2, threshold_rule="per class")
    for block in range(BLOCKS):
        others = blocks != block
        how = {"groups": groups[others].tolist(), "error_rate": 0.2, "threshold_rule": "per class"}
        rule = fit_rule(TRUTH[others], LOGITS[others], **how)
        expected = answer(rule, LOGITS[~others])
        for name in ("probabilities", "called", "verdicts"):
            np.testing.assert_array_equal(getattr(found, name)[~others], getattr(expected, name))


@pytest.mark.parametrize("one", ["one group", "one block"])
def test_with_nothing_else_to_fit_on_the_networks_own_answers_are_given(one: str) -> None:
    given = (["group"] * FIELDS, None) if one == "one group" else (GROUPS, np.zeros(FIELDS, np.intp))
    found = cross_fitted(TRUTH, LOGITS, groups=given[0], blocks=given[1])
    np.testing.assert_allclose(found.probabilities, expit(LOGITS), atol=1e-7)
    np.testing.assert_array_equal(found.called, LOGITS >= 0)
    assert not found.verdicts.any()
    assert_same(cross_fitted(1 - TRUTH, LOGITS, groups=given[0], blocks=given[1]), found)


def with_positives(*counts: int) -> np.ndarray:
    """Return truth in which each class has so many positives, in the first fields."""
    return (np.arange(FIELDS)[:, None] < counts).astype(np.uint8)


@pytest.mark.parametrize("threshold_rule", ["auto", *RULES])
@pytest.mark.parametrize(
    "truth",
    [TRUTH, with_positives(150, 0, 5), with_positives(0, 0, 1), with_positives(0, 0, 0), with_positives(300, 0, 1)],
)
def test_a_fitted_rule_is_read_as_it_was_written(truth: np.ndarray, threshold_rule: str) -> None:
    rule = fit_rule(truth, LOGITS, groups=GROUPS, threshold_rule=threshold_rule, poses=8)
    written = json.dumps(rule.to_json(), allow_nan=False)  # nan is no JSON
    assert AnswerRule.from_json(json.loads(written)) == rule
    assert len(rule.thresholds.hits) == len(rule.thresholds.alarms) == 3
    assert (set(rule.thresholds.scores) == set(RULES)) == (threshold_rule == "auto" and truth.any())
    assert (rule.fields, rule.poses) == (FIELDS, 8)
    assert rule.prevalences == pytest.approx(truth.mean(axis=0))


@pytest.mark.parametrize("fields", [1, 3, 6])
def test_a_rule_of_hardly_any_fields_can_be_written(fields: int) -> None:
    rule = fit_rule(TRUTH[:fields], LOGITS[:fields], groups=GROUPS[:fields])
    assert AnswerRule.from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False))) == rule
    assert not answer(rule, LOGITS).verdicts.any()  # too few to be certain of anything


def test_a_plain_rule_is_read_as_it_was_written() -> None:
    plain = AnswerRule.plain(4)
    assert AnswerRule.from_json(json.loads(json.dumps(plain.to_json(), allow_nan=False))) == plain


def test_hits_and_alarms_are_those_of_the_stored_probabilities() -> None:
    rule = fit_rule(TRUTH, LOGITS, groups=GROUPS)
    called, has = rule.called(rule.probabilities(LOGITS)), TRUTH > 0
    # half a field is added to both outcomes
    assert rule.thresholds.hits == pytest.approx(((called & has).sum(axis=0) + 0.5) / (has.sum(axis=0) + 1))
    assert rule.thresholds.alarms == pytest.approx(((called & ~has).sum(axis=0) + 0.5) / ((~has).sum(axis=0) + 1))


def test_stored_probabilities_decide_as_those_in_memory_did() -> None:
    logits = np.random.default_rng(1).normal(0, 4, (20_000, 3))
    rule = fit_rule(TRUTH, LOGITS, groups=GROUPS)
    # thresholds and cuts at probabilities that occur, where rounding could turn a decision
    at = answer(rule, logits).probabilities
    rule = replace(
        rule,
        thresholds=replace(rule.thresholds, values=tuple(np.quantile(at, 0.5, axis=0, method="lower").tolist())),
        cuts=replace(
            rule.cuts,
            absent_below=tuple(np.quantile(at, 0.3, axis=0, method="lower").tolist()),
            present_from=tuple(np.quantile(at, 0.7, axis=0, method="lower").tolist()),
        ),
    )
    found = answer(rule, logits)
    stored = found.probabilities.astype(np.float32)
    np.testing.assert_array_equal(stored, found.probabilities)
    np.testing.assert_array_equal(rule.called(stored), found.called)
    np.testing.assert_array_equal(rule.cuts.verdicts(stored), found.verdicts)
    assert (found.verdicts == 1).mean() == pytest.approx(0.3, abs=1e-3)


def test_cuts_are_fitted_to_rounded_probabilities() -> None:
    rule = fit_rule(TRUTH, LOGITS, groups=GROUPS, error_rate=0.2)
    certain = answer(rule, LOGITS)
    present_from = np.array(rule.cuts.present_from)
    assert (present_from <= 1).any()
    np.testing.assert_array_equal(present_from, present_from.astype(np.float32))  # a cut is a probability that occurred
    for column in np.flatnonzero(present_from <= 1):
        assert certain.probabilities[certain.verdicts[:, column] == 1, column].min() == present_from[column]


def test_a_hand_worked_answer() -> None:
    plain = AnswerRule.plain(2)
    rule = replace(
        plain,
        calibration=Calibration((2.0, 1.0), (0.0, 1.0)),
        thresholds=replace(plain.thresholds, values=(0.8, 0.5)),
        cuts=replace(plain.cuts, absent_below=(0.2, 0.2), present_from=(0.9, 0.6)),
    )
    # odds of 2² = 4 are .8; of 1/2 e, nearly .58; of 1/16, .06; of 4 e, .92
    found = answer(rule, np.log([[2.0, 0.5], [0.25, 4.0], [np.nan, 1.0]]))
    np.testing.assert_allclose(found.probabilities[:2], [[0.8, np.e / (2 + np.e)], [1 / 17, 4 * np.e / (1 + 4 * np.e)]])
    assert found.called.tolist() == [[True, True], [False, True], [False, True]]
    assert found.verdicts.tolist() == [[0, 0], [-1, 1], [0, 1]]
