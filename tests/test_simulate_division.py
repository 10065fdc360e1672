"""Dividing cells: chromosomes, spindles, bridges agree in every stain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import CELL_LINES, Layout, Phase
from protloc.atlas.simulate.geometry import Frame, build_frame
from protloc.atlas.simulate.landmarks import blue_stain, draw_reticulum, grow_microtubules, red_stain
from protloc.atlas.simulate.mitosis import COURSE, bridge_courses, bridges, chromosomes, find_mitoses, spindles
from protloc.atlas.simulate.patterns import PATTERNS
from protloc.atlas.simulate.scene import Scene

SIDE = 192
PIXEL = 0.35


def frame_of(seed: int = 0, *, dividing: bool = True) -> Frame:
    layout = Layout(CELL_LINES[0], PIXEL, SIDE, "lone", 0.0, 0.0, must_divide=dividing, must_part=dividing)
    return build_frame(layout, np.random.default_rng(seed))


def scene_of(frame: Frame, *, seed: int = 1, style: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    network, net = grow_microtubules(frame, rng), draw_reticulum(frame, rng)
    return Scene(frame, network, net, rng, np.random.default_rng(style))


def distance_to(places: NDArray[np.complex128], frame: Frame) -> NDArray[np.float64]:
    grid = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    return np.min([np.abs(grid - place) for place in places], axis=0) * frame.pixel


def in_phase(frame: Frame, phase: Phase) -> Frame:
    """Put all cells of a frame into one phase."""
    return replace(frame, cells=replace(frame.cells, phase=np.full(len(frame.cells), phase)))


def test_a_mitosis_is_the_same_whichever_stain_asks() -> None:
    frame = frame_of()
    one, other = find_mitoses(frame), find_mitoses(frame)
    np.testing.assert_array_equal(one.poles, other.poles)
    np.testing.assert_array_equal(bridge_courses(frame), bridge_courses(frame))


def test_poles_stand_across_the_plate_and_beyond_the_chromosomes() -> None:
    for phase in (Phase.METAPHASE, Phase.ANAPHASE):
        mitoses = find_mitoses(in_phase(frame_of(), phase))
        assert np.abs((mitoses.along * np.conj(mitoses.across)).real).max() < 1e-9
        assert (mitoses.pole > mitoses.apart + 1).all()
        assert ((mitoses.apart > 0) == (phase == Phase.ANAPHASE)).all()


def test_chromosomes_lie_between_the_poles_of_the_spindle() -> None:
    frame = in_phase(frame_of(), Phase.ANAPHASE)
    rng = np.random.default_rng(0)
    light, fibres = chromosomes(frame, rng), spindles(frame, rng)
    mitoses = find_mitoses(frame)
    assert light[distance_to(mitoses.middle, frame) > 11].sum() < 0.01 * light.sum()
    assert fibres[distance_to(mitoses.middle, frame) > 11].sum() < 0.01 * fibres.sum()
    sets = np.concatenate([mitoses.middle + s * mitoses.apart * mitoses.along for s in (-1, 1)])
    assert light[distance_to(sets, frame) < 1.5].mean() > 1.5 * light[distance_to(mitoses.middle, frame) < 0.6].mean()


def test_a_metaphase_plate_is_wider_across_the_spindle_than_along_it() -> None:
    frame = in_phase(frame_of(), Phase.METAPHASE)
    mitoses = find_mitoses(frame)
    light = chromosomes(frame, np.random.default_rng(0))
    grid = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    for row in np.flatnonzero(mitoses.aligned):
        off = (grid - mitoses.middle[row]) * PIXEL
        near = np.abs(off) < 8
        if near.sum() < 0.9 * np.pi * 64 / PIXEL**2 or not light[near].any():
            continue  # cut by the border
        weight = light * near
        spreads = [
            np.average((off * np.conj(axis) / np.abs(axis)).real ** 2, weights=weight)
            for axis in (mitoses.across[row], mitoses.along[row])
        ]
        assert spreads[0] > 1.5 * spreads[1]


def test_a_field_without_mitosis_has_no_spindle_bridge_or_chromosomes() -> None:
    frame = frame_of(dividing=False)
    rng = np.random.default_rng(0)
    for image in (spindles(frame, rng), chromosomes(frame, rng), bridges(frame, reach=3, gap=0.5, width=0.3)):
        assert image.shape == (SIDE, SIDE)
        assert not image.any()


@pytest.mark.parametrize("seed", range(4))
def test_a_bridge_joins_the_nuclei_of_sisters_once(seed: int) -> None:
    frame = frame_of(seed)
    courses = bridge_courses(frame)
    daughters = np.flatnonzero((frame.cells.phase == Phase.DAUGHTER) & ~np.isnan(frame.cells.sister.real))
    assert 2 * len(courses) == daughters.size
    nuclei = frame.cells.nucleus[daughters]
    for course in courses:
        ends = [np.abs(nuclei - end).min() * frame.pixel for end in (course[0], course[-1])]
        assert max(ends) < 1.6 * frame.cells.nucleus_axes[daughters].max() * frame.pixel


def test_a_bridge_has_a_dark_or_a_bright_midbody() -> None:
    frame = frame_of()
    pair = np.array([70 + 90j, 125 + 90j])
    nucleus, sister, phase = (
        frame.cells.nucleus.copy(),
        np.full(len(frame.cells), np.nan + 0j),
        frame.cells.phase.copy(),
    )
    nucleus[:2], sister[:2] = pair, pair[::-1]
    phase[:2] = Phase.DAUGHTER
    frame = replace(frame, cells=replace(frame.cells, nucleus=nucleus, sister=sister, phase=phase))
    middle = bridge_courses(frame)[:, COURSE // 2]
    beside = distance_to(middle, frame)
    ring = (beside > 0.9) & (beside < 1.6)

    def peak(gap: float) -> float:
        light = bridges(frame, reach=3.0, gap=gap, width=0.3)
        here = light[np.rint(middle.imag).astype(int), np.rint(middle.real).astype(int)]
        return float(here.mean() / light[ring].max())

    assert peak(0.9) < 0.8 < 1.2 < peak(-1.0)


def test_red_shows_the_spindle_and_blue_the_condensed_chromosomes() -> None:
    frame = frame_of()
    rng = np.random.default_rng(3)
    network = grow_microtubules(frame, rng)
    red, blue = red_stain(frame, network, rng), blue_stain(frame, rng)
    near = distance_to(find_mitoses(frame).middle, frame) < 3
    assert np.quantile(red[near], 0.9) > np.quantile(red[frame.label > 0], 0.9)
    assert np.quantile(blue[near], 0.9) > np.quantile(blue[frame.nuclear < -1], 0.9)


def test_some_antibodies_to_the_centrosome_see_both_and_most_cells_have_one() -> None:
    frame = frame_of(dividing=False)
    light = PATTERNS["Centrosome"](scene_of(frame))
    seen = frame.cells.centrosome
    inside = (np.minimum(seen.real, seen.imag) > 4) & (np.maximum(seen.real, seen.imag) < SIDE - 5)
    peaks = [
        light[int(place.imag) - 3 : int(place.imag) + 5, int(place.real) - 3 : int(place.real) + 5].max()
        for place in seen[inside]
    ]
    assert np.mean(np.array(peaks) > 0.3 * light.max()) >= 0.5


@pytest.mark.parametrize("name", ["Mitotic spindle", "Cytokinetic bridge", "Centrosome", "Cell junctions"])
def test_equal_chance_draws_equal_light(name: str) -> None:
    frame = frame_of()
    one, other = (PATTERNS[name](scene_of(frame, seed=5, style=6)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
