"""Figures of how fields are labelled."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from protloc.show.figures import (
    BLUE,
    INK,
    MUTED,
    RULE,
    SMALL,
    TEXT,
    VERMILION,
    WIDTH,
    dress,
    new_figure,
    shown,
    whole_numbers,
    with_commas,
)

NAMES = 2.6  # inches for the longest names
SET = 0.13  # inches a label set
LEAST = 0.7  # where the logarithmic axis begins: one field is a short bar
ROW = 0.23  # inches a class or set


def class_counts_figure(
    counts: NDArray[np.int64], names: Sequence[str], *, minority: Collection[int], fields: int
) -> Figure:
    """Draw how many fields each class has, commonest first, on a logarithmic axis.

    Args:
        counts: Fields of each class, shape (classes,).
        names: Name of each class.
        minority: Columns of the minority classes: drawn in another colour and marked with a triangle.
        fields: Number of fields, for the share beside each count.
    """
    order: list[int] = np.argsort(-counts, kind="stable").tolist()
    figure = new_figure(WIDTH, 0.9 + ROW * len(names))
    axes = figure.add_subplot()
    colours = [VERMILION if column in minority else BLUE for column in order]
    places = np.arange(len(order))
    if counts.any():  # bars of nothing but zeros have no place on a logarithmic axis
        axes.barh(places, counts[order], color=colours, height=0.72)
    _write_counts(axes, counts, order, minority=minority, fields=fields)
    dress(axes, grid="x")
    _scale_by_decades(axes, most=int(counts.max(initial=1)))
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_yticks(places, [shown(names[column]) for column in order])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("fields (logarithmic)", fontsize=TEXT, color=INK)
    if minority:
        handles = [Patch(color=BLUE, label="class"), Patch(color=VERMILION, label="▲ minority class")]
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _write_counts(
    axes: Axes, counts: NDArray[np.int64], order: Sequence[int], *, minority: Collection[int], fields: int
) -> None:
    for place, column in enumerate(order):
        mark = "▲ " if column in minority else ""
        axes.annotate(
            f"{mark}{counts[column]:,} ({_percent(int(counts[column]), fields)})",
            (max(int(counts[column]), 1), place),
            xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK,
        )  # fmt: skip


def _scale_by_decades(axes: Axes, *, most: int) -> None:
    axes.set_xscale("log")
    decades = max(math.log10(max(most, 10) / LEAST), 1.0)
    axes.set_xlim(
        LEAST, LEAST * 10 ** (decades / 0.62)
    )  # the longest number needs 0.38 of the axis behind the longest bar
    axes.set_xticks([10.0**power for power in range(int(math.log10(max(most, 10))) + 1)])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(with_commas)


def _percent(count: int, fields: int) -> str:
    share = 100 * count / max(fields, 1)
    digits = 0 if share >= 9.95 or share == 0 else 1 if share >= 1 else 2  # 0.98 %, not 1.0 %, is under one
    return f"{share:.{digits}f} %"


def labels_per_field_figure(counts: NDArray[np.int64]) -> Figure:
    """Draw how many fields have no, one, two, … labels.

    Args:
        counts: Fields with 0, 1, 2, … labels, as :func:`protloc.curate.imbalance.labels_per_field` counts.
    """
    figure = new_figure(WIDTH, 2.4)
    axes = figure.add_subplot()
    axes.bar(np.arange(len(counts)), counts, color=BLUE, width=0.72)
    for labels, count in enumerate(counts):
        axes.annotate(
            f"{count:,}", (labels, count), xytext=(0, 3), textcoords="offset points",
            ha="center", fontsize=SMALL, color=INK,
        )  # fmt: skip
    dress(axes, grid="y")
    axes.margins(y=0.12)
    whole_numbers(axes, "y")
    axes.set_xticks(np.arange(len(counts)))
    axes.set_xlabel("labels a field", fontsize=TEXT, color=INK)
    axes.set_ylabel("fields", fontsize=TEXT, color=INK)
    return figure


def label_sets_figure(sets: Sequence[tuple[tuple[int, ...], int]], names: Sequence[str]) -> Figure:
    """Draw the commonest label sets as an UpSet plot: a bar a set, and below it the classes it is made of.

    Lex et al., "UpSet: visualization of intersecting sets", IEEE TVCG 20 (2014).

    Args:
        sets: Columns of the classes in each set and the number of fields that have just them, commonest first.
        names: Name of each class.
    """
    used = sorted({column for columns, _ in sets for column in columns})
    height = 0.5 + ROW * max(len(used), 1)
    figure = new_figure(max(WIDTH, NAMES + SET * len(sets)), 2.2 + height)
    bars, dots = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, height])
    _draw_set_bars(bars, [count for _, count in sets])
    _draw_set_dots(dots, [[used.index(column) for column in columns] for columns, _ in sets], rows=len(used))
    dots.set_yticks(np.arange(len(used)), [shown(names[column]) for column in used])
    if not used:
        dots.text(0, 0, "no label", ha="center", va="center", fontsize=TEXT, color=MUTED)
    return figure


def _draw_set_bars(axes: Axes, counts: Sequence[int]) -> None:
    axes.bar(np.arange(len(counts)), counts, color=BLUE, width=0.7)
    for place, count in enumerate(counts):
        axes.annotate(
            f"{count:,}", (place, count), xytext=(0, 3), textcoords="offset points",
            ha="center", va="bottom", rotation=90, fontsize=SMALL, color=INK,
        )  # fmt: skip
    dress(axes)
    axes.margins(x=0.02, y=0.25)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    whole_numbers(axes, "y")
    axes.set_ylabel("fields", fontsize=TEXT, color=INK)


def _draw_set_dots(axes: Axes, sets: Sequence[Sequence[int]], *, rows: int) -> None:
    for row in range(0, rows, 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f2f4f6", zorder=0)
    for place, members in enumerate(sets):
        axes.plot([place] * rows, range(rows), "o", color=RULE, markersize=3.5, zorder=1)
        axes.plot([place] * len(members), sorted(members), "o-", color=BLUE, markersize=5, linewidth=1.4, zorder=2)
    dress(axes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    axes.set_ylim(max(rows, 1) - 0.4, -0.6)
