"""Resampled metrics against scikit-learn on fields that are really repeated, and against their own laws."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from protloc.judge.blocks import group_weights
from protloc.judge.evaluation import CLASS_METRICS, METRICS
from protloc.judge.metrics import (
    average_precision,
    bce_loss,
    macro_f1,
    mean_average_precision,
    micro_f1,
    samples_f1,
    sigmoid,
)
from protloc.judge.predictions import PartPredictions
from protloc.judge.reliability import BINS, bins_of, brier, calibration_error
from protloc.judge.resample import Resampled, difference, resample_metrics

RESAMPLES = 20


def part(seed: int = 0, *, fields: int = 40, classes: int = 5, groups: int = 12) -> PartPredictions:
    """Draw a part whose scores are often equal, whose last class is rare, and whose groups differ in size."""
    generator = np.random.default_rng(seed)
    prevalences = np.append(np.full(classes - 1, 0.4), 1.5 / fields)
    truth = (generator.random((fields, classes)) < prevalences).astype(np.uint8)
    logits = np.round(generator.normal(size=truth.shape) + 2.0 * truth - 1.5).astype(np.float32)
    probabilities = sigmoid(logits).astype(np.float32)
    named = generator.integers(groups, size=fields)
    return PartPredictions(
        ids=tuple(f"field-{row}" for row in range(fields)),
        groups=tuple(f"group-{name:03d}" for name in named),
        truth=truth,
        logits=logits,
        probabilities=probabilities,
        called=probabilities >= 0.5,
        verdicts=(np.where(probabilities > 0.7, 1, 0) - np.where(probabilities < 0.2, 1, 0)).astype(np.int8),
    )


def drawn_parts(said: PartPredictions, *, seed: int) -> list[PartPredictions]:
    """Repeat the rows of each field as often as its group was drawn."""
    names = np.unique(said.groups)
    codes = np.searchsorted(names, said.groups)
    return [
        said.rows(np.repeat(np.arange(len(said)), weights[codes].astype(int)))
        for weights in group_weights(len(names), resamples=RESAMPLES, seed=seed)
    ]


def gaps_of(said: PartPredictions) -> np.ndarray:
    """Return by how much probabilities exceed the truth in each bin, as a share of all questions."""
    bins, misses = bins_of(said.probabilities), said.probabilities.astype(float) - said.truth
    return np.array([misses[bins == place].sum() for place in range(BINS)]) / misses.size


@pytest.mark.parametrize("seed", range(4))
def test_every_resample_scores_as_the_fields_really_repeated(seed: int) -> None:
    said = part(seed)
    resampled = resample_metrics(said, resamples=RESAMPLES, seed=seed)
    for place, again in enumerate(drawn_parts(said, seed=seed)):
        certain = again.verdicts != 0
        wrong = certain & ((again.verdicts > 0) != (again.truth > 0))
        expected = {
            "samples_f1": reference.f1_score(again.truth, again.called, average="samples", zero_division=1),
            "micro_f1": reference.f1_score(again.truth, again.called, average="micro"),
            "loss": reference.log_loss(again.truth.ravel(), sigmoid(again.logits).ravel()),
            "brier": reference.brier_score_loss(again.truth.ravel(), again.probabilities.ravel()),
            "calibration_error": calibration_error(again.truth, again.probabilities),
            "calibration_shift": np.abs(gaps_of(again) - gaps_of(said)).sum(),
            "answered": certain.mean(),
            "error_among_certain": wrong.sum() / certain.sum(),
        }
        for metric, value in expected.items():
            assert resampled.draws[metric][place] == pytest.approx(value, abs=1e-6), metric


@pytest.mark.parametrize("seed", range(4))
def test_every_class_of_a_resample_scores_as_scikit_learn_says(seed: int) -> None:
    said = part(seed)
    resampled = resample_metrics(said, resamples=RESAMPLES, seed=seed)
    for place, again in enumerate(drawn_parts(said, seed=seed)):
        for column in range(again.truth.shape[1]):
            truth, called = again.truth[:, column], again.called[:, column]
            precision, recall, f1, _ = reference.precision_recall_fscore_support(
                truth, called, average="binary", zero_division=np.nan
            )
            area = reference.average_precision_score(truth, again.logits[:, column]) if truth.any() else np.nan
            f1 = f1 if truth.any() else np.nan
            found = [resampled.draws[metric][place, column] for metric in CLASS_METRICS]
            np.testing.assert_allclose(found, [precision, recall, f1, area])


def test_the_values_are_those_of_the_metrics() -> None:
    said = part()
    values = resample_metrics(said, resamples=2).values
    assert values["macro_f1"] == pytest.approx(macro_f1(said.truth, said.called))
    assert values["samples_f1"] == pytest.approx(samples_f1(said.truth, said.called))
    assert values["micro_f1"] == pytest.approx(micro_f1(said.truth, said.called))
    assert values["mean_average_precision"] == pytest.approx(mean_average_precision(said.truth, said.logits))
    assert values["loss"] == pytest.approx(bce_loss(said.truth, said.logits))
    assert values["brier"] == pytest.approx(brier(said.truth, said.probabilities))
    assert values["calibration_error"] == pytest.approx(calibration_error(said.truth, said.probabilities))
    np.testing.assert_allclose(values["average_precision"], average_precision(said.truth, said.logits))


def two_groups() -> PartPredictions:
    """One class: group a has a hit, a miss; group b a false alarm, a rightly absent field. Scores a .9 .2, b .5 .1."""
    probabilities = np.array([[0.9], [0.2], [0.5], [0.1]], np.float32)
    return PartPredictions(
        ids=("1", "2", "3", "4"),
        groups=("a", "a", "b", "b"),
        truth=np.array([[1], [1], [0], [0]], np.uint8),
        logits=np.log(probabilities / (1 - probabilities)),
        probabilities=probabilities,
        called=probabilities >= 0.5,
        verdicts=np.array([[1], [-1], [0], [-1]], np.int8),
    )


def test_a_hand_worked_bootstrap_of_two_groups() -> None:
    resampled = resample_metrics(two_groups(), resamples=200, seed=3)
    weights = np.array(list(group_weights(2, resamples=200, seed=3)))
    # aa: the hit and the miss twice; ab: all four fields; bb: the class is in no drawn group
    worked = {
        (2, 0): {"precision": 1, "recall": 0.5, "f1": 2 / 3, "average_precision": 1, "micro_f1": 2 / 3, "brier": 0.325},
        (1, 1): {"precision": 0.5, "recall": 0.5, "f1": 0.5, "average_precision": (1 + 2 / 3) / 2, "micro_f1": 0.5},
        (0, 2): {"precision": 0, "recall": math.nan, "f1": math.nan, "average_precision": math.nan, "micro_f1": 0},
    }
    shares = {(2, 0): (1, 0.5), (1, 1): (0.75, 1 / 3), (0, 2): (0.5, 0)}  # certain of all, wrong of certain
    for drawn, scores in worked.items():
        places = np.flatnonzero((weights == drawn).all(axis=1))
        assert len(places)
        for metric, value in scores.items():
            np.testing.assert_allclose(np.ravel(resampled.draws[metric][places]), value, rtol=1e-6, err_msg=metric)
        np.testing.assert_allclose(resampled.draws["answered"][places], shares[drawn][0])
        np.testing.assert_allclose(resampled.draws["error_among_certain"][places], shares[drawn][1])
        # missing from bb, the class counts there with the 0.5 that it has on all fields
        np.testing.assert_allclose(resampled.draws["macro_f1"][places], np.nan_to_num(scores["f1"], nan=0.5))


def test_a_rare_class_stays_in_the_mean_of_every_resample() -> None:
    said = part(fields=30, groups=30)
    resampled = resample_metrics(said, resamples=300)
    present = said.truth.any(axis=0)
    assert np.isnan(resampled.draws["f1"][:, present]).any()  # or this test shows nothing
    filled = np.where(np.isnan(resampled.draws["f1"]), resampled.values["f1"], resampled.draws["f1"])
    np.testing.assert_allclose(resampled.draws["macro_f1"], filled[:, present].mean(axis=1))


def test_only_classes_of_ten_groups_are_stable() -> None:
    truth = np.zeros((40, 3), np.uint8)
    truth[:9, 0], truth[:10, 1], truth[:, 2] = 1, 1, 1
    said = replace(part(classes=3), groups=tuple(map(str, range(40))), truth=truth)
    resampled = resample_metrics(said, resamples=2)
    assert resampled.averaged["stable_macro_f1"].tolist() == [False, True, True]
    assert resampled.values["stable_macro_f1"] == pytest.approx(macro_f1(truth[:, 1:], said.called[:, 1:]))
    # ten fields of one group are one group
    said = replace(said, groups=("one",) * 10 + tuple(map(str, range(30))))
    assert resample_metrics(said, resamples=2).support["recall"].tolist() == [1, 1, 31]


def test_without_a_stable_class_there_is_no_stable_score() -> None:
    estimate = resample_metrics(part(groups=5), resamples=5).estimate("stable_macro_f1")
    assert math.isnan(estimate.value)
    assert (estimate.low, estimate.high) == (None, None)


def test_whole_groups_are_drawn_as_many_as_there_are() -> None:
    weights = np.array(list(group_weights(7, resamples=4000, seed=1)))
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(axis=0), 6 / 7, atol=0.08)  # of a multinomial: g * 1/g * (1 - 1/g)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 4), st.integers(1, 10))
def test_every_interval_holds_its_value(seed: int, fields: int, classes: int, groups: int) -> None:
    said = part(seed, fields=fields, classes=classes, groups=groups)
    resampled = resample_metrics(said, resamples=15, seed=seed)
    estimates = [resampled.estimate(metric) for metric in METRICS]
    estimates += [estimate for metric in CLASS_METRICS for estimate in resampled.estimates(metric)]
    for estimate in estimates:
        if not math.isnan(estimate.value):
            assert 0 <= estimate.low <= estimate.value <= estimate.high < math.inf


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_fields_changes_nothing(seed: int) -> None:
    said = part(seed)
    shuffled = said.rows(np.random.default_rng(seed).permutation(len(said)))
    one, other = (resample_metrics(each, resamples=5) for each in (said, shuffled))
    for metric in one.draws:
        np.testing.assert_allclose(other.draws[metric], one.draws[metric], err_msg=metric)


def test_chunks_of_resamples_and_of_steps_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resample_metrics(part(), resamples=21)
    monkeypatch.setattr("protloc.judge.resample.AT_ONCE", 4)
    monkeypatch.setattr("protloc.judge.tallies.STEPS", 2)  # of a class at a time
    for metric, draws in resample_metrics(part(), resamples=21).draws.items():
        np.testing.assert_allclose(draws, whole.draws[metric], err_msg=metric)


def test_a_seed_gives_the_same_and_another_gives_others() -> None:
    draws = [resample_metrics(part(), resamples=9, seed=seed).draws["micro_f1"].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_only_wanted_metrics_are_computed() -> None:
    resampled = resample_metrics(part(), resamples=2, metrics=["macro_f1"])
    assert {"macro_f1", "micro_f1"} <= set(resampled.draws)
    assert not {"loss", "average_precision"} & set(resampled.draws)


def test_a_single_group_is_resampled_by_its_fields() -> None:
    said = replace(part(), groups=("only",) * 40)
    alone = replace(said, groups=tuple(f"{row:02d}" for row in range(40)))
    one, other = (resample_metrics(each, resamples=10) for each in (said, alone))
    assert one.groups == 40
    np.testing.assert_array_equal(one.draws["loss"], other.draws["loss"])


def test_noise_alone_is_no_calibration_error() -> None:
    # said with 0.3 and true in 0.3 of the fields of each of ten classes: what error is seen is noise, 0 must be inside
    generator = np.random.default_rng(2)
    truth = (generator.random((150, 10)) < 0.3).astype(np.uint8)
    honest = replace(
        part(fields=150, classes=10, groups=10_000), truth=truth, probabilities=np.full(truth.shape, 0.3, np.float32)
    )
    estimate = resample_metrics(honest, resamples=400).estimate("calibration_error")
    assert estimate.low == 0 < estimate.value
    wrong = replace(honest, probabilities=np.full(truth.shape, 0.6, np.float32))
    assert resample_metrics(wrong, resamples=400).estimate("calibration_error").low > 0.2


def test_one_field_tells_nothing_of_others() -> None:
    said = part(fields=1)
    resampled = resample_metrics(said, resamples=5)
    for metric in set(METRICS) - {"loss", "stable_macro_f1"}:
        estimate = resampled.estimate(metric)
        assert (estimate.low, estimate.high) == (0, 1), metric
    loss = resampled.estimate("loss")
    surest = np.abs(said.logits).max()
    assert (loss.low, loss.high) == pytest.approx((0, reference.log_loss([1], [sigmoid(-surest)], labels=[0, 1])))
    apart = difference(resampled, resampled, "loss")
    assert (apart.low, apart.value, apart.high) == (-loss.high, 0, loss.high)


def right_part(*, fields: int, classes: int = 1, wrong: int = 0) -> PartPredictions:
    """Return fields that have all classes, all called and certain, save in the first field ``wrong`` classes."""
    truth = np.ones((fields, classes), np.uint8)
    truth[0, :wrong] = 0
    return PartPredictions(
        ids=tuple(map(str, range(fields))),
        groups=tuple(f"{row:04d}" for row in range(fields)),
        truth=truth,
        logits=np.full(truth.shape, 20.0, np.float32),
        probabilities=np.ones(truth.shape, np.float32),
        called=np.ones(truth.shape, np.bool_),
        verdicts=np.ones(truth.shape, np.int8),
    )


def test_where_nothing_went_wrong_intervals_reach_to_exact_limits() -> None:
    resampled = resample_metrics(right_part(fields=30, classes=4), resamples=50)
    exact = binomtest(0, 30).proportion_ci(method="exact")
    for metric in ("error_among_certain", "brier", "calibration_error"):
        estimate = resampled.estimate(metric)
        assert (estimate.low, estimate.value, estimate.high) == pytest.approx((0, 0, exact.high)), metric
    for metric in ("samples_f1", "micro_f1", "answered"):
        estimate = resampled.estimate(metric)
        assert (estimate.low, estimate.value, estimate.high) == pytest.approx((1 - exact.high, 1, 1)), metric


def test_only_groups_with_a_certain_answer_tell_of_its_errors() -> None:
    said = right_part(fields=30)
    said.verdicts[12:] = 0
    exact = binomtest(0, 12).proportion_ci(method="exact")
    assert resample_metrics(said, resamples=5).estimate("error_among_certain").high == pytest.approx(exact.high)


def test_without_a_label_or_a_call_micro_f1_may_be_anything() -> None:
    said = right_part(fields=30)
    said = replace(said, truth=1 - said.truth, called=~said.called)
    estimate = resample_metrics(said, resamples=5).estimate("micro_f1")
    assert (estimate.low, estimate.value, estimate.high) == (0, 1, 1)
    one = resample_metrics(said, resamples=5)
    assert (difference(one, one, "micro_f1").low, difference(one, one, "micro_f1").high) == (-1, 1)


def test_a_difference_of_scores_without_an_error_is_not_certain() -> None:
    one = resample_metrics(right_part(fields=30), resamples=50)
    found = difference(one, one, "samples_f1")
    exact = binomtest(0, 30).proportion_ci(method="exact").high
    assert (found.low, found.value, found.high) == pytest.approx((-exact, 0, exact))


@pytest.mark.parametrize(("fields", "rate"), [(30, 0.01), (100, 0.002), (100, 0.03), (300, 0.01)])
def test_intervals_cover_rare_errors(fields: int, rate: float) -> None:
    # five classes, each wrong by itself; where the rate is low, most parts show no error or one
    generator, covered, metric = np.random.default_rng(4), 0, "error_among_certain"
    for _ in range(100):
        said = right_part(fields=fields, classes=5)
        said = replace(said, truth=(generator.random(said.truth.shape) >= rate).astype(np.uint8))
        estimate = resample_metrics(said, resamples=100, metrics=[metric]).estimate(metric)
        covered += estimate.low <= rate <= estimate.high
    assert covered >= 90  # at 95 %: fewer has chance 0.01


def test_a_constant_answer_of_one_class_has_a_known_interval() -> None:
    # always called, half of the fields have it: recall 1, precision near one half
    said = replace(part(fields=200, classes=1, groups=10_000), called=np.ones((200, 1), bool))
    said = replace(said, truth=np.repeat([[1], [0]], 100, axis=0).astype(np.uint8))
    resampled = resample_metrics(said, resamples=2000)
    recall, precision = resampled.estimates("recall")[0], resampled.estimates("precision")[0]
    assert (recall.value, recall.high) == (1, 1)
    assert recall.low == pytest.approx(0.025 ** (1 / len(set(said.groups[:100]))))  # not of no width
    assert (precision.low, precision.high) == pytest.approx((0.43, 0.57), abs=0.012)  # 1.96 * 0.5 / sqrt(200)


def test_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a field at least, got none"):
        resample_metrics(part().rows(np.arange(0)))


def test_a_group_outside_the_universe_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the groups .* in the universe, got 'group-\d+' besides"):
        resample_metrics(part(), universe=["another", "zebra"])


def resampled_over(said: PartPredictions, universe: list[str]) -> Resampled:
    return resample_metrics(said, universe=universe, resamples=400, seed=5)


def test_the_difference_from_itself_is_nothing() -> None:
    said = part(fields=400, classes=3, groups=400)
    one = resampled_over(said, list(said.groups))
    for metric in ("samples_f1", "loss", "brier"):
        found = difference(one, one, metric)
        assert (found.low, found.value, found.high) == (0, 0, 0)
    macro = difference(one, one, "macro_f1")  # has a class of one or two fields, which proves nothing
    assert macro.low < macro.value == 0 < macro.high


def test_draws_over_one_universe_are_paired() -> None:
    said = part(fields=300, classes=3, groups=150)
    some = said.rows(np.flatnonzero(np.array(said.groups) < "group-140"))
    universe = [*said.groups, "group-999"]
    paired = difference(resampled_over(said, universe), resampled_over(some, universe), "loss")
    apart = difference(resampled_over(said, universe), resample_metrics(some, resamples=400, seed=6), "loss")
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)
    assert paired.low <= paired.value <= paired.high


def test_a_clear_difference_excludes_zero() -> None:
    good = part(fields=300, classes=3, groups=150)
    bad = replace(good, called=~good.called)
    found = difference(*(resampled_over(each, list(good.groups)) for each in (good, bad)), "micro_f1")
    assert found.low > 0.2


def test_differences_of_unlike_resamples_are_refused() -> None:
    said = part()
    with pytest.raises(ValueError, match="as many resamples of both, got 3 and 4"):
        difference(resample_metrics(said, resamples=3), resample_metrics(said, resamples=4), "loss")


def test_an_undefined_difference_has_no_interval() -> None:
    resampled = resample_metrics(part(groups=4), resamples=5)
    found = difference(resampled, resampled, "stable_macro_f1")
    assert math.isnan(found.value)
    assert found.low is None


def test_intervals_cover_a_truth_that_is_known() -> None:
    # groups of 4 fields alike in their answer: right with 0.7. Drawing fields would cover in about two thirds
    generator, covered, by_fields = np.random.default_rng(0), 0, 0
    for _ in range(150):
        right = np.repeat(generator.random(60) < 0.7, 4)[:, None]
        said = replace(
            part(fields=240, classes=1),
            truth=np.ones((240, 1), np.uint8),
            called=right,
            verdicts=np.ones((240, 1), np.int8),
        )
        said = replace(said, groups=tuple(str(row // 4) for row in range(240)))
        estimates = [
            resample_metrics(each, resamples=200, metrics=["samples_f1"]).estimate("samples_f1")
            for each in (said, replace(said, groups=said.ids))
        ]
        covered += estimates[0].low <= 0.7 <= estimates[0].high
        by_fields += estimates[1].low <= 0.7 <= estimates[1].high
    assert covered >= 135  # of 150 at 95 %: fewer has chance 0.003
    assert by_fields <= 120
