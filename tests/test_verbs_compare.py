"""Comparing run folders: what is read, written, said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.curate.groups import Leaks
from protloc.errors import RunError
from protloc.judge.evaluate import Evaluation, evaluate_part
from protloc.judge.metrics import sigmoid
from protloc.judge.predictions import PartPredictions
from protloc.verbs.compare import compare_runs, run_names

NAMES = ("Disc", "Ring", "Bars")
FIELDS = 120


def vocabulary_of(names):
    return Vocabulary("shapes", tuple(Compartment(number, name) for number, name in enumerate(names)))


def write_run(folder, *, skill=0.0, seed=0, part="test", names=NAMES, split="default", leaks=None):
    """Write what ``evaluate`` leaves of a run that is better by ``skill``."""
    truth = (np.random.default_rng(7).random((FIELDS, len(names))) < 0.4).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(size=truth.shape)
    logits = ((1 + skill) * (2.0 * truth - 1) + noise).astype(np.float32)
    ids = tuple(f"field{number:03d}" for number in range(FIELDS))
    groups = tuple(f"group{number // 2:02d}" for number in range(FIELDS))
    probabilities = sigmoid(logits).astype(np.float32)
    said = PartPredictions(
        ids, groups, truth, logits, probabilities, probabilities >= 0.5, np.zeros(truth.shape, np.int8)
    )
    said.write(folder / "predictions" / f"{part}.parquet")
    vocabulary = vocabulary_of(names)
    judged = evaluate_part(said, vocabulary=vocabulary, training_truth=truth, resamples=20)
    evaluation = Evaluation(
        parts={part: judged}, vocabulary=vocabulary.name, thresholds=(0.5,) * len(names), threshold_rule="fixed",
        judged=part, poses=1, protloc_version="0", leaks=leaks,
    )  # fmt: skip
    evaluation.write(folder / "evaluation.json")
    (folder / "settings.toml").write_text(f'[run]\nsplit = "{split}"\nsplit_digest = "of {split}"\n', "utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return write_run(folder / "baseline-cnn"), write_run(folder / "standard", skill=2.0, seed=1)


def test_a_better_run_is_called_better(runs, tmp_path):
    made = compare_runs(runs, out=tmp_path / "out", resamples=200)
    assert made.folder == tmp_path / "out"
    assert made.part == "test"
    assert made.comparison.reference == "baseline-cnn"
    lines = made.summary.splitlines()
    assert "Against baseline-cnn, on 120 test fields of 60 groups" in lines[0]
    macro = next(line for line in lines if " macro-F1 " in line)
    assert "standard" in macro
    assert "better" in macro
    assert str(made.page) in lines[-1]


def test_a_run_with_itself_is_not_resolvable(runs, tmp_path):
    made = compare_runs([runs[0], runs[0]], out=tmp_path, resamples=20)
    assert made.comparison.runs == ("baseline-cnn (2)",)
    assert {entry.verdict for entry in made.comparison.headlines} == {"not resolvable"}
    assert "not resolvable" in made.summary
    assert "no number would" in made.summary
    assert "better" not in made.summary


def test_the_files_hold_every_difference(runs, tmp_path):
    made = compare_runs(runs, out=tmp_path, resamples=50)
    rows = pd.read_csv(tmp_path / "comparison.csv", keep_default_na=False)
    headlines, classes = rows[rows["class"] == ""], rows[rows["class"] != ""]
    assert len(headlines) == len(made.comparison.headlines)
    assert set(zip(classes["class"], classes["metric"], strict=True)) == {
        (name, metric) for name in NAMES for metric in ("F1", "average precision")
    }
    macro = headlines.set_index("metric").loc["macro-F1"]
    assert macro["difference"] == pytest.approx(macro["value"] - macro["reference"])
    assert macro["low"] <= macro["difference"] <= macro["high"]
    markdown = (tmp_path / "comparison.md").read_text()
    assert "| standard | macro-F1 | +" in markdown
    html = (tmp_path / "comparison.html").read_text()
    assert all(name in html for name in NAMES)
    assert list(tmp_path.glob("*.partial")) == []


def test_the_page_lies_beside_the_first_run_if_no_place_is_said(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1)
    made = compare_runs([first, second], resamples=20)
    assert made.folder == tmp_path / "compare"
    assert made.page.is_file()


def test_equal_calls_write_equal_bytes(runs, tmp_path):
    for name in ("one", "two"):
        compare_runs(runs, out=tmp_path / name, resamples=20)
    for file in ("comparison.csv", "comparison.md", "comparison.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_all_fields_of_runs_with_folds_are_compared(tmp_path):
    folders = [write_run(tmp_path / name, seed=seed, part="out-of-fold") for seed, name in enumerate("ab")]
    assert compare_runs(folders, resamples=20).part == "out-of-fold"


def test_the_part_may_be_named(tmp_path):
    folders = [write_run(tmp_path / name, seed=seed, part="validation") for seed, name in enumerate("ab")]
    assert compare_runs(folders, part="validation", resamples=20).part == "validation"


def test_a_run_with_folds_and_one_without_have_nothing_in_common(tmp_path):
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b", part="out-of-fold")]
    with pytest.raises(RunError, match=r"no part in common.*Compare runs of one split"):
        compare_runs(folders)


def test_a_run_that_was_not_evaluated_is_named_with_the_remedy(runs, tmp_path):
    with pytest.raises(RunError, match=r"unfinished: not an evaluated run.*protloc evaluate .*unfinished"):
        compare_runs([runs[0], tmp_path / "unfinished"])


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_runs_are_refused(runs, number):
    with pytest.raises(RunError, match=f"{number} runs named, expected two or more"):
        compare_runs(runs[:number])


def test_a_part_that_was_not_judged_is_an_error(runs):
    with pytest.raises(RunError, match=r"validation\.parquet: no predictions"):
        compare_runs(runs, part="validation")


def test_an_evaluation_without_the_part_says_what_to_do(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "predictions" / "test.parquet").rename(folder / "predictions" / "out-of-fold.parquet")
    with pytest.raises(RunError, match=r"evaluation\.json: judges test, expected out-of-fold.*protloc evaluate"):
        compare_runs([folder, folder])


def test_runs_of_other_classes_are_refused(tmp_path):
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b", names=("Disc", "Ring", "Rods"))]
    with pytest.raises(RunError, match="name other classes"):
        compare_runs(folders)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("x/runs/a", "x/runs/b"), ("a", "b")),
        (("x/one/standard", "x/two/standard", "x/two/cnn"), ("one/standard", "two/standard", "two/cnn")),
        (("x/a", "x/a", "x/a"), ("a", "a (2)", "a (3)")),
        (("x/a", "x/../x/a"), ("a", "a (2)")),
        (("x/one/a", "x/one/a", "x/two/a"), ("one/a", "one/a (2)", "two/a")),
    ],
)
def test_runs_are_named_by_as_much_of_their_folders_as_tells_them_apart(folders, names, tmp_path):
    assert run_names([tmp_path / folder for folder in folders]) == names


def test_runs_of_other_splits_are_not_compared_though_they_judge_the_same_fields(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", skill=1.0, split="by-field")
    with pytest.raises(RunError, match=r"other was trained on the split by-field, .*one on default, expected one"):
        compare_runs([one, other])
    assert not (tmp_path / "compare").exists()


@pytest.mark.parametrize(("leaks", "told"), [(Leaks(40, 10, 2), True), (Leaks(40, 0, 0), False)])
def test_scores_that_may_rest_on_leaks_are_told_so(tmp_path, leaks, *, told):
    runs = [write_run(tmp_path / name, seed=seed, leaks=leaks) for seed, name in enumerate("ab")]
    made = compare_runs(runs)
    words = "25 % of the test fields are in one group with training or validation fields."
    assert (words in made.summary) == told
    assert (words in made.page.read_text("utf-8")) == told
