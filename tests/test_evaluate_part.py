"""The evaluation of a part: its numbers, its floors, its file."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.atlas.table import read_labels
from protloc.atlas.vocabulary import Compartment, Vocabulary, load_vocabulary
from protloc.errors import RunError
from protloc.judge.evaluate import Estimate, Evaluation, PartEvaluation, evaluate_part
from protloc.judge.metrics import bce_loss, macro_f1, mean_average_precision, micro_f1, samples_f1, sigmoid
from protloc.judge.predictions import PartPredictions
from protloc.judge.reliability import brier, calibration_error

SHAPES = Vocabulary(
    "shapes",
    (Compartment(3, "Dots", "GO:0000003"), Compartment(5, "Ring"), Compartment(7, "Net"), Compartment(9, "Absent")),
)
TRUTH = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]], np.uint8)
LOGITS = np.array([[2, -1, -1, -2], [1, -2, -3, 0.5], [0.2, 3, -1, -2], [-1, 0.5, -2, -3]], np.float32)
TRAINING = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0]], np.uint8)  # commonest: Dots, Net


def said_of(truth: np.ndarray, logits: np.ndarray, *, thresholds: object = 0.5) -> PartPredictions:
    """Make predictions of fields that are like no other; certain above 0.8 and below 0.1."""
    probabilities = sigmoid(logits)
    names = tuple(f"field-{row}" for row in range(len(truth)))
    return PartPredictions(
        ids=names,
        groups=names,
        truth=np.asarray(truth, np.uint8),
        logits=np.asarray(logits, np.float32),
        probabilities=probabilities.astype(np.float32),
        called=probabilities >= np.asarray(thresholds),
        verdicts=((probabilities > 0.8).astype(np.int8) - (probabilities < 0.1)).astype(np.int8),
    )


def evaluated(**changed: object) -> PartEvaluation:
    said = replace(said_of(TRUTH, LOGITS), **changed)
    return evaluate_part(said, vocabulary=SHAPES, training_truth=TRAINING, resamples=50)


def whole() -> Evaluation:
    return Evaluation(
        parts={"validation": evaluated(), "test": evaluated()},
        vocabulary="shapes",
        thresholds=(0.5,) * 4,
        threshold_rule="fixed",
        judged="test",
        poses=8,
        protloc_version="0.1.0",
    )


def test_the_headlines_are_the_metrics_of_the_logits() -> None:
    part, answers = evaluated(), LOGITS >= 0
    assert part.fields == 4
    assert part.classes_present == 3
    assert (part.groups, part.resamples, part.stable_classes) == (4, 50, 0)
    assert part.loss.value == pytest.approx(bce_loss(TRUTH, LOGITS))
    assert part.macro_f1.value == pytest.approx(macro_f1(TRUTH, answers)) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert part.samples_f1.value == pytest.approx(samples_f1(TRUTH, answers))
    assert part.micro_f1.value == pytest.approx(micro_f1(TRUTH, answers))
    assert part.mean_average_precision.value == pytest.approx(mean_average_precision(TRUTH, LOGITS))
    assert part.brier.value == pytest.approx(brier(TRUTH, sigmoid(LOGITS)))
    assert part.calibration_error.value == pytest.approx(calibration_error(TRUTH, sigmoid(LOGITS)))
    assert math.isnan(part.stable_macro_f1.value)


def test_the_certain_answers_of_a_hand_worked_case() -> None:
    verdicts = np.array([[1, 0, 0, -1], [-1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], np.int8)
    part = evaluated(verdicts=verdicts)
    assert part.answered.value == pytest.approx(5 / 16)
    assert part.error_among_certain.value == pytest.approx(2 / 5)  # the second field has Dots, and lacks Absent
    part = evaluated(verdicts=np.zeros((4, 4), np.int8))
    assert part.answered.value == 0
    assert part.answered.high == pytest.approx(1 - 0.025 ** (1 / 4))  # nothing in four groups (Clopper and Pearson)
    assert math.isnan(part.error_among_certain.value)


def test_groups_are_what_the_intervals_are_drawn_over() -> None:
    truth, logits = np.tile(TRUTH, (10, 1)), np.tile(LOGITS, (10, 1))
    said = said_of(truth, logits)
    alike = replace(said, groups=tuple(f"{row // 4}" for row in range(40)))
    one, other = (evaluate_part(each, vocabulary=SHAPES, training_truth=TRAINING) for each in (said, alike))
    assert (one.groups, other.groups, other.stable_classes) == (40, 10, 3)
    assert one.loss.low < one.loss.value < one.loss.high
    # all groups alike: the draw of groups always gives the same fields
    assert other.loss.low == pytest.approx(other.loss.value) == pytest.approx(other.loss.high)
    assert one.per_class[0].groups == 30
    assert other.per_class[0].groups == 10


def test_each_class_keeps_its_name_and_counts() -> None:
    dots, _, net, absent = evaluated().per_class
    assert (dots.id, dots.name, dots.go, dots.positives, dots.called) == (3, "Dots", "GO:0000003", 3, 3)
    assert dots.precision.value == pytest.approx(2 / 3)
    assert (net.f1.value, net.recall.value, net.called) == (0, 0, 0)
    assert math.isnan(net.precision.value)  # never called
    assert (absent.positives, absent.called, absent.precision.value) == (0, 1, 0)
    assert math.isnan(absent.f1.value)


def test_what_was_called_is_what_is_judged() -> None:
    called = sigmoid(LOGITS) >= (0.9, 0.1, 0.2, 1.0)
    # probabilities of Dots are .88 .73 .55 .27; of Ring .27 .12 .95 .62; of Net .27 .05 .27 .12
    assert [entry.called for entry in evaluated(called=called).per_class] == [0, 4, 2, 0]


def test_the_floors_of_a_hand_worked_case() -> None:
    two, every = evaluated().floors
    assert (two.name, two.classes) == ("two commonest classes", (3, 7))
    assert (every.name, every.classes) == ("all classes", (3, 5, 7, 9))
    # always Dots and Net: Dots 3 of 4 -> 6/7, Ring never 0, Net 1 of 4 -> 2/5
    assert two.macro_f1.value == pytest.approx((6 / 7 + 0 + 2 / 5) / 3)
    assert two.samples_f1.value == pytest.approx((2 / 3 + 2 / 4 + 2 / 4 + 2 / 3) / 4)
    assert every.micro_f1.value == pytest.approx(2 * 6 / (6 + 16))


def test_a_floor_is_sure_of_what_it_never_calls() -> None:
    # Dots everywhere, Ring in one field: always Dots and Net scores (1 + 0) / 2 wherever both are
    truth = np.zeros((40, 4), np.uint8)
    truth[:, 0], truth[7, 1] = 1, 1
    part = evaluate_part(said_of(truth, np.zeros((40, 4))), vocabulary=SHAPES, training_truth=TRAINING, resamples=50)
    floor = part.floors[0].macro_f1
    assert (floor.low, floor.value, floor.high) == pytest.approx((0.5, 0.5, 0.5))
    assert part.per_class[1].recall.high == 1  # of a run, one field of Ring says next to nothing
    assert part.macro_f1.high - part.macro_f1.low > 0.1


def test_a_vocabulary_of_one_class_has_floors_too() -> None:
    one = Vocabulary("one", (Compartment(0, "Cytosol"),))
    said = said_of(np.array([[1], [0]]), np.array([[1.0], [-1.0]]))
    part = evaluate_part(said, vocabulary=one, training_truth=[[1]], resamples=5)
    assert [floor.classes for floor in part.floors] == [(0,), (0,)]
    assert part.macro_f1.value == 1


def test_the_file_has_the_promised_layout(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    whole().write(file)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    written = json.loads(file.read_text("utf-8"), parse_constant=refuse)
    assert list(written["parts"]) == ["validation", "test"]
    assert (written["judged"], written["threshold_rule"], written["poses"]) == ("test", "fixed", 8)
    for part in written["parts"].values():
        for metric in ("loss", "macro_f1", "samples_f1", "micro_f1", "mean_average_precision", "brier", "answered"):
            assert part[metric]["low"] <= part[metric]["value"] <= part[metric]["high"]
        dots, ring, net, absent = part["per_class"]
        assert dots["go"] == "GO:0000003"
        assert "go" not in ring
        assert {"id", "name", "precision", "recall", "f1", "average_precision", "positives", "called"} <= set(ring)
        assert [floor["name"] for floor in part["floors"]] == ["two commonest classes", "all classes"]
        assert set(part["floors"][0]["macro_f1"]) == {"value", "low", "high"}
        # what is undefined is not there
        assert "stable_macro_f1" not in part
        assert "precision" not in net
        assert not {"recall", "f1", "average_precision"} & set(absent)


def numbers_of(written: object) -> list[object]:
    if isinstance(written, dict | list):
        inside = written.values() if isinstance(written, dict) else written
        return [number for each in inside for number in numbers_of(each)]
    return [written]


def test_nothing_in_the_file_is_null() -> None:
    assert None not in numbers_of(whole().to_json())


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    whole().write(file)
    again = Evaluation.read(file)
    assert again.to_json() == whole().to_json()
    assert again.thresholds == (0.5,) * 4
    assert (again.threshold_rule, again.judged, again.poses) == ("fixed", "test", 8)
    assert math.isnan(again.parts["test"].per_class[3].f1.value)
    assert math.isnan(again.parts["test"].stable_macro_f1.value)
    assert again.parts["test"].loss == whole().parts["test"].loss


def test_an_interval_survives_the_file() -> None:
    assert Estimate.from_json(Estimate(0.5, 0.4, 0.6).to_json()) == Estimate(0.5, 0.4, 0.6)
    assert Estimate(0.5).to_json() == {"value": 0.5}


def test_noise_is_root_two_half_widths() -> None:
    # two scores of standard deviation 0.1 / 1.96 differ by chance with standard deviation 0.1 * sqrt(2) / 1.96
    assert Estimate(0.5, 0.4, 0.6).noise == pytest.approx(0.1 * math.sqrt(2))
    assert math.isnan(Estimate(0.5).noise)


def test_noise_is_told_in_plain_words() -> None:
    part = replace(evaluated(), fields=1200, groups=300, macro_f1=Estimate(0.5, 0.4, 0.6))
    assert part.noise_in_words() == (
        "With 1,200 fields in 300 groups, a difference in macro-F1 under 0.14 is noise if the other score is of other "
        "fields of the same kind. Runs judged on the same fields are told apart more finely by protloc compare."
    )
    alone = replace(part, fields=1, groups=1, loss=Estimate(0.5, 0.495, 0.505))
    assert alone.noise_in_words("loss").startswith("With 1 field, a difference in loss under 0.0071 is noise")
    assert evaluated().noise_in_words("stable_macro_f1") == "With 4 fields, stable macro-F1 is not defined."
    assert replace(part, groups=1).noise_in_words().startswith("With 1,200 fields in 1 group,")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": {"test": {}}}', '{"parts": 3}'])
def test_a_file_that_is_no_evaluation_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "evaluation.json"
    file.write_text(text)
    with pytest.raises(RunError, match=r"evaluation\.json: not an evaluation .*protloc evaluate"):
        Evaluation.read(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"evaluation\.json: cannot be read .*protloc evaluate"):
        Evaluation.read(tmp_path / "evaluation.json")


def test_a_diverged_training_is_told() -> None:
    broken = LOGITS.copy()
    broken[1, 2] = np.nan
    broken[3, :] = np.inf
    with pytest.raises(RunError, match=r"2 of 4 fields have logits that are not finite.*learning_rate"):
        evaluated(logits=broken)


def test_a_part_without_fields_is_told() -> None:
    none = said_of(np.zeros((0, 4)), np.zeros((0, 4)))
    with pytest.raises(RunError, match="holds no field"):
        evaluate_part(none, vocabulary=SHAPES, training_truth=TRAINING)


def test_columns_must_be_those_of_the_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"shape \(fields, 4\), got \(4, 3\)"):
        evaluate_part(said_of(TRUTH[:, :3], LOGITS[:, :3]), vocabulary=SHAPES, training_truth=TRAINING)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.floats(0, 0.6))
def test_every_evaluation_can_be_written_and_read(seed: int, fields: int, prevalence: float) -> None:
    generator = np.random.default_rng(seed)
    truth = (generator.random((fields, 4)) < prevalence).astype(np.uint8)
    logits = generator.normal(size=truth.shape)
    part = evaluate_part(said_of(truth, logits), vocabulary=SHAPES, training_truth=truth, resamples=10)
    assert None not in numbers_of(part.to_json())
    text = json.dumps(part.to_json(), allow_nan=False)
    assert PartEvaluation.from_json(json.loads(text)).to_json() == part.to_json()


def test_the_floors_of_the_real_table() -> None:
    folder = os.environ.get("PROTLOC_REAL_DATA")
    if folder is None:
        pytest.skip("PROTLOC_REAL_DATA is not set: the real label table is not at hand")
    vocabulary = load_vocabulary("kaggle2018")
    truth = read_labels(Path(folder) / "tables" / "kaggle2018_train.csv", vocabulary).targets
    said = said_of(truth, np.zeros(truth.shape))
    part = evaluate_part(said, vocabulary=vocabulary, training_truth=truth, resamples=20)
    two, every = part.floors
    assert [vocabulary.names[column] for column in two.classes] == ["Nucleoplasm", "Cytosol"]
    assert two.samples_f1.value == pytest.approx(0.344, abs=5e-4)
    assert two.macro_f1.value == pytest.approx(0.036, abs=5e-4)
    assert every.macro_f1.value == pytest.approx(0.0996, abs=5e-5)
    assert part.loss.value == pytest.approx(math.log(2))
