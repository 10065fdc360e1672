"""Metrics against scikit-learn, against cases worked by hand, against their own laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from protloc.judge.metrics import (
    answers_of,
    average_precision,
    bce_loss,
    called_instead,
    field_losses,
    macro_f1,
    mean_average_precision,
    micro_f1,
    per_class,
    precision_recall_curve,
    samples_f1,
    sigmoid,
)

# five fields, four classes; class 3 is absent, class 2 present but never called, the last field has neither
TRUTH = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
ANSWERS = np.array([[1, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], bool)


@st.composite
def parts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw truth and logits of one shape; logits from few values, so that ties are common."""
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 6)))
    truth = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    logits = draw(arrays(np.float64, shape, elements=st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 4.0])))
    return truth, logits


def present(truth: np.ndarray) -> np.ndarray:
    return np.flatnonzero(truth.any(axis=0))


def test_f1_scores_of_the_hand_worked_case() -> None:
    # class 0: 2 right of 3 called and 3 true -> 2/3; class 1: 1 right of 2 and 2 -> 1/2; class 2: 0; class 3 absent
    assert macro_f1(TRUTH, ANSWERS) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # fields: 2*1/(1+1), 2*1/(2+2), 2*1/(2+2), 2*0/(1+1), nothing and nothing
    assert samples_f1(TRUTH, ANSWERS) == pytest.approx((1 + 1 / 2 + 1 / 2 + 0 + 1) / 5)
    # pooled: 3 right of 6 calls, 6 labels
    assert micro_f1(TRUTH, ANSWERS) == pytest.approx(2 * 3 / (6 + 6))


def test_classes_of_the_hand_worked_case() -> None:
    scores = per_class(TRUTH, ANSWERS)
    np.testing.assert_allclose(scores.precision, [2 / 3, 1 / 2, math.nan, 0])
    np.testing.assert_allclose(scores.recall, [2 / 3, 1 / 2, 0, math.nan])
    np.testing.assert_allclose(scores.f1, [2 / 3, 1 / 2, 0, math.nan])
    assert scores.positives.tolist() == [3, 2, 1, 0]
    assert scores.called.tolist() == [3, 2, 0, 1]


def test_average_precision_of_a_hand_worked_case() -> None:
    # the two positives stand at ranks 1 and 3: (1/1 + 2/3) / 2
    assert average_precision([[1], [0], [1]], [[0.9], [0.8], [0.7]]) == pytest.approx(5 / 6)


def test_equal_scores_are_one_step_of_average_precision() -> None:
    # all three called at once, two of them right; the order of the rows must not matter
    assert average_precision([[1], [0], [1]], [[0.5], [0.5], [0.5]]) == pytest.approx(2 / 3)
    assert average_precision([[0], [1], [1]], [[0.5], [0.5], [0.5]]) == pytest.approx(2 / 3)


def test_mean_average_precision_runs_over_present_classes() -> None:
    truth, scores = [[1, 0], [0, 0]], [[0.1, 0.9], [0.8, 0.3]]
    areas = average_precision(truth, scores)
    assert areas[0] == pytest.approx(1 / 2)
    assert math.isnan(areas[1])
    assert mean_average_precision(truth, scores) == pytest.approx(1 / 2)


def test_loss_of_a_hand_worked_case() -> None:
    # -ln(1/2) for an undecided logit whatever the truth; ln(1 + e^-2) where a logit of 2 is right
    truth, logits = np.array([[1, 0], [1, 1]]), np.array([[0.0, 0.0], [2.0, -2.0]])
    easy, hard = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    np.testing.assert_allclose(field_losses(truth, logits), [math.log(2), (easy + hard) / 2])
    assert bce_loss(truth, logits) == pytest.approx((2 * math.log(2) + easy + hard) / 4)


def test_loss_and_sigmoid_survive_huge_logits() -> None:
    assert bce_loss([[1, 0]], [[1000.0, 1000.0]]) == pytest.approx(500)
    assert sigmoid([-1000.0, 0.0, 1000.0]).tolist() == [0, 0.5, 1]


def test_called_instead_of_a_hand_worked_case() -> None:
    # class 0 is missed once (field 3), where 1 was wrongly called; class 1 once (field 1), where 3 was; class 2 once
    # (field 2), where 0 was wrongly called and 1 rightly; class 3 never
    nan = math.nan
    expected = [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [nan, nan, nan, nan]]
    np.testing.assert_allclose(called_instead(TRUTH, ANSWERS), expected)


def test_called_instead_shares_over_the_missed_fields() -> None:
    truth = np.array([[1, 0, 0]] * 4)
    answers = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0]])
    # three of the four miss class 0: in two of them 1 is called, in one 2; the first field does not count
    np.testing.assert_allclose(called_instead(truth, answers)[0], [0, 2 / 3, 1 / 3])


def test_precision_recall_of_a_hand_worked_case() -> None:
    curve = precision_recall_curve([1, 0, 1], [0.9, 0.8, 0.7])
    assert curve.thresholds.tolist() == [0.7, 0.8, 0.9]
    np.testing.assert_allclose(curve.precision, [2 / 3, 1 / 2, 1, 1])
    np.testing.assert_allclose(curve.recall, [1, 1 / 2, 1 / 2, 0])


def test_a_class_at_its_threshold_is_called() -> None:
    assert answers_of([[0.0, 0.0, -0.1]], thresholds=[0.5, 0.51, 0.4]).tolist() == [[True, False, True]]


