"""Label shift against expectation maximisation as published, scipy, hand-worked cases, simulated truth."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import fit_calibration
from protloc.judge.metrics import bce_loss, macro_f1
from protloc.judge.shift import FEWEST, Estimator, adapted, black_box_prevalences, em_prevalences
from protloc.judge.thresholds import fit_thresholds

BEFORE = np.array([0.4, 0.2, 0.1, 0.05, 0.3, 0.15, 0.08, 0.25])
SHIFTED = np.array([0.2, 0.3, 0.04, 0.1, 0.45, 0.08, 0.15, 0.12])


def draw_fields(
    prevalences: np.ndarray, *, fields: int, generator: np.random.Generator, separation: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw truth, and logits that are log-odds where classes are as frequent as in BEFORE."""
    truth = generator.random((fields, len(prevalences))) < prevalences
    evidence = separation * (truth - 0.5) + generator.standard_normal(truth.shape)
    return truth, separation * evidence + logit(BEFORE)


def fitted_rule(*, fields: int = 3000, separation: float = 3.0) -> AnswerRule:
    """Fit one threshold to fields as frequent as in BEFORE."""
    truth, logits = draw_fields(BEFORE, fields=fields, generator=np.random.default_rng(9), separation=separation)
    groups = [f"field{place:04d}" for place in range(fields)]
    return replace(
        AnswerRule.plain(len(BEFORE)),
        thresholds=fit_thresholds(truth, expit(logits), groups=groups, rule="one"),
        prevalences=tuple(truth.mean(axis=0).tolist()),
        fields=fields,
    )


