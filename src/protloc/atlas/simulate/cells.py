"""Cells of a field: where they lie, how they are shaped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.textures import texture

Places = NDArray[np.complex128]  # positions in the field, x + iy, in pixels
Numbers = NDArray[np.float64]

NUCLEI_APART = 0.9  # least distance of two nuclei, in mean diameters
TWO_NUCLEI = 0.03  # share of cells with two
SPACINGS = {"sheet": (1.6, 1.95), "islands": (1.55, 1.85), "lone": (2.0, 2.8)}  # in radii of a cell


class Phase(IntEnum):
    """What a cell is doing."""

    RESTING = 0
    METAPHASE = 1
    ANAPHASE = 2
    DAUGHTER = 3
    DYING = 4


@dataclass(frozen=True)
class CellLine:
    """How the cells of one line look; lengths in micrometres.

    Attributes:
        name: As biologists write it.
        nucleus: Mean diameter of the nucleus.
        stretch: Axis ratio of nucleus and cell.
        spread: Radius of the cell in radii of its nucleus.
        rough: Depth of the bays of the outline, as a share of the radius.
        sheet: Probability that a field is a closed sheet.
        islands: Probability that it is islands; the rest are lone cells.
        aligned: Whether the cells lie side by side.
        arms: Mean number of thin processes a cell.
    """

    name: str
    nucleus: float
    stretch: float
    spread: float
    rough: float
    sheet: float
    islands: float
    aligned: bool = False
    arms: float = 0.0


CELL_LINES = (
    CellLine("U-2 OS", 17.0, 1.35, 2.6, 0.13, 0.45, 0.10, arms=0.1),
    CellLine("A-431", 14.5, 1.20, 1.65, 0.07, 0.55, 0.35),
    CellLine("MCF7", 14.0, 1.20, 1.6, 0.07, 0.45, 0.45),
    CellLine("U-251 MG", 16.0, 1.45, 2.4, 0.15, 0.35, 0.10, arms=0.4),
    CellLine("HeLa", 15.0, 1.35, 2.05, 0.11, 0.40, 0.20, arms=0.1),
    CellLine("HEK 293", 12.8, 1.25, 1.4, 0.10, 0.40, 0.50, arms=0.2),
    CellLine("SH-SY5Y", 11.5, 1.45, 1.45, 0.14, 0.20, 0.40, arms=1.2),
    CellLine("PC-3", 15.5, 1.40, 2.0, 0.12, 0.45, 0.15, arms=0.2),
    CellLine("HaCaT", 14.5, 1.20, 1.7, 0.06, 0.65, 0.30),
    CellLine("BJ", 16.5, 1.70, 2.6, 0.07, 0.35, 0.05, aligned=True),
    CellLine("RT4", 13.0, 1.20, 1.5, 0.08, 0.35, 0.60),
    CellLine("K-562", 12.8, 1.08, 1.3, 0.03, 0.05, 0.15),
)
LINE_WEIGHTS = (0.26, 0.13, 0.11, 0.12, 0.07, 0.06, 0.05, 0.05, 0.04, 0.05, 0.03, 0.03)  # HPA uses U-2 OS most


@dataclass(frozen=True)
class Layout:
    """How the cells of one field are arranged.

    Attributes:
        line: The cell line.
        pixel: Micrometres a pixel.
        side: Side of the field in pixels.
        order: ``sheet``, ``islands`` or ``lone``.
        dividing: Share of cells in mitosis.
        dying: Share of cells in apoptosis.
        must_divide: At least one cell stands in meta- or anaphase.
        must_part: At least one pair of daughters is still joined by a bridge.
    """

    line: CellLine
    pixel: float
    side: int
    order: str
    dividing: float = 0.02
    dying: float = 0.01
    must_divide: bool = False
    must_part: bool = False


@dataclass(frozen=True)
class Cells:
    """The cells of a field, one entry a cell; lengths in pixels, angles in radians.

    Attributes:
        phase: Values of :class:`Phase`.
        nucleus: Centre of the nucleus.
        nucleus_axes: Half axes of the nucleus along ``angle`` and across it, shape (cells, 2).
        nucleus_outline: Complex Fourier terms of orders 2 and 3 of the nuclear outline, shape (cells, 2).
        second: Offset of a second nucleus, 0 where there is none.
        body: Centre of the cell.
        body_axes: Half axes of the cell, shape (cells, 2).
        body_outline: Complex Fourier terms of orders 2 to 4 of the cell's outline, shape (cells, 3).
        angle: Direction of the long axis.
        centrosome: Its place; between the poles in mitosis.
        brightness: Strength of the cell in all stains.
        sister: For a daughter, the place of its sister's nucleus; nan for the others.
        arms: How many thin processes it has.
    """

    phase: NDArray[np.int64]
    nucleus: Places
    nucleus_axes: Numbers
    nucleus_outline: Places
    second: Places
    body: Places
    body_axes: Numbers
    body_outline: Places
    angle: Numbers
    centrosome: Places
    brightness: Numbers
    sister: Places
    arms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.nucleus)

    def resting(self) -> NDArray[np.intp]:
        """Return the rows of cells that have a nucleus."""
        return np.flatnonzero((self.phase == Phase.RESTING) | (self.phase == Phase.DAUGHTER))


def draw_cells(layout: Layout, rng: np.random.Generator) -> Cells:
    """Scatter cells over a field and a margin around it, and shape each of them."""
    diameter = layout.line.nucleus / layout.pixel
    centres = _apart(_scatter(layout, rng), NUCLEI_APART * diameter * 1.05)
    phase = _phases(centres, layout, rng)
    centres, phase, sister = _split_pairs(centres, phase, layout, rng)
    return _shape(centres, phase, sister, layout, rng)


def _scatter(layout: Layout, rng: np.random.Generator) -> Places:
    """Place cells on a jittered and turned triangular grid, with gaps unless they form a sheet."""
    line, middle = layout.line, 0.5 * layout.side * (1 + 1j)
    radius = 0.5 * line.nucleus * line.spread / layout.pixel
    spacing = radius * rng.uniform(*SPACINGS[layout.order])
    steps = np.arange(-2, int(layout.side / spacing / 0.85) + 3)
    columns, rows = np.meshgrid(steps, steps)
    grid = ((columns + 0.5 * (rows % 2)) + 0.87j * rows).ravel() * spacing
    closer = 1 / np.sqrt(line.stretch) if line.aligned else 1.0  # long cells side by side
    jitter = rng.normal(0, 0.17 * spacing, (2, grid.size))
    turned = ((grid - grid.mean()) * closer + jitter[0] + 1j * jitter[1]) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    inside = np.maximum(np.abs(turned.real), np.abs(turned.imag)) < middle.real + 0.7 * radius * line.stretch
    places = _thinned(middle + turned[inside], layout, rng)
    seen = np.maximum(np.abs((places - middle).real), np.abs((places - middle).imag)) < 0.9 * middle.real
    return places if seen.any() else np.append(places, middle)


def _thinned(places: Places, layout: Layout, rng: np.random.Generator) -> Places:
    if layout.order == "sheet":
        return places[rng.random(places.size) < 0.96]
    if layout.order == "lone":
        return places[rng.random(places.size) < rng.uniform(0.35, 0.9)]
    land = texture(rng, side=64, grain=rng.uniform(7, 14))
    spots = np.clip(places / layout.side * 63, 0, None)
    column, row = (np.clip(part, 0, 63).astype(int) for part in (spots.real, spots.imag))
    height = land[row, column]
    return places[height >= np.quantile(height, rng.uniform(0.2, 0.6))] if places.size else places


def _apart(places: Places, least: float) -> Places:
    """Drop each place that lies nearer than ``least`` to one kept before."""
    near = np.abs(places[:, None] - places[None, :]) < least
    kept = np.zeros(places.size, bool)
    for index in range(places.size):
        kept[index] = not (near[index] & kept).any()
    return places[kept]


def _phases(centres: Places, layout: Layout, rng: np.random.Generator) -> NDArray[np.int64]:
    shares = np.array([0.0, 0.5, 0.2, 0.3]) * layout.dividing
    shares = np.append(shares, layout.dying)
    shares[0] = 1 - shares.sum()
    phase = rng.choice(len(Phase), size=centres.size, p=shares)
    middle = 0.5 * layout.side * (1 + 1j)
    by_distance = np.argsort(np.abs(centres - middle) + rng.uniform(0, 0.35 * layout.side, centres.size))
    forced = [Phase.METAPHASE] * layout.must_divide + [Phase.ANAPHASE] * (layout.must_divide and rng.random() < 0.3)
    forced += [Phase.DAUGHTER] * (layout.must_part * int(rng.integers(1, 4)))
    for cell, kind in zip(by_distance, forced, strict=False):
        phase[cell] = kind
    return phase


def _split_pairs(
    centres: Places, phase: NDArray[np.int64], layout: Layout, rng: np.random.Generator
) -> tuple[Places, NDArray[np.int64], Places]:
    """Replace each parting cell by two daughters that face each other."""
    parting = phase == Phase.DAUGHTER
    count = int(parting.sum())
    reach = rng.uniform(0.62, 1.05, count) * layout.line.nucleus / layout.pixel
    shift = reach * np.exp(1j * rng.uniform(0, 2 * np.pi, count))
    ones, others = centres[parting] + shift, centres[parting] - shift
    rest = centres[~parting]
    pairs = np.concatenate([ones, others])
    crowded = (np.abs(rest[:, None] - pairs[None, :]) < 0.8 * layout.line.nucleus / layout.pixel).any(axis=1)
    crowded &= phase[~parting] == Phase.RESTING
    rest, resting = rest[~crowded], phase[~parting][~crowded]
    sister = np.concatenate([np.full(rest.size, np.nan + 0j), others, ones])
    return np.concatenate([rest, pairs]), np.concatenate([resting, np.full(2 * count, Phase.DAUGHTER)]), sister


def _shape(
    centres: Places, phase: NDArray[np.int64], sister: Places, layout: Layout, rng: np.random.Generator
) -> Cells:
    line, count = layout.line, centres.size
    rounded = np.isin(phase, (Phase.METAPHASE, Phase.ANAPHASE, Phase.DYING))
    common = rng.uniform(0, np.pi)
    radius = 0.5 * line.nucleus / layout.pixel * np.exp(rng.normal(0, 0.12, count))
    radius = np.where(phase == Phase.DAUGHTER, 0.72 * radius, radius)
    stretch = np.where(rounded, 1.0, np.clip(line.stretch * np.exp(rng.normal(0, 0.12, count)), 1.0, 2.0))
    body_axes = _body_axes(radius, phase, rounded, layout, rng)
    lobed = np.where(rng.random(count) < 0.08, 0.16, 0.035)
    aside = np.where(rounded, 0, 0.22) * (np.sqrt(body_axes.prod(axis=1)) - radius)
    return Cells(
        phase=phase,
        nucleus=centres,
        nucleus_axes=_half_axes(np.where(rounded, 0.8 / layout.pixel, radius), stretch),
        nucleus_outline=_terms(rng, count, np.array([1.0, 0.6])) * lobed[:, None],
        second=_second_nuclei(radius, phase, rng),
        body=centres + aside * _unit(rng, count),
        body_axes=body_axes,
        body_outline=_terms(rng, count, np.array([1.0, 0.9, 0.6])) * np.where(rounded, 0.01, line.rough)[:, None],
        angle=common + rng.normal(0, 0.2, count) if line.aligned else rng.uniform(0, np.pi, count),
        centrosome=_centrosomes(centres, radius, rounded, layout, rng),
        brightness=np.exp(rng.normal(0, rng.uniform(0.1, 0.35), count)) * np.where(rounded, 1.3, 1.0),
        sister=sister,
        arms=rng.poisson(line.arms, count) * ~rounded,
    )


def _body_axes(
    radius: Numbers, phase: NDArray[np.int64], rounded: NDArray[np.bool_], layout: Layout, rng: np.random.Generator
) -> Numbers:
    line, count = layout.line, radius.size
    stretch = np.clip(line.stretch * np.exp(rng.normal(0.05, 0.2, count)), 1.0, 3.0) * (1.7 if line.aligned else 1.0)
    spread = np.maximum(line.spread * np.exp(rng.normal(0, 0.15, count)), 1.15)
    body_radius = np.where(phase == Phase.DAUGHTER, 1.3, 1.0) * radius * spread
    body_radius = np.where(rounded, 0.62 * line.nucleus / layout.pixel, body_radius)
    return _half_axes(body_radius, np.where(rounded, 1.0, stretch))


def _half_axes(radius: Numbers, stretch: Numbers) -> Numbers:
    return np.stack([radius * np.sqrt(stretch), radius / np.sqrt(stretch)], axis=1)


def _unit(rng: np.random.Generator, count: int) -> Places:
    return np.exp(1j * rng.uniform(0, 2 * np.pi, count))


def _terms(rng: np.random.Generator, count: int, weights: Numbers) -> Places:
    drawn = rng.normal(size=(2, count, weights.size)) * weights / np.sqrt(2)
    return drawn[0] + 1j * drawn[1]


def _second_nuclei(radius: Numbers, phase: NDArray[np.int64], rng: np.random.Generator) -> Places:
    has = (rng.random(radius.size) < TWO_NUCLEI) & (phase == Phase.RESTING)
    return np.where(has, rng.uniform(1.2, 1.8, radius.size) * radius * _unit(rng, radius.size), 0)


def _centrosomes(
    nuclei: Places, radius: Numbers, rounded: NDArray[np.bool_], layout: Layout, rng: np.random.Generator
) -> Places:
    gap = radius * rng.uniform(0.85, 1.15, radius.size) + rng.exponential(1.0, radius.size) / layout.pixel
    return nuclei + np.where(rounded, 0, gap) * _unit(rng, radius.size)
