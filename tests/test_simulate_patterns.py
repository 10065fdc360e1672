"""The 28 protein patterns: light where the compartment is, and nowhere else."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from protloc.atlas.simulate.cells import CELL_LINES, Layout, Phase
from protloc.atlas.simulate.geometry import build_frame
from protloc.atlas.simulate.landmarks import draw_reticulum, grow_microtubules
from protloc.atlas.simulate.patterns import PATTERNS
from protloc.atlas.simulate.patterns.variety import crowd, grain
from protloc.atlas.simulate.scene import Scene
from protloc.atlas.vocabulary import load_vocabulary

SIDE = 192
NAMES = load_vocabulary("kaggle2018").names
NUCLEAR = (
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
)
CYTOPLASMIC = (
    "Endoplasmic reticulum",
    "Golgi apparatus",
    "Peroxisomes",
    "Endosomes",
    "Lysosomes",
    "Intermediate filaments",
    "Microtubules",
    "Microtubule ends",
    "Mitochondria",
    "Cytosol",
    "Cytoplasmic bodies",
    "Lipid droplets",
    "Aggresome",
)


def scene_of(*, seed: int = 0, style: int = 0, order: str = "sheet") -> Scene:
    layout = Layout(
        CELL_LINES[0], 164 / 1.3 / SIDE, SIDE, order, dividing=0.0, dying=0.0, must_divide=True, must_part=True
    )
    rng = np.random.default_rng(seed)
    frame = build_frame(layout, rng)
    return Scene(frame, grow_microtubules(frame, rng), draw_reticulum(frame, rng), rng, np.random.default_rng(style))


@lru_cache(maxsize=1)
def one_scene() -> Scene:
    return scene_of(seed=5)


def light_of(name: str, scene: Scene) -> NDArray[np.float64]:
    return np.maximum(PATTERNS[name](scene), 0).astype(np.float64)


def share(light: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    return float(light[where].sum() / light.sum())


def bright_share(light: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    """Return which share of the pixels at least half as bright as the brightest lie there."""
    return float(where[light > 0.5 * light.max()].mean())


def count_dots(name: str, style: int) -> int:
    light = ndimage.gaussian_filter(light_of(name, scene_of(style=style)), 0.7)
    peaks = (light == ndimage.maximum_filter(light, 3)) & (light > 0.5 * np.quantile(light, 0.999))
    return int(peaks.sum())


def test_every_compartment_has_a_pattern_and_every_pattern_a_compartment() -> None:
    assert set(PATTERNS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_pattern_says_what_it_looks_like_and_shows_something(name: str) -> None:
    description = inspect.getdoc(PATTERNS[name])
    assert description is not None
    assert description.startswith("Draw ")
    light = light_of(name, scene_of(seed=1))
    assert light.shape == (SIDE, SIDE)
    assert np.isfinite(light).all()
    assert light.max() > 0.02


@pytest.mark.parametrize("name", sorted({*NAMES} - {"Cytokinetic bridge"}))
def test_a_pattern_lies_on_cells(name: str) -> None:
    scene = scene_of(seed=2)
    near_cells = ndimage.binary_dilation(scene.frame.label > 0, iterations=4)
    assert share(light_of(name, scene), near_cells) > 0.95


@pytest.mark.parametrize("style", range(4))
@pytest.mark.parametrize("name", NUCLEAR)
def test_nuclear_patterns_are_bright_in_nuclei(name: str, style: int) -> None:
    scene = scene_of(style=style)
    light = light_of(name, scene)
    assert bright_share(light, scene.frame.nuclear < 0.7) > 0.9


@pytest.mark.parametrize("style", range(4))
@pytest.mark.parametrize("name", CYTOPLASMIC)
def test_cytoplasmic_patterns_are_bright_outside_nuclei(name: str, style: int) -> None:
    scene = scene_of(style=style)
    assert bright_share(light_of(name, scene), scene.frame.nuclear > -0.5) > 0.8


def test_nucleoplasm_spares_the_nucleoli_and_nucleoli_fill_them() -> None:
    for style in range(4):
        scene = scene_of(style=style)
        nucleus, bodies = scene.frame.nuclear < -1, scene.frame.nucleoli > 0.9
        plasm, nucleoli = light_of("Nucleoplasm", scene), light_of("Nucleoli", scene)
        assert plasm[bodies].mean() < 0.75 * plasm[nucleus & ~bodies].mean()
        assert nucleoli[bodies].mean() > 1.4 * nucleoli[nucleus & (scene.frame.nucleoli < 0.1)].mean()


def test_the_nuclear_membrane_is_a_ring() -> None:
    scene = scene_of()
    light = light_of("Nuclear membrane", scene)
    ring, middle = np.abs(scene.frame.nuclear + 0.15) < 0.3, (scene.frame.nuclear < -3) & (scene.frame.label > 0)
    assert light[ring].mean() > 2 * light[middle].mean()


def test_reticulum_follows_yellow_and_microtubules_red() -> None:
    scene = scene_of()
    for name, landmark in (("Endoplasmic reticulum", scene.reticulum), ("Microtubules", scene.microtubules.image)):
        assert np.corrcoef(light_of(name, scene).ravel(), landmark.ravel())[0, 1] > 0.8


def test_junctions_lie_at_contacts_and_the_plasma_membrane_at_all_edges() -> None:
    sheet = scene_of()
    assert share(light_of("Cell junctions", sheet), sheet.frame.contact < 1.5) > 0.6
    lone = scene_of(order="lone")
    rim = light_of("Plasma membrane", lone)
    free = (lone.frame.edge < 0.8) & (lone.frame.edge > 0) & (lone.frame.contact > 3)
    inner = lone.frame.edge > 4
    assert rim[free].mean() > 1.1 * rim[inner].mean()


@pytest.mark.parametrize("name", ["Centrosome", "Microtubule organizing center"])
def test_centrosomes_lie_where_microtubules_start_or_at_the_poles(name: str) -> None:
    scene = scene_of()
    light = light_of(name, scene)
    grid = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    dividing = np.isin(scene.cells.phase, (Phase.METAPHASE, Phase.ANAPHASE))
    away = np.min([np.abs(grid - place) for place in scene.cells.centrosome[~dividing]], axis=0) * scene.frame.pixel
    poles = np.min([np.abs(grid - place) for place in scene.cells.nucleus[dividing]], axis=0) * scene.frame.pixel
    assert share(light, (away < 3) | (poles < 9)) > 0.95


def test_the_organizing_center_is_softer_than_the_centrosome() -> None:
    def width(name: str) -> float:
        lights = [light_of(name, scene_of(seed=seed, style=seed)) for seed in range(3)]
        areas = [
            (light > 0.3 * light.max()).sum() / max(ndimage.label(light > 0.3 * light.max())[1], 1) for light in lights
        ]
        return float(np.mean(areas))

    assert width("Microtubule organizing center") > 1.3 * width("Centrosome")


def test_spindles_are_in_dividing_cells_only() -> None:
    scene = scene_of()
    light = light_of("Mitotic spindle", scene)
    grid = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    dividing = np.isin(scene.cells.phase, (Phase.METAPHASE, Phase.ANAPHASE))
    near = np.min([np.abs(grid - place) for place in scene.cells.nucleus[dividing]], axis=0) * scene.frame.pixel < 9
    assert share(light, near) > 0.99


def test_bridges_run_between_sisters() -> None:
    scene = scene_of()
    light = light_of("Cytokinetic bridge", scene)
    daughters = np.flatnonzero(scene.cells.phase == Phase.DAUGHTER)
    middles = 0.5 * (scene.cells.nucleus[daughters] + scene.cells.sister[daughters])
    grid = np.arange(SIDE)[None, :] + 1j * np.arange(SIDE)[:, None]
    near = np.min([np.abs(grid - place) for place in middles], axis=0) * scene.frame.pixel < 10
    assert share(light, near) > 0.95


def test_vesicles_differ_in_number_and_place() -> None:
    many, few = (
        np.median([count_dots(name, style) for style in range(5)]) for name in ("Peroxisomes", "Cytoplasmic bodies")
    )
    assert many > 1.4 * few
    crowded, even = (
        np.median([how_far_out(name, style) for style in range(5)]) for name in ("Lysosomes", "Peroxisomes")
    )
    assert crowded < even


def how_far_out(name: str, style: int) -> float:
    """Return the mean distance in µm of the bright pixels in the cytoplasm to the nuclear edge."""
    scene = scene_of(style=style)
    light = light_of(name, scene)
    return float(scene.frame.nuclear[(light > 0.4 * light.max()) & (scene.frame.nuclear < 100)].mean())


def test_cells_of_one_field_differ_in_their_number_of_vesicles() -> None:
    numbers = np.concatenate([crowd(scene_of(seed=seed, style=7), 20.0, 100.0) for seed in range(3)])
    assert numbers.std() > 0.2 * numbers.mean()
    assert (numbers >= 0).all()
    levels = [crowd(scene_of(style=style), 20.0, 100.0).mean() for style in range(8)]
    assert max(levels) > 2 * min(levels)


def test_the_haze_under_a_pattern_ranges_from_faint_to_strong_between_antibodies() -> None:
    def level(style: int) -> float:
        scene = scene_of(style=style)
        light = light_of("Nuclear bodies", scene)
        nuclei = scene.frame.nuclear < -0.5
        return float(np.median(light[nuclei]) / np.quantile(light[nuclei], 0.998))

    levels = [level(style) for style in range(16)]
    assert min(levels) < 0.1
    assert max(levels) > 0.15


@given(style=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_grain_has_a_mean_near_one_and_no_negative_light(style: int) -> None:
    scene = one_scene()
    light = grain(replace(scene, style=np.random.default_rng(style)))
    assert light.min() >= 0
    assert 0.4 < light.mean() < 2.5


def test_intermediate_filaments_thin_out_from_the_nucleus() -> None:
    for style in range(4):
        scene = scene_of(style=style)
        light = light_of("Intermediate filaments", scene)
        near = (scene.frame.nuclear > 0) & (scene.frame.nuclear < 3)
        far = (scene.frame.nuclear > 8) & (scene.frame.label > 0)
        assert light[near].mean() > light[far].mean()


def test_focal_adhesions_lie_near_free_edges() -> None:
    scene = scene_of()
    light = light_of("Focal adhesion sites", scene)
    patches = light > 0.5 * np.quantile(light, 0.999)
    assert np.median(scene.frame.edge[patches]) < np.median(scene.frame.edge[scene.frame.label > 0])


def test_actin_fibres_run_along_their_cell() -> None:
    light = light_of("Actin filaments", scene_of())
    tensor = [ndimage.gaussian_filter(a * b, 4) for a, b in _gradient_pairs(light)]
    coherence = np.hypot(tensor[0] - tensor[2], 2 * tensor[1]) / (tensor[0] + tensor[2] + 1e-9)
    noise = np.random.default_rng(0).random(light.shape)
    loose = [ndimage.gaussian_filter(a * b, 4) for a, b in _gradient_pairs(noise)]
    random = np.hypot(loose[0] - loose[2], 2 * loose[1]) / (loose[0] + loose[2] + 1e-9)
    assert np.median(coherence[light > light.mean()]) > 2 * np.median(random)


def _gradient_pairs(image: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    rows, columns = np.gradient(image)
    return [(rows, rows), (rows, columns), (columns, columns)]


def test_the_antibody_decides_the_variant_and_the_field_the_places() -> None:
    same = [light_of("Cytosol", scene_of(seed=4, style=1)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    variants = [light_of("Cytosol", scene_of(seed=4, style=style)) for style in range(12)]
    grain = [np.std(ndimage.gaussian_laplace(light, 1.0)) / light.mean() for light in variants]
    assert max(grain) > 1.5 * min(grain)
