"""Exchanges that bring every class nearer its share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.curate.refine import Deal, refine

NONE = np.empty(0, np.intp)


def two_halves(kinds: list[list[int]], numbers: list[int], needed: tuple[int, ...] = ()) -> Deal:
    counts, each = np.array(kinds, np.int64), np.array(numbers, np.int64)
    ideal = np.tile(each @ counts, (2, 1))  # half of the total, times the sum of the shares, 2
    return Deal(counts, each, np.array([1, 1]), ideal, np.ones(counts.shape[1], np.int64), np.array(needed, np.intp))


def refined(deal: Deal, dealt: list[list[int]], seed: int = 0) -> np.ndarray:
    return refine(deal, np.array(dealt, np.int64), generator=np.random.default_rng(seed))


def squares(deal: Deal, dealt: np.ndarray) -> int:
    return int((deal.distance(dealt) ** 2).sum())


def test_distance_of_a_hand_worked_deal() -> None:
    deal = two_halves([[1, 1], [0, 1]], [4, 2])
    # the first part holds 3 of the first kind and none of the second: 3 of 4 and 3 of 6; ideal 2 and 3; in halves 2, 0
    assert deal.distance(np.array([[3, 1], [0, 2]])).tolist() == [[2, 0], [-2, 0]]


def test_a_move_evens_out_two_parts() -> None:
    assert refined(two_halves([[1]], [8]), [[7, 1]]).tolist() == [[4, 4]]


def test_an_exchange_does_what_no_move_can() -> None:
    # both parts have four units; only exchanging a labelled for an unlabelled one keeps the sizes
    deal = two_halves([[1, 1], [0, 1]], [4, 4])
    assert refined(deal, [[4, 0], [0, 4]]).tolist() == [[2, 2], [2, 2]]


def test_a_deal_that_is_right_stays() -> None:
    deal = two_halves([[1, 1], [0, 1]], [4, 4])
    assert refined(deal, [[2, 2], [2, 2]]).tolist() == [[2, 2], [2, 2]]


def test_the_last_unit_of_a_part_stays() -> None:
    # one unit of ten fields and one of one: moving the small one would leave its part empty
    deal = Deal(
        np.array([[10], [1]]), np.array([1, 1]), np.array([99, 1]), np.array([[1089], [11]]), np.array([1]), NONE
    )
    assert (refined(deal, [[1, 0], [0, 1]]).sum(axis=0) == 1).all()


def test_a_needed_column_stays_though_the_fields_would_be_evener_without() -> None:
    # the first part holds 10 fields and the only unit of the first column, of 4 fields; the second 4 and the other unit
    deal = two_halves([[1, 4], [0, 1], [1, 3]], [1, 7, 1], needed=(0,))
    dealt = np.array([[1, 0], [6, 1], [0, 1]])
    kept = refine(deal, dealt, generator=np.random.default_rng(0), keep=True)
    assert deal.units_with(kept).tolist() == [[1], [1]]
    assert (kept.T @ deal.kinds)[:, 1].tolist() == [7, 7]


@pytest.mark.parametrize("seed", range(5))
def test_units_with_what_is_needed_never_leave_a_part_empty_of_it(seed: int) -> None:
    # the heavy unit of the needed column belongs, by its fields, to the other part
    deal = two_halves([[1, 20], [1, 1], [0, 1]], [1, 2, 8], needed=(0,))
    kept = refine(deal, np.array([[1, 0], [1, 1], [0, 8]]), generator=np.random.default_rng(seed), keep=True)
    assert deal.units_with(kept).min() == 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_no_unit_is_lost_and_nothing_gets_worse(seed: int, parts: int) -> None:
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, 4, (12, 3))
    dealt = generator.integers(0, 5, (12, parts))
    numbers = dealt.sum(axis=1)
    ideal = np.tile(numbers @ kinds, (parts, 1))
    deal = Deal(kinds, numbers, np.ones(parts, np.int64), ideal, np.ones(3, np.int64), NONE)
    before = dealt.copy()
    after = refine(deal, dealt, generator=generator)
    assert np.array_equal(dealt, before)
    assert np.array_equal(after.sum(axis=1), numbers)
    assert after.min() >= 0
    beyond = [np.maximum(np.abs(deal.distance(each)) - parts, 0) for each in (before, after)]
    assert (beyond[1] ** 2).sum() <= (beyond[0] ** 2).sum()
