"""Image files of a field, read into one array."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from protloc.atlas.containers import Container, open_container
from protloc.atlas.listing import FieldFiles, FieldListing, field_and_stain, readable
from protloc.atlas.stains import COLOURS, Stain
from protloc.errors import ImageError

EXTENSIONS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
MAX_PIXELS = 2**26  # 8192 x 8192: four times the largest HPA original, 64 MiB a stain once decoded
BIT_DEPTHS = (8, 10, 12, 14, 16)  # what cameras deliver; a 16-bit file holds any of them

Plane = NDArray[np.uint8] | NDArray[np.uint16]

# a damaged file is told by our own error, with its name
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class FieldPlanes:
    """One decoded field at its full size.

    Attributes:
        planes: One array a stain, all of one shape (height, width), uint8 or uint16.
        bit_depth: Bits that hold the brightest pixel of the field's 16-bit stains, 8 where there are none.
    """

    planes: tuple[Plane, ...]
    bit_depth: int

    @property
    def height(self) -> int:
        """Return the height in px."""
        return self.planes[0].shape[0]

    @property
    def width(self) -> int:
        """Return the width in px."""
        return self.planes[0].shape[1]


def find_fields(folder: Path, stains: Sequence[Stain]) -> FieldListing:
    """List the fields of a folder by id, those with files missing or doubled too.

    Subfolders are not entered, hidden files not looked at (macOS leaves ``._<name>`` beside a file on foreign disks).

    Raises:
        ImageError: if the folder is missing or holds no image of any of the stains.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: not a folder; expected one with images named <id>{stains[0].suffix}.png.")
    found = FieldListing(folder, (name for name in _entries(folder) if name.lower().endswith(EXTENSIONS)), stains)
    if not found:
        raise ImageError(_nothing_found(folder, stains))
    return found


