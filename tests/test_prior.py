"""Prior matching against hand-worked cases, scipy, its own promises, simulated truth."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq
from scipy.special import expit, logit

from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.judge.metrics import samples_f1
from protloc.judge.prior import FEWEST, Prior, matched
from protloc.judge.thresholds import fit_thresholds

LEARNT = np.array([0.25, 0.2, 0.15, 0.15, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])  # flatter than the fields to come
REAL = np.array([0.45, 0.3, 0.15, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02, 0.01])

LOGITS = arrays(np.float64, st.tuples(st.integers(2, 12), st.just(3)), elements=st.floats(-9, 9))
SHARES = st.lists(st.floats(0.02, 0.98), min_size=3, max_size=3).map(tuple)


def rule_of(prevalences: tuple[float, ...], *, fields: int = 1000) -> AnswerRule:
    """Return a rule that leaves logits as they are, fitted where classes were as frequent as told."""
    return replace(AnswerRule.plain(len(prevalences)), prevalences=prevalences, fields=fields)


def draw_fields(
    prevalences: np.ndarray, *, fields: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw truth, and logits that are log-odds where classes are as frequent as in LEARNT."""
    truth = generator.random((fields, len(prevalences))) < prevalences
    return truth, 2 * (2 * (truth - 0.5) + generator.standard_normal(truth.shape)) + logit(LEARNT)


def test_the_batch_moves_the_mean_as_worked_by_hand() -> None:
    # four fields that all say .5, where .8 was stated: ln 4 is to be gone. Nothing differs between the fields, so they
    # tell 2 of 5 of the composition, whose variance is 1 / (4 * .8 * .2): .4 / .64 = .625. One class alone is believed
    # by (ln²4 - .625) / ln²4.
    found = matched(rule_of((0.5,), fields=0), np.zeros((4, 1)), Prior("by hand", (0.8,)))
    moved = np.log(4) - 0.625 / np.log(4)
    assert found.rule.calibration.intercepts == pytest.approx([moved])
    assert found.before == pytest.approx([0.5])
    assert found.after == pytest.approx([expit(moved)])


def test_a_change_of_prevalence_alone_is_bayes_rule() -> None:
    # from 1/2 to 4/5 the odds are multiplied by 4, after which the batch says what was stated
    found = matched(rule_of((0.5,)), np.zeros((4, 1)), Prior("by hand", (0.8,)))
    assert found.rule.calibration.intercepts == pytest.approx([np.log(4)])
    assert found.rule.prevalences == (0.8,)


