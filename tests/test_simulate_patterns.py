"""The 28 protein patterns: light where the compartment is, and nowhere else."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from protloc.atlas.simulate.cells import CELL_LINES, Layout, Phase
from protloc.atlas.simulate.geometry import build_frame
from protloc.atlas.simulate.landmarks import draw_reticulum, grow_microtubules
from protloc.atlas.simulate.patterns import PATTERNS
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


def scene_of(*, seed: int = 0, style: int = 0) -> Scene:
    layout = Layout(
        CELL_LINES[0], 164 / 1.3 / SIDE, SIDE, "sheet", dividing=0.0, dying=0.0, must_divide=True, must_part=True
    )
    rng = np.random.default_rng(seed)
    frame = build_frame(layout, rng)
    return Scene(frame, grow_microtubules(frame, rng), draw_reticulum(frame, rng), rng, np.random.default_rng(style))


def light_of(name: str, scene: Scene) -> NDArray[np.float64]:
    return np.maximum(PATTERNS[name](scene), 0).astype(np.float64)


def share(light: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    return float(light[where].sum() / light.sum())


def count_dots(name: str) -> int:
    light = ndimage.gaussian_filter(light_of(name, scene_of()), 0.7)
    peaks = (light == ndimage.maximum_filter(light, 3)) & (light > 0.15 * np.quantile(light, 0.999))
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


@pytest.mark.parametrize("name", NUCLEAR)
def test_nuclear_patterns_lie_in_nuclei(name: str) -> None:
    scene = scene_of()
    assert share(light_of(name, scene), scene.frame.nuclear < 0.7) > 0.9


@pytest.mark.parametrize("name", CYTOPLASMIC)
def test_cytoplasmic_patterns_lie_outside_nuclei(name: str) -> None:
    scene = scene_of()
    assert share(light_of(name, scene), scene.frame.nuclear > -0.5) > 0.8


def test_nucleoplasm_spares_the_nucleoli_and_nucleoli_fill_them() -> None:
    scene = scene_of()
    nucleus, bodies = scene.frame.nuclear < -1, scene.frame.nucleoli > 0.9
    plasm, nucleoli = light_of("Nucleoplasm", scene), light_of("Nucleoli", scene)
    assert plasm[bodies].mean() < 0.5 * plasm[nucleus & ~bodies].mean()
    assert nucleoli[bodies].mean() > 2 * nucleoli[nucleus & (scene.frame.nucleoli < 0.1)].mean()


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
    scene = scene_of()
    contact = scene.frame.contact < 1.5
    assert share(light_of("Cell junctions", scene), contact) > 0.6
    rim = light_of("Plasma membrane", scene)
    free = (scene.frame.edge < 0.8) & (scene.frame.edge > 0) & (scene.frame.contact > 3)
    inner = scene.frame.edge > 4
    assert rim[free].mean() > 1.3 * rim[inner].mean()


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
        light = light_of(name, scene_of(seed=3))
        return float((light > 0.3 * light.max()).sum() / max(ndimage.label(light > 0.3 * light.max())[1], 1))

    assert width("Microtubule organizing center") > 2 * width("Centrosome")


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
    assert count_dots("Peroxisomes") > 2 * count_dots("Cytoplasmic bodies")
    scene = scene_of()
    outside = scene.frame.nuclear > 0.5
    crowd, even = (light_of(name, scene)[outside] for name in ("Lysosomes", "Peroxisomes"))
    away = scene.frame.nuclear[outside].clip(0, 30)
    assert np.average(away, weights=crowd) < np.average(away, weights=even)


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
