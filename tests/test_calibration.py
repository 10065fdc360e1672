"""Calibration against scikit-learn, known distortions and a simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from protloc.judge.calibration import Calibration, fit_calibration
from protloc.judge.metrics import bce_loss
from protloc.judge.reliability import calibration_error

PREVALENCES = np.array([0.4, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002])
COMMON = PREVALENCES >= 0.1
RARE = PREVALENCES <= 0.005


def simulated(fields: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and the logits of its true posterior, (fields, 10)."""
    rng = np.random.default_rng(seed)
    truth = rng.random((fields, len(PREVALENCES))) < PREVALENCES
    scores = rng.normal(size=truth.shape) + 2.5 * (truth - 0.5)
    return truth.astype(np.uint8), 2.5 * scores + np.log(PREVALENCES / (1 - PREVALENCES))


def distorted(logits: np.ndarray, seed: int) -> np.ndarray:
    """Return logits of an overconfident network that saw each class under 3 % as often as if it had 3 %."""
    rng = np.random.default_rng(1000 + seed)
    slopes = np.exp(0.3 + 0.15 * rng.normal(size=logits.shape[1]))
    return slopes * logits + np.log(np.maximum(0.03 / PREVALENCES, 1.0)) + 0.2 * rng.normal(size=logits.shape[1])


def alone(fields: int) -> list[str]:
    """Return a group of its own for each field."""
    return [str(number) for number in range(fields)]


def platt(truth: np.ndarray, logits: np.ndarray) -> Calibration:
    """Fit each class by scikit-learn, by itself; a class without positives is left as it is."""
    fits = [
        LogisticRegression(C=1e6, tol=1e-8, max_iter=2000).fit(logits[:, [at]], truth[:, at])
        if truth[:, at].any()
        else None
        for at in range(truth.shape[1])
    ]
    slopes = tuple(float(fit.coef_[0, 0]) if fit else 1.0 for fit in fits)
    return Calibration(slopes, tuple(float(fit.intercept_[0]) if fit else 0.0 for fit in fits))


def test_classes_with_plenty_of_fields_are_as_scikit_learn_fits_them() -> None:
    truth, logits = simulated(20_000, 0)
    logits = distorted(logits, 0)
    ours, theirs = fit_calibration(truth, logits, groups=alone(20_000)), platt(truth, logits)
    assert_allclose(np.array(ours.slopes)[COMMON], np.array(theirs.slopes)[COMMON], atol=1e-2)
    assert_allclose(np.array(ours.intercepts)[COMMON], np.array(theirs.intercepts)[COMMON], atol=1e-2)


def test_over_sampling_is_undone() -> None:
    truth, true_logits = simulated(10_000, 1)
    fit = fit_calibration(truth, distorted(true_logits, 1), groups=alone(10_000))
    truth, true_logits = simulated(20_000, 2)
    raw, true = (Calibration.plain(10).probabilities(each) for each in (distorted(true_logits, 1), true_logits))
    best, before = calibration_error(truth, true), calibration_error(truth, raw)
    after = calibration_error(truth, fit.probabilities(distorted(true_logits, 1)))
    assert before > 5 * best
    assert after < best + 0.1 * (before - best)


def test_rare_classes_gain_over_unshrunken_platt_and_one_temperature() -> None:
    """Held-out log loss of the rare classes, mean over eight draws of 800 fields."""
    losses = []
    for seed in range(8):
        truth, logits = simulated(800, seed)
        logits = distorted(logits, seed)
        new_truth, new_logits = simulated(20_000, 100 + seed)
        new_logits = distorted(new_logits, seed)
        scale = minimize_scalar(lambda by, y=truth, z=logits: bce_loss(y, by * z), bounds=(0.05, 5), method="bounded").x
        one = Calibration((scale,) * 10, (0.0,) * 10)
        fits = (fit_calibration(truth, logits, groups=alone(800)), platt(truth, logits), one)
        losses.append([bce_loss(new_truth[:, RARE], fit.logits(new_logits)[:, RARE]) for fit in fits])
    ours, unshrunken, temperature = np.mean(losses, axis=0)
    assert ours < 0.95 * unshrunken
    assert ours < 0.95 * temperature


def test_a_class_never_seen_is_rare_but_possible() -> None:
    truth, logits = simulated(1000, 3)
    truth[:, 7:] = 0
    said = fit_calibration(truth, distorted(logits, 3), groups=alone(1000)).probabilities(distorted(logits, 3))
    assert (said[:, 7:].mean(axis=0) < 3 / 1000).all()  # the rule of three
    assert (said[:, 7:].mean(axis=0) > 1e-5).all()


def test_two_positives_keep_nearly_the_slope_of_the_others() -> None:
    truth, logits = simulated(2000, 4)
    truth[:, 9] = 0
    truth[np.argsort(logits[:, 9])[:2], 9] = 1  # the two least likely: by themselves they would reverse the class
    fit = fit_calibration(truth, logits, groups=alone(2000))
    assert platt(truth, logits).slopes[9] < 0
    assert fit.slopes[9] > 0.3 * np.median(fit.slopes)
    assert fit.probabilities(logits)[:, 9].sum() < 6


def test_a_network_that_is_always_wrong_is_not_reversed() -> None:
    truth, logits = simulated(1000, 5)
    fit = fit_calibration(truth, -logits, groups=alone(1000))
    assert min(fit.slopes) > 0
    assert_allclose(fit.probabilities(-logits).mean(axis=0), truth.mean(axis=0), atol=0.01)


