"""The page that sets runs side by side: words, tables, marks."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from protloc.judge.compare import BETTER, CLASS_HEADLINES, UNRESOLVED, WORSE, Comparison, Difference
from protloc.judge.evaluation import HEADLINES
from protloc.show.comparison_page import (
    comparison_page,
    difference_in_words,
    needed_in_words,
    signed,
    verdict_in_words,
)
from protloc.show.figures import GREEN, MUTED, VERMILION
from protloc.show.figures_compare import class_differences_figure, differences_figure

HAIR = 0.01  # inches
CLASSES = ("Nucleoplasm", "Rods & rings", "Endoplasmic reticulum exit site facing the nucleus")


def difference(run="standard", metric="macro_f1", column=None, **other: Any) -> Difference:  # noqa: ANN401 - whatever a difference has
    """Return a difference of .1 that is resolved, or with other values."""
    told = {
        "reference": 0.3, "value": 0.4, "error": 0.03, "low": 0.02, "high": 0.18, "fields": 300, "needed": 200.0,
        "verdict": BETTER,
    }  # fmt: skip
    return Difference(run=run, metric=metric, column=column, **(told | other))


def unresolved(**other: Any) -> Difference:  # noqa: ANN401 - likewise
    return difference(**({"low": -0.02, "high": 0.22, "needed": 432.0, "verdict": UNRESOLVED} | other))


@pytest.fixture
def found():
    """Return two runs: one better in all but two metrics, the other nowhere; a class that few groups have."""
    poorer = {"value": 0.2, "low": -0.18, "high": -0.02, "verdict": WORSE}
    headlines = [difference(metric=metric) for metric in HEADLINES if metric not in {"loss", "micro_f1"}]
    headlines += [difference(metric="loss", **poorer), unresolved(metric="micro_f1")]
    headlines += [unresolved(run="runs/other", metric=metric) for metric in HEADLINES]
    few = {"low": math.nan, "high": math.nan, "error": math.nan, "needed": math.nan, "reason": "in 3 groups only"}
    classes = [
        entry
        for run in ("standard", "runs/other")
        for metric in CLASS_HEADLINES
        for entry in (
            difference(run, metric, 0), unresolved(run=run, metric=metric, column=1),
            unresolved(run=run, metric=metric, column=2, **few),
        )
    ]  # fmt: skip
    return Comparison("cnn", ("standard", "runs/other"), 300, 100, 1000, tuple(headlines), tuple(classes))


@pytest.mark.parametrize(
    ("value", "written"), [(0.1234, "+0.123"), (-0.1234, "−0.123"), (0.0, "0.000"), (-0.0001, "0.000"), (math.nan, "–")]
)
def test_a_difference_has_its_sign(value, written):
    assert signed(value) == written


def test_a_difference_stands_before_its_interval():
    assert difference_in_words(difference()) == "+0.100 (+0.020 to +0.180)"
    assert difference_in_words(difference(low=math.nan, high=math.nan)) == "+0.100"


@pytest.mark.parametrize(
    ("needed", "written"),
    [(432.0, "about 440"), (12_345.0, "about 13,000"), (7.0, "about 7"), (1_000.0, "about 1,000"),
     (math.inf, "no number would"), (math.nan, "–")],
)  # fmt: skip
def test_needed_fields_are_rounded_up_to_two_digits(needed, written):
    assert needed_in_words(unresolved(needed=needed)) == written


def test_a_resolved_difference_needs_no_more_fields():
    assert needed_in_words(difference()) == "–"


def test_the_verdict_names_the_metrics(found):
    said = verdict_in_words(found, "standard")
    assert said.startswith("standard is better in macro-F1")
    assert "worse in loss than cnn" in said
    assert said.endswith("; not resolvable in micro-F1.")


def test_the_verdict_of_a_run_like_the_reference(found):
    assert verdict_in_words(found, "runs/other") == (
        "runs/other against cnn: not resolvable, in no metric does its interval leave 0 out."
    )
    same = [unresolved(metric=metric, reason="the answers are the same") for metric in HEADLINES]
    again = Comparison("cnn", ("standard",), 300, 100, 1000, tuple(same), ())
    assert verdict_in_words(again, "standard") == "standard against cnn: not resolvable, the answers are the same."


def test_the_page_holds_all_differences(found, read_page):
    html = comparison_page(found, classes=CLASSES, part="test")
    page = read_page(html)
    assert len(page.all("img")) == 3  # the scores, the classes of two runs
    assert html.count("not resolvable: in 3 groups only") == 4
    assert "Scores on the same 300 test fields" in html
    assert "Of 3 classes by F1: 1 better, 0 worse, 2 not resolvable" in html
    assert "groups of fields that are alike, 100 in all" in html
    assert "drawn 1,000 times" in html.replace("\n", " ")
    assert "fewer than 10 groups" in html
    marked = [row for row in page.all("tr") if row.get("class") == "marked"]
    assert len(marked) == len(HEADLINES) - 1 + 2 * len(CLASS_HEADLINES)


def test_run_and_verdict_come_first_and_no_table_is_wide(found):
    html = comparison_page(found, classes=CLASSES, part="test")
    heads = [re.findall(r"<th[^>]*>([^<]*)</th>", head) for head in re.findall(r"<thead>.*?</thead>", html, re.DOTALL)]
    numbers = ["difference", "reference", "this run", "fields to resolve it"]
    assert heads == [["run", "verdict", "metric", *numbers]] + 4 * [["class", "verdict", *numbers]]


def test_each_class_is_marked_by_the_verdict_of_its_own_table(found):
    only_f1 = [entry for entry in found.classes if entry.metric == "f1" and entry.run == "standard"]
    rest = [unresolved(metric="average_precision", column=column) for column in range(3)]
    some = Comparison("cnn", ("standard",), 300, 100, 1000, found.headlines[:6], (*only_f1, *rest))
    html = comparison_page(some, classes=CLASSES, part="test")
    tables = re.findall(r"<table.*?</table>", html, re.DOTALL)[1:]
    assert [table.count('class="marked"') for table in tables] == [1, 0]
    assert "Class by class, average precision: standard minus cnn" in tables[1]


def test_names_of_runs_and_classes_are_escaped(found, read_page):
    html = comparison_page(found, classes=("<b>", "&", "c"), part="<i>")
    read_page(html)
    assert "<b>" not in html
    assert "<i>" not in html


def test_the_same_comparison_gives_the_same_page(found):
    assert comparison_page(found, classes=CLASSES, part="test") == comparison_page(found, classes=CLASSES, part="test")


def marks(axes):
    """Return place, shape and colour of each mark, without the line at 0."""
    points = [line for line in axes.lines if line.get_marker() not in {"", "None"}]
    return [(float(line.get_xdata()[0]), line.get_marker(), to_hex(line.get_color()).upper()) for line in points]


def test_marks_tell_verdicts_by_shape_and_colour(found):
    scores, loss = differences_figure(found).axes
    assert (0.1, ">", GREEN) in [(round(place, 6), *rest) for place, *rest in marks(scores)]
    assert ("o", MUTED) in [(shape, colour) for _, shape, colour in marks(scores)]
    assert next((round(place, 6), *rest) for place, *rest in marks(loss)) == (-0.1, "<", VERMILION)
    assert loss.xaxis_inverted()
    assert len(marks(scores)) == 2 * (len(HEADLINES) - 1)


def test_right_is_better_in_the_loss_too(found):
    """Only a verdict of worse may point left: the axis of the loss is turned, not its sign."""
    _, loss = differences_figure(found).axes
    shown = [loss.transData.transform((place, 0))[0] for place in (-0.1, 0.1)]
    assert shown[0] > shown[1]


def test_a_class_of_few_groups_has_a_hollow_mark_without_interval(found):
    left, right = class_differences_figure(found, run="standard", classes=CLASSES).axes
    for axes in (left, right):
        assert [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in axes.lines[1:]] == [False, False, True]
        assert len(axes.collections) == 2  # intervals


@pytest.mark.parametrize("runs", [1, 2])
def test_nothing_stands_out_of_the_figures(found, runs):
    some = Comparison("cnn", found.runs[:runs], 300, 100, 1000, found.headlines, found.classes)
    for figure in (differences_figure(some), class_differences_figure(some, run="standard", classes=CLASSES)):
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert max(-box.x0, -box.y0, box.x1 - width, box.y1 - height) < HAIR
        assert min(text.get_fontsize() for text in figure.findobj(Text)) >= 9


def test_a_class_that_is_not_defined_can_be_drawn(found):
    absent = [
        unresolved(metric=metric, column=0, value=math.nan, low=math.nan, high=math.nan, reason="not defined")
        for metric in CLASS_HEADLINES
    ]
    some = Comparison("cnn", ("standard",), 300, 100, 1000, found.headlines[: len(HEADLINES)], tuple(absent))
    axes = class_differences_figure(some, run="standard", classes=CLASSES[:1]).axes[0]
    assert np.isnan(axes.lines[1].get_xdata()[0])
    assert "–" in comparison_page(some, classes=CLASSES[:1], part="test")
