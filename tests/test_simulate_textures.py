"""Textures and the bright end of an image."""

from __future__ import annotations

import numpy as np
import pytest

from protloc.atlas.simulate.textures import TILE, bright_end, ridges, texture


def mean_of_many(grain: float) -> tuple[float, float]:
    patches = [texture(np.random.default_rng(seed), side=64, grain=grain) for seed in range(60)]
    return float(np.mean(patches)), float(np.std(patches))


@pytest.mark.parametrize("grain", [0.6, 1.3, 3.0, 8.0])
def test_a_texture_has_mean_0_and_deviation_1(grain: float) -> None:
    mean, deviation = mean_of_many(grain)
    assert abs(mean) < 0.12
    assert 0.85 < deviation < 1.15


@pytest.mark.parametrize("grain", [1.2, 2.4, 5.0, 10.0])
def test_the_grain_of_a_texture_is_the_one_asked_for(grain: float) -> None:
    # noise filtered with a Gaussian of deviation g has the autocorrelation exp(-d^2 / (4 g^2)): exp(-1/4) at d = g
    lag = round(grain)
    patches = [texture(np.random.default_rng(seed), side=128, grain=grain) for seed in range(20)]
    products = np.mean([np.mean(patch[:, lag:] * patch[:, :-lag]) for patch in patches])
    power = np.mean([np.mean(patch**2) for patch in patches])
    assert products / power == pytest.approx(np.exp(-((lag / grain) ** 2) / 4), abs=0.12)


def test_equal_generators_cut_equal_patches_and_different_ones_do_not() -> None:
    one, same, other = (texture(np.random.default_rng(seed), side=48, grain=1.0) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.3


def test_a_patch_wider_than_the_tile_repeats_it() -> None:
    patch = texture(np.random.default_rng(0), side=TILE + 40, grain=1.2)
    assert patch.shape == (TILE + 40, TILE + 40)
    np.testing.assert_array_equal(patch[:40], patch[TILE:])


def test_a_patch_can_be_written_to_without_harm_to_the_next() -> None:
    first = texture(np.random.default_rng(5), side=32, grain=1.0)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(texture(np.random.default_rng(5), side=32, grain=1.0), kept)


def test_ridges_are_bright_where_the_texture_crosses_zero() -> None:
    noise = texture(np.random.default_rng(7), side=64, grain=2.0)
    net = ridges(np.random.default_rng(7), side=64, grain=2.0)
    assert net.min() >= 0
    assert net.max() <= 1
    assert net[np.abs(noise) < 0.05].min() > net[np.abs(noise) > 1].max()


def test_the_bright_end_is_exceeded_by_a_thousandth_of_the_pixels() -> None:
    image = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    # the ten brightest of 10,000 pixels are 9,990 to 9,999
    assert bright_end(image) == 9_990


def test_the_bright_end_of_lone_bright_pixels_is_their_height() -> None:
    image = np.zeros((100, 100), np.float32)
    image[4, 4] = 7.0
    assert bright_end(image) == 7.0


def test_the_bright_end_of_nothing_can_be_divided_by() -> None:
    assert bright_end(np.zeros((64, 64), np.float32)) > 0
