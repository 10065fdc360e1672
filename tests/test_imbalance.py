"""Counting classes, finding the rare ones, planning their over-sampling."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.imbalance import (
    class_counts,
    co_occurrence,
    commonest_classes,
    labels_per_field,
    minority_classes,
    repeats,
)
from protloc.errors import SettingsError

# 100 fields: class 0 in 60, class 1 in 10, class 2 in 1 (which has class 1 too), class 3 in none
FIELDS = 100
TARGETS = np.zeros((FIELDS, 4), np.uint8)
TARGETS[:60, 0] = 1
TARGETS[55:65, 1] = 1
TARGETS[55, 2] = 1

multi_hot = st.tuples(st.integers(1, 25), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1))
)


def real_table() -> LabelTable:
    folder = os.environ.get("PROTLOC_REAL_DATA")
    if folder is None:
        pytest.skip("PROTLOC_REAL_DATA is not set: the real label table is not at hand")
    return read_labels(Path(folder) / "tables" / "kaggle2018_train.csv", load_vocabulary("kaggle2018"))


def test_counts_of_a_hand_worked_table() -> None:
    assert class_counts(TARGETS).tolist() == [60, 10, 1, 0]
    assert labels_per_field(TARGETS).tolist() == [35, 60, 4, 1]
    assert co_occurrence(TARGETS).tolist() == [[60, 5, 1, 0], [5, 10, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_a_minority_class_is_present_but_under_the_limit() -> None:
    assert minority_classes(TARGETS).tolist() == []  # one of a hundred is 1 %, not under it
    assert minority_classes(TARGETS, below=0.011).tolist() == [2]
    assert minority_classes(TARGETS, below=0.10).tolist() == [2]
    assert minority_classes(TARGETS, below=1).tolist() == [0, 1, 2]


def test_commonest_classes_come_first_and_absent_ones_never() -> None:
    assert commonest_classes(TARGETS) == (0, 1)
    assert commonest_classes(TARGETS, most=9) == (0, 1, 2)
    assert commonest_classes(np.ones((3, 3))) == (0, 1)  # equally common: by column
    assert commonest_classes(np.zeros((3, 3))) == ()


def test_an_empty_table_counts_nothing() -> None:
    empty = np.zeros((0, 3), np.uint8)
    assert class_counts(empty).tolist() == [0, 0, 0]
    assert minority_classes(empty).tolist() == []
    assert labels_per_field(empty).tolist() == [0]


def test_fields_with_a_minority_class_are_repeated() -> None:
    draws = repeats(TARGETS, minority=[2], factor=7, cap=1)
    assert draws[55] == 7
    assert draws.sum() == FIELDS + 6


def test_the_cap_stops_a_class_where_it_is_common_enough() -> None:
    # class 1 is in 10 % of the fields: twice brings it to the cap of 20 %; class 2 in 1 %: its factor of 7 stays under
    draws = repeats(TARGETS, minority=[1, 2], factor=7, cap=0.20)
    assert draws[56:65].tolist() == [2] * 9
    assert draws[55] == 7  # has both, follows the rarer
    assert (draws[:55] == 1).all()


def test_a_cap_below_what_a_class_has_leaves_it_alone() -> None:
    assert (repeats(TARGETS, minority=[1], factor=7, cap=0.05) == 1).all()


def test_nothing_to_over_sample_draws_every_field_once() -> None:
    assert (repeats(TARGETS, minority=[], factor=7, cap=1) == 1).all()
    assert (repeats(TARGETS, minority=[3], factor=7, cap=1) == 1).all()


@pytest.mark.parametrize(
    ("factor", "cap", "message"), [(0.5, 1, "factor: 0.5"), (2, 1.5, "cap: 1.5"), (2, -0.1, "cap: -0.1")]
)
def test_settings_that_cannot_be_are_refused(factor: float, cap: float, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        repeats(TARGETS, minority=[2], factor=factor, cap=cap)


@given(multi_hot)
def test_the_counts_agree_with_each_other(targets: np.ndarray) -> None:
    assert np.array_equal(np.diag(co_occurrence(targets)), class_counts(targets))
    assert np.array_equal(co_occurrence(targets), co_occurrence(targets).T)
    numbers = labels_per_field(targets)
    assert numbers.sum() == len(targets)
    assert numbers @ np.arange(len(numbers)) == class_counts(targets).sum()


@given(multi_hot, st.integers(1, 20), st.floats(0, 1))
def test_no_field_is_lost_and_none_is_drawn_more_than_the_factor(targets: np.ndarray, factor: int, cap: float) -> None:
    minority = minority_classes(targets, below=0.3)
    draws = repeats(targets, minority=minority, factor=factor, cap=cap)
    assert draws.shape == (len(targets),)
    assert draws.min() >= 1
    assert draws.max() <= factor
    assert (draws[~targets[:, minority].any(axis=1)] == 1).all()


def test_the_real_table_has_the_seven_minority_classes() -> None:
    table = real_table()
    assert minority_classes(table.targets).tolist() == [8, 9, 10, 15, 17, 20, 27]
    assert class_counts(table.targets)[[0, 25, 27]].tolist() == [12885, 8228, 11]
    assert labels_per_field(table.targets).tolist() == [0, 15126, 12485, 3160, 299, 2]
    assert co_occurrence(table.targets)[0, 25] == 3631
    names = table.vocabulary.names
    assert [names[column] for column in commonest_classes(table.targets)] == ["Nucleoplasm", "Cytosol"]
