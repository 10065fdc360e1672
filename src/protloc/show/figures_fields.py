"""Figures of what the fields look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protloc.atlas.stains import Stain
from protloc.show.composite import composite, screen_colours
from protloc.show.figures import INK, SMALL, TEXT, WIDTH, dress, new_figure, shown

SHEET = 7.0  # inches: a sheet of pictures as wide as A4 in print


def intensity_figure(counts: NDArray[np.int64], stains: Sequence[Stain]) -> Figure:
    """Draw the grey levels of each stain as a histogram with a logarithmic height.

    Args:
        counts: Pixels of each grey level, shape (stains, 256).
        stains: What each channel shows, in channel order.
    """
    rows = math.ceil(len(stains) / 2)
    figure = new_figure(WIDTH, 0.3 + 1.75 * rows)
    grid = figure.subplots(rows, min(len(stains), 2), sharex=True, sharey=True, squeeze=False)
    for axes, stain, colour, levels in zip(grid.flat, stains, screen_colours(stains), counts, strict=False):
        _draw_levels(axes, levels / max(int(levels.sum()), 1), readable(colour))
        axes.set_title(shown(stain.name), fontsize=TEXT, color=INK, loc="left")
    for axes in grid.flat[len(stains) :]:
        axes.set_visible(False)
    figure.supxlabel("grey level (0 to 255)", fontsize=TEXT, color=INK)
    figure.supylabel("share of pixels (logarithmic)", fontsize=TEXT, color=INK)
    return figure


def _draw_levels(axes: Axes, shares: NDArray[np.float64], colour: str) -> None:
    axes.stairs(shares, np.arange(257) - 0.5, fill=True, color=colour, alpha=0.35)
    axes.stairs(shares, np.arange(257) - 0.5, color=colour, linewidth=0.9)
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 1.5)
    axes.set_xlim(-2, 257)
    axes.set_xticks([0, 128, 255])
    dress(axes, grid="both")


def readable(colour: tuple[int, int, int]) -> str:
    """Return a screen colour darkened until a thin line of it can be seen on white paper, as ``#rrggbb``."""
    weights = np.array([0.2126, 0.7152, 0.0722])  # of Rec. 709 luminance
    darkening = min(1.0, 0.42 / max(float(weights @ np.array(colour)) / 255, 1e-6))
    return "#" + "".join(f"{round(part * darkening):02x}" for part in colour)


def fields_figure(
    images: NDArray[np.uint8], stains: Sequence[Stain], *, captions: Sequence[str], columns: int = 6
) -> Figure:
    """Draw fields as colour pictures with a caption over each.

    Args:
        images: Fields of shape (fields, stains, side, side).
        stains: What each channel shows, in channel order.
        captions: A line or more for each field.
        columns: Pictures a row.
    """
    rows = math.ceil(len(images) / columns)
    size = SHEET / columns
    wrapped = [_wrapped(caption, inches=size) for caption in captions]
    lines = max((caption.count("\n") + 1 for caption in wrapped), default=1)
    figure = new_figure(SHEET, rows * (size + 0.17 * lines))
    for place, (image, caption) in enumerate(zip(images, wrapped, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(composite(image, stains), interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(caption, fontsize=SMALL, color=INK, loc="left", pad=2)
    return figure


def _wrapped(caption: str, *, inches: float) -> str:
    letters = int(inches / 0.085)  # of SMALL text side by side
    lines = [wrap(shown(line), letters, max_lines=2, placeholder="…") for line in caption.split("\n")]
    return "\n".join(line for wrapped in lines for line in wrapped)
