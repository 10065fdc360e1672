"""Certain answers against MAPIE, hand-worked cases and simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mapie.risk_control import MultiLabelClassificationController
from numpy.testing import assert_allclose

from protloc.judge.three_way import LADDER, Cuts, deferral, fit_cuts, risk_control

PREVALENCES = np.array([0.4, 0.2, 0.15, 0.1])


def simulated(groups: int, seed: int, *, alike: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return truth and true probabilities, (fields, 4), of groups of fields that share half of their noise."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((groups, 4)) < PREVALENCES).repeat(alike, 0)
    noise = rng.normal(size=(groups, 4)).repeat(alike, 0)
    if alike > 1:
        noise = np.sqrt(0.5) * (noise + rng.normal(size=noise.shape))
    logits = 2.5 * (noise + 2.5 * (truth - 0.5)) + np.log(PREVALENCES / (1 - PREVALENCES))
    return truth.astype(np.uint8), 1 / (1 + np.exp(-logits)), np.repeat(np.arange(groups).astype(str), alike).tolist()


def mapies_cut(truth: np.ndarray, probabilities: np.ndarray, error_rate: float) -> tuple[float, float]:
    """Return between which two labels' probabilities MAPIE cuts: the last one under the cut, and the next."""
    labels = np.unique(np.concatenate([[0.0], probabilities[truth > 0], [1.0]]))
    grid = (labels[1:] + labels[:-1]) / 2
    controller = MultiLabelClassificationController(
        lambda rows: probabilities[rows], risk="recall", method="crc", target_level=1 - error_rate, predict_params=grid
    )
    controller.calibrate(np.arange(len(truth)), truth)
    place = int(np.searchsorted(labels, controller.best_predict_param[0]))
    return float(labels[place - 1]), float(labels[place])


