"""Which exposures occur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protloc.atlas.simulate.camera import Camera, expose
from protloc.atlas.simulate.exposures import FIELD_WIDTH, ZOOMS, Habits, draw_any_camera, draw_camera, draw_habits


@pytest.fixture(scope="module")
def habits() -> Sequence[Habits]:
    rng = np.random.default_rng(0)
    return [draw_habits(rng) for _ in range(2000)]


def cameras(**settings: float) -> list[Camera]:
    rng = np.random.default_rng(1)
    return [draw_camera(rng, **({"pixel": 0.32, "level": 120.0, "photons": 77.0} | settings)) for _ in range(300)]


def test_a_tenth_of_the_antibodies_is_dim_and_has_fewer_photons(habits: Sequence[Habits]) -> None:
    dim = [one for one in habits if one.dim]
    clear = [one for one in habits if not one.dim]
    assert len(dim) / len(habits) == pytest.approx(0.1, abs=0.03)
    assert np.median([one.photons for one in dim]) < 0.4 * np.median([one.photons for one in clear])
    assert np.median([one.level for one in dim]) < 0.6 * np.median([one.level for one in clear])


def test_photons_range_from_near_nothing_to_plenty(habits: Sequence[Habits]) -> None:
    low, high = np.percentile([one.photons for one in habits], [5, 95])
    assert low < 25
    assert high > 200


def test_an_exposure_keeps_the_habits_of_its_antibody() -> None:
    drawn = cameras()
    assert {camera.photons[1] for camera in drawn} == {77.0}
    assert np.median([camera.level[1] for camera in drawn]) == pytest.approx(120, rel=0.05)


def test_landmarks_are_cleaner_than_a_weak_antibody() -> None:
    photons = np.array([camera.photons for camera in cameras(photons=20.0)])
    assert (np.median(photons[:, [0, 2, 3]], axis=0) > 100).all()


def test_some_fields_were_shrunk_from_larger_ones() -> None:
    smooth = np.array([camera.smooth for camera in cameras()])
    assert 0.1 < (smooth > 0).mean() < 0.6
    assert smooth.max() < 1.5


@given(seed=st.integers(0, 2**32 - 1), side=st.sampled_from([64, 256, 512]))
def test_any_camera_depends_on_its_seed_alone_and_makes_an_image(seed: int, side: int) -> None:
    camera, again = (draw_any_camera(np.random.default_rng(seed), side=side) for _ in range(2))
    assert camera == again
    zoom = FIELD_WIDTH / (camera.pixel * side)
    assert min(ZOOMS)[0] - 1e-9 <= zoom <= max(ZOOMS)[1] + 1e-9
    image = expose(np.full((4, 16, 16), 0.5, np.float32), camera, rng=np.random.default_rng(0))
    assert image.shape == (4, 16, 16)
    assert image.dtype == np.uint8


def test_the_background_is_mostly_zero_whatever_the_exposure() -> None:
    rng = np.random.default_rng(3)
    dark = np.zeros((4, 32, 32), np.float32)
    shares = np.array(
        [(expose(dark, draw_any_camera(rng, side=256), rng=rng) == 0).mean(axis=(1, 2)) for _ in range(60)]
    )
    assert (np.median(shares, axis=0) > 0.8).all()
