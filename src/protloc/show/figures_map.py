"""Figures of maps: which compartments lie where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from protloc.atlas.vocabulary import Vocabulary
from protloc.show.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RULE,
    SKY,
    SMALL,
    TEXT,
    VERMILION,
    new_figure,
    shown,
    with_commas,
)

WIDE = 9.6  # inches: five panels whose names are read at a glance
LARGE, SMALLER = 5.4, 1.85  # inches: height of the map of all, and of a row of panels
ACROSS = 5
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, INK)  # no more can be told apart
GREY = "#a3acb8"  # of several parts: neither the black of one nor the paleness of what is not known
SEVERAL, UNKNOWN, NONE, OTHER = "several", "not labelled", "none", "others"
INK_AREA = 12000.0  # square points shared by all fields, so that many are small
PANEL_AREA = INK_AREA / 20


def map_figure(
    places: NDArray[np.float32],
    targets: NDArray[np.bool_],
    known: NDArray[np.bool_],
    vocabulary: Vocabulary,
    *,
    by: str,
) -> Figure:
    """Draw a map of all fields coloured by the part of the cell, and one for each compartment that any field has.

    Args:
        places: Place of each field, shape (fields, 2).
        targets: Which compartments each field is labelled with, shape (fields, classes).
        known: Whether a field is labelled, shape (fields,).
        vocabulary: The compartments in column order; a part of the cell is their group, or they are where none has one.
        by: How the places were found, such as UMAP.
    """
    columns: list[int] = np.flatnonzero(targets.any(axis=0)).tolist()
    rows = -(-len(columns) // ACROSS)
    figure = new_figure(WIDE, LARGE + SMALLER * rows)
    if not rows:
        _draw_all(figure.add_subplot(), places, _parts(targets, known, vocabulary), by=by)
        return figure
    upper, lower = cast("Sequence[SubFigure]", figure.subfigures(2, 1, height_ratios=[LARGE, SMALLER * rows]))
    _draw_all(upper.add_subplot(), places, _parts(targets, known, vocabulary), by=by)
    _draw_each(lower, places, targets, [vocabulary.names[column] for column in columns], columns)
    return figure


def _parts(targets: NDArray[np.bool_], known: NDArray[np.bool_], vocabulary: Vocabulary) -> list[str]:
    """Return the part of the cell each field is labelled with."""
    grouped = any(compartment.group for compartment in vocabulary.compartments)
    kinds = [(each.group or OTHER) if grouped else each.name for each in vocabulary.compartments]
    parts = [{kinds[column] for column in np.flatnonzero(row)} for row in targets]
    told = [part.pop() if len(part) == 1 else SEVERAL if part else NONE for part in parts]
    return [part if there else UNKNOWN for part, there in zip(told, known, strict=True)]


def _colours_of(parts: Sequence[str]) -> dict[str, str]:
    """Return a colour for each part, the commonest first; parts that are no single one, or too many, are grey."""
    counts = Counter(parts)
    single = [part for part, _ in counts.most_common() if part not in (SEVERAL, UNKNOWN, OTHER, NONE)]
    colours = dict(zip(single, COLOURS, strict=False))
    greys = {SEVERAL: GREY, **dict.fromkeys((OTHER, NONE, UNKNOWN), RULE)}
    return colours | {part: greys.get(part, RULE) for part in counts if part not in colours}


def _draw_all(axes: Axes, places: NDArray[np.float32], parts: Sequence[str], *, by: str) -> None:
    colours, counts = _colours_of(parts), Counter(parts)
    pale = np.array([colours[part] in (GREY, RULE) for part in parts], bool)
    drawn: list[int] = np.argsort(~pale, kind="stable").tolist()  # what has a colour lies over what has none
    _scatter(axes, places[drawn], [colours[parts[row]] for row in drawn], size=_size(len(places), INK_AREA))
    _frame(axes, places)
    handles = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=f"{shown(part)} ({counts[part]:,})")
        for part, colour in colours.items()
    ]
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=SMALL, frameon=False, labelcolor=INK
    )
    axes.set_title(f"{with_commas(len(places))} fields by part of the cell ({by})", fontsize=TEXT, color=INK)


def _draw_each(
    figure: SubFigure, places: NDArray[np.float32], targets: NDArray[np.bool_], names: Sequence[str], columns: list[int]
) -> None:
    grid = figure.subplots(-(-len(columns) // ACROSS), ACROSS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, column, name in zip(grid.flat, columns, names, strict=False):
        having = targets[:, column]
        axes.set_axis_on()
        _scatter(axes, places[~having], RULE, size=_size(len(places), PANEL_AREA))
        _scatter(axes, places[having], BLUE, size=4 * _size(len(places), PANEL_AREA))
        _frame(axes, places)
        axes.set_title(f"{shown(name, limit=24)} ({int(having.sum()):,})", fontsize=SMALL, color=INK)


def _size(fields: int, area: float) -> float:
    return float(np.clip(area / max(fields, 1), 1.0, 30.0))


def _scatter(axes: Axes, places: NDArray[np.float32], colours: str | Sequence[str], *, size: float) -> None:
    axes.scatter(places[:, 0], places[:, 1], s=size, c=colours, linewidths=0)


def _frame(axes: Axes, places: NDArray[np.float32]) -> None:
    """Show all places and no scale, as the axes of a map have none."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(RULE)
    if len(places):
        low, high = places.min(axis=0), places.max(axis=0)
        margin = np.maximum(0.04 * (high - low), 1e-3)
        axes.set_xlim(float(low[0] - margin[0]), float(high[0] + margin[0]))
        axes.set_ylim(float(low[1] - margin[1]), float(high[1] + margin[1]))
