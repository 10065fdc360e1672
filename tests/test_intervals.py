"""Intervals against scipy, against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from protloc.judge.intervals import FEW_DEVIATING, distances, exact_f1, exact_share, least_reach


@pytest.mark.parametrize(("right", "number"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (57, 100)])
def test_the_interval_of_a_share_is_that_of_scipy(right: int, number: int) -> None:
    expected = stats.binomtest(right, number).proportion_ci(method="exact")
    low, high = exact_share(right / number, number)
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_one_question_worked_by_hand() -> None:
    # one question, answered right: a true share p gives this with chance p, so that p >= 0.025 is not refuted
    assert exact_share(1.0, 1) == pytest.approx((0.025, 1))
    # three of three: p**3 >= 0.025
    assert exact_share(1.0, 3) == pytest.approx((0.025 ** (1 / 3), 1))


def test_without_a_question_nothing_is_known() -> None:
    low, high = exact_share([np.nan, 0.0], [0, 0])
    assert low.tolist() == [0, 0]
    assert high.tolist() == [1, 1]


def test_the_interval_of_f1_is_that_of_the_share_it_stands_for() -> None:
    # of 10 fields with the class or called it, 6 are both: J = 0.6, F1 = 2 * 6 / (2 * 6 + 4) = 0.75
    share = stats.binomtest(6, 10).proportion_ci(method="exact")
    low, high = exact_f1(0.75, 10)
    assert low == pytest.approx(2 * share.low / (1 + share.low))
    assert high == pytest.approx(2 * share.high / (1 + share.high))


@given(st.floats(0, 1), st.integers(1, 500))
def test_exact_intervals_hold_the_value_and_narrow_with_more_questions(share: float, number: int) -> None:
    for interval in (exact_share, exact_f1):
        low, high = interval(share, number)
        assert 0 <= low <= share + 1e-12
        assert share - 1e-12 <= high <= 1
        closer = interval(share, 2 * number)
        assert closer[1] - closer[0] < high - low


def test_percentiles_of_many_groups_are_the_plain_ones() -> None:
    draws = np.random.default_rng(0).normal(size=4001)
    low, high = np.percentile(draws, [2.5, 97.5])
    assert distances(0.0, draws, groups=10**6) == pytest.approx((-low, high), abs=1e-3)


def test_percentiles_of_few_groups_reach_as_far_as_student_says() -> None:
    # the mean of 5 normal numbers: a bootstrap has sd s * sqrt(4 / 5) / sqrt(5); the exact interval t * s / sqrt(5)
    draws = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * np.sqrt(4 / 5)
    below, above = distances(0.0, draws, groups=5)
    assert below == pytest.approx(stats.t.ppf(0.975, 4), rel=1e-3)
    assert above == pytest.approx(below)


def test_an_undefined_resample_counts_with_the_value() -> None:
    draws = np.array([np.nan] * 99 + [0.4])
    assert distances(0.5, draws, groups=1000) == (0, 0)


def test_distances_are_never_negative() -> None:
    assert distances(0.5, np.array([0.6, 0.7, 0.8]), groups=3)[0] == 0


def reach(parts: list[float], wholes: list[float]) -> tuple[float, float]:
    """Return how far a share reaches at least, down and up."""
    below, above = least_reach(np.array(parts, float)[:, None], np.array(wholes, float)[:, None])
    return below[0], above[0]


@pytest.mark.parametrize(("wrong", "number"), [(0, 1), (0, 30), (3, 40), (9, 100), (40, 40), (35, 40)])
def test_a_share_of_questions_reaches_to_the_exact_interval(wrong: int, number: int) -> None:
    expected = stats.binomtest(wrong, number).proportion_ci(method="exact")
    parts = [1.0] * wrong + [0.0] * (number - wrong)
    share = wrong / number
    assert reach(parts, [1.0] * number) == pytest.approx((share - expected.low, expected.high - share))


def test_a_share_from_which_many_groups_deviate_is_left_to_the_bootstrap() -> None:
    parts = [1.0] * FEW_DEVIATING + [0.0] * 50
    assert reach(parts, [1.0] * len(parts)) == (0, 0)


def test_groups_that_say_nothing_of_a_share_do_not_count() -> None:
    assert reach([0, 0, 0, 0], [2, 5, 0, 0]) == reach([0, 0], [1, 1])
    assert reach([0, 0], [0, 0]) == (np.inf, np.inf)


def test_rare_small_errors_of_groups_worked_by_hand() -> None:
    # of 20 groups of 10 questions four have one wrong: the next may have 1 / 5 wrong, so it is as if 2 of 20 were, at
    # a fifth; the share is 4 / 200
    expected = stats.binomtest(2, 20).proportion_ci(method="exact")
    found = reach([1] * 4 + [0] * 16, [10] * 20)
    assert found == pytest.approx((0.02 - expected.low / 5, expected.high / 5 - 0.02))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=30))
def test_what_is_right_reaches_as_far_as_what_is_wrong(groups: list[tuple[int, int]]) -> None:
    wholes = [float(whole) for _, whole in groups]
    parts = [float(min(part, whole)) for part, whole in groups]
    share = sum(parts) / sum(wholes)
    below, above = reach(parts, wholes)
    assert 0 <= below <= share + 1e-9
    assert 0 <= above <= 1 - share + 1e-9
    rest = [whole - part for part, whole in zip(parts, wholes, strict=True)]
    assert reach(rest, wholes) == pytest.approx((above, below))
