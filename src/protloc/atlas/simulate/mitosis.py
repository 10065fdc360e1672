"""Chromosomes, spindles, bridges: the same in every stain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Cells, Numbers, Phase, Places
from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import blur, dots, splat
from protloc.atlas.simulate.textures import FloatImage

TYPICAL_RADIUS = 10.5  # µm; of a rounded U-2 OS cell, for which the lengths below hold
PLATE = 5.8  # µm; half the width of a metaphase plate
CHROMOSOMES = 44
ARM_POINTS = 6  # drawn along each
CONDENSED_AREA = 52.0  # µm²; over which the chromosomes of a cell would lie, were they laid out evenly
CONDENSED = 1.5  # brightness of condensed chromosomes, where that of a resting nucleus is 1
FIBRES, RAYS = 46, 22  # of a spindle, and astral ones of its two poles
COURSE = 49  # points along a bridge


@dataclass(frozen=True)
class Mitoses:
    """The cells with a spindle, one entry a cell; how far each has come follows from its place alone.

    Attributes:
        rows: Their rows among the cells.
        middle: Middle of the spindle in pixels.
        along: Vector of 1 µm in pixels from the middle towards one pole, shorter where the spindle is tilted.
        across: Vector of 1 µm in pixels along the plate.
        aligned: Whether the chromosomes have reached the plate; a loose ball of them in prometaphase.
        apart: Half the distance in µm between the two sets of chromosomes, 0 before anaphase.
        pole: Distance of the poles from the middle, in µm.
    """

    rows: NDArray[np.intp]
    middle: Places
    along: Places
    across: Places
    aligned: NDArray[np.bool_]
    apart: Numbers
    pole: Numbers

    @property
    def poles(self) -> Places:
        """Return the two poles of every spindle in pixels, shape (2 · cells,)."""
        reach = self.pole * self.along
        return np.concatenate([self.middle + reach, self.middle - reach])


def find_mitoses(frame: Frame) -> Mitoses:
    """Tell of every dividing cell of a field how its spindle stands."""
    cells, pixel = frame.cells, frame.pixel
    rows = np.flatnonzero((cells.phase == Phase.METAPHASE) | (cells.phase == Phase.ANAPHASE))
    rng = _chance(cells.angle[rows])
    size = np.clip(cells.body_axes[rows].mean(axis=1) * pixel / TYPICAL_RADIUS, 0.7, 1.25) / pixel
    turn = np.exp(1j * cells.angle[rows])
    parting = cells.phase[rows] == Phase.ANAPHASE
    apart = np.where(parting, rng.uniform(2.2, 5.0, rows.size), 0.0)
    return Mitoses(
        rows=rows,
        middle=cells.nucleus[rows],
        along=1j * turn * size * np.where(rng.random(rows.size) < 0.3, rng.uniform(0.4, 0.9, rows.size), 1.0),
        across=turn * size,
        aligned=parting | (rng.random(rows.size) < 0.7),
        apart=apart,
        pole=np.where(parting, np.maximum(5.4, apart + 1.4), rng.uniform(4.2, 5.6, rows.size)),
    )


def chromosomes(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw condensed chromosomes: loose balls, ragged plates, parting sets, and the clumps of dying nuclei.

    Returns:
        Array of shape (side, side), float32; :data:`CONDENSED` where they lie densely.
    """
    mitoses = find_mitoses(frame)
    places = _place(mitoses, *_chromosome_arms(mitoses, rng))
    each = CONDENSED_AREA / CHROMOSOMES / ARM_POINTS / frame.pixel**2
    light = np.broadcast_to(each * np.exp(rng.normal(0, 0.35, (*places.shape[:2], 1))), places.shape)
    drawn = splat(places.ravel(), light.ravel(), side=frame.side)
    condensed = CONDENSED * (1 - np.exp(-blur(drawn, max(0.28 / frame.pixel, 0.45))))
    return condensed + np.minimum(_clumps(frame, rng), 1.6)


