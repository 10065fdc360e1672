"""What a report says of leaks, thresholds, probabilities, certain answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from protloc.curate.groups import Leaks
from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.judge.metrics import sigmoid
from protloc.judge.reliability import Reliability, calibration_error
from protloc.judge.three_way import Bands, Deferral
from protloc.show.certainty_words import certainty_in_words, deferral_table, deferral_verdict
from protloc.show.figures_trust import deferral_figure, group_sizes_figure, reliability_figure
from protloc.show.report_content import ReportContent
from protloc.show.trust_words import (
    answer_table,
    calibration_in_words,
    calibration_kind,
    leak_note,
    leaks_in_words,
    rule_table,
    threshold_rule_in_words,
    trust_table,
)

Deferrals = Callable[..., Deferral]
LONG = "Endoplasmic reticulum exit site facing the nuclear envelope of cell"


def overhang(figure: Figure) -> float:
    """Return by how many inches the marks and texts of a figure stand out of it; 0 if nothing is clipped."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return max(0.0, -box.x0, -box.y0, box.x1 - width, box.y1 - height)


def reliability_of(said: list[float]) -> Reliability:
    """Return what is always so in as many as was said, give or take 10 %."""
    share = np.array(said)
    return Reliability(share, share, np.maximum(share - 0.1, 0), np.minimum(share + 0.1, 1), np.full(len(said), 9))


def test_leaks_are_counted_in_words() -> None:
    told = leaks_in_words(Leaks(200, with_group=50, with_twin=3), "test")
    assert "Of the 200 test fields, 50 (25 %) are in one group with training or validation fields" in told
    assert "3 (1.5 %) have a near-duplicate among them" in told
    assert "likely too high" in told


def test_no_leak_is_told_as_none() -> None:
    told = leaks_in_words(Leaks(200, with_group=0, with_twin=0), "out-of-fold")
    assert "none of the 200 out-of-fold fields has a near-duplicate" in told
    assert "too high" not in told


def test_a_single_field_is_told_in_the_singular(content: ReportContent) -> None:
    told = leaks_in_words(Leaks(9, with_group=1, with_twin=1), "test")
    assert "1 (11 %) is in one group with" in told
    assert "1 (11 %) has a near-duplicate" in told
    one = replace(content, rule=replace(content.rule, fields=1))
    assert answer_table(one).caption.endswith("found on 1 validation field.")


def test_a_store_without_groups_is_told_how_to_get_them() -> None:
    told = leaks_in_words(None, "test")
    assert "never audited" in told
    assert told.endswith("protloc audit STORE")


@pytest.mark.parametrize(
    ("leaks", "note"),
    [
        (None, "It is not known what the test fields share with the training and validation fields."),
        (Leaks(40, 0, 0), ""),
        (Leaks(40, 10, 0), "25 % of the test fields are in one group with training or validation fields."),
    ],
)
def test_what_must_stand_beside_the_scores(leaks: Leaks | None, note: str) -> None:
    assert leak_note(leaks, "test") == note


def test_every_rule_is_set_out_and_the_one_in_use_marked(content: ReportContent) -> None:
    table = rule_table(content)
    assert table is not None
    assert [(row[0], row[2]) for row in table.rows] == [("fixed", "0.510"), ("one", "0.520"), ("per class", "0.580")]
    assert table.marked == {2}
    assert "No test field had a part in it." in table.caption


def test_rules_that_were_not_tried_have_no_table(content: ReportContent) -> None:
    told = replace(content.rule, thresholds=replace(content.rule.thresholds, scores={}))
    assert rule_table(replace(content, rule=told)) is None
    assert "It was told, not chosen." in threshold_rule_in_words(replace(content, rule=told))
    assert "It was chosen among 3" in threshold_rule_in_words(content)


def test_a_rule_that_was_never_fitted_says_so(content: ReportContent) -> None:
    plain = replace(content, rule=AnswerRule.plain(3))
    assert threshold_rule_in_words(plain).startswith("Thresholds were not fitted")
    assert certainty_in_words(plain).startswith("No certain answers were fitted")
    assert "As the network gave them" not in calibration_in_words(plain)


def test_each_class_has_the_probabilities_at_which_its_answer_changes(content: ReportContent) -> None:
    table = answer_table(content)
    assert table.rows[0] == ("Disc", "60 %", "0.500", "0.050", "0.900")
    assert table.rows[2][1:] == ("0 %", "0.300", "never", "never")
    assert "15 validation fields" in table.caption


@pytest.mark.parametrize(
    ("calibration", "kind"),
    [
        (Calibration.plain(2), "no calibration"),
        (Calibration((0.5, 0.5), (0.0, 0.0)), "temperature scaling"),
        (Calibration((0.5, 0.5), (0.0, 0.1)), "Platt scaling"),
    ],
)
def test_the_kind_of_calibration_is_named(calibration: Calibration, kind: str) -> None:
    assert calibration_kind(calibration) == kind


