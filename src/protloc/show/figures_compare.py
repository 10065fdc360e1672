"""Figures of how runs differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from protloc.judge.compare import BETTER, CLASS_HEADLINES, LOWER_IS_BETTER, UNRESOLVED, WORSE, Comparison, Difference
from protloc.judge.evaluation import HEADLINES
from protloc.show.figures import GREEN, INK, MUTED, TEXT, VERMILION, WIDTH, dress, new_figure, shown

ROW = 0.27  # inches a difference
MARKS = {BETTER: (">", GREEN), WORSE: ("<", VERMILION), UNRESOLVED: ("o", MUTED)}  # told apart without colour too


def differences_figure(comparison: Comparison) -> Figure:
    """Draw the difference of every run in every headline metric with its interval; right is better, always."""
    panels = [_of_kind(comparison, lower=lower) for lower in (False, True)]
    heights = [len(entries) for entries in panels]
    figure = new_figure(WIDTH, 1.3 + ROW * (sum(heights) + 1))
    for axes, entries in zip(figure.subplots(2, 1, height_ratios=heights), panels, strict=True):
        _draw(axes, entries, [_label(entry, runs=len(comparison.runs)) for entry in entries])
    upper, lower = figure.axes
    upper.set_xlabel("difference in score", fontsize=TEXT, color=INK)
    lower.set_xlabel("difference in loss, axis reversed", fontsize=TEXT, color=INK)
    lower.invert_xaxis()
    return figure


def class_differences_figure(comparison: Comparison, *, run: str, classes: Sequence[str]) -> Figure:
    """Draw how a run differs in every class, by F1 and by average precision.

    Args:
        comparison: What was found.
        run: One of its runs.
        classes: Name of each class, in column order.
    """
    figure = new_figure(WIDTH, 1.1 + ROW * len(classes))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (metric, words) in zip(panels, CLASS_HEADLINES.items(), strict=True):
        entries = [entry for entry in comparison.classes if entry.run == run and entry.metric == metric]
        _draw(axes, entries, [shown(name, limit=26) for name in classes])
        axes.set_xlabel(f"difference in\n{words}", fontsize=TEXT, color=INK)
    panels[1].tick_params(axis="y", labelleft=False)
    return figure


def _of_kind(comparison: Comparison, *, lower: bool) -> list[Difference]:
    """Return the differences of the metrics that are better when low, or of the others, metric by metric."""
    return [
        entry
        for metric in HEADLINES
        if (metric in LOWER_IS_BETTER) == lower
        for entry in comparison.headlines
        if entry.metric == metric
    ]


def _label(entry: Difference, *, runs: int) -> str:
    metric = HEADLINES[entry.metric]
    return shown(metric) if runs == 1 else f"{shown(entry.run, limit=20)}: {shown(metric)}"


def _draw(axes: Axes, entries: Sequence[Difference], labels: Sequence[str]) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    for place, entry in enumerate(entries):
        marker, colour = MARKS[entry.verdict]
        if np.isfinite(entry.low):
            axes.hlines(place, entry.low, entry.high, color=colour, linewidth=1.8)
        hollow = not np.isfinite(entry.low)
        axes.plot(
            entry.difference, place, marker, color=colour, markersize=6, markerfacecolor="white" if hollow else colour
        )
    dress(axes, grid="x")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_yticks(range(len(entries)), labels)
    axes.tick_params(axis="y", length=0)


def _tick(value: float, _place: float) -> str:
    return f"{value:+.3g}".replace("-", "−") if abs(value) > 1e-9 else "0"
