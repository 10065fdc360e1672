"""Figures of how well a classifier learned and answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protloc.judge.metrics import precision_recall_curve
from protloc.show.figures import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    TEXT,
    VERMILION,
    WIDTH,
    dress,
    new_figure,
    shown,
    whole_numbers,
)

ROW = 0.3  # inches a class in the bar chart: two marks one above the other
BESIDE = 0.22  # of a row: how far they stand from its middle
PANEL = 1.75  # inches a precision-recall panel
PANELS_A_ROW = 4
PANELS = 16  # a figure; at most two figures are drawn, more would not be looked at

LOSSES = (("train_loss", "training", MUTED), ("validation_loss", "validation", BLUE))
SCORES = (
    ("macro_f1", "macro-F1", BLUE),
    ("samples_f1", "samples-F1", VERMILION),
    ("micro_f1", "micro-F1", GREEN),
    ("mean_average_precision", "mean average precision", PURPLE),
)


def learning_curves_figure(logs: Sequence[pd.DataFrame], *, best_epochs: Sequence[int | None] = ()) -> Figure:
    """Draw the loss and the validation scores of every epoch.

    Args:
        logs: Of each network (one; of folds several) a row an epoch, columns as in ``log.csv``; score columns that are
            missing are left out.
        best_epochs: The epochs whose weights were kept, marked by lines; None is not marked.
    """
    figure = new_figure(WIDTH, 3.4)
    losses, scores = figure.subplots(1, 2)
    for log in logs:
        _draw_curves(losses, log, LOSSES, pale=len(logs) > 1)
        _draw_curves(scores, log, SCORES, pale=len(logs) > 1)
    losses.set_ylabel("loss", fontsize=TEXT, color=INK)
    scores.set_ylabel("validation score", fontsize=TEXT, color=INK)
    scores.set_ylim(bottom=0)
    for axes in (losses, scores):
        for epoch in sorted({epoch for epoch in best_epochs if epoch is not None}):
            axes.axvline(epoch, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1, label="epoch kept")
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        axes.legend(
            once.values(), once.keys(), loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=SMALL, frameon=False
        )
    return figure


def _draw_curves(axes: Axes, log: pd.DataFrame, curves: Sequence[tuple[str, str, str]], *, pale: bool) -> None:
    epochs = log["epoch"].to_numpy()
    width, strength = (0.9, 0.75) if pale else (1.6, 1.0)
    marker = "o" if len(epochs) <= 12 and not pale else ""
    for column, label, colour in curves:
        if column in log:
            axes.plot(
                epochs, log[column].to_numpy(), marker=marker, markersize=3.5, color=colour, label=label,
                linewidth=width, alpha=strength,
            )  # fmt: skip
    dress(axes, grid="y")
    whole_numbers(axes, "x")
    axes.set_xlabel("epoch", fontsize=TEXT, color=INK)


@dataclass(frozen=True)
class ClassScores:
    """What the bar chart shows of each class.

    Attributes:
        f1: F1, shape (classes,); NaN where the class is absent.
        average_precision: Likewise.
        support: Fields that have the class, shape (classes,).
        f1_interval: Lower and upper bound of F1, shape (2, classes), or None where none was computed.
        average_precision_interval: Those of average precision, likewise.
    """

    f1: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    support: NDArray[np.int64]
    f1_interval: NDArray[np.float64] | None = None
    average_precision_interval: NDArray[np.float64] | None = None


def class_scores_figure(scores: ClassScores, names: Sequence[str]) -> Figure:
    """Draw F1 as a bar and average precision as a diamond for every class, commonest first, with their intervals."""
    order: list[int] = np.argsort(-scores.support, kind="stable").tolist()
    places = np.arange(len(order))
    figure = new_figure(WIDTH, 1.0 + ROW * len(order))
    axes = figure.add_subplot()
    axes.barh(places - BESIDE, np.nan_to_num(scores.f1[order]), color=SKY, height=0.46, label="F1")
    axes.plot(
        scores.average_precision[order], places + BESIDE, "D", color=ORANGE, markersize=5, markeredgecolor=INK,
        markeredgewidth=0.6, label="average precision",
    )  # fmt: skip
    for interval, beside in ((scores.f1_interval, -BESIDE), (scores.average_precision_interval, BESIDE)):
        if interval is not None:
            low, high = interval[:, order]
            axes.hlines(places + beside, low, high, color=INK, linewidth=1.1, label="95 % interval", zorder=1.5)
    for place in places[scores.support[order] == 0]:
        axes.text(0.01, place, "absent", va="center", fontsize=SMALL, color=MUTED)
    dress(axes, grid="x")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_yticks(places, [f"{shown(names[column])} ({scores.support[column]:,})" for column in order])
    axes.tick_params(axis="y", length=0)
    _explain_marks(figure, axes)
    return figure


def _explain_marks(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    by_name = dict(sorted(zip(labels, handles, strict=True), key=lambda item: item[0] != "F1"))
    figure.legend(by_name.values(), by_name.keys(), loc="outside upper center", ncols=3, fontsize=SMALL, frameon=False)


def precision_recall_figures(
    truth: NDArray[np.uint8], scores: NDArray[np.floating], *, answers: NDArray[np.bool_], names: Sequence[str]
) -> tuple[Figure, ...]:
    """Draw precision against recall, a small panel a class, commonest first; the first panel pools all classes.

    Classes without a field are left out, and so are those after the 31 commonest.

    Args:
        truth: Multi-hot array of shape (fields, classes).
        scores: Any increasing measure of belief that is comparable between classes, of the same shape.
        answers: What was called, of the same shape: its precision and recall are marked on each curve.
        names: Name of each class.

    Returns:
        A figure or two, of at most 16 panels, so that each fits on a printed page.
    """
    support = truth.sum(axis=0, dtype=np.int64)
    present = [int(column) for column in np.argsort(-support, kind="stable") if support[column]]
    panels = [_Panel("all classes", truth.ravel(), scores.ravel(), answers.ravel(), VERMILION)]
    panels += [_Panel(names[c], truth[:, c], scores[:, c], answers[:, c], BLUE) for c in present]
    sheets = [panels[first : first + PANELS] for first in range(0, min(len(panels), 2 * PANELS), PANELS)]
    return tuple(_draw_panels(sheet) for sheet in sheets)


@dataclass(frozen=True)
class _Panel:
    title: str
    truth: NDArray[np.uint8]
    scores: NDArray[np.floating]
    answers: NDArray[np.bool_]
    colour: str


def _draw_panels(panels: Sequence[_Panel]) -> Figure:
    rows = math.ceil(len(panels) / PANELS_A_ROW)
    figure = new_figure(PANEL * PANELS_A_ROW, 0.4 + PANEL * rows)
    grid = list(figure.subplots(rows, PANELS_A_ROW, sharex=True, sharey=True, squeeze=False).flat)
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("recall", fontsize=TEXT, color=INK)
    figure.supylabel("precision", fontsize=TEXT, color=INK)
    return figure


def _draw_panel(axes: Axes, panel: _Panel) -> None:
    positives = int(panel.truth.sum())
    dress(axes, grid="both")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.05)
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    lines = wrap(f"{shown(panel.title, limit=36)} ({positives:,})", width=20, max_lines=3, placeholder="…")
    axes.set_title("\n".join(lines), fontsize=SMALL, color=INK, loc="left", pad=3)
    if not positives:
        return
    curve = precision_recall_curve(panel.truth, panel.scores)
    axes.step(curve.recall[:-1], curve.precision[:-1], color=panel.colour, linewidth=1.4, where="post")
    axes.axhline(positives / len(panel.truth), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))  # what guessing gets
    if panel.answers.any():
        right = float((panel.truth.astype(bool) & panel.answers).sum())
        axes.plot(right / positives, right / panel.answers.sum(), "o", color=ORANGE, markeredgecolor=INK, markersize=5)
