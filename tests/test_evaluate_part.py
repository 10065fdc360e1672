"""The evaluation of a part: its numbers, its floors, its file."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.atlas.table import read_labels
from protloc.atlas.vocabulary import Compartment, Vocabulary, load_vocabulary
from protloc.errors import RunError
from protloc.judge.evaluate import Estimate, Evaluation, PartEvaluation, evaluate_part
from protloc.judge.metrics import bce_loss, macro_f1, mean_average_precision, micro_f1, samples_f1

SHAPES = Vocabulary(
    "shapes",
    (Compartment(3, "Dots", "GO:0000003"), Compartment(5, "Ring"), Compartment(7, "Net"), Compartment(9, "Absent")),
)
TRUTH = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]], np.uint8)
LOGITS = np.array([[2, -1, -1, -2], [1, -2, -3, 0.5], [0.2, 3, -1, -2], [-1, 0.5, -2, -3]], np.float32)
TRAINING = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0]], np.uint8)  # commonest: Dots, Net


def evaluated() -> PartEvaluation:
    return evaluate_part(TRUTH, LOGITS, vocabulary=SHAPES, thresholds=(0.5,) * 4, training_truth=TRAINING)


def whole() -> Evaluation:
    return Evaluation({"validation": evaluated(), "test": evaluated()}, "shapes", (0.5,) * 4, "0.1.0")


def test_the_headlines_are_the_metrics_of_the_logits() -> None:
    part, answers = evaluated(), LOGITS >= 0
    assert part.fields == 4
    assert part.classes_present == 3
    assert part.loss.value == bce_loss(TRUTH, LOGITS)
    assert part.macro_f1.value == macro_f1(TRUTH, answers) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert part.samples_f1.value == samples_f1(TRUTH, answers)
    assert part.micro_f1.value == micro_f1(TRUTH, answers)
    assert part.mean_average_precision.value == mean_average_precision(TRUTH, LOGITS)


def test_each_class_keeps_its_name_and_counts() -> None:
    dots, _, net, absent = evaluated().per_class
    assert (dots.id, dots.name, dots.go, dots.positives, dots.called) == (3, "Dots", "GO:0000003", 3, 3)
    assert dots.precision.value == pytest.approx(2 / 3)
    assert (net.f1.value, net.recall.value, net.called) == (0, 0, 0)
    assert math.isnan(net.precision.value)  # never called
    assert (absent.positives, absent.called, absent.precision.value) == (0, 1, 0)
    assert math.isnan(absent.f1.value)


def test_thresholds_decide_what_is_called() -> None:
    part = evaluate_part(TRUTH, LOGITS, vocabulary=SHAPES, thresholds=(0.9, 0.1, 0.2, 1.0), training_truth=TRAINING)
    # probabilities of Dots are .88 .73 .55 .27; of Ring .27 .12 .95 .62; of Net .27 .05 .27 .12
    assert [entry.called for entry in part.per_class] == [0, 4, 2, 0]


def test_the_floors_of_a_hand_worked_case() -> None:
    two, every = evaluated().floors
    assert (two.name, two.classes) == ("two commonest classes", (3, 7))
    assert (every.name, every.classes) == ("all classes", (3, 5, 7, 9))
    # always Dots and Net: Dots 3 of 4 -> 6/7, Ring never 0, Net 1 of 4 -> 2/5
    assert two.macro_f1.value == pytest.approx((6 / 7 + 0 + 2 / 5) / 3)
    assert two.samples_f1.value == pytest.approx((2 / 3 + 2 / 4 + 2 / 4 + 2 / 3) / 4)
    assert every.micro_f1.value == pytest.approx(2 * 6 / (6 + 16))


def test_a_vocabulary_of_one_class_has_floors_too() -> None:
    one = Vocabulary("one", (Compartment(0, "Cytosol"),))
    part = evaluate_part([[1], [0]], [[1.0], [-1.0]], vocabulary=one, thresholds=[0.5], training_truth=[[1]])
    assert [floor.classes for floor in part.floors] == [(0,), (0,)]
    assert part.macro_f1.value == 1


def test_the_file_has_the_promised_layout(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    whole().write(file)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    written = json.loads(file.read_text("utf-8"), parse_constant=refuse)
    assert list(written["parts"]) == ["validation", "test"]
    for part in written["parts"].values():
        for metric in ("loss", "macro_f1", "samples_f1", "micro_f1", "mean_average_precision"):
            assert set(part[metric]) == {"value", "low", "high"}
            assert (part[metric]["low"], part[metric]["high"]) == (None, None)
        dots, ring, net, _ = part["per_class"]
        assert dots["go"] == "GO:0000003"
        assert "go" not in ring
        assert net["precision"] == {"value": None, "low": None, "high": None}
        assert {"id", "name", "precision", "recall", "f1", "average_precision", "positives", "called"} <= set(ring)
        assert [floor["name"] for floor in part["floors"]] == ["two commonest classes", "all classes"]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    whole().write(file)
    again = Evaluation.read(file)
    assert again.to_json() == whole().to_json()
    assert again.thresholds == (0.5,) * 4
    assert math.isnan(again.parts["test"].per_class[3].f1.value)


def test_an_interval_survives_the_file() -> None:
    assert Estimate.from_json(Estimate(0.5, 0.4, 0.6).to_json()) == Estimate(0.5, 0.4, 0.6)


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
        evaluate_part(TRUTH, broken, vocabulary=SHAPES, thresholds=(0.5,) * 4, training_truth=TRAINING)


def test_a_part_without_fields_is_told() -> None:
    empty = np.zeros((0, 4))
    with pytest.raises(RunError, match="holds no field"):
        evaluate_part(empty, empty, vocabulary=SHAPES, thresholds=(0.5,) * 4, training_truth=TRAINING)


def test_columns_must_be_those_of_the_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"shape \(fields, 4\), got \(4, 3\)"):
        evaluate_part(TRUTH[:, :3], LOGITS[:, :3], vocabulary=SHAPES, thresholds=(0.5,) * 3, training_truth=TRAINING)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 20), st.floats(0, 0.6))
def test_every_evaluation_can_be_written_and_read(seed: int, fields: int, prevalence: float) -> None:
    generator = np.random.default_rng(seed)
    truth = (generator.random((fields, 4)) < prevalence).astype(np.uint8)
    logits = generator.normal(size=truth.shape)
    part = evaluate_part(truth, logits, vocabulary=SHAPES, thresholds=(0.5,) * 4, training_truth=truth)
    text = json.dumps(part.to_json(), allow_nan=False)
    assert PartEvaluation.from_json(json.loads(text)).to_json() == part.to_json()


def test_the_floors_of_the_real_table() -> None:
    folder = os.environ.get("PROTLOC_REAL_DATA")
    if folder is None:
        pytest.skip("PROTLOC_REAL_DATA is not set: the real label table is not at hand")
    vocabulary = load_vocabulary("kaggle2018")
    truth = read_labels(Path(folder) / "tables" / "kaggle2018_train.csv", vocabulary).targets
    part = evaluate_part(
        truth, np.zeros(truth.shape), vocabulary=vocabulary, thresholds=(0.5,) * 28, training_truth=truth
    )
    two, every = part.floors
    assert [vocabulary.names[column] for column in two.classes] == ["Nucleoplasm", "Cytosol"]
    assert two.samples_f1.value == pytest.approx(0.344, abs=5e-4)
    assert two.macro_f1.value == pytest.approx(0.036, abs=5e-4)
    assert every.macro_f1.value == pytest.approx(0.0996, abs=5e-5)
    assert part.loss.value == pytest.approx(math.log(2))
