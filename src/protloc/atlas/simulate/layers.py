"""Depth of a field: overlapping cells, unfocused cells, stray light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import blur
from protloc.atlas.simulate.textures import FloatImage

SUNK_FIELDS = 0.25  # share of fields in which some cells lie out of focus
COVERED_FIELDS = 0.3  # share of fields in which cells lie over others
STRAY_FIELDS = 0.5  # share of fields with light from above and below the focus
COARSE = 3.0  # px; a blur wider than this is done on a smaller image


@dataclass(frozen=True)
class Layers:
    """What lies in, over and under the focus of one field; the same in all its stains.

    Attributes:
        sunk: 1 in the cells out of focus, shape (side, side).
        sunk_blur: How far out of focus they are: Gaussian standard deviation in pixels.
        sunk_gain: How much of their light comes through.
        over: 1 in the cells whose turned images lie over the others, shape (side, side).
        over_blur: How far out of focus those are, in pixels.
        over_gain: Their brightness against the cells they repeat.
        quarters: Quarter turns of the image laid over, after it was mirrored.
        stray: Share of the light that is seen blurred by ``stray_blur``.
        stray_blur: In pixels.
    """

    sunk: NDArray[np.bool_]
    sunk_blur: float
    sunk_gain: float
    over: NDArray[np.bool_]
    over_blur: float
    over_gain: float
    quarters: int
    stray: float
    stray_blur: float

    def seen(self, light: FloatImage) -> FloatImage:
        """Return the light of one stain or label, float32 of shape (side, side), as the layers show it."""
        seen = light
        if self.sunk.any():
            part = light * self.sunk
            seen = light - part + np.float32(self.sunk_gain) * _wide_blur(part, self.sunk_blur)
        if self.over.any():
            turned = np.ascontiguousarray(np.rot90((light * self.over)[:, ::-1], self.quarters))
            seen = seen + np.float32(self.over_gain) * _wide_blur(turned, self.over_blur)
        if self.stray > 0:
            seen = seen + np.float32(self.stray) * (_wide_blur(seen, self.stray_blur) - seen)
        return seen


def draw_layers(frame: Frame, rng: np.random.Generator) -> Layers:
    """Draw which cells are out of focus or lie over others, and how much light strays."""
    sunk = rng.beta(1, 4) if rng.random() < SUNK_FIELDS else 0.0
    over = rng.uniform(0.03, 0.3) if rng.random() < COVERED_FIELDS else 0.0
    in_focus = rng.random() < 0.5
    return Layers(
        sunk=_some_cells(frame, sunk, rng),
        sunk_blur=rng.uniform(0.7, 2.5) / frame.pixel,
        sunk_gain=float(rng.uniform(0.3, 1.0)),
        over=_some_cells(frame, over, rng),
        over_blur=0.0 if in_focus else rng.uniform(1.0, 4.0) / frame.pixel,
        over_gain=float(rng.uniform(0.4, 1.0)),
        quarters=int(rng.integers(4)),
        stray=float(rng.uniform(0.03, 0.3)) if rng.random() < STRAY_FIELDS else 0.0,
        stray_blur=rng.uniform(2.0, 6.0) / frame.pixel,
    )


def _some_cells(frame: Frame, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    chosen = rng.random(len(frame.cells)) < share
    return np.append(False, chosen)[frame.label]


def _wide_blur(image: FloatImage, sigma: float) -> FloatImage:
    """Filter with a Gaussian of ``sigma`` pixels, a wide one on an image shrunk as far as it allows."""
    shrink = int(sigma / COARSE) + 1
    if shrink == 1:
        return blur(image, sigma)
    small = cv2.resize(image, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    smooth = blur(np.asarray(small, np.float32), sigma / shrink)
    return np.asarray(cv2.resize(smooth, image.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
