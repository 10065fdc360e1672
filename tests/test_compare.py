"""Comparing runs: paired, corrected for many comparisons, held against theory and simulation."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protloc.errors import RunError
from protloc.judge import compare as comparing
from protloc.judge.compare import BETTER, UNRESOLVED, WORSE, compare
from protloc.judge.metrics import field_f1, sigmoid
from protloc.judge.predictions import PartPredictions

CLASSES = 4


def predictions(truth, logits, *, groups=None):
    """Return what a run said, a group a field if none are given."""
    truth, logits = np.asarray(truth, np.uint8), np.asarray(logits, np.float32)
    ids = tuple(f"field{number:04d}" for number in range(len(truth)))
    probabilities = sigmoid(logits).astype(np.float32)
    return PartPredictions(
        ids, ids if groups is None else tuple(groups), truth, logits, probabilities, probabilities >= 0.5,
        np.zeros(truth.shape, np.int8),
    )  # fmt: skip


def simulated(seed, *, groups=60, runs=2, skill=0.0, classes=CLASSES):
    """Return a reference and runs that are better by ``skill``, on groups of two fields of one label set.

    All share what is hard about a field; each has its own chance with the group and the field.
    """
    generator = np.random.default_rng(seed)
    truth = np.repeat(generator.random((groups, classes)) < 0.4, 2, axis=0).astype(np.float64)
    names = [f"group{number // 2}" for number in range(len(truth))]
    hard = np.repeat(generator.normal(size=(groups, classes)), 2, axis=0)

    def run(better: float) -> PartPredictions:
        own = np.repeat(generator.normal(size=(groups, classes)), 2, axis=0) + generator.normal(size=truth.shape)
        return predictions(truth, (1 + better) * (2 * truth - 1) + hard + own, groups=names)

    return {"reference": run(0.0)} | {f"run {number}": run(skill) for number in range(runs)}


def headline(comparison, metric, run=None):
    """Return the difference of a run, the first if none is named, in one headline metric."""
    run = run or comparison.runs[0]
    return next(entry for entry in comparison.headlines if (entry.run, entry.metric) == (run, metric))


def of_class(comparison, metric, column):
    return next(entry for entry in comparison.classes if (entry.metric, entry.column) == (metric, column))


@pytest.fixture
def only_samples_f1(monkeypatch):
    """Ask for one metric only, so that a family is one difference."""
    monkeypatch.setattr(comparing, "HEADLINES", {"samples_f1": "samples-F1"})
    monkeypatch.setattr(comparing, "CLASS_HEADLINES", {})


def test_a_hand_worked_pair():
    # 20 fields of one class each; the reference calls it in 10 of them, the run in those and 6 more
    truth = np.zeros((20, 2))
    truth[:10, 0] = truth[10:, 1] = 1
    before, after = np.full((20, 2), -1.0), np.full((20, 2), -1.0)
    before[:10, 0] = after[:10, 0] = 1
    after[10:16, 1] = 1
    found = compare({"before": predictions(truth, before), "after": predictions(truth, after)}, resamples=4000)
    entry = headline(found, "samples_f1")
    assert (entry.reference, entry.value) == (pytest.approx(0.5), pytest.approx(0.8))
    # each field differs by 1 (six of them) or 0: standard error of their mean
    assert entry.error == pytest.approx(math.sqrt(0.3 * 0.7 / 19), rel=0.05)
    assert entry.difference == pytest.approx(0.3)
    assert (entry.low + entry.high) / 2 == pytest.approx(0.3)
    first, second = of_class(found, "f1", 0), of_class(found, "f1", 1)
    assert (first.reference, first.value, first.error, first.verdict) == (1, 1, 0, UNRESOLVED)
    assert first.reason == "the answers are the same"
    assert (second.reference, second.value) == (0, pytest.approx(12 / 16))
    assert second.verdict == BETTER


@pytest.mark.usefixtures("only_samples_f1")
def test_one_difference_alone_has_the_interval_of_a_paired_t_test():
    generator = np.random.default_rng(3)
    truth = (generator.random((300, 5)) < 0.4).astype(np.uint8)
    shared = generator.normal(size=truth.shape)
    runs = {
        name: predictions(truth, 2.0 * truth - 1 + shared + generator.normal(size=truth.shape)) for name in ("a", "b")
    }
    entry = headline(compare(runs, resamples=4000), "samples_f1")
    scores = [field_f1(truth, said.called) for said in runs.values()]
    test = stats.ttest_rel(scores[1], scores[0]).confidence_interval(0.95)
    assert entry.low == pytest.approx(test.low, abs=0.05 * (test.high - test.low))
    assert entry.high == pytest.approx(test.high, abs=0.05 * (test.high - test.low))
    drawn = stats.bootstrap(
        tuple(scores), lambda a, b, axis: b.mean(axis) - a.mean(axis), paired=True, method="basic", n_resamples=4000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert entry.error == pytest.approx(drawn.standard_error, rel=0.05)


@pytest.mark.usefixtures("only_samples_f1")
def test_pairing_takes_out_what_is_hard_for_both():
    runs = simulated(0, groups=200, runs=1)
    entry = headline(compare(runs), "samples_f1")
    apart = [field_f1(said.truth, said.called).reshape(-1, 2).mean(axis=1) for said in runs.values()]
    unpaired = math.sqrt(sum(scores.var(ddof=1) / len(scores) for scores in apart))
    assert entry.error < 0.95 * unpaired


@pytest.mark.parametrize("number", [1, 5, 20])
def test_the_greatest_of_independent_deviations_is_sidaks(number):
    generator = np.random.default_rng(number)
    draws = generator.normal(size=(number, 40_000)) * np.arange(1, number + 1)[:, None]  # each has its own error
    family = [comparing._Question("run", "f1", None, 0.0, 0.0, one, 1000) for one in draws]
    expected = stats.norm.isf((1 - 0.95 ** (1 / number)) / 2)
    assert comparing._critical(family) == pytest.approx(expected, rel=0.02)


def test_comparisons_that_are_one_and_the_same_need_no_correction():
    draws = np.random.default_rng(0).normal(size=40_000)
    family = [comparing._Question("run", "f1", None, 0.0, 0.0, draws, 1000) for _ in range(20)]
    assert comparing._critical(family) == pytest.approx(1.96, rel=0.02)


@pytest.mark.parametrize(("critical", "groups"), [(1.96, 11), (3.0, 40)])
def test_few_groups_widen_as_students_t_does(critical, groups):
    two_sided = 2 * stats.norm.sf(critical)
    assert comparing._widened(critical, groups) == pytest.approx(stats.t.isf(two_sided / 2, groups - 1))


def test_the_tail_beyond_six_errors_is_scaled_not_lost():
    assert comparing._widened(0.0, 20) == 0
    assert comparing._widened(60.0, 20) == pytest.approx(10 * comparing._widened(6.0, 20))


def test_under_the_null_hardly_any_family_has_a_finding():
    worlds = 100
    wrong = np.zeros((worlds, 2), bool)
    for seed in range(worlds):
        found = compare(simulated(seed, groups=40), resamples=200, seed=seed)
        for place, family in enumerate((found.headlines, found.classes)):
            wrong[seed, place] = any(entry.verdict != UNRESOLVED for entry in family)
    most = stats.binom.ppf(0.99, worlds, 0.05) / worlds
    assert (wrong.mean(axis=0) <= most).all()


def test_a_run_that_is_better_is_found():
    found = [compare(simulated(seed, groups=100, runs=1, skill=1.0), resamples=200) for seed in range(10)]
    verdicts = [entry.verdict for comparison in found for entry in comparison.headlines]
    assert np.mean([verdict == BETTER for verdict in verdicts]) > 0.9
    assert WORSE not in verdicts


def test_less_loss_is_better():
    runs = simulated(1, groups=100, runs=1, skill=1.5)
    turned = {"good": runs["run 0"], "poor": runs["reference"]}
    better, worse = headline(compare(runs), "loss"), headline(compare(turned), "loss")
    assert (better.verdict, worse.verdict) == (BETTER, WORSE)
    assert better.difference < 0 < worse.difference


def test_a_run_with_itself_is_not_resolvable_by_any_number():
    said = simulated(0)["reference"]
    found = compare({"run": said, "run again": said}, resamples=50)
    assert {entry.verdict for entry in (*found.headlines, *found.classes)} == {UNRESOLVED}
    assert {entry.reason for entry in found.headlines} == {"the answers are the same"}
    assert {(entry.difference, entry.low, entry.high, entry.error) for entry in found.headlines} == {(0, 0, 0, 0)}
    assert {entry.needed for entry in found.headlines} == {math.inf}
    assert found.runs == ("run again",)


@pytest.mark.usefixtures("only_samples_f1")
def test_as_many_fields_as_are_said_to_be_needed_resolve_the_difference():
    runs = simulated(4, groups=40, runs=1, skill=0.1)
    entry = headline(compare(runs, resamples=2000), "samples_f1")
    assert entry.verdict == UNRESOLVED
    times = entry.needed / entry.fields
    for factor, verdict in ((0.75, UNRESOLVED), (1.6, BETTER)):
        many = {name: again(said, round(factor * times)) for name, said in runs.items()}
        assert headline(compare(many, resamples=2000), "samples_f1").verdict == verdict


def again(said, times):
    """Return so many copies of all fields, as new fields in groups of their own."""
    rows = np.tile(np.arange(len(said)), times)
    copies = said.rows(rows)
    return dataclasses.replace(
        copies,
        ids=tuple(f"{place} {field}" for place, field in enumerate(copies.ids)),
        groups=tuple(f"{place // len(said)} {group}" for place, group in enumerate(copies.groups)),
    )


def test_the_interval_says_how_many_fields_are_needed():
    found = compare(simulated(2), resamples=100)
    for entry in found.headlines:
        reach = (entry.high - entry.low) / 2
        assert entry.needed == pytest.approx(found.fields * (reach / entry.difference) ** 2)
        assert (entry.needed < found.fields) == (entry.verdict != UNRESOLVED)


def test_the_order_of_the_fields_does_not_matter():
    runs = simulated(0)
    turned = runs | {"run 1": runs["run 1"].rows(np.random.default_rng(0).permutation(len(runs["run 1"])))}
    assert compare(turned, resamples=50) == compare(runs, resamples=50)


def test_a_class_in_few_groups_is_never_resolved():
    truth = np.zeros((60, 2))
    truth[:, 0] = 1
    truth[:9, 1] = 1
    poor, good = np.full((60, 2), -1.0), np.full((60, 2), -1.0)
    good[:9, 1] = 1  # all right, where the other has none
    found = compare({"poor": predictions(truth, poor), "good": predictions(truth, good)}, resamples=100)
    entry = of_class(found, "f1", 1)
    assert (entry.reference, entry.value, entry.verdict) == (0, 1, UNRESOLVED)
    assert entry.reason == "in 9 groups only"
    assert math.isnan(entry.low)
    assert math.isnan(entry.needed)


def test_a_class_no_field_has_is_not_compared():
    runs = simulated(0)
    absent = {
        name: dataclasses.replace(said, truth=said.truth * np.array([0, 1, 1, 1], np.uint8))
        for name, said in runs.items()
    }
    found = compare(absent, resamples=50)
    assert of_class(found, "f1", 0).reason == "not defined on these fields"
    assert of_class(found, "f1", 0).verdict == UNRESOLVED
    assert of_class(found, "f1", 1).reason == ""


def test_a_difference_without_any_spread_is_resolved():
    truth = np.ones((30, 1))
    found = compare({"none": predictions(truth, -truth), "all": predictions(truth, truth)}, resamples=50)
    entry = headline(found, "samples_f1")
    assert (entry.low, entry.high, entry.verdict) == (1, 1, BETTER)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_intervals_hold_their_difference_and_turn_with_the_runs(seed, groups):
    generator = np.random.default_rng(seed)
    truth = generator.random((24, 3)) < 0.5
    names = [f"{number % (12 * groups)}" for number in range(24)]
    one, other = (predictions(truth, generator.normal(size=truth.shape), groups=names) for _ in range(2))
    there = compare({"one": one, "other": other}, resamples=30)
    back = compare({"other": other, "one": one}, resamples=30)
    turned = {BETTER: WORSE, WORSE: BETTER, UNRESOLVED: UNRESOLVED}
    for entry, mirrored in zip(there.headlines + there.classes, back.headlines + back.classes, strict=True):
        assert entry.verdict == turned[mirrored.verdict]
        if not math.isnan(entry.low):
            assert entry.low <= entry.difference <= entry.high
            assert entry.low == pytest.approx(-mirrored.high, abs=1e-9)


def test_runs_on_other_fields_are_refused_with_the_remedy():
    runs = simulated(0)
    fewer = runs | {"run 1": runs["run 1"].rows(np.arange(100))}
    with pytest.raises(RunError, match=r"run 1 and reference judge other fields \(100 in both of 100 and 120\).*split"):
        compare(fewer)


def test_runs_with_other_labels_or_groups_are_refused():
    runs = simulated(0)
    said = runs["run 0"]
    with pytest.raises(RunError, match="other labels"):
        compare(runs | {"run 0": dataclasses.replace(said, truth=1 - said.truth)})
    with pytest.raises(RunError, match="other groups"):
        compare(runs | {"run 0": dataclasses.replace(said, groups=said.ids)})


def test_a_single_run_is_refused():
    with pytest.raises(RunError, match="1 run given, expected two"):
        compare({"run": simulated(0)["reference"]})


def test_a_class_of_one_group_decides_no_mean_over_classes():
    # two classes; the second is in one group, where the run is right and the reference is not: macro-F1 differs by .5
    truth = np.zeros((60, 2))
    truth[:, 0] = 1
    truth[0, 1] = 1
    poor, good = np.where(truth > 0, 1.0, -1.0), np.where(truth > 0, 1.0, -1.0)
    poor[0, 1] = -1
    runs = {"poor": predictions(truth, poor), "good": predictions(truth, good)}
    entry = headline(compare(runs, resamples=200), "macro_f1")
    assert entry.difference == pytest.approx(0.5)
    assert entry.error == pytest.approx(0.5)  # all its draws are the same, yet it may be chance: (1 - 0) ** 2 / 2 ** 2
    assert entry.verdict == UNRESOLVED
