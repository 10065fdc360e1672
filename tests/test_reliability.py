"""Reliability against scikit-learn, scipy, hand-worked cases and a simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.stats import binned_statistic, binomtest
from sklearn.metrics import brier_score_loss

from protloc.judge.reliability import (
    BINS,
    EDGES,
    bins_of,
    brier,
    calibration_error,
    reliability,
    share_bands,
)

FIELDS = [str(number) for number in range(400)]


@pytest.fixture
def said(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities that are a little too high, (400, 5)."""
    probabilities = rng.beta(0.5, 2.0, size=(400, 5))
    return (rng.random((400, 5)) < probabilities**1.3).astype(np.uint8), probabilities


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_brier_is_scikit_learns(said) -> None:
    truth, probabilities = said
    assert brier(truth, probabilities) == pytest.approx(brier_score_loss(truth.ravel(), probabilities.ravel()))


def test_brier_of_a_hand_worked_case() -> None:
    # (0.2² + 0.7² + 0.5² + 0) / 4
    assert brier([[1, 0], [1, 0]], [[0.8, 0.7], [0.5, 0.0]]) == pytest.approx(0.78 / 4)


def test_calibration_error_of_a_hand_worked_case() -> None:
    # 0.82 and 0.88 share a bin: said 1.70, seen 1; 0.03 has its own: said 0.03, seen 0; 0.35 too: said 0.35, seen 1
    truth, probabilities = [[1, 0], [0, 1]], [[0.82, 0.03], [0.88, 0.35]]
    assert calibration_error(truth, probabilities) == pytest.approx((0.70 + 0.03 + 0.65) / 4)


def test_calibration_error_is_that_of_scipys_bins(said) -> None:
    truth, probabilities = (each.ravel() for each in said)
    edges = [0.0, *EDGES, 1.0]
    gap = binned_statistic(probabilities, truth - probabilities, "sum", edges).statistic
    assert calibration_error(*said) == pytest.approx(np.abs(gap).sum() / truth.size)


def test_bins_keep_the_rare_apart_from_the_impossible() -> None:
    assert bins_of([[0.0, 0.0019], [0.002, 0.004]]).tolist() == [[0, 0], [1, 1]]
    assert bins_of([0.98, 1.0]).tolist() == [BINS - 1, BINS - 1]


@given(arrays(float, (7, 3), elements=st.floats(0, 1)))
def test_bins_are_ordered_as_the_probabilities(probabilities) -> None:
    order = np.argsort(probabilities, axis=None)
    bins = bins_of(probabilities)
    assert bins.shape == probabilities.shape
    assert (np.diff(bins.ravel()[order]) >= 0).all()
    assert bins.min() >= 0
    assert bins.max() < BINS


def test_reliability_of_a_hand_worked_case() -> None:
    found = reliability([[1, 0], [0, 0]], [[0.82, 0.03], [0.88, 0.04]], groups=["a", "b"])
    assert_allclose(found.predicted, [0.035, 0.85])
    assert_allclose(found.observed, [0, 0.5])
    assert found.counts.tolist() == [2, 2]


def test_its_error_is_the_calibration_error(said) -> None:
    assert reliability(*said, groups=FIELDS).error == pytest.approx(calibration_error(*said))


@settings(max_examples=20, deadline=None)
@given(arrays(np.uint8, (6, 2), elements=st.integers(0, 1)), arrays(float, (6, 2), elements=st.floats(0, 1)))
def test_bands_hold_what_was_observed(truth, probabilities) -> None:
    found = reliability(truth, probabilities, groups=list("aabbcd"))
    assert (found.low >= 0).all()
    assert (found.low <= found.observed).all()
    assert (found.observed <= found.high).all()
    assert (found.high <= 1).all()


def test_a_bin_without_the_class_still_has_a_band() -> None:
    found = reliability(np.zeros((5, 1)), np.full((5, 1), 0.3), groups=list("abcde"))
    exact = binomtest(0, 5).proportion_ci(0.95, method="exact")
    assert found.low[0] == exact.low == 0
    assert found.high[0] == pytest.approx(exact.high)


def test_bands_are_as_wide_as_groups_make_them(rng) -> None:
    """Ten copies of each field say no more than one."""
    probabilities = np.full((200, 1), 0.35)
    truth = (rng.random((200, 1)) < 0.35).astype(np.uint8)
    once = reliability(truth, probabilities, groups=FIELDS[:200])
    copies = reliability(truth.repeat(10, 0), probabilities.repeat(10, 0), groups=np.repeat(FIELDS[:200], 10).tolist())
    assert copies.high[0] - copies.low[0] == pytest.approx(once.high[0] - once.low[0], rel=0.1)


def test_bands_cover_the_true_share() -> None:
    """Of shares over groups of one to four alike fields, with no more noise than 150 draws have."""
    covered = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        size = rng.integers(1, 5, 80).astype(np.float64)
        low, high = share_bands((size * (rng.random(80) < 0.3))[:, None], size[:, None], seed=seed, resamples=300)
        covered.append(low[0] <= 0.3 <= high[0])
    assert 0.90 <= np.mean(covered) <= 0.99


def test_bands_cover_a_rare_share_of_groups() -> None:
    """Of 100 groups of eight alike fields: taken for 800 questions they would cover in about a half."""
    covered = []
    for seed in range(100):
        wrong = 8.0 * (np.random.default_rng(seed).random(100) < 0.01)
        low, high = share_bands(wrong[:, None], np.full((100, 1), 8.0), seed=seed, resamples=100)
        covered.append(low[0] <= 0.01 <= high[0])
    assert np.mean(covered) >= 0.93


def test_a_share_of_nothing_may_be_anything() -> None:
    for groups in (0, 1, 3):
        low, high = share_bands(np.zeros((groups, 2)), np.zeros((groups, 2)), seed=0, resamples=10)
        assert low.tolist() == [0, 0]
        assert high.tolist() == [1, 1]


def test_same_seed_same_bands(said) -> None:
    assert_allclose(reliability(*said, groups=FIELDS, seed=3).low, reliability(*said, groups=FIELDS, seed=3).low)
    assert (reliability(*said, groups=FIELDS, seed=3).low != reliability(*said, groups=FIELDS, seed=4).low).any()


def test_no_field_has_no_error() -> None:
    empty = np.empty((0, 3))
    assert np.isnan(brier(empty, empty))
    assert np.isnan(calibration_error(empty, empty))
    assert np.isnan(reliability(empty, empty, groups=[]).error)


@pytest.mark.parametrize("score", [brier, calibration_error])
def test_logits_are_no_probabilities(score) -> None:
    with pytest.raises(ValueError, match=r"expected probabilities in 0\.\.1, got -3\.0\. Calibrate logits first"):
        score([[0]], [[-3.0]])
    with pytest.raises(ValueError, match=r"of one shape \(fields, classes\), got \(1, 1\) and \(1, 2\)"):
        score([[0]], [[0.1, 0.2]])