def names_by_field(names: Iterable[str], stains: Sequence[Stain]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Sort file names into fields: field id to stain name to the file names found for it; others are left out."""
    sorted_in: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in names:
        found = field_and_stain(PurePath(name).stem, stains)
        if found is not None:
            field = sorted_in.setdefault(found[0], {})
            field[found[1].name] = (*field.get(found[1].name, ()), name)
    return sorted_in


def _entries(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:  # one at a time: 200,000 names would take 15 MB
            yield from (entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise ImageError(f"{folder}: cannot be read ({error.strerror}). Check the folder and its rights.") from error


def _nothing_found(folder: Path, stains: Sequence[Stain]) -> str:
    entries = sorted(_entries(folder))
    images = [name for name in entries if name.lower().endswith(EXTENSIONS)]
    expected = ", ".join(f"<id>{stain.suffix}" for stain in stains)
    example = f" (found for example {readable(images[0])})" if images else ""
    inner = next((folder / name for name in entries if (folder / name).is_dir()), None)
    hint = f" Is it the folder {inner}?" if inner is not None and not images else ""
    return (
        f"{folder}: none of {len(images)} image files is named {expected} with .png, .tif or .jpg{example}. "
        f"Name the stains with --stains NAME=SUFFIX.{hint}"
    )


def read_planes(
    field: FieldFiles, stains: Sequence[Stain], *, bit_depth: int | None = None, max_pixels: int = MAX_PIXELS
) -> FieldPlanes:
    """Decode every stain of a field at full size.

    Args:
        field: The field's files.
        stains: Which stains, in the order wanted.
        bit_depth: Bits of 16-bit data; None takes the fewest of 8, 10, 12, 14, 16 that hold the field's brightest
            pixel, over all stains together so that their relation stays.
        max_pixels: The most pixels an image may have.

    Raises:
        ImageError: if a stain is missing, doubled, damaged, too large, or differs in size from the others.
    """
    names = [only_name(field.id, field.names, stain, stains) for stain in stains]
    folder = f"{field.folder}{os.sep}"
    planes = [
        _read_plane(folder + name, name, stain, max_pixels=max_pixels)
        for name, stain in zip(names, stains, strict=True)
    ]
    return field_of(field.id, planes, stains, bit_depth=bit_depth)


def field_of(
    field: str, planes: Sequence[Plane], stains: Sequence[Stain], *, bit_depth: int | None = None
) -> FieldPlanes:
    """Put the decoded stains of a field together; for ``bit_depth`` see :func:`read_planes`.

    Raises:
        ImageError: if they differ in size, or a pixel is brighter than the bit depth allows.
    """
    shapes = {stain.name: plane.shape for stain, plane in zip(stains, planes, strict=True)}
    if len(set(shapes.values())) > 1:
        sizes = ", ".join(f"{name} {shape[1]}x{shape[0]}" for name, shape in shapes.items())
        raise ImageError(f"{field}: the stains differ in size ({sizes} px). Export them from one field at one size.")
    return FieldPlanes(tuple(planes), _settle_bit_depth(field, planes, bit_depth))


def only_name(field: str, found: Mapping[str, Sequence[str]], stain: Stain, stains: Sequence[Stain]) -> str:
    """Return the name of a field's one file of a stain, of those found for each.

    Raises:
        ImageError: if there is none, or more than one.
    """
    names = found.get(stain.name, ())
    if not names:
        missing = " and ".join(s.name for s in stains if s.name not in found)
        suffixes = " and ".join(s.suffix for s in stains if s.name not in found)
        raise ImageError(
            f"{field}: no {missing} image (found {' and '.join(found)}). "
            f"Add the file ending in {suffixes}, or say --stains {','.join(found)}."
        )
    only, *others = names
    if others:
        told = " and ".join(readable(name) for name in names)
        raise ImageError(f"{field}: {len(names)} {stain.name} images, {told}. Keep one.")
    return only


def _settle_bit_depth(field: str, planes: Sequence[Plane], bit_depth: int | None) -> int:
    brightest = max((int(plane.max()) for plane in planes if plane.dtype == np.uint16), default=0)
    held = next(bits for bits in BIT_DEPTHS if brightest < 2**bits)
    if bit_depth is not None and brightest >= 2**bit_depth:
        raise ImageError(
            f"{field}: a pixel has the value {brightest}, more than {bit_depth} bits hold. Say --bit-depth {held}."
        )
    has_16_bit_file = any(plane.dtype == np.uint16 for plane in planes)
    return (bit_depth or held) if has_16_bit_file else 8


def read_plane(file: Path, stain: Stain, *, max_pixels: int = MAX_PIXELS) -> Plane:
    """Decode one image file to the gray signal of its stain.

    Gray files are taken as they are. In colour files the signal is read from the planes that make up the stain's
    colour (yellow: the mean of R and G, as on the HPA site); an alpha plane is ignored.

    Returns:
        Array of shape (height, width), uint8 or uint16.

    Raises:
        ImageError: if the file is no image, is damaged, too large, or not 8- or 16-bit.
    """
    return _read_plane(str(file), file.name, stain, max_pixels=max_pixels)


def _read_plane(place: str, name: str, stain: Stain, *, max_pixels: int) -> Plane:
    shown = readable(name)
    return decode_plane(_content_of(place, shown, max_pixels), shown, stain, max_pixels=max_pixels)


def decode_plane(content: bytes, name: str, stain: Stain, *, max_pixels: int = MAX_PIXELS) -> Plane:
    """Decode the content of an image file that is called ``name`` in errors; see :func:`read_plane`."""
    pixels = _decode(_open(content, name, max_pixels), name)
    return pixels if pixels.ndim == 2 else _signal(pixels, stain, name)


def decode_stack(content: bytes, name: str, *, images: int, max_pixels: int = MAX_PIXELS) -> tuple[Plane, ...]:
    """Decode a TIFF file of several gray images, such as ImageJ and OME write, one a stain.

    Args:
        content: Of the file.
        name: What it is called in errors.
        images: How many it must hold.
        max_pixels: The most pixels that each may have.

    Returns:
        Arrays of shape (height, width), uint8 or uint16, in the file's order.

    Raises:
        ImageError: if it is damaged, too large, or holds another number of images, or images that are not gray.
    """
    container = _opened(content, name, max_pixels)
    if container.images != images:
        raise ImageError(f"{name}: a stack of {container.images} images, expected {images}, one a stain, in order.")
    try:
        read, pages = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{name}: damaged, it cannot be decoded. Export or download it again.") from error
    planes: list[NDArray[Any]] = list(pages)
    if not read or len(planes) != images:
        raise ImageError(f"{name}: damaged, it cannot be decoded. Export or download it again.")
    for page in planes:
        if page.ndim > 2 or page.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)) or page.size > max_pixels:
            raise ImageError(f"{name}: expected gray images of 8 or 16 bits, all of one size. Save one file a stain.")
    return tuple(planes)


def _content_of(place: str, name: str, max_pixels: int) -> bytes:
    try:
        with open(place, "rb", buffering=0) as stream:  # noqa: PTH123 - a Path a file took a hundredth of prepare
            size = os.fstat(stream.fileno()).st_size
            if size > 8 * max_pixels + 2**20:  # four 16-bit planes, not compressed, and some text
                raise ImageError(f"{name}: {size} bytes, too large for {max_pixels} px. Cut it, or raise --max-pixels.")
            content = stream.readall()
    except IsADirectoryError as error:
        raise ImageError(f"{name}: a directory, expected an image file. Move it away.") from error
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}). Check the file and its rights.") from error
    if not content:
        raise ImageError(f"{name}: empty, expected an image. Export it again.")
    return content


def _open(content: bytes, name: str, max_pixels: int) -> Container:
    """Refuse, before a pixel is decoded, what holds more than one image."""
    container = _opened(content, name, max_pixels)
    if container.images > 1:
        raise ImageError(f"{name}: a stack of {container.images} images, expected one stain. Save one file a stain.")
    if container.stains > 1:
        raise ImageError(f"{name}: {container.stains} stains in one image, expected one. Save one file a stain.")
    return container


def _opened(content: bytes, name: str, max_pixels: int) -> Container:
    """Refuse, before a pixel is decoded, what is no image, too large, or damaged by its own checksums."""
    try:
        container = open_container(content)
    except ValueError as error:
        raise ImageError(f"{name}: damaged, or no image ({error}). Export it again as PNG, TIFF or JPEG.") from error
    if container.width * container.height > max_pixels:
        size = f"{container.width}x{container.height} px"
        raise ImageError(f"{name}: {size}, more than the limit of {max_pixels} px. Cut it, or raise --max-pixels.")
    return container


def _decode(container: Container, name: str) -> NDArray[Any]:
    """Return the pixels, of shape (height, width) or with 2 to 4 planes after, as B, G, R, alpha."""
    try:
        pixels = _decode_jpeg(container) if container.kind == "JPEG" else _decode_with_opencv(container)
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        raise ImageError(f"{name}: damaged, it cannot be decoded ({error}). Export or download it again.") from error
    if pixels.shape[:2] != (container.height, container.width):
        raise ImageError(f"{name}: damaged, it has not the size its header says. Export or download it again.")
    if pixels.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ImageError(f"{name}: pixels are {pixels.dtype}, expected 8- or 16-bit whole numbers. Convert the image.")
    return pixels


def _decode_jpeg(container: Container) -> NDArray[np.uint8]:
    """Decode with Pillow: OpenCV lets libjpeg write of every damaged block to the terminal."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(container.content)) as image:
        if image.mode == "L":
            return np.asarray(image)
        return np.asarray(image.convert("RGB"))[..., ::-1]


def _decode_with_opencv(container: Container) -> NDArray[Any]:
    pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(container.content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("cut or garbled")
    return pixels


def _signal(pixels: NDArray[Any], stain: Stain, name: str) -> Plane:
    """Return the stain's signal of a colour image of shape (height, width, 3 or 4), planes as B, G, R, alpha."""
    red_green_blue = pixels[..., 2::-1] if pixels.shape[2] > 2 else pixels[..., :1].repeat(3, axis=2)
    brightest = red_green_blue.max(axis=(0, 1)).astype(int)
    spread = red_green_blue.max(axis=2) - red_green_blue.min(axis=2)
    if int(spread.max()) <= 4:  # gray, up to the rounding of JPEG
        return np.ascontiguousarray(red_green_blue[..., 1])
    carries = np.array(stain.colour) > 0
    if stain.name not in COLOURS or carries.all():
        return red_green_blue.max(axis=2)
    one_level = np.iinfo(pixels.dtype).max / 255
    if brightest[carries].min() <= 8 * one_level and brightest.max() > 32 * one_level:
        peaks = zip(("red", "green", "blue"), brightest, strict=True)
        shown = " and ".join(colour for colour, peak in peaks if peak > 32 * one_level)
        raise ImageError(
            f"{name}: coloured {shown}, which is not {stain.name}. Is it another stain's image? Rename it."
        )
    return np.round(red_green_blue[..., carries].mean(axis=2)).astype(pixels.dtype)


def shrink(field: FieldPlanes, *, side: int) -> NDArray[np.uint8]:
    """Shrink a field to the store's side by area averaging; of an oblong field the central square is taken.

    Returns:
        Array of shape (stains, side, side), uint8.
    """
    square = min(field.height, field.width)
    return _shrink_square(field, ((field.height - square) // 2, (field.width - square) // 2), square, side)


def cut_tiles(field: FieldPlanes, *, tile: int, side: int) -> dict[str, NDArray[np.uint8]]:
    """Cut a field into whole, non-overlapping square tiles from its upper left corner and shrink each.

    What is left at the right and lower edge, less than a tile, belongs to no tile.

    Returns:
        Tile name such as ``r0c2`` to an array of shape (stains, side, side), uint8, rows first; empty where the
        field is smaller than a tile.
    """
    return {
        f"r{row}c{column}": _shrink_square(field, (row * tile, column * tile), tile, side)
        for row in range(field.height // tile)
        for column in range(field.width // tile)
    }


def _shrink_square(field: FieldPlanes, corner: tuple[int, int], square: int, side: int) -> NDArray[np.uint8]:
    top, left = corner
    shrunk = np.empty((len(field.planes), side, side), np.uint8)
    for channel, plane in enumerate(field.planes):
        window = plane[top : top + square, left : left + square]
        if plane.dtype == np.uint8 and square != side:
            cv2.resize(window, (side, side), shrunk[channel], interpolation=cv2.INTER_AREA)
            continue
        small = window if square == side else cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)
        shrunk[channel] = small if plane.dtype == np.uint8 else _to_8_bit(small, field.bit_depth)
    return shrunk


def _to_8_bit(plane: NDArray[Any], bit_depth: int) -> NDArray[np.uint8]:
    return np.round(plane.astype(np.float32) * (255 / (2**bit_depth - 1))).astype(np.uint8)
