"""The frame of a field: cell, depth, distances at every pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Cells, Layout, Places, draw_cells
from protloc.atlas.simulate.outlines import DIRECTIONS
from protloc.atlas.simulate.relief import draw_arms, draw_relief, raggedness
from protloc.atlas.simulate.textures import FloatImage, texture

WARPS = ((6.0, 1.5), (2.5, 0.45))  # grain and depth of the coordinate warps in µm: wavy borders, no straight contacts
FAR = 1e3  # µm; distance where there is nothing to be near to
NUCLEUS_CLAIM = 0.55  # a pixel at the nuclear edge counts as this far out, so that no neighbour cuts a nucleus
MARGIN = 2.6  # beyond it the claim grows this fast: a cell is at least 17 % wider than its nucleus


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
        inside: 1 in cells, 0 outside, soft at the edges. float32.
        lamella: How thick the cell is against the place of its nucleus, 0 to 1. float32.
        joined: 1 where two cells touch that no dark seam parts, falling to 0 away from there. float32.
        ruffles: Folds that stand up along free edges, 0 to 1. float32.
        creases: 1 along the folds of nuclei, soft. float32.
        room: Share of the cytoplasm that is left to microtubules and reticulum, 0 to 1. float32.
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
    inside: FloatImage
    lamella: FloatImage
    joined: FloatImage
    ruffles: FloatImage
    creases: FloatImage
    room: FloatImage
    nucleoli: FloatImage
    nucleolus_centres: Places
    nucleolus_radii: NDArray[np.float64]

    @property
    def side(self) -> int:
        """Return the side of the field in pixels."""
        return self.label.shape[0]

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
        """Return how thick the cell is, 0 at its edge to 1 at the nucleus; it rises over ``rise`` µm."""
        slope = 1 - np.exp(self.edge * np.float32(-1 / rise)) * (1 - self.joined)
        return self.inside * np.maximum(slope * self.lamella, self.ruffles)

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
    draw_arms(label, nuclear, cells, layout, rng)
    cells = replace(cells, centrosome=_pulled_in(cells, label))
    edge, contact = _borders(label, layout.pixel)
    relief = draw_relief(cells, layout, label, nuclear, edge, contact, rng)
    nucleoli, centres, radii = _draw_nucleoli(cells, layout, rng)
    nucleoli *= (nuclear < -0.5) & (label > 0)
    return Frame(
        pixel=layout.pixel,
        cells=cells,
        label=label,
        radius=radius,
        nuclear=nuclear,
        edge=edge,
        contact=contact,
        **relief._asdict(),
        nucleoli=nucleoli,
        nucleolus_centres=centres,
        nucleolus_radii=radii,
    )


def _pulled_in(cells: Cells, label: NDArray[np.int32]) -> Places:
    """Move each centrosome that lies outside its cell towards the nucleus until it lies inside."""
    places, last = cells.centrosome.copy(), label.shape[0] - 1
    for share in (0.8, 0.6, 0.4):
        column, row = (np.clip(np.rint(part), 0, last).astype(np.intp) for part in (places.real, places.imag))
        out = label[row, column] != np.arange(1, len(cells) + 1)
        places[out] = (cells.nucleus + share * (cells.centrosome - cells.nucleus))[out]
    return places


def _warped(layout: Layout, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Return column and row of each pixel, moved a little."""
    axis = np.arange(layout.side, dtype=np.float32)
    x, y = (np.array(part) for part in np.broadcast_arrays(axis[None, :], axis[:, None]))
    for grain, depth in WARPS:
        x += texture(rng, side=layout.side, grain=grain / layout.pixel) * np.float32(depth / layout.pixel)
        y += texture(rng, side=layout.side, grain=grain / layout.pixel) * np.float32(depth / layout.pixel)
    return x, y


