"""Near-duplicates: the same cells are found again, other cells are not."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from protloc.atlas.simulate.camera import expose
from protloc.atlas.simulate.draw import Twin, plan_fields
from protloc.atlas.simulate.staining import render_clean
from protloc.curate import duplicates
from protloc.curate.duplicates import Pairs, near_duplicates, similarity_of
from protloc.curate.hashes import thumbnails_of
from protloc.errors import ImageError

SIDE, MARGIN = 96, 4
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def scene(seed: int, *, stains: int = 4) -> np.ndarray:
    """Draw a field of soft cells with a margin around it, (stains, 104, 104) float32 in 0..200."""
    generator = np.random.default_rng(seed)
    side = SIDE + 2 * MARGIN
    image = np.zeros((stains, side, side), np.float32)
    for stain in image:
        for _ in range(30):
            centre = generator.integers(0, side, 2).tolist()
            cv2.circle(stain, centre, int(generator.integers(3, 10)), float(generator.uniform(60, 200)), -1)
    return np.stack([cv2.GaussianBlur(stain, (0, 0), 1.5) for stain in image])


def photograph(light: np.ndarray, generator: np.random.Generator, *, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Cut a field out of a scene and add the noise of a camera, (stains, 96, 96) uint8."""
    down, across = (MARGIN + step for step in shift)
    field = light[:, down : down + SIDE, across : across + SIDE]
    return to_bytes(generator.poisson(field + 4) - 4 + generator.normal(0, 2, field.shape))


def to_bytes(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def compressed(image: np.ndarray) -> np.ndarray:
    def again(stain: np.ndarray) -> np.ndarray:
        coded = cv2.imencode(".jpg", stain, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
        return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)

    return np.stack([again(stain) for stain in image])


def lit_unevenly(image: np.ndarray) -> np.ndarray:
    return to_bytes(image * np.linspace(0.8, 1.2, image.shape[-1]))


def find(fields: np.ndarray) -> Pairs:
    return near_duplicates(lambda rows: fields[rows], fields=len(fields))


def rows_of(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


CHANGES: dict[str, Change] = {
    "again": photograph,
    "quarter turn": lambda light, generator: np.rot90(photograph(light, generator), 1, (1, 2)),
    "half turn": lambda light, generator: np.rot90(photograph(light, generator), 2, (1, 2)),
    "three quarters": lambda light, generator: np.rot90(photograph(light, generator), 3, (1, 2)),
    "mirrored": lambda light, generator: photograph(light, generator)[:, :, ::-1],
    "mirrored and turned": lambda light, generator: np.rot90(photograph(light, generator)[:, :, ::-1], 1, (1, 2)),
    "shifted": lambda light, generator: photograph(light, generator, shift=(2, -2)),
    "darker": lambda light, generator: to_bytes(0.4 * photograph(light, generator)),
    "brighter": lambda light, generator: to_bytes(1.5 * photograph(light, generator).astype(float)),
    "less contrast": lambda light, generator: to_bytes(0.6 * photograph(light, generator) + 20),
    "uneven light": lambda light, generator: lit_unevenly(photograph(light, generator)),
    "compressed": lambda light, generator: compressed(photograph(light, generator)),
    "blurred": lambda light, generator: photograph(
        np.stack([cv2.GaussianBlur(s, (0, 0), 2) for s in light]), generator
    ),
    "noisy": lambda light, generator: to_bytes(photograph(light, generator) + generator.normal(0, 15, (1, SIDE, SIDE))),
    "all at once": lambda light, generator: compressed(
        to_bytes(0.7 * np.rot90(photograph(light, generator, shift=(-2, 1))[:, :, ::-1], 3, (1, 2)))
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stains", [1, 4])
def test_a_repeat_is_found(change: str, stains: int) -> None:
    generator = np.random.default_rng(0)
    scenes = [scene(seed, stains=stains) for seed in range(12)]
    fields = [photograph(light, generator) for light in scenes] + [
        CHANGES[change](light, generator) for light in scenes
    ]
    assert rows_of(find(np.stack(fields))) == [(row, row + 12) for row in range(12)]


def test_strangers_are_not_joined() -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed), generator) for seed in range(120)])
    assert len(find(fields)) == 0
    assert len(find(fields[:, :1])) == 0


