"""Colour pictures of fields."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from protloc.atlas.stains import HPA_STAINS, Stain, parse_stains
from protloc.show.composite import MIXED_SHARE, composite, screen_colours, thumbnail_bytes


def half_lit(stains: int, lit: int) -> np.ndarray:
    """Return a field whose right half is bright in one stain."""
    image = np.zeros((stains, 8, 8), np.uint8)
    image[lit, :, 4:] = 100
    return image


@pytest.mark.parametrize(
    ("lit", "expected"),
    [
        (0, (255, 0, 0)),
        (1, (0, 255, 0)),
        (2, (0, 0, 255)),
        (3, (round(255 * MIXED_SHARE), round(255 * MIXED_SHARE), 0)),
    ],
)
def test_each_stain_shows_in_its_colour(lit: int, expected: tuple[int, int, int]) -> None:
    picture = composite(half_lit(4, lit), HPA_STAINS)
    assert picture.dtype == np.uint8
    assert picture[0, 7].tolist() == list(expected)
    assert picture[0, 0].tolist() == [0, 0, 0]


def test_contrast_is_stretched_a_stain() -> None:
    image = half_lit(4, 1)
    image[0, :, 4:] = 20  # five times dimmer, yet as bright on screen
    assert composite(image, HPA_STAINS)[0, 7].tolist() == [255, 255, 0]


def test_an_empty_stain_stays_dark_whatever_its_noise() -> None:
    image = np.zeros((1, 16, 16), np.uint8)
    image[0, ::2] = 1
    assert composite(image, parse_stains(["green"])).max() <= 255 // 8 + 1


def test_a_single_stain_of_no_colour_is_white() -> None:
    picture = composite(half_lit(1, 0), [Stain("dapi", "_c0")])
    assert picture[0, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize("count", range(2, 9))
def test_stains_named_after_no_colour_are_told_apart(count: int) -> None:
    colours = screen_colours([Stain(f"c{number}", f"_{number}") for number in range(count)])
    assert len(set(colours)) == min(count, 7)


def test_stains_of_no_colour_take_none_that_is_named() -> None:
    colours = screen_colours(parse_stains(["cyan", "dapi"]))
    assert colours[0] == (0, 255, 255)
    assert colours[1] != colours[0]


@given(arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 9), st.integers(1, 9))), st.booleans())
def test_any_image_gives_a_picture(image: np.ndarray, named: bool) -> None:  # noqa: FBT001
    before = image.copy()
    names = ("red", "green", "blue", "yellow", "cyan", "magenta", "gray", "dapi") if named else "abcdefgh"
    picture = composite(image, [Stain(name, name) for name in names[: len(image)]])
    assert picture.shape == (*image.shape[1:], 3)
    assert (image == before).all()


def test_thumbnails_are_shrunk_but_never_enlarged() -> None:
    sizes = [Image.open(io.BytesIO(thumbnail_bytes(np.zeros((side, side, 3), np.uint8)))).size for side in (32, 512)]
    assert sizes == [(32, 32), (160, 160)]


def test_thumbnails_look_like_their_picture() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[16:48, 16:48] = (255, 0, 128)  # an edge in colour alone is where JPEG is worst
    seen = np.asarray(Image.open(io.BytesIO(thumbnail_bytes(picture))).convert("RGB"), float)
    assert np.abs(seen - picture).mean() < 4