def certain(cuts: Cuts, truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count (labels told absent, labels) and (wrong present answers, present answers) of each class."""
    verdicts = cuts.verdicts(probabilities)
    said = verdicts == 1
    missed = ((verdicts == -1) & (truth > 0)).sum(axis=0)
    return np.array([missed, truth.sum(axis=0)]), np.array([(said & (truth == 0)).sum(axis=0), said.sum(axis=0)])


def test_risk_control_of_a_hand_worked_case() -> None:
    # nine units: (9 × 0 + 1) / 10 = 0.1 is allowed, (9 × 1/9 + 1) / 10 = 0.2 is not
    assert risk_control([0, 0, 1 / 9, 2 / 9], units=9, error_rate=0.1) == 1
    assert risk_control([0, 0, 1 / 9, 2 / 9], units=9, error_rate=0.2) == 2
    assert risk_control([0, 0, 1 / 9, 2 / 9], units=8, error_rate=0.1) is None
    assert risk_control([], units=0, error_rate=0.1) is None


@given(
    arrays(float, st.integers(1, 20), elements=st.floats(0, 1)).map(np.sort),
    st.integers(1, 200),
    st.floats(0.01, 0.5),
    st.floats(0.01, 0.5),
)
def test_a_higher_rate_chooses_no_stricter_candidate(risks, units, one, other) -> None:
    strict, loose = (risk_control(risks, units=units, error_rate=rate) for rate in sorted((one, other)))
    assert (-1 if strict is None else strict) <= (-1 if loose is None else loose)


@pytest.mark.parametrize("error_rate", [0.05, 0.1, 0.2])
def test_the_cut_of_a_class_is_mapies(error_rate) -> None:
    truth, probabilities, groups = simulated(300, 0)
    cuts = fit_cuts(truth, probabilities, groups=groups, error_rate=error_rate)
    for column in range(3):
        labelled = truth[:, column] > 0  # MAPIE's recall is not defined elsewhere
        here = np.ix_(labelled, [column])
        last_below, first_above = mapies_cut(truth[here], probabilities[here], error_rate)
        assert last_below < first_above
        assert cuts.absent_below[column] == pytest.approx(min(first_above, cuts.present_from[column]))


def test_the_cut_that_classes_share_is_mapies() -> None:
    truth, probabilities, _ = simulated(60, 1)
    labelled = np.flatnonzero(truth.any(axis=1))[:30]
    truth, probabilities = truth[labelled], probabilities[labelled]
    rate = 0.04  # needs 24 fields with a class; none has as many, all together have 30
    assert truth.sum(axis=0).max() < 24
    cuts = fit_cuts(truth, probabilities, groups=np.arange(30).astype(str).tolist(), error_rate=rate)
    assert len(set(cuts.absent_below)) == 1
    assert cuts.absent_below[0] == pytest.approx(mapies_cut(truth, probabilities, rate)[1])


def test_absent_of_a_hand_worked_case() -> None:
    # of 19 fields with the class one may be missed: (1 + 1) / 20 = 0.1; the second smallest is not under its own cut
    probabilities = np.arange(1, 20)[:, None] / 100
    cuts = fit_cuts(np.ones((19, 1)), probabilities, groups=[str(at) for at in range(19)], error_rate=0.1)
    assert cuts.absent_below == (0.02,)


def test_present_of_a_hand_worked_case() -> None:
    # 20 % of 14 + 1 answers are 3: two wrong ones and 1; a 15th answer that is wrong is one too many
    probabilities = np.linspace(1, 0.99, 18)[:, None]
    truth = np.ones((18, 1))
    truth[[3, 10, 14, 15, 16, 17]] = 0
    cuts = fit_cuts(truth, probabilities, groups=[str(at) for at in range(18)], error_rate=0.2)
    assert cuts.present_from == (probabilities[13, 0],)


def test_present_needs_probabilities_that_expect_as_much() -> None:
    # all 30 answers are right, but 0.6 promises 12 wrong ones
    groups = [str(at) for at in range(30)]
    assert fit_cuts(np.ones((30, 1)), np.full((30, 1), 0.6), groups=groups, error_rate=0.2).present_from == (2.0,)
    assert fit_cuts(np.ones((30, 1)), np.full((30, 1), 0.9), groups=groups, error_rate=0.2).present_from == (0.9,)


def test_rare_classes_share_their_cuts() -> None:
    truth, probabilities, groups = simulated(200, 2)
    truth[:, 2:] = 0
    truth[:5, 2], truth[5:9, 3] = 1, 1  # nine groups together: just enough for one cut at 0.1
    cuts = fit_cuts(truth, probabilities, groups=groups, error_rate=0.1)
    smallest = min(probabilities[:5, 2].min(), probabilities[5:9, 3].min())
    assert cuts.absent_below[2:] == (smallest, smallest)
    assert len(set(cuts.absent_below)) == 3


def test_too_rare_classes_are_joined_by_the_next_rarest() -> None:
    truth, probabilities, groups = simulated(200, 2)
    truth[:, 3] = 0  # never seen
    cuts = fit_cuts(truth, probabilities, groups=groups, error_rate=0.1)
    assert cuts.absent_below[3] == cuts.absent_below[2] > 0


def test_too_few_groups_are_always_asked_about() -> None:
    truth, probabilities, groups = simulated(8, 3)
    assert fit_cuts(truth, probabilities, groups=groups, error_rate=0.1).verdicts(probabilities).any() == np.False_
    empty = fit_cuts(np.empty((0, 2)), np.empty((0, 2)), groups=[], error_rate=0.1)
    assert empty == Cuts((0.0, 0.0), (2.0, 2.0), 0.1)


def test_copies_of_fields_change_nothing() -> None:
    truth, probabilities, groups = simulated(100, 4)
    once = fit_cuts(truth, probabilities, groups=groups, error_rate=0.1)
    copied = (each.repeat(3, 0) for each in (truth, probabilities))
    assert fit_cuts(*copied, groups=np.repeat(groups, 3).tolist(), error_rate=0.1) == once


@pytest.mark.parametrize("alike", [1, 3])
@pytest.mark.parametrize("error_rate", [0.1, 0.2])
def test_the_rate_holds_on_new_fields(error_rate, alike) -> None:
    """Mean over 60 draws of 400 groups; the margin is two standard errors, and answers are not wastefully few."""
    shares = []
    for seed in range(60):
        truth, probabilities, groups = simulated(400, seed, alike=alike)
        cuts = fit_cuts(truth, probabilities, groups=groups, error_rate=error_rate)
        shares.append(certain(cuts, *simulated(1000, 10_000 + seed)[:2]))
    for counts, least in zip(np.array(shares).transpose(1, 0, 2, 3), (0.5, 0.6), strict=True):
        rates = counts[:, 0].sum(axis=0) / counts[:, 1].sum(axis=0)
        spread = (counts[:, 0] - rates * counts[:, 1]).std(axis=0) / counts[:, 1].mean(axis=0) / np.sqrt(60)
        assert (rates <= error_rate + 2 * spread).all()
        assert rates.max() >= least * error_rate


def test_a_network_without_errors_is_not_doubted() -> None:
    truth, _, groups = simulated(200, 5)
    cuts = fit_cuts(truth, truth.astype(float), groups=groups, error_rate=0.1)
    assert (cuts.verdicts(truth.astype(float)) == np.where(truth, 1, -1)).all()


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.uint8, (25, 3), elements=st.integers(0, 1)),
    arrays(float, (25, 3), elements=st.floats(0, 1)),
    st.lists(st.sampled_from("abcdefghijklmnopqrstu"), min_size=25, max_size=25),
    st.floats(0.05, 0.6),
)
def test_cuts_are_ordered_and_verdicts_part_the_questions(truth, probabilities, groups, error_rate) -> None:
    cuts = fit_cuts(truth, probabilities, groups=groups, error_rate=error_rate)
    assert (np.array(cuts.absent_below) <= cuts.present_from).all()
    verdicts = cuts.verdicts(probabilities)
    present, absent = probabilities >= np.array(cuts.present_from), probabilities < np.array(cuts.absent_below)
    assert not (present & absent).any()
    assert (verdicts == present.astype(int) - absent).all()


def test_a_higher_rate_asks_less() -> None:
    truth, probabilities, groups = simulated(600, 6)  # every class is in enough groups for all the rates
    rates = (0.05, 0.1, 0.2, 0.3)
    fits = [fit_cuts(truth, probabilities, groups=groups, error_rate=rate) for rate in rates]
    asked = [(fit.verdicts(probabilities) == 0).mean() for fit in fits]
    assert asked == sorted(asked, reverse=True)
    assert asked[0] > asked[-1]
    assert (np.diff([fit.present_from for fit in fits], axis=0) <= 0).all()


def test_deferral_counts_what_its_verdicts_say() -> None:
    truth, probabilities, groups = simulated(300, 7)
    new_truth, new_probabilities, new_groups = simulated(100, 8, alike=2)
    curve = deferral(
        new_truth,
        new_probabilities,
        groups=new_groups,
        fit_truth=truth,
        fit_probabilities=probabilities,
        fit_groups=groups,
        error_rates=(0.05, 0.2),
    )
    cuts = fit_cuts(truth, probabilities, groups=groups, error_rate=0.2)
    verdicts = cuts.verdicts(new_probabilities)
    missed, wrong = (counts[0].sum() / counts[1].sum() for counts in certain(cuts, new_truth, new_probabilities))
    assert curve.asked.value[1] == pytest.approx((verdicts == 0).mean())
    assert curve.answered.value[1] == pytest.approx((verdicts != 0).all(axis=1).mean())
    assert curve.missed.value[1] == pytest.approx(missed)
    assert curve.wrong.value[1] == pytest.approx(wrong)
    assert curve.error_rates == (0.05, 0.2)
    for bands in (curve.asked, curve.answered, curve.missed, curve.wrong):
        assert (bands.low <= bands.value).all()
        assert (bands.value <= bands.high).all()


def test_deferral_without_certain_answers_says_so() -> None:
    truth, probabilities, groups = simulated(8, 9)
    curve = deferral(
        truth, probabilities, groups=groups, fit_truth=truth, fit_probabilities=probabilities, fit_groups=groups
    )
    assert curve.error_rates == LADDER
    assert curve.asked.value[0] == 1
    assert np.isnan(curve.wrong.value[0])
    assert_allclose([curve.wrong.low[0], curve.wrong.high[0]], [0, 1], atol=1e-9)


def test_cuts_that_never_were_fitted_always_ask() -> None:
    assert Cuts.never(2).verdicts([[0.0, 1.0]]).tolist() == [[0, 0]]


@pytest.mark.parametrize("error_rate", [0.0, 1.0, 10.0])
def test_an_error_rate_is_a_share(error_rate) -> None:
    with pytest.raises(ValueError, match=rf"error_rate between 0 and 1, got {error_rate}\. A tenth is 0\.1"):
        fit_cuts([[1]], [[0.5]], groups=["a"], error_rate=error_rate)
