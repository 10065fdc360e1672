"""Cells of a field: where they lie, how they are shaped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.outlines import Outlines, draw_dents, draw_tips, draw_waves, outlines_of
from protloc.atlas.simulate.textures import texture

Places = NDArray[np.complex128]  # positions in the field, x + iy, in pixels
Numbers = NDArray[np.float64]

NUCLEI_APART = 0.9  # least distance of two nuclei, in mean diameters
WIDEST, LONG = 0.5, 0.6  # of the way to the next nucleus: mean and longest half axis of a nucleus
LONGEST = 2.4  # axis ratio of a nucleus
TWO_NUCLEI = 0.05  # share of cells with two
GIANTS = 0.03  # share of cells with a nucleus half as wide again
ALIGNED_FIELDS = 0.2  # share of fields of long cells in which they lie side by side
ODD_NUCLEI = (0.08, 0.6)  # share of lobed nuclei in most fields, in a tenth of them
CLOSED = 1.3  # cells of a sheet are this much wider than lone ones, so that they meet
SPACINGS = {"sheet": (1.6, 1.95), "islands": (1.55, 1.85), "lone": (2.0, 3.2)}  # in radii of a cell


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
        tips: Mean number of pointed tips a cell.
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
    tips: float = 0.4


CELL_LINES = (
    CellLine("U-2 OS", 17.0, 1.4, 2.6, 0.13, 0.42, 0.10, arms=0.15, tips=1.8),
    CellLine("A-431", 14.5, 1.20, 1.65, 0.07, 0.55, 0.35),
    CellLine("MCF7", 14.0, 1.20, 1.6, 0.07, 0.45, 0.45),
    CellLine("U-251 MG", 16.0, 1.6, 2.4, 0.15, 0.35, 0.10, arms=0.4, tips=2.2),
    CellLine("HeLa", 15.0, 1.5, 2.05, 0.11, 0.42, 0.20, arms=0.1, tips=1.5),
    CellLine("HEK 293", 12.8, 1.25, 1.55, 0.10, 0.40, 0.50, arms=0.3, tips=1.5),
    CellLine("SH-SY5Y", 11.5, 1.55, 1.7, 0.14, 0.20, 0.40, arms=1.2, tips=1.8),
    CellLine("PC-3", 15.5, 1.5, 2.0, 0.12, 0.45, 0.15, arms=0.2, tips=1.5),
    CellLine("HaCaT", 14.5, 1.20, 1.7, 0.06, 0.65, 0.30),
    CellLine("BJ", 16.5, 1.70, 2.6, 0.07, 0.38, 0.05, aligned=True, arms=0.2, tips=2.0),
    CellLine("RT4", 13.0, 1.20, 1.5, 0.08, 0.35, 0.60),
    CellLine("K-562", 12.8, 1.08, 1.3, 0.03, 0.05, 0.15, tips=0.0),
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
        nucleus_outline: Radius of the nucleus over the directions from its long axis, against its ellipse,
            shape (cells, DIRECTIONS).
        second: Offset of a second nucleus, 0 where there is none.
        body: Centre of the cell.
        body_axes: Half axes of the cell, shape (cells, 2).
        body_outline: Radius of the cell over the directions from its long axis, against its ellipse.
        bend: How far cell and nucleus are bent, in half short axes at the end of the long one.
        angle: Direction of the long axis.
        centrosome: Its place; between the poles in mitosis.
        brightness: Strength of the cell in all stains.
        sister: For a daughter, the place of its sister's nucleus; nan for the others.
        arms: How many thin processes it has.
    """

    phase: NDArray[np.int64]
    nucleus: Places
    nucleus_axes: Numbers
    nucleus_outline: Outlines
    second: Places
    body: Places
    body_axes: Numbers
    body_outline: Outlines
    bend: Numbers
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
    jitter = rng.normal(0, 0.22 * spacing, (2, grid.size))
    turned = ((grid - grid.mean()) * closer + jitter[0] + 1j * jitter[1]) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    inside = np.maximum(np.abs(turned.real), np.abs(turned.imag)) < middle.real + 0.7 * radius * line.stretch
    places = _thinned(middle + turned[inside], layout, rng)
    seen = np.maximum(np.abs((places - middle).real), np.abs((places - middle).imag)) < 0.9 * middle.real
    return places if seen.any() else np.append(places, middle)


def _thinned(places: Places, layout: Layout, rng: np.random.Generator) -> Places:
    if layout.order == "sheet":
        return places[rng.random(places.size) < 0.98]
    if layout.order == "lone":
        return places[rng.random(places.size) < rng.uniform(0.45, 0.95)]
    land = texture(rng, side=64, grain=rng.uniform(7, 14))
    spots = np.clip(places / layout.side * 63, 0, None)
    column, row = (np.clip(part, 0, 63).astype(int) for part in (spots.real, spots.imag))
    height = land[row, column]
    return places[height >= np.quantile(height, rng.uniform(0.25, 0.7))] if places.size else places


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
    radius = 0.5 * line.nucleus / layout.pixel * np.exp(rng.normal(0, rng.uniform(0.07, 0.18), count))
    radius = np.where(phase == Phase.DAUGHTER, 0.72 * radius, radius)
    radius *= np.where((rng.random(count) < GIANTS) & (phase == Phase.RESTING), 1.5, 1.0)
    room = _nearest(centres)
    radius = np.minimum(radius, WIDEST * room)
    body_axes = _body_axes(radius, phase, rounded, layout, rng)
    longer = np.sqrt(body_axes[:, 0] / body_axes[:, 1] / line.stretch)  # long cells have long nuclei
    stretch = np.clip(line.stretch * longer * np.exp(rng.normal(0, 0.13, count)), 1.0, LONGEST)
    stretch = np.where(rounded, 1.0, np.clip(stretch, 1.0, np.maximum((LONG * room / radius) ** 2, 1.0)))
    nucleus_axes = _half_axes(np.where(rounded, 0.8 / layout.pixel, radius), stretch)
    angle = _angles(centres, layout, rng)
    aside = np.where(rounded, 0, 0.22) * (np.sqrt(body_axes.prod(axis=1)) - radius)
    return Cells(
        phase=phase,
        nucleus=centres,
        nucleus_axes=nucleus_axes,
        nucleus_outline=_nucleus_outlines(phase, rng),
        second=_second_nuclei(radius, phase, rng),
        body=centres + aside * _unit(rng, count),
        body_axes=body_axes,
        body_outline=_body_outlines(phase, rounded, layout, rng),
        bend=np.where(rounded, 0, rng.normal(0, 0.16, count)),
        angle=angle,
        centrosome=_centrosomes(centres, nucleus_axes, angle, rounded, layout, rng),
        brightness=np.exp(rng.normal(0, rng.uniform(0.15, 0.5), count)) * np.where(rounded, 1.3, 1.0),
        sister=sister,
        arms=rng.poisson(line.arms, count) * ~rounded,
    )