def draw_members(*, fields: int, noise: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw truth, and logits of five networks that share what is hard and err apart, (members, fields, classes)."""
    truth = generator.random((fields, len(BEFORE))) < BEFORE
    shared = 1.5 * (3 * (truth - 0.5) + generator.standard_normal(truth.shape))
    return truth, shared + noise * generator.standard_normal((5, *truth.shape)) + logit(BEFORE)


def rule_of_single_networks(*, noise: float, fields: int = 4000) -> AnswerRule:
    """Fit a rule to fields of which each is answered by one of the five, as out of fold."""
    truth, members = draw_members(fields=fields, noise=noise, generator=np.random.default_rng(10))
    logits, groups = members[np.arange(fields) % 5, np.arange(fields)], [f"field{place:04d}" for place in range(fields)]
    calibration = fit_calibration(truth, logits, groups=groups)
    return replace(
        AnswerRule.plain(len(BEFORE)),
        calibration=calibration,
        thresholds=fit_thresholds(truth, calibration.probabilities(logits), groups=groups, rule="one"),
        prevalences=tuple(truth.mean(axis=0).tolist()),
        fields=fields,
    )


def as_published(probabilities: np.ndarray, *, before: float, rounds: int = 5000) -> float:
    """Maximise as in equations 2.9 of Saerens, Latinne, Decaestecker 2002, for one class and its absence."""
    now = before
    for _ in range(rounds):
        present = probabilities * now / before
        absent = (1 - probabilities) * (1 - now) / (1 - before)
        now = float((present / (present + absent)).mean())
    return now


def test_em_of_a_hand_worked_case() -> None:
    # from 0.5, 0.8 and 0.2 mean likelihood ratios of 4 and 1/4; with 3 of 4 fields at 0.8 the slope is 0 where
    # 3 (1.6 - 1.2 q) = 0.4 + 1.2 q, q = 4.4 / 4.8
    given_ = np.repeat([[0.8], [0.2]], [300, 100], axis=0)
    found = em_prevalences(given_, prevalences=[0.5], judged=1000)
    assert found.estimated == pytest.approx([4.4 / 4.8], abs=1e-6)
    # slopes there: 1.2 / 1.5 and -1.2 / 0.5; on the scale of log-odds, and the error of the 1000 fields judged
    of_batch = 1 / (300 * 0.8**2 + 100 * 2.4**2) / (4.4 / 4.8 * 0.4 / 4.8) ** 2
    assert found.errors**2 == pytest.approx([of_batch + 1 / (1000 * 0.25)], rel=1e-4)


def test_em_is_that_of_the_paper_and_the_highest_likelihood() -> None:
    probabilities = np.random.default_rng(0).beta(0.5, 1.2, (200, 1))
    found = em_prevalences(probabilities, prevalences=[0.2], judged=1000).estimated[0]
    assert found == pytest.approx(as_published(probabilities[:, 0], before=0.2), abs=1e-5)

    def loss(now: float) -> float:
        return -float(np.log(now * probabilities / 0.2 + (1 - now) * (1 - probabilities) / 0.8).sum())

    best = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    assert found == pytest.approx(best.x, abs=1e-5)


def test_black_box_of_a_hand_worked_case() -> None:
    # called in 35 % of the fields: 0.8 q + 0.2 (1 - q) = 0.35, q = 0.25; 90 % are more than any q explains
    called = np.arange(1000)[:, None] < [350, 900]
    found = black_box_prevalences(called, hits=[0.8, 0.8], alarms=[0.2, 0.2], prevalences=[0.5, 0.5], judged=1000)
    assert found.estimated == pytest.approx([0.25, 1 - 0.5 / 1000])


def test_shrinkage_of_a_hand_worked_case() -> None:
    called = np.arange(1000)[:, None] < [350, 500]
    found = black_box_prevalences(called, hits=[0.8, 0.8], alarms=[0.2, 0.2], prevalences=[0.5, 0.5], judged=1000)
    changes = np.array([logit(0.25), 0.0])
    squared = found.errors**2
    weights = 1 / (squared + 0.1) ** 2
    spread = (weights * (changes**2 - squared)).sum() / weights.sum()
    assert found.changes == pytest.approx(changes * spread / (spread + squared))
    # batch: 0.35 * 0.65 / 1000; hits: 0.16 / 500 * 0.25²; alarms: 0.16 / 500 * 0.75²; over (0.6 * 0.25 * 0.75)²
    expected = (0.35 * 0.65 / 1000 + 0.16 / 500 * (0.0625 + 0.5625)) / (0.6 * 0.1875) ** 2
    assert squared[0] == pytest.approx(expected, rel=0.01)


def test_black_box_of_two_networks_is_that_of_their_mean_share() -> None:
    # called in 35 % and 45 %: 0.8 q + 0.2 (1 - q) = 0.4, q = 1/3; 1000 fields, not 2000, tell so
    rates = {"hits": [0.8], "alarms": [0.2], "prevalences": [0.5], "judged": 1000}
    two, one = (np.arange(1000)[:, None] < np.array(shares)[..., None, None] for shares in ([350, 450], 400))
    found, alone = (black_box_prevalences(called, **rates) for called in (two, one))
    assert found.estimated == pytest.approx([1 / 3])
    assert found.errors == pytest.approx(alone.errors)
    assert found.after == pytest.approx(alone.after)


def test_em_of_networks_climbs_the_mean_of_their_log_likelihoods() -> None:
    members = np.random.default_rng(0).beta(0.5, 1.2, (3, 200, 1))
    found = em_prevalences(members, prevalences=[0.2], judged=1000)

    def loss(now: float) -> float:
        return -float(np.log(now * members / 0.2 + (1 - now) * (1 - members) / 0.8).sum())

    best = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    assert found.estimated == pytest.approx([best.x], abs=1e-5)
    alone, thrice = (em_prevalences(each, prevalences=[0.2], judged=1000) for each in (members[0], members[[0, 0, 0]]))
    assert thrice.estimated == pytest.approx(alone.estimated)
    assert thrice.errors == pytest.approx(alone.errors)  # the same network three times knows no more


@pytest.mark.parametrize("estimator", ["black box", "em"])
@pytest.mark.parametrize("noise", [1.5, 2.5])
def test_of_an_ensemble_no_shift_is_made_up(estimator: Estimator, noise: float) -> None:
    rule = rule_of_single_networks(noise=noise)
    truth, members = draw_members(fields=10_000, noise=noise, generator=np.random.default_rng(11))
    mean = members.mean(axis=0)
    apart, together = (adapted(rule, logits, estimator=estimator) for logits in (members, mean))
    assert apart.prevalences is not None
    assert together.prevalences is not None
    assert (np.abs(apart.prevalences.changes) < 2 * apart.prevalences.errors).all()
    assert (np.abs(together.prevalences.changes) > 3 * together.prevalences.errors).any()  # the mean of the networks
    plain, by_members, by_mean = (
        macro_f1(truth, each.called(each.probabilities(mean))) for each in (rule, apart.rule, together.rule)
    )
    assert by_members > plain - 0.005
    assert estimator == "em" or by_mean < plain - 0.015


@pytest.mark.parametrize("estimator", ["black box", "em"])
def test_a_simulated_shift_is_found(estimator: Estimator) -> None:
    generator = np.random.default_rng(1)
    truth, logits = draw_fields(SHIFTED, fields=4000, generator=generator)
    found = adapted(fitted_rule(), logits, estimator=estimator).prevalences
    assert found is not None
    assert np.abs(found.after - truth.mean(axis=0)).max() < 0.02
    assert np.abs(logit(found.after) - logit(SHIFTED)).max() < 0.25 * np.abs(logit(BEFORE) - logit(SHIFTED)).max()


@pytest.mark.parametrize("estimator", ["black box", "em"])
def test_standard_errors_are_those_of_repeated_draws(estimator: Estimator) -> None:
    rule = fitted_rule(fields=20_000)  # so that nearly all error is that of the batch
    generator = np.random.default_rng(2)
    found = [
        adapted(rule, draw_fields(SHIFTED, fields=600, generator=generator)[1], estimator=estimator).prevalences
        for _ in range(150)
    ]
    changes = np.array([logit(each.estimated) for each in found if each is not None])
    errors = np.mean([each.errors for each in found if each is not None], axis=0)
    assert changes.std(axis=0) == pytest.approx(errors, rel=0.25)


@pytest.mark.parametrize("estimator", ["black box", "em"])
def test_without_a_shift_next_to_nothing_changes(estimator: Estimator) -> None:
    rule = fitted_rule()
    generator = np.random.default_rng(3)
    moved = [
        adapted(rule, draw_fields(BEFORE, fields=500, generator=generator)[1], estimator=estimator).prevalences
        for _ in range(20)
    ]
    changes = np.array([each.changes for each in moved if each is not None])
    raw = np.array([logit(each.estimated) - logit(each.before) for each in moved if each is not None])
    assert np.mean(changes**2) < 0.25 * np.mean(raw**2)


@pytest.mark.parametrize("estimator", ["black box", "em"])
def test_the_fewer_or_less_telling_the_fields_the_smaller_the_change(estimator: Estimator) -> None:
    def followed(*, fields: int, separation: float) -> float:
        rule = fitted_rule(separation=separation)
        logits = draw_fields(SHIFTED, fields=fields, generator=np.random.default_rng(4), separation=separation)[1]
        found = adapted(rule, logits, estimator=estimator).prevalences
        assert found is not None
        return float(np.mean(found.changes / (logit(SHIFTED) - logit(BEFORE))))

    many, few, blurred = (
        followed(fields=fields, separation=separation) for fields, separation in ((4000, 3), (100, 3), (4000, 0.3))
    )
    assert 1.1 > many > 0.85
    assert many > few
    assert many > blurred + 0.2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 19), min_size=1, max_size=6), st.floats(0.55, 0.95))
def test_the_same_prevalences_change_nothing(twentieths: list[int], hits: float) -> None:
    before = np.array(twentieths) / 20
    alarms = 1 - hits
    share = np.rint((before * hits + (1 - before) * alarms) * 100_000).astype(int)
    called = np.arange(100_000)[:, None] < share
    found = black_box_prevalences(
        called, hits=np.full(len(before), hits), alarms=np.full(len(before), alarms), prevalences=before, judged=1000
    )
    assert found.after == pytest.approx(before, abs=1e-4)


def test_classes_of_which_nothing_is_known_stay() -> None:
    probabilities = np.random.default_rng(0).beta(0.5, 1.2, (200, 3))
    found = em_prevalences(probabilities, prevalences=[0.0, 1.0, 0.2], judged=1000)
    assert found.after[:2].tolist() == [0.0, 1.0]
    assert found.changes[:2].tolist() == [0.0, 0.0]
    called = probabilities > 0.5
    same = black_box_prevalences(called, hits=[0.5] * 3, alarms=[0.1] * 3, prevalences=[0.0, 1.0, 0.2], judged=1000)
    assert same.after[:2].tolist() == [0.0, 1.0]


def test_probabilities_of_0_and_1_are_certain_not_broken() -> None:
    certain = np.repeat([[0.0], [1.0]], [70, 30], axis=0)
    assert em_prevalences(certain, prevalences=[0.5], judged=1000).estimated == pytest.approx([0.3], abs=1e-6)


def test_an_adapted_rule_differs_by_the_log_odds_and_is_nearer_to_the_truth() -> None:
    rule = fitted_rule()
    truth, logits = draw_fields(SHIFTED, fields=2000, generator=np.random.default_rng(5))
    done = adapted(rule, logits)
    assert done.prevalences is not None
    assert done.rule.calibration.intercepts == pytest.approx(logit(done.prevalences.after) - logit(rule.prevalences))
    assert done.rule.prevalences == pytest.approx(done.prevalences.after)
    assert replace(done.rule, calibration=rule.calibration, prevalences=rule.prevalences) == rule
    before, after = (bce_loss(truth, each.calibration.logits(logits)) for each in (rule, done.rule))
    assert after < before - 0.005


def test_fields_that_were_rejected_are_left_aside() -> None:
    rule = fitted_rule()
    _, logits = draw_fields(SHIFTED, fields=300, generator=np.random.default_rng(6))
    with_rejected = np.insert(logits, [3, 200], np.nan, axis=0)
    assert adapted(rule, with_rejected).fields == 300
    assert adapted(rule, with_rejected).rule == adapted(rule, logits).rule
    members = np.stack([logits, logits[::-1]])
    assert adapted(rule, np.insert(members, [3, 200], np.nan, axis=1)).rule == adapted(rule, members).rule


def test_too_few_fields_change_nothing_and_say_so() -> None:
    rule = fitted_rule()
    _, logits = draw_fields(SHIFTED, fields=FEWEST, generator=np.random.default_rng(7))
    assert adapted(rule, logits).prevalences is not None
    for fields in (0, 1, FEWEST - 1):
        done = adapted(rule, logits[:fields])
        assert done.rule is rule
        assert f"Not adapted: too few fields ({fields}) to tell" in done.words(["a"] * 8)
        assert f"{FEWEST} are needed" in done.words(["a"] * 8)


def test_a_rule_that_was_never_fitted_is_not_adapted() -> None:
    plain = AnswerRule.plain(8)
    done = adapted(plain, np.zeros((500, 8)))
    assert done.rule is plain
    assert "never judged" in done.words(["a"] * 8)


def test_words_name_the_classes_that_changed_most() -> None:
    _, logits = draw_fields(SHIFTED, fields=2000, generator=np.random.default_rng(8))
    words = adapted(fitted_rule(), logits).words([f"class {place}" for place in range(8)], most=2)
    assert words.startswith("Adapted to how frequent classes are in these 2,000 fields; changed most: class ")
    assert words.count("%") == 4
    assert words.endswith("%.")
