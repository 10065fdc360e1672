"""The house style that all figures share."""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

# Okabe and Ito's colours, which stay apart for colour-blind eyes
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
INK, MUTED, RULE = "#1f2430", "#667080", "#dde1e6"

TEXT = 10.0  # points
SMALL = 9.0  # nothing that must be read is smaller, but for the numbers in heat maps
WIDTH = 5.6  # inches: on a phone of 390 px its text is still 9 px high
DOTS_PER_INCH = 150  # sharp on a phone and in print; a page of ten figures stays under 2 MB
CSS_PIXELS_PER_INCH = 96


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches that belongs to no window."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def dress(axes: Axes, *, grid: Literal["x", "y", "both"] | None = None) -> None:
    """Give axes the house style: two thin spines, small ticks, a pale grid behind the marks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(labelsize=TEXT, colors=INK, length=3, width=0.6, color=MUTED)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_fontsize(TEXT)
        label.set_color(INK)
    if grid:
        axes.grid(visible=True, axis=grid, color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)


def whole_numbers(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Put ticks of one axis at whole numbers only and write them with commas: 12,000."""
    chosen = axes.xaxis if axis == "x" else axes.yaxis
    chosen.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    chosen.set_major_formatter(with_commas)


def with_commas(value: float, _place: float = 0) -> str:
    """Write a tick as 12,000."""
    return f"{value:,.0f}"


def shown(name: str, *, limit: int = 34) -> str:
    """Return a user's name as a figure can show it: one line, at most ``limit`` characters, ``$`` no formula."""
    line = " ".join(name.split())
    short = line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
    return short.replace("$", r"\$")


def png_bytes(figure: Figure, *, photographs: bool = False) -> bytes:
    """Draw a figure as PNG; the same figure gives the same bytes.

    Args:
        figure: What to draw.
        photographs: Keep every colour. Without them a palette of 128 does, at a third of the bytes.
    """
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # a class name in a script that the built-in font lacks shows boxes; the page beside has it as text
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        canvas.draw()  # savefig would draw it twice
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    return _encoded(picture if photographs else picture.quantize(128, method=Image.Quantize.MEDIANCUT))


def _encoded(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return encoded.getvalue()
