"""Thresholds against scikit-learn, theory, cases worked by hand, their own laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from sklearn import metrics as reference

from protloc.judge import thresholds
from protloc.judge.metrics import macro_f1
from protloc.judge.thresholds import RULES, Thresholds, calling, fit_thresholds

PROBABILITIES = [0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.95]
Part = tuple[np.ndarray, np.ndarray, list[str]]


@st.composite
def parts(draw: st.DrawFn) -> Part:
    """Draw truth, probabilities of few values, and groups."""
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 4)))
    truth = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    probabilities = draw(arrays(np.float64, shape, elements=st.sampled_from(PROBABILITIES)))
    groups = draw(st.lists(st.sampled_from("abcdefghij"), min_size=shape[0], max_size=shape[0]))
    return truth, probabilities, groups


def each_alone(fields: int) -> list[str]:
    return [f"field{place:05d}" for place in range(fields)]


def calibrated_part(*, fields: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities of three classes, then truth by these probabilities."""
    generator = np.random.default_rng(seed)
    probabilities = generator.beta([0.4, 0.3, 0.1], [0.6, 1.5, 1.5], (fields, 3))
    return generator.random(probabilities.shape) < probabilities, probabilities


def two_scales(*, fields: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw two classes alike, but the probabilities of the second are those of the first to the fourth power."""
    generator = np.random.default_rng(0)
    probabilities = generator.beta(0.5, 0.5, (fields, 2))
    truth = generator.random(probabilities.shape) < probabilities
    return truth, probabilities ** [1, 4]


@pytest.mark.parametrize(("fields_a_group", "weight"), [(1, 200 / 220), (10, 20 / 40)])
def test_tuned_thresholds_of_a_hand_worked_case(fields_a_group: int, weight: float) -> None:
    # 200 positives at 0.6, 200 negatives at 0.05, logits 0.405 and -2.944: the steps -2.9 to 0.4 are all perfect, their
    # middle is -1.25 in every resample; 200 or 20 positive groups weigh 200 / 220 or 20 / 40
    truth = np.repeat([[1], [0]], 200, axis=0)
    probabilities = np.where(truth, 0.6, 0.05)
    groups = [f"group{place // fields_a_group:03d}" for place in range(400)]
    one, own = (fit_thresholds(truth, probabilities, groups=groups, rule=rule) for rule in ("one", "per class"))
    shared = -1.25 * weight
    assert one.values == pytest.approx([expit(shared)])
    assert own.values == pytest.approx([expit(-1.25 * weight + shared * (1 - weight))])
    # nothing is missed, nothing called wrongly; half a field is added to each outcome
    assert own.hits == pytest.approx([200.5 / 201])
    assert own.alarms == pytest.approx([0.5 / 201])


def test_prevalence_threshold_of_a_hand_worked_case() -> None:
    column = np.array([[0.1], [0.9], [0.3], [0.6]])
    found = calling(column, shares=[0.5])
    assert found == pytest.approx([expit((logit(0.3) + logit(0.6)) / 2)])
    assert (column >= found).sum() == 2
    assert not (column >= calling(column, shares=[0.0])).any()
    assert (column >= calling(column, shares=[1.0])).all()


def test_resampled_f1_is_that_of_scikit_learn() -> None:
    truth, probabilities = calibrated_part(fields=90)
    groups = [f"group{place // 3:02d}" for place in range(90)]
    f1 = thresholds._resampled_f1(truth, probabilities, groups=groups, seed=5)
    chunks = thresholds.group_blocks(groups, blocks=thresholds.CHUNKS, seed=5)
    draws = thresholds._draws(30, seed=5)
    for resample, step in ((0, 70), (3, 80), (7, 90)):
        called = probabilities >= expit(thresholds.STEPS[step])
        for column in range(3):
            expected = reference.f1_score(
                truth[:, column], called[:, column], sample_weight=draws[resample, chunks], zero_division=0.0
            )
            assert f1[resample, column, step] == pytest.approx(expected)


def test_thresholds_per_class_are_half_of_the_highest_f1() -> None:
    # Lipton, Elkan, Naryanaswamy 2014: so it is for calibrated probabilities and many fields
    truth, probabilities = calibrated_part(fields=40_000)
    found = fit_thresholds(truth, probabilities, groups=each_alone(40_000), rule="per class").values
    for column in range(3):
        precision, recall, _ = reference.precision_recall_curve(truth[:, column], probabilities[:, column])
        highest = (2 * precision * recall / (precision + recall)).max()
        assert found[column] == pytest.approx(highest / 2, abs=0.02)


def test_prevalence_rule_calls_a_well_supported_class_as_often_as_it_occurs() -> None:
    truth, probabilities = calibrated_part(fields=20_000)
    found = fit_thresholds(truth, probabilities, groups=each_alone(20_000), rule="prevalence")
    called = (probabilities >= np.array(found.values)).mean(axis=0)
    assert called == pytest.approx(truth.mean(axis=0), rel=0.02)


def test_fewer_positive_groups_shrink_a_threshold_towards_the_shared_one() -> None:
    truth, probabilities = two_scales(fields=2000)
    shared = fit_thresholds(truth, probabilities, groups=each_alone(2000), rule="one").values[0]
    distances = []
    for fields_a_group in (1, 10, 100):
        groups = [f"group{place // fields_a_group:04d}" for place in range(2000)]
        own = fit_thresholds(truth, probabilities, groups=groups, rule="per class").values[1]
        distances.append(abs(logit(own) - logit(shared)))
    assert distances[0] > distances[1] > distances[2] > 0


def test_auto_stays_with_one_threshold_where_others_are_better_by_no_more_than_noise() -> None:
    generator = np.random.default_rng(10)
    probabilities = generator.beta(0.5, 0.5, (600, 4))
    truth = generator.random(probabilities.shape) < probabilities
    found = fit_thresholds(truth, probabilities, groups=each_alone(600))
    assert found.rule == "one"
    assert set(found.scores) == set(RULES)
    assert all(found.scores[rule] > found.scores["one"] for rule in RULES if rule != "one")


def test_auto_leaves_one_threshold_where_classes_need_their_own() -> None:
    truth, probabilities = two_scales(fields=1500)
    found = fit_thresholds(truth, probabilities, groups=each_alone(1500))
    assert found.rule in ("per class", "prevalence")
    assert found.scores[found.rule] > found.scores["one"] + 0.01
    assert found.values == fit_thresholds(truth, probabilities, groups=each_alone(1500), rule=found.rule).values


def test_scores_of_auto_are_of_fields_that_the_rules_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, probabilities = calibrated_part(fields=300)
    groups = [f"group{place // 4:02d}" for place in range(300)]
    seen: list[set[str]] = []

    def call_what_was_fitted(
        truth: np.ndarray, probabilities: np.ndarray, *, groups: list[str], seed: int
    ) -> dict[str, np.ndarray]:
        assert len(truth) == len(probabilities) == len(groups)
        assert seed == 0
        seen.append(set(groups))
        return {rule: np.full(3, 0.5) for rule in RULES}

    monkeypatch.setattr(thresholds, "_fit_all", call_what_was_fitted)
    found = fit_thresholds(truth, probabilities, groups=groups)
    tried, last = seen[:-1], seen[-1]
    assert len(tried) == thresholds.BLOCKS
    assert last == set(groups)
    left_out = [last - some for some in tried]
    assert set().union(*left_out) == last
    assert sum(map(len, left_out)) == len(last)  # every group is left out once
    assert found.scores["fixed"] == pytest.approx(macro_f1(truth, probabilities >= 0.5))


@pytest.mark.parametrize("groups", [["a"] * 12, list("aabbccddaabb")])
def test_too_few_groups_take_the_default_rule_untried(groups: list[str]) -> None:
    truth, probabilities = calibrated_part(fields=12)
    found = fit_thresholds(truth, probabilities, groups=groups)
    assert found.rule == thresholds.DEFAULT
    assert found.scores == {}


def test_without_any_positive_every_threshold_is_a_half() -> None:
    found = fit_thresholds(np.zeros((50, 2)), np.full((50, 2), 0.1), groups=each_alone(50))
    assert found.values == pytest.approx((0.5, 0.5))


@settings(deadline=None, max_examples=40)
@given(parts(), st.sampled_from([*RULES, "auto"]))
def test_thresholds_are_probabilities_whatever_the_order_of_the_fields(part: Part, rule: str) -> None:
    truth, probabilities, groups = part
    found = fit_thresholds(truth, probabilities, groups=groups, rule=rule)
    assert all(0 < value < 1 for value in (*found.values, *found.hits, *found.alarms))
    backwards = fit_thresholds(truth[::-1], probabilities[::-1], groups=groups[::-1], rule=rule)
    assert backwards.rule == found.rule
    assert backwards.values == pytest.approx(found.values)


@settings(deadline=None, max_examples=40)
@given(parts(), st.sampled_from(["per class", "prevalence"]))
def test_a_class_without_positives_is_called_no_more_than_by_the_shared_threshold(part: Part, rule: str) -> None:
    truth, probabilities, groups = part
    truth[:, 0] = 0
    own = fit_thresholds(truth, probabilities, groups=groups, rule=rule).values[0]
    assert own == pytest.approx(fit_thresholds(truth, probabilities, groups=groups, rule="one").values[0])


@settings(deadline=None)
@given(arrays(np.int64, (9, 3), elements=st.integers(1, 999), unique=True), st.floats(0, 1))
def test_prevalence_calls_the_same_fields_on_any_rising_scale(thousandths: np.ndarray, share: float) -> None:
    probabilities = thousandths / 1000
    called = probabilities >= calling(probabilities, shares=np.full(3, share))
    assert np.array_equal(called, probabilities**2 >= calling(probabilities**2, shares=np.full(3, share)))
    assert (called.sum(axis=0) == round(share * 9)).all()


def test_fixed_thresholds_are_a_half_whether_fitted_or_not() -> None:
    truth, probabilities = calibrated_part(fields=50)
    fitted = fit_thresholds(truth, probabilities, groups=each_alone(50), rule="fixed")
    assert fitted.values == Thresholds.fixed(3).values == (0.5, 0.5, 0.5)
    assert Thresholds.fixed(3).hits == ()


def test_what_cannot_be_fitted_is_refused() -> None:
    truth, probabilities = calibrated_part(fields=6)
    groups = each_alone(6)
    with pytest.raises(ValueError, match=r"one shape .* got \(6, 3\), \(6, 3\) and 5 groups"):
        fit_thresholds(truth, probabilities, groups=groups[:5])
    with pytest.raises(ValueError, match="a field at least"):
        fit_thresholds(truth[:0], probabilities[:0], groups=[])
    with pytest.raises(ValueError, match=r"probabilities in 0\.\.1: give calibrated probabilities"):
        fit_thresholds(truth, probabilities * 9, groups=groups)
    with pytest.raises(ValueError, match=r"unknown rule 'best' .* auto, fixed, one, per class, prevalence"):
        fit_thresholds(truth, probabilities, groups=groups, rule="best")
