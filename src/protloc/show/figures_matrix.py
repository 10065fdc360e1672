"""Heat maps of class against class."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protloc.judge.metrics import called_instead
from protloc.show.figures import INK, RULE, SMALL, TEXT, WIDTH, new_figure, shown
from protloc.show.tally import missed_fields

CELL = 0.25  # inches a cell: room for two digits
LEAST_WRITTEN = 0.005  # share under which a cell holds no number
MOST_WRITTEN = 1500  # numbers: more take many seconds, and nobody reads them
LETTER = 0.077  # inches a letter of SMALL text


def co_occurrence_figure(counts: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Draw which classes come together: of the fields of the row's class, the share that has the column's too.

    Args:
        counts: Fields with both classes, shape (classes, classes), as
            :func:`protloc.curate.imbalance.co_occurrence` counts.
        names: Name of each class.
    """
    own = np.diag(counts).astype(np.float64)
    shares = np.divide(counts, own[:, None], out=np.zeros(counts.shape), where=own[:, None] > 0)
    np.fill_diagonal(shares, np.nan)
    labels = [f"{shown(name)} ({int(count):,})" for name, count in zip(names, own, strict=True)]
    return matrix_figure(
        shares, labels, [shown(name) for name in names], key="of the row's fields, % that have the column's class too"
    )


def called_instead_figure(truth: NDArray[np.uint8], answers: NDArray[np.bool_], names: Sequence[str]) -> Figure:
    """Draw what was called, wrongly, in the fields where a class was missed; the last column: nothing was.

    Args:
        truth: Multi-hot array of shape (fields, classes); classes without a field are left out as rows, if any has one.
        answers: What was called, of the same shape.
        names: Name of each class.
    """
    rows: list[int] = np.flatnonzero(truth.any(axis=0)).tolist() or list(range(len(names)))
    fields = missed_fields(truth, answers)
    shares = np.column_stack([called_instead(truth, answers), fields.silent])
    np.fill_diagonal(shares, np.nan)
    support = truth.sum(axis=0, dtype=np.int64)
    labels = [f"{shown(names[row])} ({fields.missed[row]:,} of {support[row]:,})" for row in rows]
    columns = [*(shown(name) for name in names), "no wrong call"]
    key = "of the fields where the row's class was missed, % in which the column was called"
    return matrix_figure(shares[rows], labels, columns, key=key)


def matrix_figure(shares: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], *, key: str) -> Figure:
    """Draw shares as a heat map, the percentage written into cells of at least half a percent (the 1,500 largest).

    Args:
        shares: Shape (rows, columns), in 0..1; NaN is drawn grey and empty.
        rows: Label of each row, as :func:`protloc.show.figures.shown` shows it.
        columns: Label of each column, likewise.
        key: What the percentages are.
    """
    left, top = (LETTER * max(len(label) for label in labels) for labels in (rows, columns))
    figure = new_figure(max(WIDTH, left + CELL * len(columns) + 0.3), max(2.2, top + CELL * len(rows) + 0.5))
    axes = figure.add_subplot()
    axes.set_facecolor(RULE)
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    axes.pcolormesh(np.ma.masked_invalid(shares), cmap="Blues", norm=scale, edgecolors="white", linewidth=0.8)
    _write_percentages(axes, shares)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL, colors=INK, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(rows))
    axes.set_xticks(np.arange(len(columns)) + 0.5, list(columns), rotation=90)
    figure.supxlabel(fill(key, int(figure.get_figwidth() / LETTER)), fontsize=TEXT, color=INK)
    return figure


def _write_percentages(axes: Axes, shares: NDArray[np.float64]) -> None:
    written = np.argwhere(np.nan_to_num(shares) >= LEAST_WRITTEN)
    largest_first = np.argsort(-shares[tuple(written.T)], kind="stable")
    for row, column in written[largest_first][:MOST_WRITTEN]:
        share = float(shares[row, column])
        colour = "white" if share > 0.35 else INK  # where Blues under the square-root scale turns dark
        number = axes.text(
            column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour
        )
        number.set_in_layout(False)  # it lies within its cell; measuring thousands of them takes minutes
