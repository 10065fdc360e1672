"""The microscope."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protloc.atlas.simulate.camera import REFERENCE, Camera, bleed_through, code_clean, decode_clean, expose, shading

SIDE = 128
QUIET = Camera(
    pixel=REFERENCE,
    focus=0.0,
    photons=(1e7,) * 4,
    level=(100.0, 50.0, 200.0, 300.0),
    background=(0.0,) * 4,
    offset=(0.0,) * 4,
    read_noise=0.0,
    shading=0.0,
    bleed=(0.0, 0.0),
)


def flat(value: float) -> np.ndarray:
    return np.full((4, SIDE, SIDE), value, np.float32)


def shot(clean: np.ndarray, camera: Camera, seed: int = 0) -> np.ndarray:
    return expose(clean, camera, rng=np.random.default_rng(seed))


def test_with_light_without_end_the_grey_values_are_the_levels() -> None:
    # half of the bright end gives half of each level; 300 is clipped only where it is reached
    np.testing.assert_array_equal(np.unique(shot(flat(0.5), QUIET)[3]), [150])
    assert [int(np.median(stain)) for stain in shot(flat(0.5), QUIET)] == [50, 25, 100, 150]


def test_light_above_the_range_saturates() -> None:
    assert (shot(flat(1.0), QUIET)[3] == 255).all()


def test_the_answer_is_8_bit_and_the_clean_stains_are_left_alone() -> None:
    clean = flat(0.3)
    picture = shot(clean, QUIET)
    assert picture.dtype == np.uint8
    assert picture.shape == clean.shape
    np.testing.assert_array_equal(clean, flat(0.3))


@pytest.mark.parametrize("photons", [4.0, 20.0, 200.0])
def test_the_noise_is_that_of_counted_photons(photons: float) -> None:
    camera = replace(QUIET, photons=(photons,) * 4, level=(photons * 0.25,) * 4)
    clean = flat(1.0) * 1.0
    picture = shot(clean, replace(camera, level=(100.0,) * 4), seed=1)[0].astype(float)
    counts = picture / 100.0 * photons
    # a Poisson count has the variance of its mean; clipping at 255 and 0 takes little of it at 20 and more
    assert counts.mean() == pytest.approx(photons, rel=0.06)
    assert counts.var() == pytest.approx(photons, rel=0.25)


def test_a_smaller_pixel_catches_fewer_photons() -> None:
    camera = replace(QUIET, photons=(100.0,) * 4, level=(100.0,) * 4)
    coarse, fine = (shot(flat(1.0), replace(camera, pixel=pixel)).std() for pixel in (REFERENCE, REFERENCE / 2))
    assert fine == pytest.approx(2 * coarse, rel=0.1)


def test_the_background_is_subtracted_and_clipped_to_zero() -> None:
    dark = flat(0.0)
    camera = replace(QUIET, photons=(100.0,) * 4, background=(0.05,) * 4, read_noise=1.0)
    shares = [float((shot(dark, replace(camera, offset=(offset,) * 4)) == 0).mean()) for offset in (-1.0, 0.0, 2.0)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 0.9
    assert shares[1] < 0.8


def test_red_and_yellow_show_in_green_and_nowhere_else() -> None:
    clean = np.zeros((4, SIDE, SIDE), np.float32)
    clean[0, :, :40], clean[3, :, 80:] = 1.0, 1.0
    light = bleed_through(clean, replace(QUIET, bleed=(0.05, 0.02)))
    assert light[1, 0, 0] == pytest.approx(0.05)
    assert light[1, 0, 60] == 0
    assert light[1, 0, 100] == pytest.approx(0.02)
    np.testing.assert_array_equal(light[[0, 2, 3]], clean[[0, 2, 3]])


def test_the_lamp_lights_one_side_more_and_the_field_equally_on_the_whole() -> None:
    lamp = shading(SIDE, replace(QUIET, shading=0.15, shading_angle=0.0))
    assert lamp.mean() == pytest.approx(1.0, abs=0.005)
    assert lamp[64, -1] - lamp[64, 0] == pytest.approx(0.15, rel=0.01)
    assert np.ptp(shading(SIDE, QUIET)) == 0


def test_out_of_focus_is_softer() -> None:
    clean = flat(0.0)
    clean[:, 64, 64] = 5.0
    sharp, soft = (shot(clean, replace(QUIET, focus=focus))[0].astype(float) for focus in (0.1, 1.5))
    assert (soft > 0).sum() > 2 * (sharp > 0).sum()
    assert soft.max() < sharp.max()


def test_hot_pixels_are_as_many_as_told() -> None:
    picture = shot(flat(0.0), replace(QUIET, level=(200.0,) * 4, hot=0.01))
    assert (picture > 0).mean() == pytest.approx(0.01, rel=0.3)


def test_equal_generators_take_equal_pictures() -> None:
    camera = Camera(pixel=REFERENCE)
    np.testing.assert_array_equal(shot(flat(0.4), camera, 5), shot(flat(0.4), camera, 5))
    assert (shot(flat(0.4), camera, 5) != shot(flat(0.4), camera, 6)).mean() > 0.5


def test_smooth_noise_is_weaker_and_alike_in_neighbours_and_keeps_the_mean() -> None:
    noisy = replace(QUIET, photons=(20.0,) * 4)
    rough, smooth = (shot(flat(0.6), replace(noisy, smooth=smooth))[2].astype(float) for smooth in (0.0, 1.0))
    # a Gaussian of deviation s leaves 1 / (2 s sqrt(pi)) of the deviation of white noise
    assert smooth.std() == pytest.approx(rough.std() / (2 * np.sqrt(np.pi)), rel=0.1)
    assert smooth.mean() == pytest.approx(rough.mean(), abs=1)
    assert np.corrcoef(smooth[:, 1:].ravel(), smooth[:, :-1].ravel())[0, 1] > 0.6
    assert abs(np.corrcoef(rough[:, 1:].ravel(), rough[:, :-1].ravel())[0, 1]) < 0.05


def test_coded_light_by_hand() -> None:
    # 255 sqrt(1 / 4) = 127.5, which rounds to the even 128; 255 sqrt(0.25 / 4) = 63.75
    light = np.array([0.0, 0.25, 1.0, 4.0, 9.0], np.float32)
    coded = code_clean(light)
    assert coded.dtype == np.uint8
    assert coded.tolist() == [0, 64, 128, 255, 255]
    assert decode_clean(coded).dtype == np.float32
    np.testing.assert_allclose(decode_clean(coded), [0, 4 * (64 / 255) ** 2, 4 * (128 / 255) ** 2, 4, 4], rtol=1e-6)


def test_coding_again_changes_nothing_and_faint_light_is_kept_finely() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(code_clean(decode_clean(every)), every)
    light = np.linspace(0, 4, 5000, dtype=np.float32)
    error = np.abs(decode_clean(code_clean(light)) - light)
    assert (error <= 2 * np.sqrt(light * 4) * 0.5 / 255 + 2e-5).all()
