"""Bringing every class that has units enough into every part."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.curate.cover import cover
from protloc.curate.refine import Deal
from protloc.curate.stratify import stratify

SHARES = (Fraction(7, 10), Fraction(3, 20), Fraction(3, 20))


def deal_of(kinds: list[list[int]] | np.ndarray, *, parts: int) -> Deal:
    """State a deal of one unit of each kind; all columns but the last, which counts fields, are needed."""
    counts = np.array(kinds, np.int64)
    ideal = np.tile(counts.sum(axis=0), (parts, 1))
    columns = counts.shape[1]
    return Deal(
        counts, np.ones(len(counts), np.int64), np.ones(parts, np.int64), ideal, np.ones(columns, np.int64),
        np.arange(columns - 1),
    )  # fmt: skip


def covered(deal: Deal, part_of: list[int], seed: int = 0) -> np.ndarray:
    parts = len(deal.shares)
    dealt = np.eye(parts, dtype=np.int64)[part_of]
    return cover(deal, dealt, generator=np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_hand_worked_deal_is_covered(seed: int) -> None:
    # classes A, B in the units A, AB, B, and one without any: the first part lacks B, and only the unit B can bring it
    deal = deal_of([[1, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]], parts=2)
    assert covered(deal, [0, 1, 1, 0], seed).tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]


def test_a_covered_deal_stays() -> None:
    deal = deal_of([[1, 0, 1], [1, 1, 1], [0, 1, 1]], parts=2)
    assert covered(deal, [0, 1, 0]).tolist() == [[1, 0], [0, 1], [1, 0]]


def test_classes_that_exclude_each_other_are_covered_as_far_as_can_be() -> None:
    # the units AB, BC, CA: the part that gets one of them alone must lack a class
    deal = deal_of([[1, 1, 0, 1], [0, 1, 1, 1], [1, 0, 1, 1]], parts=2)
    made = covered(deal, [0, 0, 1])
    assert (deal.units_with(made) == 0).sum() == 1
    assert made.sum(axis=0).min() == 1


def test_the_lighter_unit_is_moved_where_either_would_do() -> None:
    deal = deal_of([[1, 9], [1, 1], [1, 1], [0, 12]], parts=2)
    assert covered(deal, [0, 0, 0, 1], seed=1)[0].tolist() == [1, 0]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_no_unit_is_lost_no_part_emptied_and_no_more_is_missing(seed: int, parts: int) -> None:
    generator = np.random.default_rng(seed)
    hot = generator.random((8, 5)) < 0.4
    deal = deal_of(np.column_stack([hot, generator.integers(1, 9, 8)]), parts=parts)
    start = generator.permutation(np.arange(8) % parts).tolist()
    made = covered(deal, start, seed)
    before = deal.units_with(np.eye(parts, dtype=np.int64)[start])
    assert (made.sum(axis=1) == 1).all()
    assert made.sum(axis=0).min() >= 1
    assert (deal.units_with(made) == 0).sum() <= (before == 0).sum()


@pytest.mark.parametrize("seed", [0, 24])  # two worlds of 25 in which exchanges alone miss a class
def test_crowded_units_of_very_unequal_size_are_covered_where_that_can_be_had(seed: int) -> None:
    generator = np.random.default_rng(seed)
    fields = np.ceil(generator.lognormal(0, 2, 8)).astype(int)
    crowded = generator.random((8, 6)) < generator.choice([0.1, 0.3, 0.5])
    counts = np.column_stack([np.where(crowded, generator.integers(1, fields[:, None] + 1, (8, 6)), 0), fields])
    has = counts[:, :-1][:, (counts[:, :-1] > 0).sum(axis=0) >= 3] > 0
    ways = np.array(list(product(range(3), repeat=8)))
    assert np.all([[(ways == part) @ has > 0] for part in range(3)], axis=(0, 1, 3)).any()
    parts = stratify(counts, shares=SHARES, generator=np.random.Generator(np.random.PCG64(0)))
    assert all(has[parts == part].any(axis=0).all() for part in range(3))
