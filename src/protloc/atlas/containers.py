"""Image files walked part by part before a pixel is decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MOST_PAGES = 10_000  # counting stops here; a TIFF directory of six bytes could be repeated for hours

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK, _PNG_CHECKSUM = struct.Struct(">I4s"), struct.Struct(">I")
_JPEG_START = b"\xff\xd8\xff"
_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")  # the + is BigTIFF
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame headers; the three are tables
_JPEG_BEARS_PIXELS = frozenset(range(0xC0, 0xE1)) | {0xEE}  # tables, frames, scans, JFIF, Adobe's colour transform
_JPEG_SCAN = 0xDA
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 254, 256, 257, 258, 262, 277  # tags of TIFF
_REDUCED = 1  # bit of the subfile type: a thumbnail of another image


@dataclass(frozen=True)
class Container:
    """What an image file says of itself.

    Attributes:
        kind: The format, told by its first bytes and not by a file name.
        width: Width in px, at least 1.
        height: Height in px, at least 1.
        images: Images in the file, thumbnails not counted.
        stains: Gray samples a pixel has: more than 1 where several stains lie in one image. A colour image has 1.
        content: The file without what bears no pixels (text, colour profiles, thumbnails): decoders warn of those,
            and hostile ones hide there.
    """

    kind: Literal["PNG", "JPEG", "TIFF"]
    width: int
    height: int
    images: int
    stains: int
    content: bytes


def open_container(content: bytes) -> Container:
    """Read the size of an image, and as much of its soundness as the format can tell without decoding.

    Every checksum of a PNG is compared, the end mark of a JPEG looked for, the directories of a TIFF followed.
    Pillow would do the same, but warns through process-wide filters, which threads cannot silence safely.

    Raises:
        ValueError: if the content is none of the three formats or is damaged; the text says how.
    """
    try:
        container = _walk(content)
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("it ends too early") from error
    if container.width < 1 or container.height < 1:
        raise ValueError(f"its size is {container.width}x{container.height} px")
    return container


def _walk(content: bytes) -> Container:
    if content.startswith(_PNG_START):
        return _walk_png(content)
    if content.startswith(_JPEG_START):
        return _walk_jpeg(content)
    if content.startswith(_TIFF_STARTS):
        return _walk_tiff(content)
    raise ValueError("not a PNG, TIFF or JPEG image")


def _walk_png(content: bytes) -> Container:
    """Check every chunk and keep the critical ones."""
    chunks = list(_png_chunks(content))
    if chunks[0][0] != b"IHDR":
        raise ValueError("its first chunk is not IHDR")
    width, height = struct.unpack_from(">II", content[chunks[0][1]], 8)
    if all(kind[:1].isupper() for kind, _ in chunks) and chunks[-1][1].stop == len(content):
        return Container("PNG", width, height, 1, 1, content)
    critical = [content[place] for kind, place in chunks if kind[:1].isupper()]
    return Container("PNG", width, height, 1, 1, b"".join([_PNG_START, *critical]))


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, slice]]:
    """Yield type and place of each chunk, up to the last."""
    whole = memoryview(content)
    place, kind = len(_PNG_START), b""
    while kind != b"IEND":
        length, kind = _PNG_CHUNK.unpack_from(content, place)
        after = place + 12 + length
        (checksum,) = _PNG_CHECKSUM.unpack_from(content, after - 4)
        if zlib.crc32(whole[place + 4 : after - 4]) != checksum:
            raise ValueError(f"the checksum of its chunk {kind!r} is wrong")
        yield kind, slice(place, after)
        place = after


def _walk_jpeg(content: bytes) -> Container:
    """Follow the segments up to the pixels and keep those that bear on them."""
    kept, size, place, marker = [content[:2]], (0, 0), 2, 0
    while marker != _JPEG_SCAN:
        if content[place] != 0xFF:  # a marker is FF and a number
            raise ValueError("its segments do not join")
        marker = content[place + 1]
        if marker == 0xFF:  # padding between segments
            place += 1
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        if marker in _JPEG_SIZES:
            size = struct.unpack_from(">HH", content, place + 5)
        if marker in _JPEG_BEARS_PIXELS:
            kept.append(content[place : place + 2 + length])
        place += 2 + length
    if content.find(b"\xff\xd9", place) < 0:
        raise ValueError("it has no end mark")
    return Container("JPEG", size[1], size[0], 1, 1, b"".join([*kept, content[place:]]))


@dataclass(frozen=True)
class _TiffLayout:
    """Where a directory keeps what, in bytes and in the letters of ``struct``."""

    first: int
    place: str
    count: str
    entry: int
    value: int


_TIFF = _TiffLayout(first=4, place="I", count="H", entry=12, value=8)
_BIG_TIFF = _TiffLayout(first=8, place="Q", count="Q", entry=20, value=12)


def _walk_tiff(content: bytes) -> Container:
    """Follow the chain of directories."""
    pages = list(_tiff_pages(content))
    first = pages[0] if pages else {}
    images = sum(not page.get(_SUBFILE, 0) & _REDUCED for page in pages)
    gray = first.get(_PHOTOMETRIC, 1) <= 1
    if first.get(_PHOTOMETRIC) == 0 and first.get(_BITS, 1) > 8:
        raise ValueError("it stores white as 0 in more than 8 bits, which decoders mistake")
    stains = first.get(_SAMPLES, 1) if gray else 1
    width, height = (max((page.get(tag, 0) for page in pages), default=0) for tag in (_WIDTH, _HEIGHT))
    return Container("TIFF", width, height, images, stains, content)


def _tiff_pages(content: bytes) -> Iterator[dict[int, int]]:
    """Yield the tags of each directory, number to value (or to its place, where it is long)."""
    order = "<" if content.startswith(b"II") else ">"
    layout = _BIG_TIFF if b"+" in content[2:4] else _TIFF
    (place,) = struct.unpack_from(order + layout.place, content, layout.first)
    seen: set[int] = set()
    while place and len(seen) < MOST_PAGES:
        if place in seen:
            raise ValueError("its directories run in a circle")
        seen.add(place)
        (entries,) = struct.unpack_from(order + layout.count, content, place)
        place += struct.calcsize(order + layout.count)
        starts = range(place, place + entries * layout.entry, layout.entry)
        (after,) = struct.unpack_from(order + layout.place, content, starts.stop)
        page = dict(_tiff_tag(content, start, order=order, layout=layout) for start in starts)
        if len(page) < entries:
            raise ValueError("a tag comes twice in a directory")
        yield page
        place = after


def _tiff_tag(content: bytes, start: int, *, order: str, layout: _TiffLayout) -> tuple[int, int]:
    tag, kind = struct.unpack_from(order + "HH", content, start)
    value_as = {1: "B", 3: "H"}.get(kind, "I")  # bytes and shorts stand left in their cell
    (value,) = struct.unpack_from(order + value_as, content, start + layout.value)
    return tag, value
