"""Perceptual hashes of stains: signs of their slowest cosine waves.

A stain is shrunk to 32 x 32 means, whose roots make the noise of photons even and bright specks count less. Of its
cosine transform the 8 x 8 slowest waves are kept, and of each only the sign: 63 bits and a mark (Zauner,
"Implementation and benchmarking of perceptual image hash functions", Hagenberg 2010). Brightness, contrast, noise and
compression leave the signs of waves that matter as they are, small shifts most of them. A quarter turn or a mirror
exchanges waves and flips signs, so that the hash of a turned stain follows from the hash: no image is looked at again.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protloc.errors import ImageError

Hashes = NDArray[np.uint64]

THUMBNAIL = 32  # px a side; a shift of 3 % of the field is a pixel
WAVES = 8  # a side; faster ones change with shifts of a few per cent
POSES = 8  # the quarter turns of a field and of its mirror image
BITS = WAVES * WAVES - 1
MARK = np.uint64(1)  # the bit of the even wave, which has no sign to tell: set where a stain shows anything
SPECKS = 4  # as many equal px in a dark stain are no chance likeness any more, one, two or three might be
_SHADES = 16  # steps of a thumbnail for one unit of root: the root of 255 comes to 255


def posed(images: NDArray[np.generic], pose: int) -> NDArray[np.generic]:
    """Turn or mirror images.

    Args:
        images: Array of shape (..., side, side).
        pose: 0 to 7: rows and columns exchanged (4), then the rows reversed (2), then the columns reversed (1).

    Returns:
        View of the same shape.
    """
    turned = images.swapaxes(-1, -2) if pose & 4 else images
    return turned[..., :: -1 if pose & 2 else 1, :: -1 if pose & 1 else 1]


def thumbnails_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink stains by area averaging, and take roots.

    Args:
        images: Array of shape (fields, stains, side, side), uint8.

    Returns:
        (fields, stains, 32, 32) uint8: 16 times the root of the mean.

    Raises:
        ImageError: if the array has another shape or type.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != images.shape[-2]:
        raise ImageError(
            f"images of shape {images.shape}, {images.dtype}: expected (fields, stains, side, side), uint8. "
            "Give them as Store.images returns them."
        )
    shrink = _shrinking(images.shape[-1])
    rows = images.reshape(-1, images.shape[-1]).astype(np.float32) @ shrink.T
    means = shrink @ rows.reshape(*images.shape[:-1], THUMBNAIL)
    return np.minimum(np.rint(_SHADES * np.sqrt(means)), 255).astype(np.uint8)


def hashes_of(thumbnails: NDArray[np.uint8]) -> Hashes:
    """Hash stains.

    Args:
        thumbnails: Array of shape (fields, stains, 32, 32), as :func:`thumbnails_of` makes them.

    Returns:
        (fields, stains) uint64. Bit 8 u + v tells whether the wave of u half periods down and v across is positive;
        bit 0 is set. A stain that shows nothing (:func:`shows`) has hash 0.
    """
    cosines = cosine_waves(WAVES)
    waves = cosines @ thumbnails.astype(np.float32) @ cosines.T
    bits = (waves > 0).reshape(*thumbnails.shape[:2], WAVES * WAVES)
    packed = np.packbits(bits, axis=-1, bitorder="little").view("<u8")[..., 0].astype(np.uint64)
    return np.where(shows(thumbnails), packed | MARK, np.uint64(0))


def shows(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which stains show anything: not those that are even all over, nor those with but a speck or two.

    Args:
        thumbnails: Array of shape (fields, stains, 32, 32).

    Returns:
        (fields, stains) bool: whether the contrast is that of four px or more, counted as the squared sum of the
        squared deviations over the sum of their squares.
    """
    squares = np.square(thumbnails - thumbnails.mean(axis=(-2, -1), keepdims=True))
    power = squares.sum(axis=(-2, -1))
    return (power > 0) & (power**2 >= SPECKS * np.square(squares).sum(axis=(-2, -1)))


def posed_hashes(hashes: Hashes, poses: NDArray[np.intp] | int) -> Hashes:
    """Return the hashes that stains have when turned as :func:`posed` does.

    Args:
        hashes: uint64 array of any shape; a hash of 0 stays no valid hash.
        poses: 0 to 7, one for all or an array that broadcasts against ``hashes``.
    """
    poses = np.asarray(poses)
    if poses.ndim == 0 and poses < _EXCHANGED:
        return hashes ^ _FLIPS[poses]
    return np.where(poses & _EXCHANGED, _exchanged(hashes), hashes) ^ _FLIPS[poses]


def differing_bits(first: Hashes, second: Hashes, *, poses: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compare fields by their hashes.

    Args:
        first: Hashes of fields, (pairs, stains).
        second: Hashes of the fields to compare with, (pairs, stains).
        poses: How each second field is turned before, (pairs,).

    Returns:
        (pairs,) float64 in 0..1: share of the bits that differ, over the stains in which both fields show something;
        1 where there is none.
    """
    differing, bits = np.zeros((2, len(first)), np.int16)
    for one, other in zip(first.T, second.T, strict=True):
        both = (one != 0) & (other != 0)
        differing += np.bitwise_count(one ^ posed_hashes(other, poses)) * both
        bits += BITS * both
    return np.where(bits > 0, differing / np.maximum(bits, 1), 1.0)


@lru_cache
def cosine_waves(number: int) -> NDArray[np.float32]:
    """Return the slowest cosine waves over a thumbnail, orthonormal, (number, 32) float32."""
    places = (np.arange(THUMBNAIL) + 0.5) / THUMBNAIL
    waves = np.cos(np.pi * np.arange(number)[:, None] * places)
    return (waves / np.linalg.norm(waves, axis=1, keepdims=True)).astype(np.float32)


@lru_cache
def _shrinking(side: int) -> NDArray[np.float32]:
    """Return the share of each of ``side`` px in each of the 32 means, (32, side)."""
    edges = np.arange(THUMBNAIL + 1) * side / THUMBNAIL
    pixels = np.arange(side)
    ends = np.clip(edges[1:, None] - pixels, 0, 1) - np.clip(edges[:-1, None] - pixels, 0, 1)
    return (ends * THUMBNAIL / side).astype(np.float32)


def _exchanged(hashes: Hashes) -> Hashes:
    """Exchange rows and columns of the 8 x 8 bits (Warren, "Hacker's Delight", 2nd edition, section 7-3)."""
    for shift, places in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        moved = (hashes ^ (hashes >> np.uint64(shift))) & np.uint64(places)
        hashes = hashes ^ moved ^ (moved << np.uint64(shift))
    return hashes


def _flips_of(pose: int) -> int:
    """Return the bits of the waves whose sign a pose turns over: the odd ones along what it reverses."""
    down, across = pose >> 1 & 1, pose & 1
    odd = ((u * down + v * across) % 2 for u in range(WAVES) for v in range(WAVES))
    return sum(flipped << place for place, flipped in enumerate(odd))


_EXCHANGED = 4
_FLIPS = np.array([_flips_of(pose) for pose in range(POSES)], np.uint64)
