"""Figures: right marks, nothing clipped, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.show.figures import BLUE, INK, VERMILION, png_bytes, shown
from protloc.show.figures_answers import (
    PANELS,
    ClassScores,
    class_scores_figure,
    learning_curves_figure,
    precision_recall_figures,
)
from protloc.show.figures_fields import fields_figure, intensity_figure, readable
from protloc.show.figures_labels import class_counts_figure, label_sets_figure, labels_per_field_figure
from protloc.show.figures_matrix import called_instead_figure, co_occurrence_figure

Logs = Callable[[int], pd.DataFrame]
NAMES = ("Nucleoplasm", "Cytosol", "Rods & rings")
HAIR = 0.01  # inches
LONG = "Endoplasmic reticulum exit site facing the nuclear envelope of cell"


def overhang(figure: Figure) -> float:
    """Return by how many inches the marks and texts of a figure stand out of it; 0 if nothing is clipped."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return max(0.0, -box.x0, -box.y0, box.x1 - width, box.y1 - height)


def words(figure: Figure) -> list[str]:
    """Return all texts of a figure."""
    return [text.get_text() for text in figure.findobj(Text)]


def test_class_counts_are_sorted_with_minority_classes_marked() -> None:
    figure = class_counts_figure(np.array([1200, 30000, 7]), NAMES, minority=[2], fields=31000)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[1] > 30000
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Cytosol", "Nucleoplasm", "Rods & rings"]
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [BLUE.lower(), BLUE.lower(), VERMILION.lower()]
    assert "▲ 7 (0.02 %)" in words(figure)
    assert "30,000 (97 %)" in words(figure)


def test_class_counts_of_no_label_at_all_can_be_drawn() -> None:
    figure = class_counts_figure(np.zeros(3, np.int64), NAMES, minority=[], fields=5)
    assert words(figure).count("0 (0 %)") == 3
    assert overhang(figure) < HAIR


def test_labels_per_field_shows_each_count() -> None:
    figure = labels_per_field_figure(np.array([4, 1500, 20]))
    assert [bar.get_height() for bar in figure.axes[0].patches] == [4, 1500, 20]
    assert "1,500" in words(figure)


def test_co_occurrence_is_a_share_of_the_rows_fields() -> None:
    counts = np.array([[10, 5, 0], [5, 20, 2], [0, 2, 0]])
    figure = co_occurrence_figure(counts, NAMES)
    shares = figure.axes[0].collections[0].get_array()
    assert shares is not None
    assert shares[0, 1] == pytest.approx(0.5)
    assert shares[1, 0] == pytest.approx(0.25)
    assert np.isnan(np.ma.getdata(shares)).sum() == 3  # the diagonal says nothing
    assert {"50", "25", "Nucleoplasm (10)"} <= set(words(figure))


def test_label_sets_are_columns_of_dots() -> None:
    figure = label_sets_figure([((0, 2), 9), ((2,), 4), ((), 1)], NAMES)
    bars, dots = figure.axes
    assert [bar.get_height() for bar in bars.patches] == [9, 4, 1]
    assert [label.get_text() for label in dots.get_yticklabels()] == ["Nucleoplasm", "Rods & rings"]
    members = [line.get_ydata() for line in dots.lines if line.get_color() == BLUE]
    assert [list(np.asarray(rows)) for rows in members] == [[0, 1], [1], []]


def test_label_sets_without_any_label_say_so() -> None:
    assert "no label" in words(label_sets_figure([((), 12)], NAMES))


def test_what_was_called_instead_is_a_share_of_the_missed_fields() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], np.uint8)
    answers = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    figure = called_instead_figure(truth, answers, NAMES)
    shares = figure.axes[0].collections[0].get_array()
    assert shares is not None
    assert shares[0, 1] == pytest.approx(0.5)
    assert shares[0, 3] == pytest.approx(0.5)  # no wrong call
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "Nucleoplasm (2 of 3)",
        "Cytosol (0 of 1)",
    ]


