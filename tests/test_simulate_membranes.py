"""Membranes and landmark stains: variants by antibody, light where the organelle lies."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from protloc.atlas.simulate.cells import CELL_LINES, Layout
from protloc.atlas.simulate.geometry import Frame, build_frame
from protloc.atlas.simulate.landmarks import blue_stain, draw_reticulum, grow_microtubules, red_stain, yellow_stain
from protloc.atlas.simulate.patterns import PATTERNS
from protloc.atlas.simulate.scene import Scene

SIDE = 192


def frame_of(seed: int = 0, *, line: int = 0, order: str = "sheet") -> Frame:
    return build_frame(Layout(CELL_LINES[line], 0.5, SIDE, order, 0.0, 0.0), np.random.default_rng(seed))


def light_of(name: str, frame: Frame, *, style: int = 0, seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    scene = Scene(frame, grow_microtubules(frame, rng), draw_reticulum(frame, rng), rng, np.random.default_rng(style))
    return np.maximum(PATTERNS[name](scene), 0).astype(np.float64)


def share(light: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    return float(light[where].sum() / light.sum())


def fineness(light: NDArray[np.float64]) -> float:
    """Return how much of the contrast is finer than 1 µm."""
    return float((light - ndimage.gaussian_filter(light, 2)).std() / light.std())


@pytest.mark.parametrize("style", range(5))
def test_the_golgi_lies_on_the_side_of_the_centrosome(style: int) -> None:
    frame = frame_of(order="lone")
    light = light_of("Golgi apparatus", frame, style=style)
    light *= light > 0.25 * np.quantile(light, 0.999)  # without what the reticulum adds
    grid = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    nucleus, centrosome = (np.append(0, part)[frame.label] for part in (frame.cells.nucleus, frame.cells.centrosome))
    facing = ((grid - nucleus) * np.conj(centrosome - nucleus)).real > 0
    assert share(light, facing) > 0.55
    assert share(light, (frame.nuclear > -1) & (frame.nuclear < 9)) > 0.9


@pytest.mark.parametrize("name", ["Golgi apparatus", "Mitochondria", "Endoplasmic reticulum"])
def test_antibodies_differ_in_how_fine_their_pattern_is(name: str) -> None:
    frame = frame_of()
    grains = [fineness(light_of(name, frame, style=style)) for style in range(8)]
    assert max(grains) > 1.15 * min(grains)


def test_the_plasma_membrane_is_a_sheet_with_a_rim_of_varying_strength() -> None:
    frame = frame_of(order="lone")
    rim, sheet = (frame.edge > 0) & (frame.edge < 0.8), frame.edge > 4
    lights = [light_of("Plasma membrane", frame, style=style) for style in range(8)]
    ratios = [light[rim].mean() / light[sheet].mean() for light in lights]
    assert min(ratios) > 0.8
    assert max(ratios) > 1.3 * min(ratios)


def test_mitochondria_thin_out_from_the_nucleus() -> None:
    frame = frame_of()
    for style in range(5):
        light = light_of("Mitochondria", frame, style=style)
        near, far = (frame.nuclear > 0.5) & (frame.nuclear < 3), (frame.nuclear > 9) & (frame.edge > 1)
        assert light[near].mean() > light[far].mean()


def test_the_reticulum_fades_outwards_and_spares_the_nucleus() -> None:
    frame = frame_of()
    for seed in range(5):
        net = draw_reticulum(frame, np.random.default_rng(seed))
        near, far = (frame.nuclear > 0.5) & (frame.nuclear < 3), (frame.nuclear > 9) & (frame.edge < 3)
        assert net[near].mean() > net[far & (frame.label > 0)].mean()
        assert net[(frame.nuclear < -1.5) & (frame.label > 0)].mean() < 0.2 * net[near].mean()


def test_junctions_need_neighbours() -> None:
    frame = frame_of(line=1)
    light = light_of("Cell junctions", frame)
    assert light[frame.contact < 0.6].mean() > 4 * light[(frame.contact > 4) & (frame.label > 0)].mean()


def test_spikes_stand_off_free_edges_of_the_plasma_membrane() -> None:
    frame = frame_of(order="lone")
    outside = np.asarray(ndimage.minimum_filter((frame.label == 0).astype(np.uint8), 5)) > 0
    lights = [light_of("Plasma membrane", frame, style=style) for style in range(6)]
    assert max(share(light, outside) for light in lights) > 0.001
    assert max(share(light, outside) for light in lights) < 0.1


def test_microtubules_stay_in_their_cells_and_out_of_nuclei() -> None:
    frame = frame_of(order="lone")
    network = grow_microtubules(frame, np.random.default_rng(0))
    near_cells = np.asarray(ndimage.maximum_filter(frame.label, 5)) > 0
    assert share(network.image.astype(np.float64), near_cells) > 0.99
    inner = (frame.nuclear < -1) & (frame.label > 0)
    outer = (frame.nuclear > 0.5) & (frame.nuclear < 4) & (frame.label > 0)
    assert network.image[inner].mean() < 0.3 * network.image[outer].mean()
    np.testing.assert_allclose(np.abs(network.headings), 1)
    assert network.tips.shape == network.lengths.shape
    assert (network.lengths >= 0).all()


def test_microtubules_are_long() -> None:
    frame = frame_of()
    lengths = grow_microtubules(frame, np.random.default_rng(0)).lengths * frame.pixel
    assert np.median(lengths) > 4


def test_landmarks_are_finite_and_lie_on_cells() -> None:
    frame = frame_of(order="islands", line=1)
    rng = np.random.default_rng(2)
    network, net = grow_microtubules(frame, rng), draw_reticulum(frame, rng)
    stains = red_stain(frame, network, rng), yellow_stain(frame, net, rng), blue_stain(frame, rng)
    for stain in stains:
        assert stain.shape == (SIDE, SIDE)
        assert np.isfinite(stain).all()
        assert stain[frame.label == 0].max(initial=0) <= 0.02 * stain.max()
    assert share(stains[2].astype(np.float64), frame.nuclear < 0.7) > 0.95
    assert share(stains[0].astype(np.float64), frame.nuclear > -0.5) > 0.85


def test_nucleoli_are_dark_in_blue() -> None:
    frame = frame_of()
    blue = blue_stain(frame, np.random.default_rng(0))
    nucleus = (frame.nuclear < -1) & (frame.label > 0)
    assert blue[nucleus & (frame.nucleoli > 0.9)].mean() < 0.9 * blue[nucleus & (frame.nucleoli < 0.1)].mean()
