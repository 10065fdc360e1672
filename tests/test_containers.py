"""Image containers: what they say of themselves, checked without decoding."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from protloc.atlas.containers import MOST_PAGES, Container, open_container

PICTURE = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8))  # 8 px wide, 6 px high


def saved(kind: str, picture: Image.Image = PICTURE, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff(*directories: dict[int, int], order: str = "<") -> bytes:
    """Return a TIFF of directories of long values and no pixels."""
    content = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    for number, tags in enumerate(directories, start=1):
        entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
        after = len(content) + 2 + len(entries) + 4 if number < len(directories) else 0
        content += struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", after)
    return content


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_the_size_of_every_format_is_read(kind: str, mode: str) -> None:
    if (kind, mode) == ("JPEG", "P"):
        mode = "CMYK"
    container = open_container(saved(kind, PICTURE.convert(mode)))
    assert (container.kind, container.width, container.height, container.images) == (kind, 8, 6, 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_either_byte_order_tells_its_size(order: str) -> None:
    content = tiff({254: 0, 256: 70000, 257: 3}, order=order)
    assert open_container(content) == Container("TIFF", 70000, 3, 1, 1, content)


def test_big_and_progressive_variants_are_read() -> None:
    assert open_container(saved("TIFF", big_tiff=True)).width == 8
    assert open_container(saved("JPEG", progressive=True)).height == 6


def test_what_bears_no_pixels_is_left_out() -> None:
    plain = saved("PNG")
    decorated = plain[:33] + chunk(b"tEXt", b"Author\0me") + chunk(b"iCCP", b"x") + plain[33:] + b"trailing"
    assert open_container(decorated).content == plain
    assert open_container(saved("JPEG", comment=b"secret", exif=b"Exif\0\0secret")).content == saved("JPEG")
    assert b"secret" not in open_container(saved("JPEG", comment=b"secret", exif=b"Exif\0\0secret")).content


def test_the_largest_page_of_a_stack_counts() -> None:
    pages = [np.zeros(shape, np.uint8) for shape in ((10, 12), (30, 8))]
    container = open_container(cv2.imencodemulti(".tif", pages)[1].tobytes())
    assert (container.width, container.height) == (12, 30)


def test_pages_are_counted_without_thumbnails() -> None:
    page = {256: 8, 257: 6}
    assert open_container(tiff(page, page, page)).images == 3
    assert open_container(tiff(page, page | {254: 1}, page | {254: 3})).images == 1
    assert open_container(tiff(*[page] * (MOST_PAGES + 5))).images == MOST_PAGES


def test_gray_samples_are_stains_and_colours_are_not() -> None:
    size = {256: 8, 257: 6}
    assert open_container(tiff(size | {262: 1, 277: 4})).stains == 4
    assert open_container(tiff(size | {277: 2})).stains == 2
    assert open_container(tiff(size | {262: 2, 277: 4})).stains == 1
    assert open_container(saved("TIFF", PICTURE.convert("RGBA"))).stains == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a PNG, TIFF or JPEG image"),
        (b"GIF89a", "not a PNG, TIFF or JPEG image"),
        (b"II*\0", "it ends too early"),
        (b"II*\0\0\0\0\0", "its size is 0x0 px"),
        (b"II*\0\xff\xff\xff\xff", "it ends too early"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "it ends too early"),
        (tiff({257: 5}), "its size is 0x5 px"),
        (tiff({256: 8, 257: 6})[:-4] + struct.pack("<I", 8), "its directories run in a circle"),
        (tiff({256: 8, 257: 6, 258: 16, 262: 0}), "it stores white as 0 in more than 8 bits"),
        (tiff({256: 8, 257: 6, 300: 1})[:-16] + struct.pack("<HHIII", 256, 4, 1, 9, 0), "a tag comes twice"),
        (b"\x89PNG\r\n\x1a\n", "it ends too early"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND"), "its first chunk is not IHDR"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(4)) + chunk(b"IEND"), "its size is 0x"),
        (saved("PNG")[:-1] + b"x", "the checksum of its chunk b'IEND' is wrong"),
        (saved("JPEG")[:-2], "it has no end mark"),
        (b"\xff\xd8\xff\xe0\0\x02" + b"\0\0", "its segments do not join"),
        (b"\xff\xd8\xff\xe0\0\x00", "its segments do not join"),
        (b"\xff\xd8\xff\xe0\0\x02", "it ends too early"),
        (b"\xff\xd8\xff\xda\0\x02\xff\xd9", "its size is 0x0 px"),
    ],
)
def test_damage_is_told(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        open_container(content)


def test_a_thumbnails_end_mark_does_not_hide_a_cut() -> None:
    whole = saved("JPEG", exif=b"Exif\0\0" + saved("JPEG"))
    assert open_container(whole).width == 8
    with pytest.raises(ValueError, match="no end mark"):
        open_container(whole[:-2])
