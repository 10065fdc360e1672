"""How image files become rows of a store."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.images import MAX_PIXELS, FieldFiles, cut_tiles, read_planes, shrink
from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.errors import ImageError, SettingsError

SIDES = (8, 4096)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Reading:
    """What is read of a field, how finely.

    Attributes:
        stains: Which stains, in channel order.
        side: Height and width of the stored images in px.
        tile: Side in source px of the tiles a field is cut into; None keeps fields whole.
        bit_depth: Bits of 16-bit files; None settles it field by field.
        max_pixels: The most pixels an image file may have.

    Raises:
        SettingsError: if a number is out of its range.
    """

    stains: tuple[Stain, ...] = HPA_STAINS
    side: int = 128  # the baseline's; 65 KB a field of four stains
    tile: int | None = None
    bit_depth: int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        least, most = SIDES
        if not least <= self.side <= most:
            raise SettingsError(f"--side: {self.side} px, expected {least} to {most}.")
        if self.tile is not None and self.tile < least:
            raise SettingsError(f"--tile: {self.tile} px, expected at least {least}.")
        if self.bit_depth is not None and not 8 <= self.bit_depth <= 16:
            raise SettingsError(f"--bit-depth: {self.bit_depth}, expected 8 to 16 bits.")
        if self.max_pixels < 1:
            raise SettingsError(f"--max-pixels: {self.max_pixels}, expected at least 1.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return the shape of a stored image: (stains, side, side)."""
        return (len(self.stains), self.side, self.side)


@dataclass(frozen=True)
class FieldImages:
    """What one field gives a store.

    Attributes:
        by_id: The field's id, or the ids of its tiles, each with its image of shape (stains, side, side), uint8.
        source_side: Side in source px of the square each image was shrunk from.
        bit_depth: Bits of the field's pixels.
        cropped: Whether the field was oblong and only its central square was taken.
    """

    by_id: Mapping[str, NDArray[np.uint8]]
    source_side: int
    bit_depth: int
    cropped: bool


def read_field(field: FieldFiles, reading: Reading) -> FieldImages:
    """Decode a field and shrink it, whole or tile by tile, to the store's side.

    Raises:
        ImageError: if the field cannot be read as asked, or is smaller than a tile.
    """
    planes = read_planes(field, reading.stains, bit_depth=reading.bit_depth, max_pixels=reading.max_pixels)
    square = min(planes.height, planes.width)
    if reading.tile is None:
        image = shrink(planes, side=reading.side)
        return FieldImages({field.id: image}, square, planes.bit_depth, cropped=planes.height != planes.width)
    if square < reading.tile:
        size = f"{planes.width}x{planes.height} px"
        raise ImageError(f"{field.id}: {size}, smaller than a tile of {reading.tile} px. Say a smaller --tile.")
    tiles = cut_tiles(planes, tile=reading.tile, side=reading.side)
    by_id = {f"{field.id}.{name}": image for name, image in tiles.items()}
    return FieldImages(by_id, reading.tile, planes.bit_depth, cropped=False)


def threads(jobs: int | None) -> int:
    """Return how many threads ``--jobs`` asks for: as many as there are processors if it was not said.

    Raises:
        SettingsError: if it is less than one.
    """
    if jobs is not None and jobs < 1:
        raise SettingsError(f"--jobs: {jobs}, expected at least 1.")
    return jobs or os.cpu_count() or 1


def in_order(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, jobs: int | None, ahead: int | None = None
) -> Iterator[_Result]:
    """Yield the results in the order of the items, with at most ``ahead`` of them waiting (two a thread if not given).

    Threads are enough: OpenCV and zlib let go of the interpreter's lock while they decode.
    """
    workers = threads(jobs)
    most = ahead or 2 * workers
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
