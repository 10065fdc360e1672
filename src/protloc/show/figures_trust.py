"""Figures of how far answers can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from protloc.judge.reliability import Reliability
from protloc.judge.three_way import Bands, Deferral
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

PANELS_A_ROW = 3  # of the width of a phone's page
PANEL = WIDTH / PANELS_A_ROW
TICKS = ([0, 0.5, 1], ["0", ".5", "1"])


def reliability_figure(panels: Mapping[str, Reliability]) -> Figure:
    """Draw how often classes are there against how probable they were said to be, a small panel each.

    Args:
        panels: By its title, what was found in the bins of the probabilities; the first stands out.
    """
    rows = math.ceil(len(panels) / PANELS_A_ROW)
    figure = new_figure(WIDTH, 0.4 + PANEL * rows)
    grid = list(figure.subplots(rows, PANELS_A_ROW, sharex=True, sharey=True, squeeze=False).flat)
    for place, (axes, (title, found)) in enumerate(zip(grid, panels.items(), strict=False)):
        _draw_reliability(axes, found, colour=BLUE if place else VERMILION)
        axes.set_title(_two_lines(title), fontsize=SMALL, color=INK, loc="left", pad=3)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("probability said", fontsize=TEXT, color=INK)
    figure.supylabel("share that has the class", fontsize=TEXT, color=INK)
    return figure


def _two_lines(title: str) -> str:
    return "\n".join(wrap(shown(title), width=20, max_lines=2, placeholder="…"))


def _draw_reliability(axes: Axes, found: Reliability, *, colour: str) -> None:
    dress(axes, grid="both")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.fill_between(found.predicted, found.low, found.high, color=colour, alpha=0.22, linewidth=0)
    axes.plot(found.predicted, found.observed, "o-", color=colour, markersize=3.5, linewidth=1.4)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xticks(*TICKS)
    axes.set_yticks(*TICKS)


def group_sizes_figure(groups: Sequence[str], twins: Sequence[str]) -> Figure:
    """Draw how many fields lie in groups of one, two, three to four, … fields.

    Args:
        groups: Group of each field.
        twins: Cluster of near-duplicates of each field.
    """
    sizes = [_sizes(names) for names in (twins, groups)]
    bins = math.ceil(math.log2(max(int(size.max(initial=1)) for size in sizes))) + 1
    figure = new_figure(WIDTH, 2.8)
    axes = figure.add_subplot()
    for beside, colour, name, size in zip((-0.2, 0.2), (SKY, BLUE), ("near-duplicates", "groups"), sizes, strict=True):
        fields = np.bincount(_bin_of(size), weights=size, minlength=bins)
        axes.bar(np.arange(bins) + beside, fields, width=0.38, color=colour, label=name)
        for place, count in enumerate(fields):
            if count:
                axes.annotate(
                    f"{count:,.0f}", (place + beside, count), xytext=(0, 2), textcoords="offset points",
                    ha="center", fontsize=SMALL, color=INK, rotation=90 if bins > 5 else 0,
                )  # fmt: skip
    dress(axes, grid="y")
    axes.margins(y=0.2)
    whole_numbers(axes, "y")
    axes.set_xticks(np.arange(bins), [_span(place) for place in range(bins)])
    axes.set_xlabel("fields in the group", fontsize=TEXT, color=INK)
    axes.set_ylabel("fields in such groups", fontsize=TEXT, color=INK)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _sizes(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.asarray(names, np.str_), return_counts=True)[1].astype(np.int64)


def _bin_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0 of size 1, 1 of 2, 2 of 3 to 4, 3 of 5 to 8, and so on."""
    return np.ceil(np.log2(sizes)).astype(np.int64)


def _span(place: int) -> str:
    low, high = 2**place // 2 + 1, 2**place
    return f"{high:,}" if low >= high else f"{low:,}–{high:,}"


def deferral_figure(deferral: Deferral, *, chosen: float) -> Figure:
    """Draw what is asked, and what goes wrong in what is not, against the error rate that answers were fitted to keep.

    Args:
        deferral: Both, at several error rates.
        chosen: The error rate in use, marked by a line.
    """
    figure = new_figure(WIDTH, 3.5)
    work, errors = figure.subplots(1, 2, sharex=True)
    rates = np.array(deferral.error_rates)
    _draw_band(work, rates, deferral.asked, BLUE, "questions that are asked", "o")
    _draw_band(work, rates, deferral.answered, GREEN, "fields with none asked", "s")
    _draw_band(errors, rates, deferral.missed, VERMILION, "labels told absent", "o")
    _draw_band(errors, rates, deferral.wrong, PURPLE, "wrong “present”", "s")
    errors.plot(rates, rates, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="the error rate itself")
    work.set_ylabel("share", fontsize=TEXT, color=INK)
    for axes, title in ((work, "what is asked"), (errors, "what goes wrong")):
        axes.axvline(chosen, color=ORANGE, linewidth=1.4, zorder=1, label="error rate in use")
        axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
        axes.set_xlabel("error rate fitted to (%)", fontsize=TEXT, color=INK)
        axes.set_ylim(bottom=0)
    marks = [line for axes in (work, errors) for line in axes.lines]
    once = {str(line.get_label()): line for line in marks}
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _draw_band(axes: Axes, rates: NDArray[np.float64], band: Bands, colour: str, label: str, marker: str) -> None:
    given = np.isfinite(band.value)
    axes.fill_between(rates[given], band.low[given], band.high[given], color=colour, alpha=0.2, linewidth=0)
    axes.plot(rates[given], band.value[given], marker=marker, color=colour, markersize=4, linewidth=1.4, label=label)
    dress(axes, grid="both")
    axes.set_xscale("log")
    axes.set_xticks(rates, _apart(rates))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _apart(rates: NDArray[np.float64]) -> list[str]:
    """Write rates as percentages, leaving out those too near to the one before on a logarithmic axis."""
    labels, last = list[str](), 0.0
    for rate in rates.tolist():
        labels.append(f"{100 * rate:g}" if rate >= 1.7 * last else "")
        last = rate if labels[-1] else last
    return labels
