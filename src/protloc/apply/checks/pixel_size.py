"""The pixel size that an image file states."""

from __future__ import annotations

import mmap
import re
import struct
from pathlib import Path

Content = bytes | mmap.mmap

# tags of TIFF
DESCRIPTION, X_RESOLUTION, UNIT = 270, 282, 296
MICROMETRES = {1: None, 2: 25_400.0, 3: 10_000.0}  # of TIFF's units: none, inch, centimetre
PLAUSIBLE = (0.005, 5.0)  # µm; outside it is the resolution of a printer, 72 dpi being 353 µm
MOST_READ = 2**20  # bytes of text
SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II"}
WORDS = {
    "nm": 1e-3,
    "µm": 1.0,
    "&#181;m": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "\\u00B5m": 1.0,
}


def stated_pixel_size(file: Path) -> float | None:
    """Return the width of a pixel in µm that a TIFF (plain, ImageJ's, OME) or PNG file states; None if it states none.

    What is no plausible pixel of a microscope is taken for a printer's resolution, and what cannot be read for nothing:
    whether the file is sound others tell.
    """
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return pixel_size_in(content)
    except (OSError, ValueError):
        return None


def pixel_size_in(content: Content) -> float | None:
    """Return the same of a file in memory."""
    try:
        size = _of_png(content) if content[:4] == b"\x89PNG" else _of_tiff(content)
    except (struct.error, ValueError, KeyError, ZeroDivisionError, OverflowError):
        return None
    return size if size is not None and PLAUSIBLE[0] <= size <= PLAUSIBLE[1] else None


def _of_png(content: Content) -> float | None:
    """Read the chunk pHYs, pixels a metre."""
    place = content.find(b"pHYs", 0, content.find(b"IDAT"))
    if place < 0:
        return None
    across, _, unit = struct.unpack_from(">IIB", content, place + 4)
    return 1e6 / across if unit == 1 else None


def _of_tiff(content: Content) -> float | None:
    """Read OME's words, then ImageJ's, then the tags of the first directory."""
    if content[:4] not in (b"II*\x00", b"MM\x00*"):
        return None
    tags = _first_directory(content)
    description = tags.get(DESCRIPTION, b"")
    text = description.decode("utf-8", "replace") if isinstance(description, bytes) else ""
    if (named := _of_ome(text)) is not None:
        return named
    resolution = tags.get(X_RESOLUTION)
    if not isinstance(resolution, float) or resolution <= 0:
        return None
    word = re.search(r"^unit=(\S+)", text, re.MULTILINE)
    unit = WORDS.get(word[1]) if word and text.startswith("ImageJ") else MICROMETRES.get(int(tags.get(UNIT, 2)))
    return None if unit is None else unit / resolution


def _of_ome(text: str) -> float | None:
    size = re.search(r'PhysicalSizeX="([^"]+)"', text)
    if size is None:
        return None
    unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
    return float(size[1]) * WORDS[unit[1]] if unit else float(size[1])  # OME's own unit is µm


def _first_directory(content: Content) -> dict[int, bytes | float]:
    """Return the tags wanted of the first directory: text, or a number."""
    order = "<" if content[:2] == b"II" else ">"
    (place,) = struct.unpack_from(order + "I", content, 4)
    (entries,) = struct.unpack_from(order + "H", content, place)
    tags: dict[int, bytes | float] = {}
    for start in range(place + 2, place + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", content, start)
        if tag in (DESCRIPTION, X_RESOLUTION, UNIT):
            tags[tag] = _value(content, start + 8, kind, count, order)
    return tags


def _value(content: Content, place: int, kind: int, count: int, order: str) -> bytes | float:
    """Return text, a quotient or a whole number; what takes more than four bytes lies elsewhere."""
    code = SIZES[kind]
    long = struct.calcsize(order + code) * (count if code == "s" else 1) > 4
    if long:
        (place,) = struct.unpack_from(order + "I", content, place)
    if code == "s":
        return content[place : place + min(count, MOST_READ)].rstrip(b"\0")
    numbers = struct.unpack_from(order + code, content, place)
    return numbers[0] / numbers[1] if code == "II" else float(numbers[0])
