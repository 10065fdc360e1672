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

from protloc.judge.evaluation import Estimate, Evaluation
from protloc.judge.predictions import PartPredictions
from protloc.show.report import report_page, write_report
from protloc.show.report_content import FLOORED, OUT_OF_FOLD, Course, ReportContent
from protloc.show.report_words import (
    class_table,
    estimate_in_words,
    headline_table,
    headline_tiles,
    names_of,
    setting_table,
    thresholds_in_words,
    training_in_words,
)
from protloc.show.verdict import standing, verdict

Reader = Callable[[str], Any]
Logs = Callable[[int], pd.DataFrame]
Truths = Callable[..., np.ndarray]
Answers = Callable[..., PartPredictions]
Evaluations = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def html(content: ReportContent) -> str:
    """Return the report of the small run."""
    return report_page(content)


def text_of(html: str) -> str:
    """Return the text of a page on one line, without the pictures and styles."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL))


def figure(html: str, name: str) -> str:
    """Return a figure of a page with all its bytes."""
    (found,) = re.findall(rf'<figure[^>]*id="{name}">.*?</figure>', html, re.DOTALL)
    return found


def judged_again(content: ReportContent, said: PartPredictions, evaluation_of: Evaluations) -> ReportContent:
    """Return the content of a run that answered its test part otherwise."""
    rows = np.arange(min(3, len(said)))
    some = replace(content.best, predictions=said.rows(rows), images=content.best.images[: len(rows)])
    evaluation = evaluation_of({"validation": said, "test": said})
    return replace(content, predictions=said, evaluation=evaluation, best=some, worst=some)


def folded(content: ReportContent, evaluation_of: Evaluations, *, courses: tuple[Course, ...]) -> ReportContent:
    """Return the content of a run of folds."""
    return replace(
        content,
        evaluation=evaluation_of({OUT_OF_FOLD: content.predictions}, judged=OUT_OF_FOLD),
        store=replace(content.store, parts={f"fold {number}": 20 for number in range(len(courses))}),
        courses=courses,
    )


def test_the_report_is_one_file_that_holds_everything(
    content: ReportContent, tmp_path: Path, read_page: Reader
) -> None:
    out = write_report(tmp_path / "run" / "report.html", content)
    page = read_page(out.read_text("utf-8"))
    fields = len(content.best.images) + len(content.worst.images)
    # curves, classes, precision-recall, called instead, reliability, deferral
    assert len(page.all("img")) == 6 + fields
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_the_same_content_gives_the_same_page(content: ReportContent, html: str) -> None:
    assert report_page(content) == html


def test_the_scores_stand_beside_both_floors_with_their_intervals(content: ReportContent) -> None:
    table = headline_table(content.evaluation, content.vocabulary)
    test = content.judged
    assert [row[0] for row in table.rows] == [
        f"{part}: {who}"
        for part in ("validation", "test")
        for who in ("this run", "always Disc + Ring & rod", "always all 3 classes")
    ]
    names = ("macro_f1", "stable_macro_f1", "samples_f1", "micro_f1", "mean_average_precision", "loss")
    scores = [getattr(test, name) for name in names]
    assert table.rows[3][1:] == tuple(f"{score.value:.3f} ({score.low:.3f}–{score.high:.3f})" for score in scores)
    assert table.rows[4][1].startswith(f"{test.floors[0].macro_f1.value:.3f} (")
    assert table.rows[4][5:] == ("–", "–")


def test_stable_macro_f1_says_of_how_many_classes_it_is(content: ReportContent, html: str) -> None:
    one = replace(content.evaluation.parts["validation"], stable_classes=1)
    evaluation = replace(content.evaluation, parts={"validation": one, "test": content.judged})
    caption = headline_table(evaluation, content.vocabulary).caption
    assert (
        "the mean of 1 of 3 classes on the validation part, 2 of 3 classes on the test part: those that at" in caption
    )
    assert headline_tiles(one)[1].name == "stable macro-F1 (1 of 3 classes)"
    assert "at least 10 groups of fields, here 2 of 3 classes." in text_of(html)


def test_every_tile_has_its_interval(content: ReportContent) -> None:
    tiles = headline_tiles(content.judged)
    assert [tile.name for tile in tiles][:2] == ["macro-F1", "stable macro-F1 (2 of 3 classes)"]
    assert all(re.match(r"95 % interval \d\.\d{3}–\d\.\d{3}", tile.note) for tile in tiles)
    undefined = replace(content.judged, stable_macro_f1=Estimate(float("nan")))
    assert (headline_tiles(undefined)[1].value, headline_tiles(undefined)[1].note) == ("–", "not defined here")


def test_what_is_noise_is_told_with_the_scores(content: ReportContent, html: str) -> None:
    assert content.judged.noise_in_words() in text_of(html)


def test_the_report_says_when_fields_are_simulated(content: ReportContent, html: str) -> None:
    said = "The fields are simulated."
    assert said not in html
    assert said in report_page(replace(content, store=replace(content.store, simulated=True)))


def test_names_of_classes_and_runs_are_escaped(content: ReportContent, read_page: Reader) -> None:
    html = report_page(replace(content, run="<script>x</script>", recipe="<b>", command="<i>"))
    read_page(html)
    assert "<script>" not in html
    assert "&lt;i&gt;Bars&lt;/i&gt;" in html
    assert "<i>Bars" not in html


def test_the_report_tells_how_to_repeat_it(html: str) -> None:
    text = text_of(html)
    assert "protloc train demo-store --recipe standard --out my-run" in text
    assert "learning_rate 0.0003" in text
    assert "seed 7" in text


def test_each_shown_field_has_its_truth_and_the_answer_it_was_given(content: ReportContent, html: str) -> None:
    for name in (*content.best.predictions.ids, *content.worst.predictions.ids):
        assert f'alt="Field {name}"' in html
    said = content.best.predictions
    silent_before = int((~said.called.any(axis=1)).sum())
    silent = replace(content.best, predictions=replace(said, called=np.zeros_like(said.called)))
    shown = report_page(replace(content, best=silent))
    assert shown.count("<b>called</b> –") - html.count("<b>called</b> –") == len(said) - silent_before > 0


def test_the_figures_show_the_calls_and_probabilities_that_were_made(content: ReportContent, html: str) -> None:
    said = content.predictions
    silent = report_page(replace(content, predictions=replace(said, called=np.zeros_like(said.called))))
    unsure = report_page(replace(content, predictions=replace(said, probabilities=said.probabilities / 2)))
    assert figure(silent, "called_instead") != figure(html, "called_instead")
    assert figure(silent, "precision_recall_1") != figure(html, "precision_recall_1")
    assert figure(unsure, "reliability") != figure(html, "reliability")


def test_a_part_without_any_label_can_be_reported(
    content: ReportContent, predictions_of: Answers, evaluation_of: Evaluations, read_page: Reader
) -> None:
    said = predictions_of(np.zeros((16, 3), np.uint8))
    html = report_page(judged_again(content, said, evaluation_of))
    assert "No test field has a label" in html
    read_page(html)


def test_a_part_of_a_single_group_can_be_reported_and_claims_nothing(
    content: ReportContent, truth_of: Truths, predictions_of: Answers, evaluation_of: Evaluations, read_page: Reader
) -> None:
    html = report_page(judged_again(content, predictions_of(truth_of(12), groups=1), evaluation_of))
    read_page(html)
    text = text_of(html)
    assert "Whether it beats answers that look at no image cannot be told" in text
    assert "The test part is only 1 group" in text
    assert "It beats" not in text


def test_a_store_that_was_never_audited_is_told_at_the_top(content: ReportContent, html: str) -> None:
    said = "The scores may rest on leaks."
    assert said not in html
    unknown = text_of(report_page(replace(content, leaks=None)))
    assert f"{said} It is not known what the test fields share" in unknown


def test_a_run_without_a_deferral_curve_can_be_reported(content: ReportContent, read_page: Reader) -> None:
    page = read_page(report_page(replace(content, deferral=None)))
    assert all(drawn.get("id") != "deferral" for drawn in page.all("figure"))


def test_a_run_of_one_epoch_without_a_best_one_can_be_reported(content: ReportContent, log_of: Logs) -> None:
    text = text_of(report_page(replace(content, courses=(Course(log_of(1), None),))))
    assert "for 1 epoch." in text
    assert "1 epochs" not in text
    assert "; 1 was run, and" in text


def test_a_run_of_folds_is_told_as_one(
    content: ReportContent, evaluation_of: Evaluations, log_of: Logs, read_page: Reader
) -> None:
    html = report_page(folded(content, evaluation_of, courses=(Course(log_of(3), 2), Course(log_of(5), 5))))
    read_page(html)
    text = text_of(html)
    assert "was trained 2 times on the 40 fields of the store “demo-store”" in text
    assert "Scores on the out-of-fold part" in text
    assert "test field" not in text
    assert "fitted on 15 out-of-fold fields" in text
    assert "Out-of-fold fields were answered by thresholds fitted without them." in text
    assert "The dot is where the calls were made (by thresholds fitted without the field&#39;s own fold)" in html


def test_only_validation_fields_of_a_single_run_have_other_thresholds(content: ReportContent, html: str) -> None:
    said = "Validation fields were answered by thresholds fitted without them."
    assert said in text_of(html)
    assert "The dot is where the calls were made, the dashed line" in html
    told = replace(content.rule, thresholds=replace(content.rule.thresholds, rule="fixed"))
    assert said not in text_of(report_page(replace(content, rule=told)))


def with_margins(content: ReportContent, **margins: Estimate) -> ReportContent:
    """Return the content with other margins over the blind answers; well above them where nothing else is said."""
    changed = replace(content)
    changed.__dict__["margins"] = dict.fromkeys(FLOORED, Estimate(0.3, 0.2, 0.4)) | margins
    return changed


@pytest.mark.parametrize(
    ("margin", "stands", "told"),
    [
        (Estimate(0.2, 0.01, 0.3), 1, "It beats both answers that look at no image: macro-F1 on the 40 test fields is"),
        (
            Estimate(0.2, -0.01, 0.3),
            0,
            "It is not shown to beat answers that look at no image: macro-F1 on the 40 test fields",
        ),
        (Estimate(0.0, 0.0, 0.0), 0, "It is not shown to beat answers that look at no image"),
        (Estimate(-0.2, -0.3, 0.01), 0, "It is not shown to beat answers that look at no image"),
        (Estimate(-0.2, -0.3, -0.01), -1, "It does worse than the better of two answers that look at no image"),
        (Estimate(0.2), None, "Whether it beats answers that look at no image cannot be told"),
    ],
)
def test_the_verdict_follows_the_interval_of_the_margin(
    content: ReportContent, margin: Estimate, stands: int | None, told: str
) -> None:
    changed = with_margins(content, macro_f1=margin)
    assert standing(changed, "macro_f1") == stands
    assert verdict(changed).startswith(told)


def test_the_verdict_quotes_score_floor_and_margin(content: ReportContent) -> None:
    score = content.judged.macro_f1
    floor = max((floor.macro_f1 for floor in content.judged.floors), key=lambda estimate: estimate.value)
    assert verdict(with_margins(content, macro_f1=Estimate(0.25, -0.06, 0.5))) == (
        f"It is not shown to beat answers that look at no image: macro-F1 on the 40 test fields is "
        f"{estimate_in_words(score)}, that of the better of the two blind answers {estimate_in_words(floor)}, the "
        f"difference +0.250 (−0.060 to +0.500)."
    )


def test_the_verdict_hides_no_score_that_beats_no_floor(content: ReportContent) -> None:
    told = verdict(with_margins(content, samples_f1=Estimate(-0.2, -0.3, -0.1), micro_f1=Estimate(0.1, -0.1, 0.2)))
    assert "In samples-F1 it does worse than the better of the two blind answers: it has " in told
    assert "In micro-F1 it is not shown to beat the better of the two blind answers: it has " in told
    assert told.endswith("the difference +0.100 (−0.100 to +0.200).")


def test_the_verdict_names_groups_and_says_when_they_are_few(content: ReportContent) -> None:
    def in_groups(groups: int) -> str:
        parts = {"test": replace(content.judged, groups=groups)}
        return verdict(with_margins(replace(content, evaluation=replace(content.evaluation, parts=parts))))

    assert "on the 40 test fields in 19 groups is" in in_groups(19)
    assert in_groups(19).endswith("The test part is only 19 groups: its intervals are themselves uncertain.")
    assert "uncertain" not in in_groups(20)
    assert in_groups(1).startswith("Whether it beats answers that look at no image cannot be told")


def test_margins_are_those_over_the_better_blind_answer(content: ReportContent) -> None:
    part = content.judged
    for key, margin in content.margins.items():
        floor = max(getattr(floor, key).value for floor in part.floors)
        assert margin.value == pytest.approx(getattr(part, key).value - floor)
        assert margin.low is not None
        assert margin.high is not None
        assert margin.low <= margin.value <= margin.high


def test_who_answers_as_blindly_as_a_floor_has_no_margin(content: ReportContent, evaluation_of: Evaluations) -> None:
    said = replace(content.predictions, called=np.ones_like(content.predictions.called))
    blind = replace(content, predictions=said, evaluation=evaluation_of({"test": said}))
    margin = blind.margins["samples_f1"]  # two of three classes are there, so that calling the two is better
    assert margin.value < 0
    assert "worse than the better of the two blind answers" in verdict(blind)


def test_margins_are_paired_over_the_same_fields(content: ReportContent) -> None:
    margin, part = content.margins["macro_f1"], content.judged
    floor = max((floor.macro_f1 for floor in part.floors), key=lambda estimate: estimate.value)
    apart = (part.macro_f1.high or 0) - (part.macro_f1.low or 0) + (floor.high or 0) - (floor.low or 0)
    assert (margin.high or 0) - (margin.low or 0) < apart


def test_the_training_is_told_in_a_sentence(content: ReportContent) -> None:
    told = training_in_words(content)
    assert "The recipe standard was trained on 70 fields of the store “demo-store”" in told
    assert "(16 × 16 px; red, green, blue, yellow) for 5 epochs, of which epoch 4 was kept" in told
    assert "The 15 validation fields had a say" in told
    assert "the 40 test fields had none" in told


def test_classes_have_intervals_and_absent_ones_dashes(content: ReportContent) -> None:
    table = class_table(content.judged, "test")
    disc = content.judged.per_class[0]
    assert table.header[:3] == ("class", "fields", "called")
    assert table.rows[0][5] == f"{disc.f1.value:.2f} ({disc.f1.low:.2f}–{disc.f1.high:.2f})"
    assert table.rows[2][:2] == ("<i>Bars</i>", "0")
    assert table.rows[2][4:] == ("–", "–", "–")


def test_groups_of_classes_are_told_where_fields_are_alike(
    truth_of: Truths, predictions_of: Answers, evaluation_of: Evaluations
) -> None:
    part = evaluation_of({"test": predictions_of(truth_of(40), groups=30)}).parts["test"]
    table = class_table(part, "test")
    assert table.header[:4] == ("class", "fields", "groups", "called")
    assert int(table.rows[0][2]) == part.per_class[0].groups < part.per_class[0].positives
    assert "40 test fields in 30 groups" in table.caption


def test_thresholds_are_told_once_where_they_are_one() -> None:
    assert thresholds_in_words((0.5, 0.5)) == "A class is called when its probability is at least 0.5, for every class."
    assert "0.20 to 0.50" in thresholds_in_words((0.5, 0.2))


def test_small_things_in_words(content: ReportContent) -> None:
    assert names_of(np.array([1, 0, 1]), content.vocabulary) == "Disc; <i>Bars</i>"
    assert names_of(np.zeros(3, np.uint8), content.vocabulary) == "–"
    assert estimate_in_words(Estimate(float("nan"))) == "–"
    assert estimate_in_words(Estimate(0.5)) == "0.500"
    assert estimate_in_words(Estimate(0.5, 0.4, 0.6), digits=1) == "0.5 (0.4–0.6)"
    rows = setting_table("c", {"a": True, "b": ("x", "y"), "c": None, "d": {"k": 1}, "e": 0}).rows
    assert rows == (("a", "yes"), ("b", "x, y"), ("c", "–"), ("d", "k: 1"), ("e", "0"))
