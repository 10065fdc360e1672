"""The report of a run: right numbers, plain words, one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.judge.evaluate import Evaluation, evaluate_part
from protloc.judge.evaluation import Estimate, PartEvaluation
from protloc.show.baselines_page import comparison_table, write_baselines_page
from protloc.show.report import report_page, write_report
from protloc.show.report_content import PartAnswers, ReportContent, ShownFields, StoreFacts
from protloc.show.report_words import (
    class_table,
    estimate_in_words,
    headline_table,
    names_of,
    setting_table,
    thresholds_in_words,
    training_in_words,
    verdict,
)
from protloc.show.tally import pick_fields

Reader = Callable[[str], Any]
Logs = Callable[[int], pd.DataFrame]
VOCABULARY = Vocabulary("shapes", (Compartment(0, "Disc"), Compartment(4, "Ring & rod"), Compartment(9, "<i>Bars</i>")))
THRESHOLDS = (0.5, 0.5, 0.5)
STORE = StoreFacts(
    "demo-store", simulated=False, side=16, stains=HPA_STAINS, parts={"train": 70, "validation": 15, "test": 16}
)


def answers_of_a_fair_run(seed: int = 0) -> PartAnswers:
    """Return truth of 16 fields, the third class absent, and logits that are mostly right."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((16, 3)) < (0.6, 0.4, 0.0)).astype(np.uint8)
    return PartAnswers(truth, (4.0 * truth - 2 + generator.normal(0, 1.5, truth.shape)).astype(np.float32))


def judged(answers: PartAnswers) -> PartEvaluation:
    """Return the evaluation of a part."""
    return evaluate_part(
        answers.truth,
        answers.logits,
        vocabulary=VOCABULARY,
        thresholds=THRESHOLDS,
        training_truth=answers.truth,
    )


def shown_fields(answers: PartAnswers, rows: np.ndarray) -> ShownFields:
    """Return random pictures for some rows of the test part."""
    images = np.random.default_rng(1).integers(0, 255, (len(rows), 4, 16, 16), dtype=np.uint8)
    return ShownFields(
        tuple(f"field{row}" for row in rows), images, PartAnswers(answers.truth[rows], answers.logits[rows])
    )


@pytest.fixture(scope="module")
def content(log_of: Logs) -> ReportContent:
    """Return what a report of a small run shows."""
    test = answers_of_a_fair_run()
    picked = pick_fields(test.truth, test.logits, thresholds=THRESHOLDS, count=3)
    parts = {"validation": judged(answers_of_a_fair_run(1)), "test": judged(test)}
    return ReportContent(
        run="my-run",
        recipe="standard",
        vocabulary=VOCABULARY,
        store=STORE,
        evaluation=Evaluation(parts, "shapes", THRESHOLDS, "0.1.0"),
        test=test,
        log=log_of(5),
        best_epoch=4,
        best=shown_fields(test, picked.best),
        worst=shown_fields(test, picked.worst),
        settings={"learning_rate": 3e-4, "flips": True, "minority_classes": ()},
        provenance={"seed": 7, "torch": "2.14.0"},
        command="protloc train demo-store --recipe standard --out my-run",
    )


@pytest.fixture(scope="module")
def html(content: ReportContent) -> str:
    """Return the report of the small run."""
    return report_page(content)


