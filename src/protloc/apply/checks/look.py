"""A field as the checks look at it: small, in grey levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.images import FieldPlanes, Plane
from protloc.atlas.stains import Stain

VIEW = 256  # px; what the checks of shape and focus were tuned on
LEAST_VIEW = 96  # px; of a smaller field nobody can say whether it shows nuclei or is in focus
WHITE = 255
HOT = 2.0  # bright ends; what is brighter are hot pixels
LAGS = (0, 2, 4, 8)  # px
SMOOTH = 32  # px a side; what changes so slowly is the lamp's
STRUCTURED = 0.08  # of the variance is seen two px aside in whatever shows cells; noise has none
LEAST_VARIANCE = 1e-3  # grey levels squared; what is even has none, up to rounding

View = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Look:
    """One field at its full size, and as small views of the square that a model sees.

    Attributes:
        planes: Stain name to its full-size image, (height, width), uint8 or uint16, all of one shape.
        bit_depth: Bits of the 16-bit planes.
        window: Side in source px of the square a model sees: of a tile, or the field's shorter side.
        pixel: Micrometres a source px, or None where nobody knows.
    """

    planes: Mapping[str, Plane]
    bit_depth: int
    window: int
    pixel: float | None = None

    @cached_property
    def views(self) -> dict[str, View]:
        """Return the central window of each stain, (side, side) with a side of ``VIEW`` at most, float32 in 0..255."""
        return {name: self.view(name, side=VIEW) for name in self.planes}

    @cached_property
    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Return how many pixels of each plane have each grey level, from 0 to the highest there can be."""
        return {name: counts_of(plane) for name, plane in self.planes.items()}

    @cached_property
    def ends(self) -> dict[str, float]:
        """Return the bright end of each view: the grey level in 0..255 that one pixel in a thousand exceeds."""
        return {name: float(np.percentile(view, 99.9)) for name, view in self.views.items()}

    @cached_property
    def alike(self) -> dict[str, dict[int, float]]:
        """Return how alike each view, its hot pixels dimmed, is to itself: see :func:`autocovariances`."""
        return {name: autocovariances(np.minimum(view, HOT * self.ends[name])) for name, view in self.views.items()}

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Return the stains whose views show something; the others noise, one grey level, or an uneven lamp."""
        return tuple(name for name, at in self.alike.items() if not is_empty(at))

    @property
    def large_enough(self) -> bool:
        """Tell whether shapes and focus can be judged."""
        return self.window >= LEAST_VIEW

    def view(self, stain: str, *, side: int, part: float = 1.0) -> View:
        """Return the central ``part`` of the window of a stain, shrunk to ``side`` px where it is larger."""
        plane = self.planes[stain]
        square = round(self.window * part)
        top, left = ((length - square) // 2 for length in plane.shape)
        window = np.ascontiguousarray(plane[top : top + square, left : left + square])
        if square > side:
            window = cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)
        return window.astype(np.float32) * np.float32(WHITE / self.white(stain))

    def white(self, stain: str) -> int:
        """Return the value that is shown as white."""
        return WHITE if self.planes[stain].dtype == np.uint8 else 2**self.bit_depth - 1


def look_at(
    planes: FieldPlanes, stains: Sequence[Stain], *, tile: int | None = None, pixel: float | None = None
) -> Look:
    """Return a field as the checks look at it.

    Args:
        planes: The field; one plane a stain.
        stains: What the planes show, in their order.
        tile: Side in source px of the tiles a model sees, or None where it sees the whole field.
        pixel: Micrometres a source px, or None where nobody knows.
    """
    shorter = min(planes.height, planes.width)
    named = {stain.name: plane for stain, plane in zip(stains, planes.planes, strict=True)}
    return Look(named, planes.bit_depth, min(tile or shorter, shorter), pixel)


def counts_of(plane: Plane) -> NDArray[np.int64]:
    """Return how many pixels of a plane have each grey level, from 0 to the highest there can be."""
    values = int(np.iinfo(plane.dtype).max) + 1
    return cv2.calcHist([plane], [0], None, [values], [0, values]).ravel().astype(np.int64)


def blurred(view: NDArray[Any], deviation: float) -> View:
    """Return a view blurred by a Gaussian of this standard deviation in px, float32."""
    return np.asarray(cv2.GaussianBlur(np.asarray(view, np.float32), (0, 0), deviation), np.float32)


def autocovariances(view: View) -> dict[int, float]:
    """Return how alike a view is to itself each of ``LAGS`` px aside, mean of both directions.

    What changes within many px, as uneven light does, is taken out first. Noise, which is new in every pixel, shows at
    lag 0 alone.
    """
    flat = view - _slow(view)
    flat -= flat.mean()
    both = (flat, np.ascontiguousarray(flat.T))
    return {lag: float(np.mean([_product(each, lag) for each in both])) for lag in LAGS}


def is_empty(at: Mapping[int, float]) -> bool:
    """Tell by its autocovariances whether a view shows nothing but noise, one grey level, or an uneven lamp."""
    return at[0] < LEAST_VARIANCE or at[2] < STRUCTURED * at[0]


def _slow(view: View) -> View:
    """Return a view blurred by an eighth of its side; computed small, which comes to the same in less time."""
    small = cv2.resize(view, (SMOOTH, SMOOTH), interpolation=cv2.INTER_AREA) if len(view) > SMOOTH else view
    slow = blurred(small, len(small) / 8)
    return np.asarray(cv2.resize(slow, view.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _product(flat: View, lag: int) -> float:
    one, other = flat[lag:].ravel(), flat[: len(flat) - lag].ravel()
    return float(np.dot(one, other)) / max(one.size, 1)
