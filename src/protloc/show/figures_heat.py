"""Pictures of where a model looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from protloc.atlas.stains import Stain
from protloc.show.composite import composite, screen_colours
from protloc.show.figures import INK, MUTED, SMALL, TEXT, dress, new_figure, shown
from protloc.show.figures_fields import readable

COLUMNS = 3  # pictures a row, at most
PANEL = 2.6  # inches a picture with the space beside it: a field of 320 px is shown as it is
TITLES, NAME, KEY, AXIS, BAR = 0.36, 0.15, 0.35, 0.75, 0.17  # inches: heights of what else there is
LETTERS = 30  # over a picture
COLOURS_OF_HEAT = "inferno"  # dark to bright for colour-blind eyes too
FAINTEST = 0.35  # of these colours: what is below is as dark as the picture
DIMMED = 0.6  # of the grey picture, so that heat stands out
DEEPEST = 0.9  # how much of the grey picture the hottest place covers
FAINT = 0.5  # power that shows faint heat beside strong
LEAST_REACH = 0.5  # of the log odds: what hardly adds is not drawn large


@dataclass(frozen=True, eq=False)
class ShownClass:
    """What a field's figure says of one class.

    Attributes:
        name: The class.
        said: The answer in a few words, as ``0.93, present``.
        heat: Where it is seen, (side, side) in 0..1.
        contributions: By how much each stain raises its log odds, (stains,); NaN where that cannot be told.
    """

    name: str
    said: str
    heat: NDArray[np.float32]
    contributions: NDArray[np.float64]


def overlay(protein: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a heat map over the protein's stain.

    Args:
        protein: The stain, (side, side); drawn in grey, its contrast stretched.
        heat: Where a class is seen, (side, side) in 0..1; the hotter, the brighter and the less see-through.

    Returns:
        RGB picture of shape (side, side, 3), uint8; without heat it is the grey picture, dimmed.
    """
    grey = composite(protein[None], (Stain("gray", ""),)).astype(np.float64) * DIMMED
    strength = heat.astype(np.float64) ** FAINT
    colours = np.asarray(mpl.colormaps[COLOURS_OF_HEAT](FAINTEST + (1 - FAINTEST) * strength))[:, :, :3] * 255
    cover = DEEPEST * strength[:, :, None]
    return np.rint(grey * (1 - cover) + colours * cover).astype(np.uint8)


def explanation_figure(
    image: NDArray[np.uint8], stains: Sequence[Stain], *, protein: int, classes: Sequence[ShownClass], title: str
) -> Figure:
    """Draw a field, a heat map a class over its protein, and what each stain adds.

    Args:
        image: The field, (stains, side, side).
        stains: What each channel shows, in channel order.
        protein: The channel the heat is laid over.
        classes: What is said of the field.
        title: What the field is called.
    """
    columns = min(len(classes) + 1, COLUMNS)
    rows = math.ceil((len(classes) + 1) / columns)
    told = [each for each in classes if np.isfinite(each.contributions).any()]
    bars = AXIS + BAR * sum(int(np.isfinite(each.contributions).sum()) + 1 for each in told) if told else 0.0
    height = NAME + rows * (PANEL + TITLES) + KEY
    figure = new_figure(PANEL * columns, height + bars)
    upper, lower = _parted(figure, height, bars)
    upper.suptitle(shown(title, limit=LETTERS * columns), x=0.01, ha="left", fontsize=TEXT, color=INK)
    grid = upper.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    _draw_picture(grid.flat[0], composite(image, stains), "all stains given")
    for axes, each in zip(grid.flat[1:], classes, strict=False):
        _draw_picture(axes, overlay(image[protein], each.heat), f"{shown(each.name, limit=LETTERS)}\n{each.said}")
    _draw_key(upper, grid)
    if lower is not None:
        _draw_contributions(lower.subplots(), told, stains)
    return figure


def _parted(figure: Figure, pictures: float, bars: float) -> tuple[Figure | SubFigure, SubFigure | None]:
    if not bars:
        return figure, None
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[pictures, bars])
    return parts[0, 0], parts[1, 0]


def _draw_picture(axes: Axes, picture: NDArray[np.uint8], title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=SMALL, color=INK, loc="left", pad=3)


def _draw_key(figure: Figure | SubFigure, grid: NDArray[np.object_]) -> None:
    """Draw which colour is how hot, below the pictures; where nothing is hot there is the picture's black."""
    steps = np.linspace(0, 1, 256, dtype=np.float32)[None]
    colours = ListedColormap(overlay(np.zeros(steps.shape, np.uint8), steps)[0] / 255)
    key = figure.colorbar(ScalarMappable(cmap=colours), ax=grid, location="bottom", shrink=0.5, aspect=40, pad=0.01)
    key.set_ticks([0, 1], labels=["no heat", "hottest place of this map"])
    key.ax.tick_params(labelsize=SMALL, colors=INK, length=0)
    key.outline.set_visible(False)


def _draw_contributions(axes: Axes, classes: Sequence[ShownClass], stains: Sequence[Stain]) -> None:
    """Draw a bar for each class and stain, the classes from above in their order."""
    place, middles = 0.0, list[float]()
    for each in classes:
        known = np.flatnonzero(np.isfinite(each.contributions)).tolist()
        places = [place + number for number in range(len(known))]
        for y, channel in zip(places, known, strict=True):
            adds = float(each.contributions[channel])
            axes.barh(y, adds, height=0.7, color=readable(screen_colours(stains)[channel]))
            words = f" {shown(stains[channel].name)} {f'{adds:+.1f}'.replace('-', '−')} "
            axes.annotate(words, (adds, y), va="center", ha="right" if adds < 0 else "left", fontsize=SMALL, color=INK)
        middles.append(float(np.mean(places)))
        place = places[-1] + 2
    reach = 1.5 * max(float(np.nanmax(np.abs(each.contributions))) for each in classes)  # with room for the words
    axes.set_xlim(-max(reach, LEAST_REACH), max(reach, LEAST_REACH))
    axes.set_yticks(middles, [shown(each.name) for each in classes])
    axes.invert_yaxis()
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_xlabel("what the stain adds to the log odds\n(1: the odds are 2.7 times as high)", fontsize=TEXT)
    dress(axes, grid="x")