def test_with_many_fields_the_mean_is_what_was_stated_as_scipy_finds_it() -> None:
    logits = np.random.default_rng(0).normal(-1, 2, (200_000, 1))
    found = matched(rule_of((0.5,), fields=0), logits, Prior("many", (0.1,)))
    expected = brentq(lambda move: float(expit(logits + move).mean()) - 0.1, -20, 20)
    assert found.rule.calibration.intercepts == pytest.approx([expected], abs=1e-3)
    assert found.after == pytest.approx([0.1], abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(LOGITS, SHARES)
def test_means_move_towards_what_was_stated_and_never_past_it(logits: np.ndarray, shares: tuple[float, ...]) -> None:
    found = matched(rule_of(shares), logits, Prior("stated", shares))
    assert found.before is not None
    assert found.after is not None
    low, high = np.minimum(found.before, shares), np.maximum(found.before, shares)
    assert (found.after >= low - 1e-9).all()
    assert (found.after <= high + 1e-9).all()
    assert found.rule.calibration.probabilities(logits).mean(axis=0) == pytest.approx(found.after, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(LOGITS, SHARES, st.randoms(use_true_random=False))
def test_the_order_of_fields_says_nothing(logits: np.ndarray, shares: tuple[float, ...], random: Random) -> None:
    order = random.sample(range(len(logits)), len(logits))
    one, other = (matched(rule_of((0.3, 0.4, 0.5)), each, Prior("stated", shares)) for each in (logits, logits[order]))
    assert other.rule.calibration.intercepts == pytest.approx(one.rule.calibration.intercepts, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(LOGITS)
def test_nothing_changes_where_it_matches_already(logits: np.ndarray) -> None:
    shares = tuple(expit(logits).mean(axis=0).tolist())
    found = matched(rule_of(shares), logits, Prior("as it is", shares))
    assert found.rule.calibration.intercepts == pytest.approx([0] * 3, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(LOGITS, st.floats(0.05, 0.95))
def test_more_fields_are_followed_further(logits: np.ndarray, share: float) -> None:
    left: list[float] = []
    for times in (1, 3, 9):
        found = matched(rule_of((share,)), np.tile(logits[:, :1], (times, 1)), Prior("stated", (share,)))
        assert found.after is not None
        left.append(abs(float(found.after[0]) - share))
    assert left[0] + 1e-9 >= left[1] >= left[2] - 1e-9


def test_matching_twice_is_matching_once() -> None:
    generator = np.random.default_rng(1)
    _, logits = draw_fields(REAL, fields=5000, generator=generator)
    logits += generator.standard_normal(len(REAL))
    once = matched(rule_of(tuple(LEARNT)), logits, Prior("real", tuple(REAL)))
    twice = matched(once.rule, logits, Prior("real", tuple(REAL)))
    assert twice.rule.calibration.intercepts == pytest.approx(once.rule.calibration.intercepts, abs=0.02)


def test_rare_classes_in_small_batches_move_less() -> None:
    prior = Prior("stated", (0.4, 0.002))
    off = logit(prior.prevalences) + 1.5
    moved = np.array(matched(rule_of(prior.prevalences), np.tile(off, (20, 1)), prior).rule.calibration.intercepts)
    assert moved[0] < -1
    assert -0.8 < moved[1] < 0


def test_a_simulated_bias_is_mended() -> None:
    generator = np.random.default_rng(2)
    truth, logits = draw_fields(LEARNT, fields=3000, generator=generator)
    groups = [str(field) for field in range(3000)]
    rule = replace(rule_of(tuple(LEARNT)), thresholds=fit_thresholds(truth, expit(logits), groups=groups, rule="one"))
    gains: list[float] = []
    for _ in range(40):
        truth, logits = draw_fields(REAL, fields=26, generator=generator)
        logits += generator.standard_normal(len(REAL))
        mended = matched(rule, logits, Prior("real", tuple(REAL))).rule
        before, after = (samples_f1(truth, each.called(each.probabilities(logits))) for each in (rule, mended))
        gains.append(after - before)
    assert np.mean(gains) > 0.04
    assert np.mean(gains) > 4 * np.std(gains) / np.sqrt(len(gains))


def test_networks_of_an_ensemble_answer_by_their_mean() -> None:
    members = np.random.default_rng(3).normal(0, 2, (3, 30, 2))
    rule, prior = rule_of((0.2, 0.3)), Prior("stated", (0.3, 0.1))
    assert matched(rule, members, prior).rule == matched(rule, members.mean(axis=0), prior).rule


def test_fields_that_were_rejected_are_left_aside() -> None:
    logits = np.random.default_rng(4).normal(0, 2, (30, 2))
    rule, prior = rule_of((0.2, 0.3)), Prior("stated", (0.3, 0.1))
    found = matched(rule, np.insert(logits, [3, 20], np.nan, axis=0), prior)
    assert found.fields == 30
    assert found.rule == matched(rule, logits, prior).rule


def test_a_class_of_which_nothing_is_stated_stays() -> None:
    logits = np.random.default_rng(5).normal(0, 2, (30, 3))
    found = matched(rule_of((0.2, 0.3, 0.4)), logits, Prior("stated", (0.0, 1.0, 0.1)))
    assert found.rule.calibration.intercepts[:2] == (0, 0)
    assert found.rule.calibration.intercepts[2] < 0
    assert found.rule.prevalences == (0.2, 0.3, 0.1)


def test_a_prevalence_of_0_in_the_rule_leaves_all_to_the_batch() -> None:
    logits = np.random.default_rng(6).normal(0, 2, (50_000, 1))
    found = matched(rule_of((0.0,)), logits, Prior("stated", (0.1,)))
    assert found.after == pytest.approx([0.1], abs=1e-3)


def test_slopes_and_cuts_stay() -> None:
    rule = replace(rule_of((0.2, 0.3)), calibration=Calibration((2.0, 0.5), (0.3, -0.2)))
    found = matched(rule, np.random.default_rng(7).normal(0, 2, (30, 2)), Prior("stated", (0.4, 0.1)))
    intercepts = found.rule.calibration.intercepts
    as_before = {name: getattr(rule, name) for name in ("calibration", "prevalences", "thresholds")}
    assert replace(found.rule, **as_before) == rule
    assert found.rule.calibration == Calibration((2.0, 0.5), intercepts)


def test_certain_probabilities_are_no_trouble() -> None:
    logits = np.repeat([[-800.0, 800.0]], 6, axis=0)
    found = matched(rule_of((0.2, 0.3)), logits, Prior("stated", (0.4, 0.1)))
    assert np.isfinite(found.rule.calibration.intercepts).all()


@pytest.mark.parametrize("fields", [0, 1])
def test_a_single_field_is_not_matched(fields: int) -> None:
    rule = rule_of((0.2, 0.3))
    found = matched(rule, np.zeros((fields, 2)), Prior("Kaggle 2018", (0.4, 0.1)))
    assert found.rule is rule
    words = found.words(["a", "b"])
    assert f"Not matched to how frequent classes are in Kaggle 2018: too few fields ({fields})" in words
    assert f"{FEWEST} are needed" in words


def test_tiles_of_a_field_count_as_one() -> None:
    logits = np.random.default_rng(8).normal(0, 2, (40, 2))
    rule, prior = rule_of((0.2, 0.3)), Prior("stated", (0.4, 0.1))
    assert matched(rule, logits, prior, fields=1).rule is rule
    whole, tiles = (matched(rule, logits, prior, fields=fields) for fields in (None, 4))
    assert tiles.fields == 4
    assert whole.after is not None
    assert tiles.after is not None
    assert np.abs(whole.after - prior.prevalences).max() < np.abs(tiles.after - prior.prevalences).max()


def test_words_name_the_prior_and_the_classes_that_changed_most() -> None:
    logits = np.tile([0.0, logit(0.1), 1.0], (500, 1))
    found = matched(rule_of((0.5, 0.1, 0.5), fields=0), logits, Prior("Kaggle 2018", (0.4, 0.1, 0.1)))
    words = found.words(["Disc", "Ring", "Bars"], most=2)
    assert words.startswith(
        "Matched these 500 fields to how frequent classes are in Kaggle 2018, as fits fields of many proteins"
    )
    assert "changed most: Bars 73.1% to 10" in words
    assert "Disc 50.0% to 40" in words
    assert "Ring" not in words


@pytest.mark.parametrize("shares", [(0.1,), (0.1, 1.2), (0.1, float("nan"))])
def test_a_prior_of_other_classes_or_shares_is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"prior mine: expected 2 shares in 0\.\.1, got"):
        matched(rule_of((0.2, 0.3)), np.zeros((5, 2)), Prior("mine", shares))


def test_a_prior_is_read_as_it_was_written() -> None:
    prior = Prior("Kaggle 2018", (0.4, 0.1))
    assert Prior.from_json(prior.to_json()) == prior
    assert Prior.from_json({"name": "a", "prevalences": [0.5]}) == Prior("a", (0.5,))
    with pytest.raises(KeyError):
        Prior.from_json({"name": "a"})


@pytest.mark.parametrize("shares", [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_a_prior_that_says_nothing_changes_nothing(shares: tuple[float, ...]) -> None:
    found = matched(rule_of((0.5, 0.5)), np.zeros((9, 2)), Prior("silent", shares))
    assert found.rule == rule_of((0.5, 0.5))
    assert found.words(("A", "B")).endswith("silent: it states a share between 0 and 1 of no class.")


@given(st.integers(0, 1000), st.integers(2, 60), st.floats(-4, 4))
def test_as_many_classes_are_called_as_are_stated(seed: int, fields: int, weak: float) -> None:
    stated = (0.6, 0.3, 0.25, 0.1)
    logits = np.random.default_rng(seed).normal(weak, 1, (fields, 4))
    rule = rule_of((0.5, 0.4, 0.3, 0.2))
    rule = replace(rule, thresholds=replace(rule.thresholds, values=(0.5, 0.3, 0.4, 0.45)))
    new = matched(rule, logits, Prior("stated", stated)).rule
    assert new.called(new.probabilities(logits)).sum() == round(sum(stated) * fields)
    moved = logit(np.array(new.thresholds.values)) - logit(np.array(rule.thresholds.values))
    np.testing.assert_allclose(moved, moved[0], atol=1e-9)


def test_a_class_of_which_nothing_is_stated_keeps_its_threshold() -> None:
    rule = rule_of((0.5, 0.4, 0.3))
    logits = np.random.default_rng(2).normal(-3, 1, (40, 3))
    new = matched(rule, logits, Prior("stated", (0.5, 0.0, 0.3))).rule
    assert new.thresholds.values[1] == rule.thresholds.values[1]
    assert new.thresholds.values[0] != rule.thresholds.values[0]
    assert new.called(new.probabilities(logits))[:, [0, 2]].sum() == 32