def test_calibration_is_told_beside_what_it_would_be_without(content: ReportContent) -> None:
    told, part = calibration_in_words(content), content.judged
    said = content.predictions
    assert f"off by {part.calibration_error.value:.4f} ({part.calibration_error.low:.4f}–" in told
    assert f"it would be {calibration_error(said.truth, sigmoid(said.logits)):.4f}." in told
    assert f"is {part.brier.value:.4f} (" in told
    table = trust_table(content.evaluation)
    assert [row[0] for row in table.rows] == ["validation", "test"]
    assert table.rows[1][1].startswith(f"{part.brier.value:.4f} (")


def test_certain_answers_say_what_is_promised_and_what_was_kept(content: ReportContent) -> None:
    told = certainty_in_words(content)
    assert "to keep an error rate of 10 %" in told
    assert "at most 10 % are told that it is absent" in told
    assert "new proteins" not in told
    assert "nor for new proteins" in certainty_in_words(replace(content, leaks=None))


def test_certain_answers_say_how_many_fields_are_done(content: ReportContent) -> None:
    done = "20 % (18–22 %) of the fields have no question left, so an expert still looks at the others."
    assert certainty_in_words(content).endswith(done)
    for unknown in (replace(content.rule.cuts, error_rate=0.07), content.rule.cuts):
        bare = replace(content, rule=replace(content.rule, cuts=unknown))
        told = certainty_in_words(bare if unknown.error_rate == 0.07 else replace(bare, deferral=None))
        assert "no question left" not in told


@pytest.mark.parametrize(
    ("wrong", "word"), [(0.06, "is under it"), (0.09, "is not resolvably over it"), (0.2, "is over it")]
)
def test_whether_the_error_rate_was_kept_follows_the_bands(deferral_of: Deferrals, wrong: float, word: str) -> None:
    told = deferral_verdict(deferral_of(wrong=wrong), chosen=0.1, name="test")
    assert told.startswith(
        "At the error rate in use, 10 %, the share of labels told absent, 3.0 % (1.0–5.0 %), is under"
    )
    assert told.endswith(f"{word}, on the test part.")


def test_a_rate_off_the_ladder_or_without_answers_claims_nothing(deferral_of: Deferrals) -> None:
    assert deferral_verdict(deferral_of(wrong=0.1), chosen=0.07, name="test") == ""
    nothing = Bands(np.full(2, np.nan), np.zeros(2), np.ones(2))
    silent = replace(deferral_of(wrong=0.1), missed=nothing, wrong=nothing)
    assert "no answer was certain" in deferral_verdict(silent, chosen=0.1, name="test")
    assert deferral_table(silent, chosen=0.1).rows[0][3:] == ("–", "–")


def test_the_deferral_table_marks_the_rate_in_use(deferral_of: Deferrals) -> None:
    table = deferral_table(deferral_of(wrong=0.06), chosen=0.1)
    assert table.rows[1] == ("10 %", "40 % (38–42 %)", "20 % (18–22 %)", "3.0 % (1.0–5.0 %)", "6.0 % (4.0–8.0 %)")
    assert table.marked == {1}


def test_the_deferral_figure_marks_the_rate_in_use_and_fits(deferral_of: Deferrals) -> None:
    figure = deferral_figure(deferral_of(wrong=0.06), chosen=0.1)
    for axes in figure.axes:
        marks = [line for line in axes.lines if line.get_label() == "error rate in use"]
        assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [[0.1, 0.1]]
    errors = figure.axes[1]
    assert [np.asarray(errors.lines[place].get_ydata()).tolist() for place in (0, 1)] == [[0.03] * 2, [0.06] * 2]
    assert overhang(figure) < 0.01


def test_reliability_draws_what_came_true_with_its_band() -> None:
    figure = reliability_figure({"all classes (9)": reliability_of([0.1, 0.6]), "Disc (4)": reliability_of([0.5])})
    pooled, disc = (axes for axes in figure.axes if axes.get_visible())
    assert pooled.get_title(loc="left") == "all classes (9)"
    assert np.asarray(pooled.lines[1].get_xydata()).tolist() == [[0.1, 0.1], [0.6, 0.6]]
    corners = pooled.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.0, 0.7)
    assert len(disc.lines) == 2


@pytest.mark.parametrize("panels", [1, 3, 9])
def test_reliability_of_any_number_of_panels_fits(panels: int) -> None:
    figure = reliability_figure({f"{LONG} {number}": reliability_of([0.0, 1.0]) for number in range(panels)})
    assert sum(axes.get_visible() for axes in figure.axes) == panels
    assert overhang(figure) < 0.01


def test_reliability_of_no_question_can_be_drawn() -> None:
    assert overhang(reliability_figure({"all classes (0)": reliability_of([])})) < 0.01


def test_group_sizes_count_the_fields_in_groups_of_each_size() -> None:
    groups = ["a"] * 5 + ["b"] * 2 + ["c", "d"]
    twins = ["a"] * 2 + list("efghijk")
    axes = group_sizes_figure(groups, twins).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3–4", "5–8"]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[:4] == [7, 2, 0, 0]  # near-duplicates
    assert heights[4:] == [2, 2, 0, 5]


@pytest.mark.parametrize("fields", [1, 2, 40_000])
def test_group_sizes_of_any_number_of_fields_fit(fields: int) -> None:
    assert overhang(group_sizes_figure(["a"] * fields, [f"{field}" for field in range(fields)])) < 0.01
