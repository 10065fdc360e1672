"""The frame of a field: cell, depth, distances at every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Cells, Layout, Places, draw_cells
from protloc.atlas.simulate.textures import FloatImage, texture

WARPS = ((6.0, 1.5), (2.5, 0.45))  # grain and depth of the coordinate warps in µm: wavy borders, no straight contacts
FAR = 1e3  # µm; distance where there is nothing to be near to
NUCLEUS_CLAIM = 0.7  # a pixel at the nuclear edge counts as this far out, so that no neighbour cuts a nucleus


@dataclass(frozen=True)
class Frame:
    """Maps of one field that every pattern is drawn on; images have the shape (side, side), distances are in µm.

    Attributes:
        pixel: Micrometres a pixel.
        cells: The cells.
        label: Number of the cell, from 1; 0 outside all cells. int32.
        radius: 0 in the middle of a cell, 1 at its edge, more outside. float32.
        nuclear: Signed distance to the nuclear edge, negative inside. float32.
        edge: Distance to the edge of the cell, 0 outside. float32.
        contact: Distance to the nearest pixel where two cells touch. float32.
        nucleoli: 1 inside the nucleoli, 0 elsewhere, soft at the edge. float32.
        nucleolus_centres: Their places.
        nucleolus_radii: Their radii in pixels.
    """

    pixel: float
    cells: Cells
    label: NDArray[np.int32]
    radius: FloatImage
    nuclear: FloatImage
    edge: FloatImage
    contact: FloatImage
    nucleoli: FloatImage
    nucleolus_centres: Places
    nucleolus_radii: NDArray[np.float64]

    @property
    def side(self) -> int:
        """Return the side of the field in pixels."""
        return self.label.shape[0]

    @property
    def inside(self) -> FloatImage:
        """Return 1 in cells and 0 elsewhere."""
        return (self.label > 0).astype(np.float32)

    def soft_step(self, distance: FloatImage, *, width: float) -> FloatImage:
        """Turn a signed distance in µm into a smooth step: 1 well below 0, 0 well above; ``width`` in µm."""
        return 1.0 / (1.0 + np.exp(np.clip(distance / max(width, 0.3 * self.pixel), -30, 30)))

    def nucleus(self, *, width: float = 0.15) -> FloatImage:
        """Return 1 in nuclei and 0 elsewhere, soft over ``width`` µm."""
        return self.soft_step(self.nuclear, width=width)

    def cytoplasm(self) -> FloatImage:
        """Return 1 in the cells outside the nucleus and 0 elsewhere, soft at the nuclear edge."""
        return self.inside * (1 - self.nucleus())

    def height(self, *, rise: float = 3.0) -> FloatImage:
        """Return how thick the cell is, 0 at its free edge to 1 inside; it rises over ``rise`` µm."""
        return self.inside * (1 - np.exp(-self.edge / rise))

    def from_places(self, places: Places) -> FloatImage:
        """Return the distance in µm of each pixel to the place of its own cell, far outside the cells."""
        x, y = (np.append(FAR / self.pixel, part).astype(np.float32)[self.label] for part in (places.real, places.imag))
        grid = np.arange(self.side, dtype=np.float32)
        return np.hypot(x - grid[None, :], y - grid[:, None]) * np.float32(self.pixel)

    def per_cell(self, values: NDArray[np.float64]) -> FloatImage:
        """Paint each cell with its value, 0 outside."""
        return np.append(0.0, values).astype(np.float32)[self.label]


def build_frame(layout: Layout, rng: np.random.Generator) -> Frame:
    """Draw the cells of a field and the maps of them."""
    cells = draw_cells(layout, rng)
    label, radius, nuclear = _assign(cells, layout, rng)
    _stretch_arms(label, nuclear, cells, layout, rng)
    edge, contact = _borders(label, layout.pixel)
    nucleoli, centres, radii = _draw_nucleoli(cells, layout, rng)
    nucleoli *= (nuclear < -0.5) & (label > 0)
    return Frame(layout.pixel, cells, label, radius, nuclear, edge, contact, nucleoli, centres, radii)


def _grid(layout: Layout, rng: np.random.Generator) -> NDArray[np.complex64]:
    axis = np.arange(layout.side, dtype=np.float32)
    grid = axis[None, :] + 1j * axis[:, None]
    for grain, depth in WARPS:
        x, y = (texture(rng, side=layout.side, grain=grain / layout.pixel) for _ in range(2))
        grid = grid + (x + 1j * y) * np.float32(depth / layout.pixel)
    return grid.astype(np.complex64)


def _assign(cells: Cells, layout: Layout, rng: np.random.Generator) -> tuple[NDArray[np.int32], FloatImage, FloatImage]:
    """Give each pixel to the cell in which it lies deepest."""
    side = layout.side
    grid = _grid(layout, rng)
    plain = np.arange(side, dtype=np.float32)[None, :] + 1j * np.arange(side, dtype=np.float32)[:, None]
    nuclear_grid = (0.75 * plain + 0.25 * grid).astype(np.complex64)
    claim = np.full((side, side), np.inf, np.float32)
    label = np.zeros((side, side), np.int32)
    radius, nuclear = np.full_like(claim, 9.0), np.full_like(claim, FAR)
    for cell in range(len(cells)):
        window = _window(cells, cell, side)
        if window is None:
            continue
        outwards = _polar_radius(
            grid[window], cells.body[cell], cells.angle[cell], cells.body_axes[cell], cells.body_outline[cell]
        )
        distance, ring = _to_nucleus(nuclear_grid[window], cells, cell)
        own = np.minimum(outwards, NUCLEUS_CLAIM * ring)
        mine = own < claim[window]
        for image, values in ((claim, own), (radius, outwards), (nuclear, distance * np.float32(layout.pixel))):
            np.copyto(image[window], values, where=mine)
        label[window][mine & (own < 1)] = cell + 1
        label[window][mine & (own >= 1)] = 0
    return label, radius, nuclear


def _window(cells: Cells, cell: int, side: int) -> tuple[slice, slice] | None:
    reach = max(1.35 * cells.body_axes[cell].max(), abs(cells.second[cell]) + cells.nucleus_axes[cell].max() * 1.5)
    middle = cells.body[cell]
    spans = [(int(max(c - reach, 0)), int(min(c + reach + 1, side))) for c in (middle.imag, middle.real)]
    if any(high - low < 2 for low, high in spans):
        return None
    return slice(*spans[0]), slice(*spans[1])


def _polar_radius(
    grid: NDArray[np.complex64],
    centre: complex,
    angle: float,
    axes: NDArray[np.float64],
    terms: NDArray[np.complex128],
) -> FloatImage:
    """Return how far out each place lies, 1 on an ellipse modulated by the Fourier ``terms`` (from order 2)."""
    turned = (grid - np.complex64(centre)) * np.complex64(np.exp(-1j * angle))
    x, y = turned.real / np.float32(axes[0]), turned.imag / np.float32(axes[1])
    length = np.sqrt(x * x + y * y) + np.float32(1e-6)
    unit = (x + 1j * y) / length
    power, outline = unit, np.ones_like(length)
    for term in terms:
        power = power * unit
        outline += (np.complex64(term) * power).real
    return length / np.maximum(outline, np.float32(0.3))


def _to_nucleus(grid: NDArray[np.complex64], cells: Cells, cell: int) -> tuple[FloatImage, FloatImage]:
    """Return the signed distance to the nearest nuclear edge in px, and the normalised radius there."""
    shape = (cells.angle[cell], cells.nucleus_axes[cell], cells.nucleus_outline[cell])
    centres = [cells.nucleus[cell]] + ([cells.nucleus[cell] + cells.second[cell]] if cells.second[cell] else [])
    rings = [_polar_radius(grid, centre, *shape) for centre in centres]
    gaps = [
        np.abs(grid - np.complex64(centre)) * (1 - 1 / np.maximum(ring, np.float32(0.05)))
        for centre, ring in zip(centres, rings, strict=True)
    ]
    return np.minimum.reduce(gaps), np.minimum.reduce(rings)


def _stretch_arms(
    label: NDArray[np.int32], nuclear: FloatImage, cells: Cells, layout: Layout, rng: np.random.Generator
) -> None:
    """Grow thin, bent processes from cells into empty space, in place."""
    canvas = np.zeros_like(label)
    for cell in np.repeat(np.arange(len(cells)), cells.arms):
        turns = np.cumsum(rng.normal(0, 0.25, 8)) + rng.uniform(0, 2 * np.pi)
        reach = cells.body_axes[cell].mean() * rng.uniform(1.5, 3.2)
        course = cells.body[cell] + np.cumsum(np.exp(1j * turns)) * reach / 8
        corners = np.rint(np.stack([course.real, course.imag], axis=1) * 16).astype(np.int32)
        thickness = max(round(rng.uniform(1.0, 3.0) / layout.pixel), 1)
        cv2.polylines(canvas, [corners], isClosed=False, color=int(cell) + 1, thickness=thickness, shift=4)
    free = (label == 0) & (canvas > 0)
    label[free] = canvas[free]
    row, column = np.nonzero(free)
    away = np.abs(column + 1j * row - cells.nucleus[canvas[free] - 1])
    nuclear[free] = (away - cells.nucleus_axes[canvas[free] - 1].mean(axis=1)) * layout.pixel


def _borders(label: NDArray[np.int32], pixel: float) -> tuple[FloatImage, FloatImage]:
    """Measure the distances in µm to the edge of the own cell and to the nearest contact of two cells."""
    border, touching = np.zeros(label.shape, bool), np.zeros(label.shape, bool)
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differs = label[one] != label[other]
        both = differs & (label[one] > 0) & (label[other] > 0)
        for part in (one, other):
            border[part] |= differs
            touching[part] |= both
    inner = ((label > 0) & ~border).astype(np.uint8)
    edge = cv2.distanceTransform(inner, cv2.DIST_L2, 5) * np.float32(pixel)
    if not touching.any():
        return edge + np.float32(0.3 * pixel) * (label > 0), np.full(label.shape, FAR, np.float32)
    contact = cv2.distanceTransform((~touching).astype(np.uint8), cv2.DIST_L2, 5) * np.float32(pixel)
    return edge + np.float32(0.3 * pixel) * (label > 0), contact


def _draw_nucleoli(
    cells: Cells, layout: Layout, rng: np.random.Generator
) -> tuple[FloatImage, Places, NDArray[np.float64]]:
    """Draw one to six lobed nucleoli in each nucleus, of 1.5 to 4 µm."""
    owners = np.repeat(
        cells.resting(), rng.choice([1, 2, 3, 4, 5, 6], size=cells.resting().size, p=[0.2, 0.3, 0.22, 0.15, 0.08, 0.05])
    )
    ratio = layout.line.nucleus / 15.0
    radii = rng.uniform(0.7, 1.7, owners.size) * ratio / layout.pixel
    out = np.sqrt(rng.random(owners.size)) * 0.62
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi, owners.size)) * out
    axes = cells.nucleus_axes[owners]
    centres = cells.nucleus[owners] + (turn.real * axes[:, 0] + 1j * turn.imag * axes[:, 1]) * np.exp(
        1j * cells.angle[owners]
    )
    canvas = np.zeros((layout.side, layout.side), np.uint8)
    for lobe in range(3):
        off = (
            radii
            * (0.55 * lobe > 0)
            * rng.uniform(0.2, 0.9, owners.size)
            * np.exp(1j * rng.uniform(0, 6.3, owners.size))
        )
        for place, size in zip(centres + off, radii * rng.uniform(0.55, 1.0, owners.size), strict=True):
            spot = (round(place.real * 16), round(place.imag * 16))
            cv2.circle(canvas, spot, max(round(size * 16), 4), 255, cv2.FILLED, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255, centres, radii
