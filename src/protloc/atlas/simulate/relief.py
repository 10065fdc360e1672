"""Relief of cells: ragged edges, thin processes, lamellae, ruffles, nuclear folds."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Cells, Layout, Numbers
from protloc.atlas.simulate.textures import FloatImage, ridges, texture

SPIKY_FIELDS = 0.5  # share of fields whose cells throw fine spikes
CREASED = 0.06  # share of nuclei with a fold
SHIFT = 16  # cv2 draws with coordinates in sixteenths of a pixel


class Relief(NamedTuple):
    """Maps of the surface of cells; see :class:`protloc.atlas.simulate.geometry.Frame`."""

    inside: FloatImage
    lamella: FloatImage
    joined: FloatImage
    ruffles: FloatImage
    creases: FloatImage
    room: FloatImage


def raggedness(layout: Layout, rng: np.random.Generator) -> FloatImage:
    """Draw by how many pixels the edge of a cell lies further in than its outline, at every pixel."""
    side, pixel = layout.side, layout.pixel
    ragged = rng.uniform(0.1, 0.5) * texture(rng, side=side, grain=rng.uniform(0.6, 1.6) / pixel)
    if rng.random() < SPIKY_FIELDS:
        ragged = ragged + rng.uniform(0.6, 2.2) * (0.4 - ridges(rng, side=side, grain=rng.uniform(0.8, 1.6) / pixel))
    smooth = min(layout.line.rough / 0.12, 1.0)  # round cells have smooth edges
    return (ragged * np.float32(smooth / pixel)).astype(np.float32)


def draw_arms(
    label: NDArray[np.int32], nuclear: FloatImage, cells: Cells, layout: Layout, rng: np.random.Generator
) -> None:
    """Grow processes from cells into empty space, bent and ever thinner, in place."""
    canvas = np.zeros_like(label)
    for cell in np.repeat(np.arange(len(cells)), cells.arms):
        end = rng.integers(2) * np.pi + cells.angle[cell]
        turns = np.cumsum(rng.normal(0, 0.25, 8)) + rng.normal(end, 0.8)
        reach = cells.body_axes[cell].mean() * rng.uniform(1.5, 4.0)
        course = cells.body[cell] + np.append(0, np.cumsum(np.exp(1j * turns))) * reach / 8
        corners = np.rint(np.stack([course.real, course.imag], axis=1) * SHIFT).astype(np.int32)
        widths = np.rint(np.linspace(rng.uniform(2.0, 5.0), 0.3, 8) / layout.pixel).astype(int)
        for one, other, width in zip(corners[:-1], corners[1:], widths, strict=True):
            cv2.line(canvas, one.tolist(), other.tolist(), int(cell) + 1, max(int(width), 1), cv2.LINE_8, 4)
    free = (label == 0) & (canvas > 0)
    label[free] = canvas[free]
    row, column = np.nonzero(free)
    away = np.abs(column + 1j * row - cells.nucleus[canvas[free] - 1])
    nuclear[free] = (away - cells.nucleus_axes[canvas[free] - 1].mean(axis=1)) * layout.pixel


def draw_relief(
    cells: Cells,
    layout: Layout,
    label: NDArray[np.int32],
    nuclear: FloatImage,
    edge: FloatImage,
    contact: FloatImage,
    rng: np.random.Generator,
) -> Relief:
    """Draw how the surface of the cells rises and falls.

    Args:
        cells: The cells.
        layout: Their arrangement.
        label: Number of the cell of each pixel from 1, 0 outside.
        nuclear: Signed distance to the nuclear edge in µm.
        edge: Distance to the edge of the cell in µm.
        contact: Distance to the nearest contact of two cells in µm.
        rng: Decides.
    """
    joined = np.float32(rng.uniform(0.0, 1.0)) * np.exp(contact * np.float32(-0.5))
    soft = np.float32(rng.uniform(0.5, 1.2))
    inside = (label > 0) * np.clip(np.float32(0.3) + edge / soft + joined, 0, 1)
    lamella = _lamella(cells, layout, label, nuclear, rng)
    return Relief(
        inside.astype(np.float32),
        lamella,
        joined,
        _ruffles(layout, label, edge, contact, rng),
        _creases(cells, layout, nuclear, rng),
        _room(layout, rng),
    )


def _lamella(
    cells: Cells, layout: Layout, label: NDArray[np.int32], nuclear: FloatImage, rng: np.random.Generator
) -> FloatImage:
    """Let each cell become thinner away from its nucleus, some at once to a veil, others hardly at all."""
    free = np.maximum(cells.body_axes.mean(axis=1) - cells.nucleus_axes.mean(axis=1), 1.0) * layout.pixel
    reach = free * rng.uniform(0.35, 1.1) * np.exp(rng.normal(0, 0.3, len(cells)))
    least = np.clip(rng.uniform(0.0, 0.6) + rng.normal(0, 0.15, len(cells)), 0.08, 1.0)
    slopes, floors = (_painted(values, label) for values in (1 / reach, least))
    away = np.minimum(np.maximum(nuclear, 0) * slopes, 9)
    waves = 1 + np.float32(0.15) * texture(rng, side=layout.side, grain=3.0 / layout.pixel)
    return np.clip((floors + (1 - floors) * np.exp(-away * away)) * waves, 0, 1)


def _ruffles(
    layout: Layout, label: NDArray[np.int32], edge: FloatImage, contact: FloatImage, rng: np.random.Generator
) -> FloatImage:
    """Draw folds within 2 µm of free edges, where a slow texture is high; faint in most fields."""
    strength = rng.beta(0.6, 2.0)
    where = np.clip(texture(rng, side=layout.side, grain=rng.uniform(2, 5) / layout.pixel) - np.float32(0.3), 0, 1)
    band = np.exp(-(((edge - np.float32(0.7)) / np.float32(rng.uniform(0.5, 1.0))) ** 2))
    return (np.float32(strength) * where * band * ((label > 0) & (contact > 1.5))).astype(np.float32)


def _creases(cells: Cells, layout: Layout, nuclear: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Draw one fold across some nuclei, mostly along their long axis."""
    canvas = np.zeros((layout.side, layout.side), np.uint8)
    share = CREASED * rng.exponential(1.0)
    steps = np.linspace(-1.1, 1.1, 7)
    for cell in cells.resting()[rng.random(cells.resting().size) < share]:
        axes, turn = cells.nucleus_axes[cell], rng.normal(0, 0.5)
        across = rng.uniform(-0.45, 0.45) + rng.normal(0, 0.3) * steps**2
        course = (axes[0] * steps + 1j * axes[1] * across) * np.exp(1j * (cells.angle[cell] + turn))
        places = np.stack([course.real + cells.nucleus[cell].real, course.imag + cells.nucleus[cell].imag], axis=1)
        width = max(round(rng.uniform(0.4, 1.0) / layout.pixel), 1)
        corners = np.rint(places * SHIFT).astype(np.int32)
        cv2.polylines(
            canvas,
            [corners],
            isClosed=False,
            color=int(rng.integers(90, 255)),
            thickness=width,
            lineType=cv2.LINE_AA,
            shift=4,
        )
    return canvas.astype(np.float32) / 255 * (nuclear < 0)


def _room(layout: Layout, rng: np.random.Generator) -> FloatImage:
    """Draw how much of the cytoplasm vacuoles, droplets and the like leave free, with dips of some 2 to 6 µm."""
    waves = texture(rng, side=layout.side, grain=rng.uniform(0.6, 1.8) / layout.pixel)
    return np.exp(np.float32(-rng.uniform(0.2, 0.7)) * np.maximum(waves + 1, 0))


def _painted(values: Numbers, label: NDArray[np.int32]) -> FloatImage:
    return np.append(0.0, values).astype(np.float32)[label]