def _assign(cells: Cells, layout: Layout, rng: np.random.Generator) -> tuple[NDArray[np.int32], FloatImage, FloatImage]:
    """Give each pixel to the cell in which it lies deepest."""
    side = layout.side
    warped, ragged = _warped(layout, rng), raggedness(layout, rng)
    axis = np.arange(side, dtype=np.float32)
    calm = tuple(0.75 * plain + 0.25 * part for plain, part in zip((axis[None, :], axis[:, None]), warped, strict=True))
    claim = np.full((side, side), np.inf, np.float32)
    label = np.zeros((side, side), np.int32)
    radius, nuclear = np.full_like(claim, 9.0), np.full_like(claim, FAR)
    frayed = np.exp(rng.normal(0, 0.5, len(cells))) / np.sqrt(cells.body_axes.prod(axis=1))
    for cell in range(len(cells)):
        window = _window(cells, cell, side)
        if window is None:
            continue
        outwards = _outwards(
            (warped[0][window], warped[1][window]),
            cells.body[cell],
            cells.angle[cell],
            cells.body_axes[cell],
            cells.body_outline[cell],
            cells.bend[cell],
        )
        outwards += np.float32(frayed[cell]) * ragged[window]
        distance, ring = _to_nucleus((calm[0][window], calm[1][window]), cells, cell)
        own = np.minimum(np.maximum(outwards, NUCLEUS_CLAIM + 0.1 * outwards), _claim(ring))
        mine = own < claim[window]
        for image, values in ((claim, own), (radius, outwards), (nuclear, distance * np.float32(layout.pixel))):
            np.copyto(image[window], values, where=mine)
        np.copyto(label[window], np.where(own < 1, cell + 1, 0), where=mine)
    return label, radius, nuclear


def _claim(ring: FloatImage) -> FloatImage:
    """Return how far out in its cell a place near a nucleus counts; ``ring`` is 1 at the nuclear edge."""
    return np.maximum(NUCLEUS_CLAIM * ring, NUCLEUS_CLAIM + MARGIN * (ring - 1))


def _window(cells: Cells, cell: int, side: int) -> tuple[slice, slice] | None:
    body = 1.15 * float(cells.body_outline[cell].max()) * cells.body_axes[cell].max()
    reach = max(body, abs(cells.second[cell]) + cells.nucleus_axes[cell].max() * 1.5)
    middle = cells.body[cell]
    spans = [(int(max(c - reach, 0)), int(min(c + reach + 1, side))) for c in (middle.imag, middle.real)]
    if any(high - low < 2 for low, high in spans):
        return None
    return slice(*spans[0]), slice(*spans[1])


def _outwards(
    grid: tuple[FloatImage, FloatImage],
    centre: complex,
    angle: float,
    axes: NDArray[np.float64],
    outline: NDArray[np.float32],
    bend: float,
) -> FloatImage:
    """Return how far out each place lies, 1 on the outline of a bent ellipse."""
    x, y = grid[0] - np.float32(centre.real), grid[1] - np.float32(centre.imag)
    cosine, sine = np.cos(angle), np.sin(angle)
    along = x * np.float32(cosine / axes[0]) + y * np.float32(sine / axes[0])
    across = y * np.float32(cosine / axes[1]) - x * np.float32(sine / axes[1])
    across -= np.float32(bend) * (np.minimum(along * along, 4) - np.float32(0.3))
    turn = cv2.phase(along, across)
    return (
        np.sqrt(along * along + across * across)
        / outline[(turn * np.float32(DIRECTIONS / (2 * np.pi))).astype(np.intp) % DIRECTIONS]
    )


def _to_nucleus(grid: tuple[FloatImage, FloatImage], cells: Cells, cell: int) -> tuple[FloatImage, FloatImage]:
    """Return the signed distance to the nearest nuclear edge in px, and the normalised radius there."""
    shape = (cells.angle[cell], cells.nucleus_axes[cell], cells.nucleus_outline[cell], cells.bend[cell])
    centres = [cells.nucleus[cell]] + ([cells.nucleus[cell] + cells.second[cell]] if cells.second[cell] else [])
    rings = [_outwards(grid, centre, *shape) for centre in centres]
    gaps = [  # cv2.magnitude rounds differently from one call to the next
        np.sqrt((grid[0] - np.float32(centre.real)) ** 2 + (grid[1] - np.float32(centre.imag)) ** 2)
        * (1 - 1 / np.maximum(ring, np.float32(0.05)))
        for centre, ring in zip(centres, rings, strict=True)
    ]
    return np.minimum.reduce(gaps), np.minimum.reduce(rings)


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
        off = radii * (lobe > 0) * rng.uniform(0.2, 0.9, owners.size) * np.exp(1j * rng.uniform(0, 6.3, owners.size))
        for place, size in zip(centres + off, radii * rng.uniform(0.55, 1.0, owners.size), strict=True):
            spot = (round(place.real * 16), round(place.imag * 16))
            cv2.circle(canvas, spot, max(round(size * 16), 4), 255, cv2.FILLED, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255, centres, radii
