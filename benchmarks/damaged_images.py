"""Sound images of every format, and the same damaged in every way we know."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np

SIDE = 64
OTHER_FORMATS = (b"GIF89a", b"%PDF-1.4\n", b"PK\x03\x04", b"<svg onload='x'>", b"II*\x00", b"\xff\xd8\xff\xe0")
Damage = Callable[[bytes, bytes, np.random.Generator], bytes]


def sound_images(rng: np.random.Generator) -> dict[str, bytes]:
    """Return a sound image of each format by its name: green planes, and a stack of four stains."""
    picture = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    deep = picture.astype(np.uint16) * 257
    colour = np.dstack([picture * 0, picture, picture * 0])
    packed = [cv2.IMWRITE_TIFF_COMPRESSION, 8]  # deflate
    return {
        "png_green.png": cv2.imencode(".png", picture)[1].tobytes(),
        "deep_green.png": cv2.imencode(".png", deep)[1].tobytes(),
        "jpeg_green.jpg": cv2.imencode(".jpg", picture)[1].tobytes(),
        "colour_green.jpg": cv2.imencode(".jpg", colour)[1].tobytes(),
        "tiff_green.tif": cv2.imencode(".tif", deep)[1].tobytes(),
        "packed_green.tif": cv2.imencode(".tif", picture, packed)[1].tobytes(),
        "stack.tif": cv2.imencodemulti(".tif", [picture] * 4)[1].tobytes(),
    }


def damaged_images(count: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged images, every way and every format equally often."""
    sound = list(sound_images(rng).items())
    for number in range(count):
        name, content = sound[number % len(sound)]
        _, other = sound[int(rng.integers(len(sound)))]
        yield name, WAYS[number // len(sound) % len(WAYS)](content, other, rng)


def flipped(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Flip up to twenty bits."""
    changed = bytearray(content)
    for place in rng.integers(len(changed), size=rng.integers(1, 20)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def flipped_in_header(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits of the first hundred bytes, where sizes and formats stand; the checksums of a PNG are made right."""
    return _checked(flipped(content[:100], b"", rng) + content[100:])


def cut(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end."""
    return content[: int(rng.integers(len(content)))]


def lying(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Say another size than there are pixels, up to billions of them."""
    width, height = (int(rng.choice([0, 1, 65, 4000, 30_000, 65_535, 2**31 - 1, 2**32 - 1])) for _ in range(2))
    changed = bytearray(content)
    if content.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">II", width, height)
        return _checked(bytes(changed))
    if content.startswith(b"\xff\xd8"):
        place = content.index(b"\xff\xc0")
        changed[place + 5 : place + 9] = struct.pack(">HH", height % 2**16, width % 2**16)
        return bytes(changed)
    (start,) = struct.unpack_from("<I", content, 4)
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", content, start)[0], 12):
        (tag,) = struct.unpack_from("<H", content, entry)
        if tag in (256, 257):
            struct.pack_into("<HII", changed, entry + 2, 4, 1, width if tag == 256 else height)
    return bytes(changed)


def polyglot(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Join two formats: the start of one before it, or all of another behind it."""
    start = OTHER_FORMATS[int(rng.integers(len(OTHER_FORMATS)))]
    return start + content if rng.random() < 0.5 else content + start + other


def spliced(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Put the head of one image on the tail of another."""
    return content[: int(rng.integers(len(content)))] + other[int(rng.integers(len(other))) :]


def stuffed(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Insert random bytes, or some of its own again."""
    place, size = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    more = rng.bytes(size) if rng.random() < 0.5 else content[place : place + size]
    return content[:place] + more + content[place:]


def bomb(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Return few bytes that are very many black pixels, within or beyond the usual limit."""
    side = int(rng.choice([3000, 6000, 20_000]))
    if content.startswith(b"\x89PNG"):
        rows = zlib.compressobj(9)
        row = bytes(side + 1)
        pixels = b"".join(rows.compress(row) for _ in range(min(side, 6000))) + rows.flush()
        head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        return content[:8] + b"".join(_chunk(*each) for each in ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")))
    small = min(side, 6000)
    ending = ".jpg" if content.startswith(b"\xff\xd8") else ".tif"
    return cv2.imencode(ending, np.zeros((small, small), np.uint8))[1].tobytes()


def noise(_: bytes, __: bytes, rng: np.random.Generator) -> bytes:
    """Return random bytes, or none."""
    return rng.bytes(int(rng.choice([0, 1, 7, 8, 100, 5000])))


WAYS: tuple[Damage, ...] = (
    flipped, flipped_in_header, cut, lying, polyglot, spliced, stuffed, flipped, noise, cut, bomb,
)  # fmt: skip


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _checked(content: bytes) -> bytes:
    """Make the checksum of the first chunk right, if it is a PNG, so that a decoder reads on."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"):
        return content
    return content[:29] + struct.pack(">I", zlib.crc32(content[12:29])) + content[33:]
