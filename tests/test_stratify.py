"""Dealing units into parts, in whole numbers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.curate.stratify import stratify

SEVENTY = (Fraction(7, 10), Fraction(3, 20), Fraction(3, 20))


def deal(counts: np.ndarray, *, shares: tuple[Fraction, ...] = SEVENTY, seed: int = 0) -> np.ndarray:
    return stratify(counts, shares=shares, generator=np.random.Generator(np.random.PCG64(seed)))


def units(seed: int, *, number: int, classes: int, most: int) -> np.ndarray:
    """Draw units of 1 to ``most`` fields; a class takes a random number of them."""
    generator = np.random.default_rng(seed)
    fields = generator.integers(1, most + 1, number)
    labelled = generator.binomial(fields[:, None], 0.6 * generator.uniform(0, 1, classes) ** 2, (number, classes))
    return np.column_stack([labelled, fields])


def worst(counts: np.ndarray, parts: np.ndarray, shares: tuple[Fraction, ...]) -> float:
    off = [counts[parts == part].sum(0) - float(share) * counts.sum(0) for part, share in enumerate(shares)]
    return float(np.abs(off).max())


def test_equal_units_are_dealt_by_their_shares() -> None:
    parts = deal(np.tile([1, 2, 3], (40, 1)))
    assert np.bincount(parts).tolist() == [28, 6, 6]


def test_a_heavy_unit_is_weighed_out_with_light_ones() -> None:
    # one unit of 12 fields and 28 of one, 40 fields in all: 20 and 20
    counts = np.array([[12, 12]] + [[1, 1]] * 28)
    parts = deal(counts, shares=(Fraction(1, 2), Fraction(1, 2)))
    assert [counts[parts == part, -1].sum() for part in (0, 1)] == [20, 20]


def test_two_classes_that_pull_apart_are_both_met() -> None:
    # units of class 0 have 1 to 4 fields, those of class 1 likewise; each class must be halved, 10 and 10
    counts = np.array([[size, 0, size] for size in (1, 2, 3, 4) * 2] + [[0, size, size] for size in (1, 2, 3, 4) * 2])
    parts = deal(counts, shares=(Fraction(1, 2), Fraction(1, 2)))
    assert counts[parts == 0].sum(axis=0).tolist() == [10, 10, 20]


@pytest.mark.parametrize(("number", "expected"), [(3, [1, 1, 1]), (5, [3, 1, 1]), (7, [5, 1, 1]), (20, [14, 3, 3])])
def test_a_rare_class_comes_into_every_part(number: int, expected: list[int]) -> None:
    counts = np.array([[1, 1, 1]] * number + [[1, 0, 1]] * 200)
    parts = deal(counts)
    assert [counts[parts == part, 1].sum() for part in range(3)] == expected


def test_units_without_any_class_are_dealt_too() -> None:
    counts = np.column_stack([np.zeros((20, 4), int), np.ones(20, int)])
    assert np.bincount(deal(counts)).tolist() == [14, 3, 3]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_any_number_of_equal_folds_is_balanced(seed: int, folds: int) -> None:
    counts = units(seed, number=400, classes=6, most=1)
    shares = (Fraction(1, folds),) * folds
    parts = deal(counts, shares=shares)
    assert worst(counts, parts, shares) <= 1


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 8))
def test_units_of_several_fields_are_balanced_finer_than_their_size(seed: int, most: int) -> None:
    counts = units(seed, number=600, classes=8, most=most)
    assert worst(counts, deal(counts), SEVENTY) <= max(1.0, most / 2)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(3, 12), st.integers(1, 5))
def test_no_part_is_empty_however_few_the_units(seed: int, number: int, most: int) -> None:
    counts = units(seed, number=number, classes=7, most=most)
    assert (np.bincount(deal(counts), minlength=3) > 0).all()


def test_fewer_units_than_parts_are_dealt_without_an_error() -> None:
    assert deal(np.array([[1, 1]])).tolist() == [0]
    assert len(set(deal(np.array([[1, 0, 1], [0, 1, 1]])).tolist())) == 2


def test_counts_beyond_sixteen_bits_keep_their_order_of_magnitude() -> None:
    counts = np.array([[70_000, 70_000], [70_000, 70_000], [140_000, 140_000]])
    parts = deal(counts, shares=(Fraction(1, 2), Fraction(1, 2)))
    assert [counts[parts == part, -1].sum() for part in (0, 1)] == [140_000, 140_000]


def test_the_seed_draws_which_of_equal_units_goes_where() -> None:
    counts = np.tile([1, 1], (30, 1))
    assert np.array_equal(deal(counts, seed=1), deal(counts, seed=1))
    assert not np.array_equal(deal(counts, seed=1), deal(counts, seed=2))


def test_the_counts_are_left_as_they_were() -> None:
    counts = units(0, number=50, classes=4, most=3)
    before = counts.copy()
    deal(counts)
    assert np.array_equal(counts, before)
