"""Metrics of ranked answers against scikit-learn and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, roc_auc_score

from protloc.judge.ranking import areas_under_roc, label_ranking_average_precision, mean_area_under_roc


def test_area_of_a_hand_worked_case() -> None:
    # of the four pairs, (.9 over .8), (.9 over .1), (.5 over .1) are in order, (.5 under .8) is not
    assert areas_under_roc([[1], [0], [1], [0]], [[0.9], [0.8], [0.5], [0.1]]).tolist() == [0.75]


def test_equal_scores_count_half() -> None:
    assert areas_under_roc([[1], [0]], [[0.3], [0.3]]).tolist() == [0.5]


def test_a_class_that_every_or_no_field_has_is_undefined() -> None:
    truth, scores = [[1, 0, 1], [1, 0, 0]], [[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]]
    assert np.isnan(areas_under_roc(truth, scores)).tolist() == [True, True, False]
    assert mean_area_under_roc(truth, scores) == 1.0
    assert np.isnan(mean_area_under_roc([[1]], [[0.3]]))


def test_label_ranking_of_a_hand_worked_case() -> None:
    # the labels stand at places 1 and 3 of four: (1/1 + 2/3) / 2; the second field has no label and counts 1
    truth, scores = [[1, 0, 1, 0], [0, 0, 0, 0]], [[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4]]
    assert label_ranking_average_precision(truth, scores) == pytest.approx((5 / 6 + 1) / 2)


def test_no_fields() -> None:
    assert np.isnan(label_ranking_average_precision(np.zeros((0, 3)), np.zeros((0, 3))))


@pytest.mark.parametrize("metric", [areas_under_roc, label_ranking_average_precision])
def test_shapes_must_agree(metric: object) -> None:
    with pytest.raises(ValueError, match="one shape"):
        metric([[1, 0]], [[0.1]])  # pyright: ignore[reportCallIssue]


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_agrees_with_scikit_learn(fields: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, (fields, classes))
    scores = rng.integers(0, 4, (fields, classes)) / 4  # with ties
    assert label_ranking_average_precision(truth, scores) == pytest.approx(
        label_ranking_average_precision_score(truth, scores)
    )
    for column, area in enumerate(areas_under_roc(truth, scores)):
        if 0 < truth[:, column].sum() < fields:
            assert area == pytest.approx(roc_auc_score(truth[:, column], scores[:, column]))
        else:
            assert np.isnan(area)