def test_copies_of_fields_say_no_more_than_one() -> None:
    truth, logits = simulated(300, 6)
    once = fit_calibration(truth, logits, groups=alone(300))
    twice = fit_calibration(truth.repeat(2, 0), logits.repeat(2, 0), groups=np.repeat(alone(300), 2).tolist())
    assert_allclose(once.slopes, twice.slopes, rtol=1e-6)
    assert_allclose(once.intercepts, twice.intercepts, atol=1e-6)


def test_the_order_of_classes_does_not_matter() -> None:
    truth, logits = simulated(300, 7)
    ahead = fit_calibration(truth, logits, groups=alone(300))
    back = fit_calibration(truth[:, ::-1], logits[:, ::-1], groups=alone(300))
    assert_allclose(ahead.slopes, back.slopes[::-1], rtol=1e-4)
    assert_allclose(ahead.intercepts, back.intercepts[::-1], atol=1e-4)


def test_mean_probability_of_a_common_class_is_its_share() -> None:
    # where the gradient of the intercept is 0, what is expected is what was seen
    truth, logits = simulated(5000, 8)
    said = fit_calibration(truth, distorted(logits, 8), groups=alone(5000)).probabilities(distorted(logits, 8))
    assert said[:, 0].mean() == pytest.approx(truth[:, 0].mean(), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.uint8, (9, 3), elements=st.integers(0, 1)),
    arrays(float, (9, 3), elements=st.floats(-1e6, 1e6)),
    st.lists(st.sampled_from("abc"), min_size=9, max_size=9),
)
def test_anything_finite_can_be_calibrated(truth, logits, groups) -> None:
    fit = fit_calibration(truth, logits, groups=groups)
    assert min(fit.slopes) > 0
    assert np.isfinite([*fit.slopes, *fit.intercepts]).all()
    order = np.argsort(logits[:, 0])
    assert (np.diff(fit.logits(logits)[order, 0]) >= 0).all()


@pytest.mark.parametrize("column", [np.zeros(50), np.ones(50), np.arange(50) % 2])
def test_separable_constant_and_one_sided_classes_stay_finite(column) -> None:
    for logits in (np.zeros(50), np.where(column > 0, 9.0, -9.0)):
        fit = fit_calibration(column[:, None], logits[:, None], groups=alone(50))
        assert 0.05 < fit.slopes[0] < 20
        assert abs(fit.intercepts[0]) < 10


def test_without_fields_logits_stay_as_they_are() -> None:
    assert fit_calibration(np.empty((0, 2)), np.empty((0, 2)), groups=[]) == Calibration.plain(2)


def test_plain_calibration_is_the_sigmoid() -> None:
    assert_allclose(Calibration.plain(2).probabilities([[0.0, np.log(3)]]), [[0.5, 0.75]])


def test_slope_and_intercept_of_a_hand_worked_case() -> None:
    # 2 × 0.5 - 1 = 0
    assert_allclose(Calibration((2.0,), (-1.0,)).probabilities([[0.5]]), [[0.5]])


def test_intervals_hold_the_true_probability_of_nineteen_in_twenty() -> None:
    held = []
    for seed in range(8):
        truth, logits = simulated(1500, seed)
        _, true = simulated(4000, 100 + seed)
        fit = fit_calibration(truth, distorted(logits, seed), groups=alone(1500))
        low, high = fit.intervals(distorted(true, seed))
        said, correct = fit.probabilities(distorted(true, seed)), Calibration.plain(10).probabilities(true)
        assert ((low <= said) & (said <= high)).all()
        held.append(((low <= correct) & (correct <= high)).mean(axis=0))
    covered = np.mean(held, axis=0)
    assert 0.9 < covered[COMMON].mean() < 0.99
    assert covered.mean() > 0.88


def test_intervals_are_wider_with_fewer_groups_and_in_rare_classes() -> None:
    truth, logits = simulated(1500, 0)
    names = alone(1500)
    many = fit_calibration(truth, logits, groups=names).intervals(np.zeros((1, 10)))
    few = fit_calibration(truth, logits, groups=[name[:-1] for name in names]).intervals(np.zeros((1, 10)))
    width, of_few = (np.diff(np.log(each / (1 - each)), axis=0)[0, 0] for each in (many, few))
    assert (of_few > width).all()
    assert width[0] < width[-1]


def test_many_fields_have_the_normal_interval_of_a_logistic_regression() -> None:
    truth, logits = simulated(20_000, 3)
    hot, given = truth[:, 0], logits[:, 0]
    fit = fit_calibration(truth, logits, groups=alone(20_000))
    chance = fit.probabilities(logits)[:, 0]
    design = np.stack([given, np.ones_like(given)], axis=1)
    covariance = np.linalg.inv((design * (chance * (1 - chance))[:, None]).T @ design)
    low, high = fit.intervals(np.full((1, 10), 1.5))[:, 0, 0]
    found = np.log(high / (1 - high)) - np.log(low / (1 - low))
    at = np.array([1.5, 1.0])
    assert hot.sum() > 5000
    assert_allclose(found, 2 * 1.96 * np.sqrt(at @ covariance @ at), rtol=0.05)


def test_a_calibration_that_was_never_fitted_has_no_intervals_and_nan_stays_nan() -> None:
    assert Calibration.plain(2).intervals([[0.0, 1.0]]) is None
    fitted = Calibration((1.0,), (0.0,), ((0.1, 0.0, 0.1),))
    assert np.isnan(fitted.intervals([[np.nan]])).all()


def test_logits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected finite logits, got nan\. Leave such fields out"):
        fit_calibration([[1]], [[np.nan]], groups=["a"])
    with pytest.raises(ValueError, match=r"one shape \(fields, classes\), got \(1, 1\) and \(1, 2\)"):
        fit_calibration([[1]], [[0.0, 1.0]], groups=["a"])