def text_of(html: str) -> str:
    """Return the text of a page on one line, without the pictures and styles."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL))


def with_test(content: ReportContent, part: PartEvaluation) -> ReportContent:
    """Return the content with another evaluation of the test part."""
    evaluation = replace(content.evaluation, parts={**content.evaluation.parts, "test": part})
    return replace(content, evaluation=evaluation)


def test_the_report_is_one_file_that_holds_everything(
    content: ReportContent, tmp_path: Path, read_page: Reader
) -> None:
    out = write_report(tmp_path / "run" / "report.html", content)
    page = read_page(out.read_text("utf-8"))
    fields = len(content.best.ids) + len(content.worst.ids)
    assert len(page.all("img")) == 4 + fields  # curves, classes, precision-recall, called instead
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_the_same_content_gives_the_same_page(content: ReportContent, html: str) -> None:
    assert report_page(content) == html


def test_the_scores_stand_beside_both_floors(content: ReportContent) -> None:
    table = headline_table(content.evaluation, VOCABULARY)
    test = content.evaluation.parts["test"]
    assert [row[0] for row in table.rows] == [
        f"{part}: {who}"
        for part in ("validation", "test")
        for who in ("this run", "always Disc + Ring & rod", "always all 3 classes")
    ]
    assert table.rows[3][1:] == tuple(
        f"{score.value:.3f}"
        for score in (test.macro_f1, test.samples_f1, test.micro_f1, test.mean_average_precision, test.loss)
    )
    assert table.rows[4][1] == f"{test.floors[0].macro_f1.value:.3f}"
    assert table.rows[4][4:] == ("–", "–")


def test_the_report_says_when_fields_are_simulated(content: ReportContent, html: str) -> None:
    said = "The fields are simulated."
    assert said not in html
    assert said in report_page(replace(content, store=replace(STORE, simulated=True)))


def test_names_of_classes_and_runs_are_escaped(content: ReportContent, read_page: Reader) -> None:
    html = report_page(replace(content, run="<script>x</script>"))
    read_page(html)
    assert "&lt;i&gt;Bars&lt;/i&gt;" in html


def test_the_report_tells_how_to_repeat_it(html: str) -> None:
    text = text_of(html)
    assert "protloc train demo-store --recipe standard --out my-run" in text
    assert "learning_rate 0.0003" in text
    assert "seed 7" in text


def test_each_shown_field_has_its_truth_and_its_answer(content: ReportContent, html: str) -> None:
    for name in content.best.ids + content.worst.ids:
        assert f'alt="Field {name}"' in html
    assert "<b>called</b>" in html


def test_the_report_says_that_there_are_no_intervals_until_there_are(content: ReportContent, html: str) -> None:
    said = "No intervals were computed"
    assert said in html
    test = content.evaluation.parts["test"]
    classes = tuple(replace(entry, f1=replace(entry.f1, low=0.1, high=0.9)) for entry in test.per_class)
    judged_part = replace(test, macro_f1=Estimate(0.5, 0.412, 0.588), per_class=classes)
    with_intervals = report_page(with_test(content, judged_part))
    assert said not in with_intervals
    assert "0.500 (0.412–0.588)" in with_intervals
    assert "95 % interval 0.412–0.588" in with_intervals
    bars = re.compile(r'<figure[^>]*id="class_scores">.*?</figure>', re.DOTALL)
    assert bars.findall(with_intervals) != bars.findall(html)


def test_a_part_without_any_label_can_be_reported(content: ReportContent, read_page: Reader) -> None:
    test = PartAnswers(np.zeros((16, 3), np.uint8), content.test.logits)
    html = report_page(replace(with_test(content, judged(test)), test=test))
    assert "No test field has a label" in html
    read_page(html)


def test_a_run_of_one_epoch_without_a_best_one_can_be_reported(content: ReportContent, log_of: Logs) -> None:
    text = text_of(report_page(replace(content, log=log_of(1), best_epoch=None)))
    assert "for 1 epoch." in text


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.9, r"Macro-F1 on the test part is 0\.900; the better .* gets 0\.300, 3\.0 times less\..*"),
        (0.3, r"It has learnt nothing that shows: macro-F1 on the test part is 0\.300; .*"),
    ],
)
def test_the_verdict_compares_with_the_better_floor(score: float, expected: str) -> None:
    part = judged(answers_of_a_fair_run())
    floors = tuple(
        replace(floor, macro_f1=Estimate(value)) for floor, value in zip(part.floors, (0.3, 0.1), strict=True)
    )
    assert re.fullmatch(expected, verdict(replace(part, macro_f1=Estimate(score), floors=floors)))


def test_the_verdict_hides_no_score_that_beats_no_floor() -> None:
    part = judged(answers_of_a_fair_run())
    scores = {"macro_f1": Estimate(0.9), "samples_f1": Estimate(0.2), "micro_f1": Estimate(0.3)}
    floors = tuple(
        replace(f, macro_f1=Estimate(0.1), samples_f1=Estimate(0.25), micro_f1=Estimate(0.29)) for f in part.floors
    )
    told = verdict(replace(part, floors=floors, **scores))
    assert told.endswith("9.0 times less. It does not beat the better of them in samples-F1 (0.200 against 0.250).")


def test_the_training_is_told_in_a_sentence() -> None:
    told = training_in_words(STORE, "baseline-cnn", epochs=12, best_epoch=9)
    assert "The recipe baseline-cnn was trained on 70 fields of the store demo-store" in told
    assert "(16 × 16 px; red, green, blue, yellow) for 12 epochs, of which epoch 9 was kept" in told
    assert "15 validation fields" in told
    assert "16 test fields" in told


def test_absent_classes_have_dashes() -> None:
    table = class_table(judged(answers_of_a_fair_run()), "test", THRESHOLDS)
    assert table.rows[2][0] == "<i>Bars</i>"
    assert table.rows[2][1] == "0"
    assert table.rows[2][4:7] == ("–", "–", "–")


def test_thresholds_are_told_once_where_they_are_one() -> None:
    assert thresholds_in_words((0.5, 0.5)) == "A class is called when its probability is at least 0.5, for every class."
    assert "0.20 to 0.50" in thresholds_in_words((0.5, 0.2))


def test_small_things_in_words() -> None:
    assert names_of(np.array([1, 0, 1]), VOCABULARY) == "Disc; <i>Bars</i>"
    assert names_of(np.zeros(3, np.uint8), VOCABULARY) == "–"
    assert estimate_in_words(Estimate(float("nan"))) == "–"
    rows = setting_table("c", {"a": True, "b": ("x", "y"), "c": None, "d": {"k": 1}, "e": 0}).rows
    assert rows == (("a", "yes"), ("b", "x, y"), ("c", "–"), ("d", "k: 1"), ("e", "0"))


def test_recipes_are_set_side_by_side(tmp_path: Path, read_page: Reader) -> None:
    rows = pd.DataFrame(
        {
            "recipe": ["a", "b"],
            "weights": ["none", None],
            "epochs": [3, 12],
            "seconds": [1234.5, 8.0],
            "test_macro_f1": [0.5, np.nan],
        }
    )
    table = comparison_table(rows, caption="c")
    assert table.header[-1] == "test macro f1"
    assert table.rows == (("a", "none", "3", "1,234.5", "0.5000"), ("b", "–", "12", "8.0000", "–"))
    assert table.text == {1}
    out = write_baselines_page(
        tmp_path / "b.html", rows, store="demo", simulated=True, notes=["published: other fields"]
    )
    html = out.read_text("utf-8")
    read_page(html)
    assert "published: other fields" in html
    assert "simulated" in html