def test_what_was_called_instead_can_be_drawn_without_a_label() -> None:
    figure = called_instead_figure(np.zeros((4, 3), np.uint8), np.ones((4, 3), bool), NAMES)
    assert overhang(figure) < HAIR


def test_learning_curves_mark_the_epoch_that_was_kept(log_of: Logs) -> None:
    losses, scores = learning_curves_figure([log_of(30)], best_epochs=[24]).axes
    labels = [line.get_label() for line in scores.lines]
    assert labels == ["macro-F1", "samples-F1", "micro-F1", "mean average precision", "epoch kept"]
    assert list(np.asarray(losses.lines[-1].get_xdata())) == [24, 24]


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_learning_curves_of_any_length_fit(epochs: int, log_of: Logs) -> None:
    assert overhang(learning_curves_figure([log_of(epochs)], best_epochs=[None])) < HAIR


def test_learning_curves_of_folds_are_drawn_together_and_named_once(log_of: Logs) -> None:
    figure = learning_curves_figure([log_of(3), log_of(5)], best_epochs=[2, 2])
    losses, scores = figure.axes
    assert len(scores.lines) == 2 * 4 + 1
    assert [len(text.get_text()) > 0 for text in losses.get_legend().get_texts()] == [True] * 3
    assert overhang(figure) < HAIR


def test_class_scores_show_absent_classes_and_intervals() -> None:
    nan = float("nan")
    scores = ClassScores(
        f1=np.array([0.5, nan, 0.25]),
        average_precision=np.array([0.6, nan, 0.3]),
        support=np.array([30, 0, 400]),
        f1_interval=np.array([[0.4, nan, 0.2], [0.6, nan, 0.3]]),
        average_precision_interval=np.array([[0.5, nan, 0.1], [0.7, nan, 0.4]]),
    )
    figure = class_scores_figure(scores, NAMES)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Rods & rings (400)",
        "Nucleoplasm (30)",
        "Cytosol (0)",
    ]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.5, 0]
    assert "absent" in words(figure)
    assert words(figure).count("95 % interval") == 1
    segments = [segment for lines in axes.collections for segment in lines.get_segments() if len(segment)]
    ends = [segment[:, 0].tolist() for segment in segments]
    assert [0.2, 0.3] in ends
    assert [0.5, 0.7] in ends
    assert overhang(figure) < HAIR


def test_precision_recall_begins_with_all_classes_and_skips_absent_ones() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [1, 0, 0]], np.uint8)
    scores = np.array([[0.9, 0, 0.2], [0.8, 0, 0.1], [0.7, 0, 0.9], [0.1, 0, 0.3]])
    (figure,) = precision_recall_figures(truth, scores, answers=scores > 0.5, names=NAMES)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["all classes (5)", "Nucleoplasm (3)", "Rods & rings (2)"]
    dot = next(line for line in figure.axes[1].lines if line.get_marker() == "o")
    # of the three calls of the first class two are right, of its three fields two are found
    assert dot.get_xydata().tolist() == [[pytest.approx(2 / 3), pytest.approx(2 / 3)]]


def test_titles_of_precision_recall_panels_fit() -> None:
    names = ("Nuclear membrane", "Microtubule organizing center", LONG)
    truth = np.tile(np.array([[1, 0, 1], [1, 1, 0]], np.uint8), (900, 1))
    (figure,) = precision_recall_figures(truth, truth + 0.0, answers=truth > 0, names=names)
    assert overhang(figure) < HAIR


def test_many_classes_are_spread_over_two_figures_at_most() -> None:
    truth = np.eye(60, dtype=np.uint8)
    figures = precision_recall_figures(truth, truth + 0.0, answers=truth > 0, names=[f"class {n}" for n in range(60)])
    assert [len(figure.axes) for figure in figures] == [PANELS, PANELS]


