"""How fields are read: settings, tiles, threads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from protloc.atlas.images import FieldFiles
from protloc.atlas.reading import Reading, in_order, read_field, threads
from protloc.atlas.stains import HPA_STAINS, parse_stains
from protloc.errors import ImageError, SettingsError

STAINS = parse_stains(["green"])


@pytest.fixture
def field(tmp_path: Path) -> FieldFiles:
    """Return a field of one stain, 20 px high and 27 px wide."""
    pixels = np.random.default_rng(3).integers(0, 256, (20, 27), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a_green.png"), pixels)
    return FieldFiles("a", tmp_path, {"green": ("a_green.png",)})


def test_the_baseline_reads_four_stains_at_128_px() -> None:
    assert Reading().stains == HPA_STAINS
    assert Reading().image_shape == (4, 128, 128)


def test_a_whole_field_is_one_image(field: FieldFiles) -> None:
    images = read_field(field, Reading(stains=STAINS, side=10))
    assert list(images.by_id) == ["a"]
    assert images.by_id["a"].shape == (1, 10, 10)
    assert (images.source_side, images.bit_depth, images.cropped) == (20, 8, True)


def test_tiles_are_images_of_their_own(field: FieldFiles) -> None:
    images = read_field(field, Reading(stains=STAINS, side=8, tile=10))
    assert list(images.by_id) == ["a.r0c0", "a.r0c1", "a.r1c0", "a.r1c1"]
    assert (images.source_side, images.cropped) == (10, False)
    pixels = cv2.imread(str(field.paths[0]), cv2.IMREAD_UNCHANGED)
    whole = read_field(field, Reading(stains=STAINS, side=10, tile=10))
    assert np.array_equal(whole.by_id["a.r1c1"][0], pixels[10:20, 10:20])


def test_a_field_smaller_than_a_tile_is_refused(field: FieldFiles) -> None:
    assert len(read_field(field, Reading(stains=STAINS, tile=20)).by_id) == 1
    with pytest.raises(ImageError, match=r"a: 27x20 px, smaller than a tile of 21 px\. Say a smaller --tile"):
        read_field(field, Reading(stains=STAINS, tile=21))


def test_limits_reach_the_decoder(field: FieldFiles) -> None:
    with pytest.raises(ImageError, match="27x20 px, more than the limit of 539 px"):
        read_field(field, Reading(stains=STAINS, max_pixels=539))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("side", 7, "--side: 7 px, expected 8 to 4096."),
        ("side", 5000, "--side: 5000 px"),
        ("tile", 0, "--tile: 0 px, expected at least 8."),
        ("bit_depth", 7, "--bit-depth: 7, expected 8 to 16 bits."),
        ("bit_depth", 17, "--bit-depth: 17"),
        ("max_pixels", 0, "--max-pixels: 0, expected at least 1."),
    ],
)
def test_reading_out_of_range_is_refused(option: str, value: int, told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        Reading(**{option: value})


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_few_fields_are_in_memory_at_once(jobs: int) -> None:
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        while pulled < 50:
            pulled += 1
            yield pulled

    for consumed, result in enumerate(in_order(lambda item: -item, items(), jobs=jobs)):
        assert result == -(consumed + 1)
        assert pulled - consumed <= 2 * jobs + 1
    assert pulled == 50


def test_an_error_in_a_thread_comes_out_and_stops_the_rest() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return 1 // (item - 3)

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, range(1000), jobs=2))
    assert len(started) < 20


def test_jobs_are_as_many_as_asked_for() -> None:
    assert threads(3) == 3
    assert threads(None) >= 1
    with pytest.raises(SettingsError, match="--jobs: 0, expected at least 1"):
        threads(0)
