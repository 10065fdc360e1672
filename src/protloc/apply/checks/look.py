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


def blurred(view: NDArray[Any], deviation: float) -> View:
    """Return a view blurred by a Gaussian of this standard deviation in px, float32."""
    return np.asarray(cv2.GaussianBlur(np.asarray(view, np.float32), (0, 0), deviation), np.float32)


def autocovariances(view: View, lags: Sequence[int]) -> dict[int, float]:
    """Return how alike a view is to itself ``lag`` px aside, mean of both directions, for each lag.

    What changes within many px, as uneven light does, is taken out first. Noise, which is new in every pixel, shows at
    lag 0 alone.
    """
    flat = view - blurred(view, view.shape[0] / 8)
    flat = flat - flat.mean()
    return {
        lag: float((flat[lag:] * flat[: len(flat) - lag]).mean() + (flat[:, lag:] * flat[:, : len(flat) - lag]).mean())
        / 2
        for lag in lags
    }
