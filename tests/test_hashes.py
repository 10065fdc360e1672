"""Hashes of stains: what they tell, and that turning the hash is turning the image."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.fft import dctn

from protloc.curate.hashes import (
    BITS,
    MARK,
    POSES,
    SPECKS,
    WAVES,
    differing_bits,
    hashes_of,
    posed,
    posed_hashes,
    shows,
    thumbnails_of,
)
from protloc.errors import ImageError

SEEDS = st.integers(0, 2**32 - 1)


def random_thumbnails(seed: int, *, fields: int = 3, stains: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (fields, stains, 32, 32), dtype=np.uint8)


def random_hashes(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**64, size=shape, dtype=np.uint64) | MARK


def bits_of(hashes: np.ndarray) -> np.ndarray:
    """Return the bits as an array (..., 8, 8), row u and column v."""
    return np.array([[(int(each) >> place) & 1 for place in range(64)] for each in hashes.ravel()]).reshape(
        *hashes.shape, WAVES, WAVES
    )


def test_the_poses_are_the_quarter_turns_of_an_image_and_of_its_mirror_image() -> None:
    image = np.arange(9).reshape(3, 3)
    turned = {np.rot90(each, quarters).tobytes() for each in (image, image[:, ::-1]) for quarters in range(4)}
    assert {posed(image, pose).tobytes() for pose in range(POSES)} == turned
    assert len(turned) == POSES


def test_a_thumbnail_is_the_root_of_the_area_mean() -> None:
    even = np.full((1, 1, 64, 64), 100, np.uint8)
    assert (thumbnails_of(even) == 160).all()  # 16 * sqrt(100)
    halves = np.tile(np.array([0, 50], np.uint8), 32)[None, None, None].repeat(64, axis=2)
    assert (thumbnails_of(halves) == 80).all()  # 16 * sqrt(25)


@pytest.mark.parametrize("side", [32, 40, 96, 128, 301])
def test_area_means_are_those_of_opencv(side: int) -> None:
    images = np.random.default_rng(side).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    expected = [[cv2.resize(s.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA) for s in f] for f in images]
    # the last step is rounding, which the last digit of a mean can turn
    np.testing.assert_allclose(thumbnails_of(images), 16 * np.sqrt(expected), atol=0.51)


@pytest.mark.parametrize("images", [np.zeros((2, 4, 32, 32)), np.zeros((4, 32, 32), np.uint8)])
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"expected \(fields, stains, side, side\), uint8"):
        thumbnails_of(images)


@given(SEEDS)
def test_bits_are_the_signs_of_the_cosine_transform(seed: int) -> None:
    thumbnails = random_thumbnails(seed)
    waves = dctn(thumbnails.astype(np.float64), axes=(-2, -1), norm="ortho")[..., :WAVES, :WAVES]
    clear = np.abs(waves) > 0.01  # single precision may turn the sign of a wave that is as good as absent
    assert (bits_of(hashes_of(thumbnails)) == (waves > 0))[clear].all()


def test_bits_of_hand_worked_ramps() -> None:
    ramp = np.arange(200, 168, -1, dtype=np.uint8)
    bright_left, bright_above = np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32))
    left, above = bits_of(hashes_of(np.stack([bright_left, bright_above])[None]))[0]
    assert left[0, 1] == 1  # half a wave across, high on the left
    assert above[1, 0] == 1
    assert bits_of(hashes_of(bright_left[None, None, :, ::-1]))[0, 0, 0, 1] == 0


@given(SEEDS)
def test_the_hash_of_a_turned_stain_follows_from_the_hash(seed: int) -> None:
    thumbnails = random_thumbnails(seed)
    for pose in range(POSES):
        turned = hashes_of(posed(thumbnails, pose))
        # a wave as good as absent may change its sign by rounding: rarely one bit
        assert (bits_of(turned) != bits_of(posed_hashes(hashes_of(thumbnails), pose))).sum() <= 1


@given(SEEDS)
def test_poses_of_hashes_can_be_told_one_by_one_and_leave_the_mark(seed: int) -> None:
    hashes = random_hashes(seed, POSES, 3)
    together = posed_hashes(hashes, np.arange(POSES)[:, None])
    assert (together == np.stack([posed_hashes(hashes[pose], pose) for pose in range(POSES)])).all()
    assert (together & MARK == MARK).all()


def test_an_even_stain_and_one_with_a_speck_or_two_have_no_hash() -> None:
    thumbnails = np.zeros((1, 5, 32, 32), np.uint8)
    for stain, specks in enumerate((0, 1, 3, 6)):
        thumbnails[0, stain].flat[7 : 7 + 50 * specks : 50] = 90
    thumbnails[0, 4] = 7
    assert shows(thumbnails).tolist() == [[False, False, False, True, False]]
    assert ((hashes_of(thumbnails) != 0) == shows(thumbnails)).all()


@given(SEEDS)
def test_contrast_is_counted_in_px_as_the_fourth_moment_says(seed: int) -> None:
    generator = np.random.default_rng(seed)
    thumbnails = np.zeros((6, 2, 32 * 32), np.uint8)
    for stain in thumbnails.reshape(12, -1):
        stain[generator.integers(0, stain.size, generator.integers(1, 9))] = generator.integers(20, 250)
    px = 32 * 32 / stats.kurtosis(thumbnails, axis=-1, fisher=False)
    clear = np.abs(px - SPECKS) > 1e-6
    assert (shows(thumbnails.reshape(6, 2, 32, 32)) == (px >= SPECKS))[clear].all()


def test_brightness_and_contrast_leave_the_hash() -> None:
    images = cv2.GaussianBlur(np.random.default_rng(0).random((128, 128)).astype(np.float32), (0, 0), 6)
    images = np.rint(255 * (images - images.min()) / np.ptp(images)).astype(np.uint8)[None, None]
    plain = hashes_of(thumbnails_of(images))
    for other in (np.rint(images * 0.4), np.rint(images * 0.6 + 60), np.rint(255 * (images / 255.0) ** 0.8)):
        changed = hashes_of(thumbnails_of(other.astype(np.uint8)))
        assert differing_bits(plain, changed, poses=np.array([0]))[0] <= 5 / BITS


@given(SEEDS)
def test_differing_bits_are_those_python_counts(seed: int) -> None:
    first, second = random_hashes(seed, 5, 3), random_hashes(seed + 1, 5, 3)
    shares = differing_bits(first, second, poses=np.zeros(5, np.intp))
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    expected = [sum((a ^ b).bit_count() for a, b in zip(*pair, strict=True)) / (3 * BITS) for pair in pairs]
    assert shares.tolist() == pytest.approx(expected)


def test_stains_that_show_nothing_have_no_say() -> None:
    first = np.array([[0b1011, 0b1, 0], [0b11, 0, 0]], np.uint64)
    second = np.array([[0b0111, 0, 0b1111], [0, 0b11, 0]], np.uint64)
    # in the first pair only the first stain is in both, and two of its bits differ
    assert differing_bits(first, second, poses=np.zeros(2, np.intp)).tolist() == pytest.approx([2 / BITS, 1.0])