def _nearest(places: Places) -> Numbers:
    """Return the distance of each place to the next one."""
    gaps = np.abs(places[:, None] - places[None, :])
    np.fill_diagonal(gaps, np.inf)
    return gaps.min(axis=1, initial=1e6)


def _angles(centres: Places, layout: Layout, rng: np.random.Generator) -> Numbers:
    """Draw the direction of each cell; where they lie side by side it turns slowly over the field."""
    line = layout.line
    if not line.aligned and (line.stretch < 1.35 or rng.random() >= ALIGNED_FIELDS):
        return rng.uniform(0, np.pi, centres.size)
    turning = (centres * np.exp(1j * rng.uniform(0, 2 * np.pi))).real / layout.side
    return rng.uniform(0, np.pi) + rng.normal(0, 0.4) * turning + rng.normal(0, 0.17, centres.size)


def _nucleus_outlines(phase: NDArray[np.int64], rng: np.random.Generator) -> Outlines:
    """Draw smooth nuclei, and among them some with one to three deep dents."""
    odd = rng.random(phase.size) < ODD_NUCLEI[int(rng.random() < 0.1)]
    dents = np.where(odd & (phase == Phase.RESTING), rng.integers(1, 4, phase.size), 0)
    waves = draw_waves(rng, np.full((phase.size, 1), 0.045) * np.array([0.5, 0.9, 0.4]))
    return outlines_of(waves, draw_dents(rng, dents, depth=(0.1, 0.38)))


def _body_outlines(
    phase: NDArray[np.int64], rounded: NDArray[np.bool_], layout: Layout, rng: np.random.Generator
) -> Outlines:
    """Draw cells with bays and pointed tips; dividing ones are round, dying ones throw blebs."""
    waves = draw_waves(rng, np.where(rounded, 0.02, layout.line.rough)[:, None] * np.array([1.0, 0.9, 0.6]))
    tips = np.where(rounded, 0, np.minimum(rng.poisson(layout.line.tips * rng.uniform(0.4, 1.8), phase.size), 4))
    blebs = np.where(phase == Phase.DYING, rng.integers(2, 7, phase.size), 0)
    return outlines_of(waves, draw_tips(rng, tips), draw_dents(rng, blebs, depth=(-0.45, -0.15)))


def _body_axes(
    radius: Numbers, phase: NDArray[np.int64], rounded: NDArray[np.bool_], layout: Layout, rng: np.random.Generator
) -> Numbers:
    line, count = layout.line, radius.size
    stretch = np.clip(line.stretch * np.exp(rng.normal(0.1, 0.32, count)), 1.0, 3.5) * (1.7 if line.aligned else 1.0)
    spread = np.maximum(line.spread * np.exp(rng.normal(0, rng.uniform(0.12, 0.35), count)), 1.2)
    spread *= CLOSED if layout.order == "sheet" else 1.0
    body_radius = np.where(phase == Phase.DAUGHTER, 1.3, 1.0) * radius * spread
    body_radius = np.where(rounded, 0.62 * line.nucleus / layout.pixel, body_radius)
    return _half_axes(body_radius, np.where(rounded, 1.0, stretch))


def _half_axes(radius: Numbers, stretch: Numbers) -> Numbers:
    return np.stack([radius * np.sqrt(stretch), radius / np.sqrt(stretch)], axis=1)


def _unit(rng: np.random.Generator, count: int) -> Places:
    return np.exp(1j * rng.uniform(0, 2 * np.pi, count))


def _second_nuclei(radius: Numbers, phase: NDArray[np.int64], rng: np.random.Generator) -> Places:
    has = (rng.random(radius.size) < TWO_NUCLEI) & (phase == Phase.RESTING)
    return np.where(has, rng.uniform(1.2, 1.8, radius.size) * radius * _unit(rng, radius.size), 0)


def _centrosomes(
    nuclei: Places,
    axes: Numbers,
    angle: Numbers,
    rounded: NDArray[np.bool_],
    layout: Layout,
    rng: np.random.Generator,
) -> Places:
    """Place each beside its nucleus, more often towards an end of the cell than towards a flank."""
    around = _unit(rng, nuclei.size)
    edge = axes[:, 0] * around.real + 1j * axes[:, 1] * around.imag
    gap = np.abs(edge) * rng.uniform(0.9, 1.12, nuclei.size) + rng.exponential(1.0, nuclei.size) / layout.pixel
    return nuclei + np.where(rounded, 0, gap) * edge / np.abs(edge) * np.exp(1j * angle)