def test_simulated_twins_are_found_and_other_fields_of_their_antibody_are_not() -> None:
    plans = [plan for plan in plan_fields(12, side=64, seed=3) if plan.twin is None]
    twins = [replace(plan, twin=Twin(row % 4, row % 2 == 1, (0.012, -0.02))) for row, plan in enumerate(plans[:4])]
    generator = np.random.default_rng(0)
    shown = [expose(render_clean(plan, seed=3).stains, plan.camera, rng=generator) for plan in (*plans, *twins)]
    assert len({plan.antibody.name for plan in plans}) < len(plans)
    assert rows_of(find(np.stack(shown))) == [(row, len(plans) + row) for row in range(4)]


def test_empty_fields_are_nobodys_duplicates() -> None:
    fields = np.zeros((6, 4, 48, 48), np.uint8)
    fields[3:] = 255
    assert len(find(fields)) == 0


def test_empty_fields_under_the_same_lamp_are_not_joined(monkeypatch) -> None:
    generator = np.random.default_rng(0)
    across = np.linspace(-1, 1, 64)
    lamp = 20 + 6 * (across - 0.8 * across[:, None] ** 2 - 0.8 * across**2)
    fields = to_bytes(lamp + generator.normal(0, 1, (60, 1, 64, 64)))
    assert len(find(fields)) == 0
    monkeypatch.setattr(duplicates, "SMOOTH_WAVES", 1)  # taking the mean alone away would not do
    assert len(find(fields)) > 0


def test_dark_fields_with_a_speck_are_not_joined() -> None:
    generator = np.random.default_rng(0)
    fields = np.zeros((60, 1, 64, 64), np.uint8)
    for field in fields:
        field[0, *generator.integers(0, 64, 2)] = generator.integers(60, 250)
    assert len(find(fields)) == 0


def test_a_stain_of_mere_noise_does_not_hide_a_repeat() -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed), generator) for seed in (*range(10), *range(10))])
    fields[:, 1] = to_bytes(generator.normal(5, 3, fields[:, 1].shape))
    assert rows_of(find(fields)) == [(row, row + 10) for row in range(10)]


def test_an_empty_stain_has_no_say() -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed), generator) for seed in (*range(10), *range(10))])
    fields[:10, 1] = 0
    fields[5:, 2] = 17
    assert rows_of(find(fields)) == [(row, row + 10) for row in range(10)]


def test_one_equal_stain_of_four_does_not_join() -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed), generator) for seed in range(20)])
    fields[10:, 0] = fields[:10, 0]
    assert len(find(fields)) == 0


@pytest.mark.parametrize(("stains", "side"), [(1, 32), (2, 50), (8, 64), (3, 130)])
def test_any_side_and_number_of_stains(stains: int, side: int) -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed, stains=stains), generator) for seed in (*range(6), *range(6))])
    sized = [[cv2.resize(stain, (side, side), interpolation=cv2.INTER_AREA) for stain in field] for field in fields]
    assert rows_of(find(np.array(sized))) == [(row, row + 6) for row in range(6)]


def test_equal_fields_have_similarity_one_and_less_equal_ones_less() -> None:
    generator = np.random.default_rng(0)
    light = scene(0)
    field = photograph(light, generator)
    pairs = find(np.stack([field, photograph(light, generator), field]))
    assert rows_of(pairs) == [(0, 1), (0, 2), (1, 2)]
    assert pairs.similarity[1] == pytest.approx(1, abs=1e-5)
    assert pairs.similarity[0] == pytest.approx(pairs.similarity[2], abs=1e-5)
    assert 0.5 < pairs.similarity[0] < 0.999