def test_nothing_labelled_and_nothing_called_is_right() -> None:
    nothing = np.zeros((3, 2))
    assert samples_f1(nothing, nothing) == 1
    assert micro_f1(nothing, nothing) == 1
    assert math.isnan(macro_f1(nothing, nothing))
    assert math.isnan(mean_average_precision(nothing, nothing))


def test_without_fields_there_is_no_number() -> None:
    empty = np.zeros((0, 3))
    for metric in (macro_f1, samples_f1, micro_f1, mean_average_precision, bce_loss):
        assert math.isnan(metric(empty, empty))


@pytest.mark.parametrize(
    "metric", [macro_f1, samples_f1, micro_f1, per_class, average_precision, bce_loss, called_instead]
)
def test_arrays_of_other_shapes_are_refused(metric: object) -> None:
    with pytest.raises(
        ValueError, match=r"expected two arrays of one shape \(fields, classes\), got \(2, 3\) and \(3, 2\)"
    ):
        metric(np.zeros((2, 3)), np.zeros((3, 2)))


def test_a_curve_needs_fields_and_one_shape() -> None:
    with pytest.raises(ValueError, match=r"with a field at least, got \(0,\) and \(0,\)"):
        precision_recall_curve([], [])
    with pytest.raises(ValueError, match="one shape"):
        precision_recall_curve([1, 0], [0.5])


@given(parts())
def test_f1_scores_equal_scikit_learn(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    answers = logits >= 0
    # a column of zeros beside them, because scikit-learn takes a single column for a binary task
    wider = [np.column_stack([hot, np.zeros(len(truth), np.uint8)]) for hot in (truth, answers)]
    if truth.any():
        scores = reference.f1_score(*wider, labels=present(truth), average=None, zero_division=0)
        assert macro_f1(truth, answers) == pytest.approx(np.mean(scores))
    assert samples_f1(truth, answers) == pytest.approx(reference.f1_score(*wider, average="samples", zero_division=1))
    assert micro_f1(truth, answers) == pytest.approx(
        reference.f1_score(truth.ravel(), answers.ravel(), average="binary", zero_division=1)
    )


@given(parts())
def test_class_scores_equal_scikit_learn(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    scores = per_class(truth, logits >= 0)
    for column in range(truth.shape[1]):
        precision, recall, f1, _ = reference.precision_recall_fscore_support(
            truth[:, column], logits[:, column] >= 0, average="binary", zero_division=np.nan
        )
        absent = not truth[:, column].any()
        mine = [scores.precision[column], scores.recall[column], scores.f1[column]]
        np.testing.assert_allclose(mine, [precision, recall, np.nan if absent else f1])


@given(parts())
def test_average_precision_and_curve_equal_scikit_learn(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    areas = average_precision(truth, logits)
    for column in present(truth):
        labels, scores = truth[:, column], logits[:, column]
        assert areas[column] == pytest.approx(reference.average_precision_score(labels, scores))
        curve = precision_recall_curve(labels, scores)
        for mine, theirs in zip(
            (curve.precision, curve.recall, curve.thresholds),
            reference.precision_recall_curve(labels, scores),
            strict=True,
        ):
            np.testing.assert_allclose(mine, theirs)
    assert np.isnan(np.delete(areas, present(truth))).all()


@given(parts())
def test_loss_equals_torch_and_scikit_learn(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(logits), torch.tensor(truth, dtype=torch.float64)
    )
    assert bce_loss(truth, logits) == pytest.approx(expected.item())
    assert bce_loss(truth, logits) == pytest.approx(
        reference.log_loss(truth.ravel(), sigmoid(logits).ravel(), labels=[0, 1])
    )
    assert field_losses(truth, logits).mean() == pytest.approx(expected.item())


@given(parts())
def test_scores_stay_in_their_range_and_the_truth_scores_one(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    for metric in (macro_f1, samples_f1, micro_f1):
        assert 0 <= np.nan_to_num(metric(truth, logits >= 0)) <= 1
        assert metric(truth, truth) == 1 or (metric is macro_f1 and not truth.any())
    assert 0 <= np.nan_to_num(mean_average_precision(truth, logits)) <= 1


@given(parts(), st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_matter(part: tuple[np.ndarray, np.ndarray], random: object) -> None:
    truth, logits = part
    order = list(range(len(truth)))
    random.shuffle(order)
    np.testing.assert_allclose(average_precision(truth[order], logits[order]), average_precision(truth, logits))
    for metric in (macro_f1, samples_f1, micro_f1):
        np.testing.assert_allclose(metric(truth[order], logits[order] >= 0), metric(truth, logits >= 0))


@given(parts())
def test_only_the_ranking_decides_average_precision(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    np.testing.assert_allclose(average_precision(truth, logits), average_precision(truth, 3 * logits + 7))


@given(parts())
def test_called_instead_counts_field_by_field(part: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = part
    answers = logits >= 0
    matrix = called_instead(truth, answers)
    for one in range(truth.shape[1]):
        missed = [row for row in range(len(truth)) if truth[row, one] and not answers[row, one]]
        for other in range(truth.shape[1]):
            wrong = sum(bool(answers[row, other]) and not truth[row, other] for row in missed)
            np.testing.assert_allclose(matrix[one, other], wrong / len(missed) if missed else math.nan)


def test_inputs_are_left_as_they_were() -> None:
    truth, logits = TRUTH.copy(), ANSWERS.astype(np.float32)
    average_precision(truth, logits)
    bce_loss(truth, logits)
    assert np.array_equal(truth, TRUTH)
    assert np.array_equal(logits, ANSWERS.astype(np.float32))