@pytest.mark.parametrize("stains", range(1, 9))
def test_intensities_of_any_number_of_stains_fit(stains: int) -> None:
    counts = np.zeros((stains, 256), np.int64)
    counts[:, [0, 40, 255]] = [900, 90, 10]
    figure = intensity_figure(counts, [Stain(f"stain{number}", f"_{number}") for number in range(stains)])
    assert sum(axes.get_visible() for axes in figure.axes) == stains
    assert overhang(figure) < HAIR


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_of_lines_can_be_seen_on_white(colour: tuple[int, int, int]) -> None:
    red, green, blue = (int(readable(colour)[place : place + 2], 16) for place in (1, 3, 5))
    assert 0.2126 * red + 0.7152 * green + 0.0722 * blue <= 0.43 * 255


def test_fields_are_shown_with_their_captions() -> None:
    images = np.random.default_rng(0).integers(0, 255, (7, 4, 16, 16), dtype=np.uint8)
    figure = fields_figure(images, HPA_STAINS, captions=[f"{LONG}\nfield {n}" for n in range(7)])
    assert len(figure.axes) == 7
    assert figure.axes[6].get_title(loc="left").endswith("\nfield 6")
    assert overhang(figure) < HAIR


def test_a_name_is_one_short_line_and_no_formula() -> None:
    assert shown("a\n  b") == "a b"
    assert shown("x" * 50, limit=10) == "x" * 9 + "…"
    assert shown("$alpha$") == r"\$alpha\$"


@pytest.mark.parametrize("name", ["$\\frac{$", "核小体", "α-tubulin / β", "<b>bold</b>"])
def test_odd_names_are_drawn_without_error_or_warning(name: str) -> None:
    figure = class_counts_figure(np.array([3]), [name], minority=[], fields=9)
    assert png_bytes(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(("classes", "fields"), [(1, 1), (2, 10**6), (28, 31072), (100, 400)])
def test_any_vocabulary_fits_into_the_figures(classes: int, fields: int) -> None:
    names = [f"{LONG} {number}" for number in range(classes)]
    counts = fields // (1 + np.arange(classes) ** 2)
    nan = np.full(classes, np.nan)
    sets = [(tuple(sorted({number, (number + 1) % classes})), 10**6 - number) for number in range(min(classes, 25))]
    assert overhang(class_counts_figure(counts, names, minority=[classes - 1], fields=fields)) < HAIR
    assert overhang(class_scores_figure(ClassScores(nan, nan, counts), names)) < HAIR
    assert overhang(label_sets_figure(sets, names)) < HAIR


@pytest.mark.parametrize("classes", [1, 28, 100])
def test_heat_maps_of_any_vocabulary_fit(classes: int) -> None:
    names = [f"{LONG} {number}" for number in range(classes)]
    assert overhang(co_occurrence_figure(np.full((classes, classes), 12345), names)) < HAIR


def test_the_same_figure_gives_the_same_bytes_that_name_no_software() -> None:
    def drawn() -> bytes:
        return png_bytes(class_counts_figure(np.array([5, 90, 2]), NAMES, minority=[2], fields=90))

    assert drawn() == drawn()
    assert "Software" not in Image.open(io.BytesIO(drawn())).text  # pyright: ignore[reportAttributeAccessIssue]


def test_photographs_keep_their_colours_and_charts_a_palette() -> None:
    images = np.random.default_rng(1).integers(0, 255, (4, 4, 32, 32), dtype=np.uint8)
    sheet = fields_figure(images, HPA_STAINS, captions=["a"] * 4)
    assert Image.open(io.BytesIO(png_bytes(sheet, photographs=True))).mode == "RGB"
    chart = Image.open(io.BytesIO(png_bytes(labels_per_field_figure(np.array([1, 2])))))
    assert chart.mode == "P"
    colours = {tuple(colour) for _, colour in chart.convert("RGB").getcolors(10**6) or []}
    assert (255, 255, 255) in colours
    assert any(abs(np.subtract(colour, tuple(bytes.fromhex(INK[1:])))).max() < 24 for colour in colours)
