"""Counts behind the figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protloc.judge.answering import AnswerRule, answer
from protloc.judge.metrics import field_f1, samples_f1
from protloc.judge.predictions import PartPredictions
from protloc.show.tally import (
    commonest_sets,
    evenly_spaced,
    intensity_counts,
    level_at,
    missed_fields,
    pick_fields,
)


def test_missed_fields_of_a_hand_worked_case() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.uint8)
    answers = np.array([[0, 1], [0, 0], [1, 0], [0, 1]], bool)
    fields = missed_fields(truth, answers)
    # class 0 was missed in the first field, where class 1 was called, and in the second, where nothing was;
    # class 1 in the third, where the only call was right
    assert fields.missed.tolist() == [2, 1]
    assert fields.silent.tolist() == [0.5, 1.0]


def test_a_class_that_was_never_missed_has_no_silent_share() -> None:
    fields = missed_fields(np.array([[1]], np.uint8), np.array([[True]]))
    assert fields.missed.tolist() == [0]
    assert np.isnan(fields.silent).all()


masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.just(4)))


@given(masks, st.randoms(use_true_random=False))
def test_the_mean_of_field_f1_is_samples_f1(truth: np.ndarray, random: object) -> None:
    answers = np.roll(truth, random.randint(0, 3), axis=1)  # pyright: ignore[reportAttributeAccessIssue]
    assert field_f1(truth.astype(np.uint8), answers).mean() == pytest.approx(samples_f1(truth, answers))


def answered(truth: np.ndarray, logits: np.ndarray) -> PartPredictions:
    """Return the answers of a network that calls from a probability of 0.5."""
    said = answer(AnswerRule.plain(truth.shape[1]), logits)
    ids = tuple(f"f{row}" for row in range(len(truth)))
    return PartPredictions(ids, ids, truth, logits, said.probabilities, said.called, said.verdicts)


def test_fields_are_picked_by_f1_then_by_loss_each_label_set_once() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    logits = np.array([[1.0, -1], [5, -5], [-4, 4], [3, -3], [2, -2]], np.float32)
    # F1 1, 1, 1, 2/3, 0; the second is surer than the first, which has the same label set
    picked = pick_fields(answered(truth, logits), count=2)
    assert picked.best.tolist() == [1, 2]
    assert picked.worst.tolist() == [4, 3]


def test_fields_are_picked_by_the_calls_that_were_made() -> None:
    said = answered(np.eye(2, dtype=np.uint8), np.array([[3, -3], [-1, 1]], np.float32))
    other = replace(said, called=np.array([[False, False], [False, True]]))
    assert [pick_fields(each, count=1).best.tolist() for each in (said, other)] == [[0], [1]]


def test_a_field_is_not_best_and_worst_at_once() -> None:
    picked = pick_fields(answered(np.eye(3, dtype=np.uint8), np.zeros((3, 3), np.float32) - 1), count=2)
    assert not set(picked.best) & set(picked.worst)
    assert len(picked.best) == 2
    assert len(picked.worst) == 1


@given(st.integers(0, 2000), st.integers(1, 600))
def test_evenly_spaced_rows_are_distinct_rising_and_within(total: int, most: int) -> None:
    rows = evenly_spaced(total, most=most)
    assert len(rows) == min(total, most)
    assert (np.diff(rows) > 0).all()
    if total > 1 and most > 1:
        assert (rows[0], rows[-1]) == (0, total - 1)


def test_intensities_are_counted_a_stain() -> None:
    images = np.zeros((3, 2, 4, 4), np.uint8)
    images[:, 1] = 255
    counts = intensity_counts(images)
    assert counts.shape == (2, 256)
    assert counts[0, 0] == counts[1, 255] == 48
    assert counts.sum() == images.size


def test_the_level_under_which_a_share_of_the_pixels_lies() -> None:
    counts = np.zeros(256, np.int64)
    counts[[10, 20]] = 50
    assert [level_at(counts, share) for share in (0.5, 0.51, 1.0)] == [10, 20, 20]


def test_label_sets_are_ranked_by_count_then_by_their_classes() -> None:
    assert commonest_sets({(2,): 5, (0, 1): 5, (): 9, (1,): 1}, most=3) == [((), 9), ((0, 1), 5), ((2,), 5)]