def test_a_crowd_of_repeats_is_joined() -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(0), generator) for _ in range(40)])
    pairs = find(fields)
    joined = coo_array((np.ones(len(pairs)), (pairs.first, pairs.second)), shape=(40, 40))
    assert connected_components(joined, directed=False)[0] == 1


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(9)))
def test_the_order_of_the_fields_does_not_matter(order: list[int]) -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed), generator) for seed in (0, 1, 2, 3, 4, 0, 1, 2, 0)])
    there, shuffled = find(fields), find(fields[order])
    back = sorted(tuple(sorted((order[one], order[other]))) for one, other in rows_of(shuffled))
    assert rows_of(there) == back == [(0, 5), (0, 8), (1, 6), (2, 7), (5, 8)]


def test_the_same_fields_give_the_same_pairs_in_any_batches(monkeypatch) -> None:
    generator = np.random.default_rng(0)
    fields = np.stack([photograph(scene(seed), generator) for seed in (*range(7), *range(7))])
    whole = find(fields)
    monkeypatch.setattr(duplicates, "_BATCH_BYTES", 3 * fields[0].nbytes)
    monkeypatch.setattr(duplicates, "_PAIRS", 2)
    asked, told = [], []

    def images(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return fields[rows]

    batches = near_duplicates(images, fields=14, progress=lambda done, of: told.append((done, of)))
    assert rows_of(batches) == rows_of(whole)
    np.testing.assert_allclose(batches.similarity, whole.similarity, atol=1e-5)
    assert max(asked) == 3
    assert told == [(3, 14), (6, 14), (9, 14), (12, 14), (14, 14)]


def test_no_field_and_one_field_have_no_duplicates() -> None:
    assert len(near_duplicates(lambda rows: np.zeros((len(rows), 4, 32, 32), np.uint8), fields=0)) == 0
    assert len(find(photograph(scene(0), np.random.default_rng(0))[None])) == 0


def test_fields_that_are_not_bytes_are_refused() -> None:
    with pytest.raises(ImageError, match="float64: expected"):
        find(np.zeros((3, 4, 32, 32)))


def test_similarity_is_symmetric_and_outlives_a_shift() -> None:
    generator = np.random.default_rng(0)
    light = scene(0)
    still, moved = (thumbnails_of(photograph(light, generator, shift=(0, step))[None]) for step in (0, 4))
    assert similarity_of(still, moved) == pytest.approx(similarity_of(moved, still), abs=1e-5)
    assert similarity_of(still, moved)[0] > 0.7


def test_similarity_at_rest_is_the_correlation_of_gradients(monkeypatch) -> None:
    # with nothing to look for but the place itself, each stain's detail correlates as numpy says
    monkeypatch.setattr(duplicates, "_DOWN", np.ones((1, 32), np.complex64))
    monkeypatch.setattr(duplicates, "_ACROSS", duplicates._TIMES[:, None].astype(np.complex64))
    monkeypatch.setattr(duplicates, "SMOOTH_WAVES", 1)
    generator = np.random.default_rng(0)
    one, other = (generator.integers(0, 256, (1, 2, 32, 32), dtype=np.uint8) for _ in range(2))
    mixed = ((one.astype(int) + other) // 2).astype(np.uint8)
    expected = np.mean([np.corrcoef(gradient(one[0, s]), gradient(mixed[0, s]))[0, 1] for s in range(2)])
    assert similarity_of(one, mixed)[0] == pytest.approx(expected, abs=1e-4)


def gradient(thumbnail: np.ndarray) -> np.ndarray:
    """Return both derivatives of a thumbnail, which is periodic to the Fourier transform, in one row."""
    waves = np.fft.fftfreq(32)
    spectrum = np.fft.fft2(thumbnail.astype(float))
    parts = [np.fft.ifft2(1j * spectrum * each).ravel() for each in (waves[:, None], waves[None])]
    return np.concatenate([np.concatenate([part.real, part.imag]) for part in parts])