def _chromosome_arms(mitoses: Mitoses, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Return points on the chromosomes' arms across and along the spindle in µm, (cells, chromosomes, points) each."""
    shape = (mitoses.rows.size, CHROMOSOMES, 1)
    apart = mitoses.apart[:, None, None]
    side = np.where(np.arange(CHROMOSOMES) % 2, 1.0, -1.0)[:, None]
    ball = np.sqrt(rng.uniform(0.04, 1.0, shape)) * 5.2 * np.exp(1j * rng.uniform(0, 2 * np.pi, shape))
    stray = rng.random(shape) < np.where(apart > 0, 0.0, 0.05)
    loose = stray | ~mitoses.aligned[:, None, None]
    width = rng.uniform(-1, 1, shape) * (PLATE - 0.25 * apart)
    bent = apart + 0.03 * width**2 * (apart > 0)  # each set bends towards its pole
    depth = side * bent + rng.normal(0, 1.0, shape) * np.where(apart > 0, 0.5, 0.85)
    lean = np.where(loose, rng.uniform(-np.pi, np.pi, shape), rng.normal(np.pi / 2, 0.7, shape))
    arm = np.linspace(-0.5, 0.5, ARM_POINTS) * rng.uniform(1.0, 2.8, shape)
    across = np.where(loose, ball.real, width) + arm * np.cos(lean)
    return across, np.where(loose, ball.imag, depth) + arm * np.sin(lean)


def _clumps(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw the fragments of dying nuclei, a few large among many small."""
    cells, pixel = frame.cells, frame.pixel
    dying = np.repeat(np.flatnonzero(cells.phase == Phase.DYING), 18)
    spread = np.exp(_chance(cells.angle).normal(0, 0.35, len(cells)))[dying]
    around = rng.normal(0, 2.4, (2, dying.size)) * spread
    bits = cells.nucleus[dying] + (around[0] + 1j * around[1]) / pixel
    sizes = np.exp(rng.normal(-0.6, 0.45, bits.size)) / pixel
    return dots(bits, sizes=sizes, heights=np.exp(rng.normal(-0.1, 0.3, bits.size)), side=frame.side)


def spindles(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw fans of fibres between two poles, brightest from pole to chromosomes, with short fuzzy astral rays.

    Returns:
        Array of shape (side, side), float32; the brightest is 1.
    """
    mitoses = find_mitoses(frame)
    if not mitoses.rows.size:
        return np.zeros((frame.side, frame.side), np.float32)
    points = max(int(14 / frame.pixel), 12)
    way = np.linspace(-1, 1, points)[None, None, :]
    pole = mitoses.pole[:, None, None]
    shape = (mitoses.rows.size, FIBRES, 1)
    bulge = rng.normal(0, 2.2, shape) * np.sqrt(np.maximum(1 - way**2, 0)) + rng.normal(0, 0.25, shape)
    held = rng.random(shape) < 0.6  # these end at the chromosomes
    reach = np.maximum(mitoses.apart, 0.3)[:, None, None] / pole
    fans = _place(mitoses, bulge, pole * way)
    light = np.where(held & (np.abs(way) < reach), 0.0, 0.5 + 0.5 * np.abs(way))
    level = np.exp(rng.normal(0, 0.25, (mitoses.rows.size, 1, 1)))
    rays, fading = _astral_rays(mitoses, rng)
    image = splat(fans.ravel(), (light * level).ravel(), side=frame.side)
    image += splat(rays.ravel(), (fading * level * points / 14).ravel(), side=frame.side)
    image = blur(image, 0.35 / frame.pixel) + 0.5 * blur(image, 1.1 / frame.pixel)  # most of it is out of focus
    return image / max(float(image.max()), 1e-6)


def _astral_rays(mitoses: Mitoses, rng: np.random.Generator) -> tuple[Places, Numbers]:
    """Return points on rays from the poles and the light of each, shape (cells, rays, points)."""
    shape = (mitoses.rows.size, RAYS, 1)
    side = np.where(np.arange(RAYS) % 2, 1.0, -1.0)[:, None]
    out = np.linspace(0, 1, 9) * rng.uniform(0.8, 3.4, shape)
    lean = rng.normal(0, 1.1, shape) + rng.normal(0, 0.15, shape) * out
    places = _place(mitoses, out * np.sin(lean), side * (mitoses.pole[:, None, None] + out * np.cos(lean)))
    return places, 0.9 * np.exp(-out / 1.3)


def _place(mitoses: Mitoses, across: Numbers, along: Numbers) -> Places:
    axes = mitoses.across[:, None, None], mitoses.along[:, None, None]
    return mitoses.middle[:, None, None] + across * axes[0] + along * axes[1]


def bridge_courses(frame: Frame) -> Places:
    """Return points along the bent bridge of every pair of daughters, from one nuclear edge to the other.

    Returns:
        Array of shape (pairs, :data:`COURSE`), complex, in pixels; the midbody lies at the middle point.
    """
    cells = frame.cells
    rows = _one_of_each_pair(cells)
    start, end = cells.nucleus[rows], cells.sister[rows]
    rng = _chance(cells.angle[rows])
    gap = np.abs(end - start)
    edge = np.minimum(cells.nucleus_axes[rows].mean(axis=1) / np.maximum(gap, 1.0), 0.4)[:, None]
    way = edge + (1 - 2 * edge) * np.linspace(0, 1, COURSE)
    sag, wave = rng.normal(0, 0.1, (rows.size, 1)), rng.normal(0, 0.05, (rows.size, 1))
    aside = sag * np.sin(np.pi * way) + wave * np.sin(2 * np.pi * way)
    return start[:, None] + (end - start)[:, None] * (way + 1j * aside)


def _one_of_each_pair(cells: Cells) -> NDArray[np.intp]:
    rows = np.flatnonzero((cells.phase == Phase.DAUGHTER) & ~np.isnan(cells.sister.real))
    return rows[cells.nucleus[rows].real < cells.sister[rows].real]


def bridges(frame: Frame, *, reach: float, gap: float, width: float) -> FloatImage:
    """Draw the bundles that join daughters, brightest beside the middle.

    Args:
        frame: The geometry.
        reach: How far from the middle the light falls to a third, in µm.
        gap: How much darker the middle is, 0 to 1; below 0 it is brighter.
        width: Gaussian standard deviation of the bundle in µm.

    Returns:
        Array of shape (side, side), float32; about 1 where brightest.
    """
    courses = bridge_courses(frame)
    if not courses.size:
        return np.zeros((frame.side, frame.side), np.float32)
    away = np.abs(courses - courses[:, COURSE // 2 : COURSE // 2 + 1]) * frame.pixel
    level = np.exp(_chance(courses[:, 0].real).normal(0, 0.4, (len(courses), 1)))
    light = np.exp(-((away / reach) ** 1.5)) * (1 - gap * np.exp(-((away / 0.7) ** 2))) * level
    step = np.abs(np.diff(courses, axis=1)).mean(axis=1, keepdims=True)
    line = splat(courses.ravel(), (light * step).ravel(), side=frame.side)
    sigma = max(width / frame.pixel, 0.45)
    return blur(line, sigma) * np.float32(np.sqrt(2 * np.pi) * width / frame.pixel)


def _chance(numbers: Numbers) -> np.random.Generator:
    """Return chance that depends on these numbers alone: one cell looks alike in every stain."""
    return np.random.default_rng([0, *np.ascontiguousarray(numbers, np.float64).view(np.uint64).tolist()])
