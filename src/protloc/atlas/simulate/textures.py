"""Random textures of any grain, cut from noise filtered once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.floating[Any]]  # shape (side, side)

TILE = 512  # px; periodic, so that a crop may start anywhere
GRAINS = (0.6, 0.85, 1.2, 1.7, 2.4, 3.4)  # px; a coarser grain is a fine one enlarged
BRIGHT_PIXELS = 1e-3  # share of pixels above the bright end of an image


def texture(rng: np.random.Generator, *, side: int, grain: float) -> FloatImage:
    """Cut a random patch of smooth noise.

    Args:
        rng: Decides the place and the turn of the patch.
        side: Side of the patch in pixels.
        grain: Standard deviation of the Gaussian the noise was filtered with, in pixels.

    Returns:
        Array of shape (side, side), float32, mean about 0 and standard deviation about 1. Patches wider than the
        tile repeat it; wherever the grain is coarse enough to allow it, none does.
    """
    shrink = max(1.0, grain / GRAINS[-1])
    part = int(np.ceil(side / shrink)) + 2
    tile = _tiles()[int(np.argmin([abs(np.log(max(grain, 0.1) / shrink / each)) for each in GRAINS]))]
    rows, columns = ((start + np.arange(part)) % TILE for start in rng.integers(0, TILE, 2))
    patch = tile[np.ix_(rows, columns)]
    patch = np.ascontiguousarray(patch.T if rng.random() < 0.5 else patch)
    if shrink == 1.0:
        return patch[:side, :side].copy()
    whole = cv2.resize(patch, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(whole[:side, :side], np.float32)


def ridges(rng: np.random.Generator, *, side: int, grain: float) -> FloatImage:
    """Cut a random net: bright lines where the noise crosses zero.

    Returns:
        Array of shape (side, side), float32, in 0..1, the lines about one grain apart.
    """
    return np.exp(-3.0 * np.abs(texture(rng, side=side, grain=grain))).astype(np.float32)


def bright_end(image: FloatImage) -> float:
    """Return the grey value that a thousandth of the pixels exceed, at least a millionth."""
    flat = image.ravel()
    rank = max(round(flat.size * BRIGHT_PIXELS), 1)
    value = float(np.partition(flat, flat.size - rank)[flat.size - rank])
    return value if value > 1e-6 else max(float(flat.max()), 1e-6)


@lru_cache(maxsize=1)
def _tiles() -> tuple[FloatImage, ...]:
    white = np.random.default_rng(28).standard_normal((len(GRAINS), TILE, TILE))
    frequency = np.fft.fftfreq(TILE)
    square = frequency[:, None] ** 2 + frequency[None, :] ** 2
    tiles: list[FloatImage] = []
    for noise, grain in zip(white, GRAINS, strict=True):
        smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-2 * (np.pi * grain) ** 2 * square)).real
        tiles.append((smooth / smooth.std()).astype(np.float32))
    return tuple(tiles)
