"""Strokes every pattern is drawn with: dots, threads, circles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Places
from protloc.atlas.simulate.textures import FloatImage

Numbers = NDArray[np.float64]

LEAST_SPREAD = 0.45  # px; a finer dot is drawn this wide and fainter, with the light it would have
STEP = 0.8  # px between two points of a thread
SHIFT = 4  # bits after the point in the coordinates that cv2 draws with


@dataclass(frozen=True)
class Threads:
    """Threads drawn at random.

    Attributes:
        image: Their light, shape (side, side), float32.
        tips: Where each ends, in pixels.
        headings: The direction in which each ends, complex numbers of length 1.
        lengths: How far each got, in pixels.
    """

    image: FloatImage
    tips: Places
    headings: Places
    lengths: Numbers


def blur(image: FloatImage, sigma: float) -> FloatImage:
    """Filter with a Gaussian of ``sigma`` pixels, mirrored at the border."""
    if sigma < 0.2:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(sigma)), np.float32)


def splat(places: Places, light: Numbers | float, *, side: int) -> FloatImage:
    """Add the light of each place to the pixel it lies in; places outside the field are left out."""
    column, row = np.rint(places.real).astype(np.intp), np.rint(places.imag).astype(np.intp)
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    weights = np.broadcast_to(light, places.shape)[inside]
    flat = np.bincount(row[inside] * side + column[inside], weights, side * side)
    return flat.reshape(side, side).astype(np.float32)


def dots(places: Places, *, sizes: Numbers, heights: Numbers, side: int) -> FloatImage:
    """Draw round dots.

    Args:
        places: Their centres in pixels.
        sizes: Their Gaussian standard deviations in pixels; drawn in up to four classes of size.
        heights: Brightness in the middle of each dot, were it drawn sharply.
        side: Side of the field in pixels.

    Returns:
        Array of shape (side, side), float32.
    """
    image = np.zeros((side, side), np.float32)
    if not places.size:
        return image
    for rows in np.array_split(np.argsort(sizes), min(4, places.size)):
        sigma = max(float(np.mean(sizes[rows])), LEAST_SPREAD)
        image += blur(splat(places[rows], heights[rows] * 2 * np.pi * sizes[rows] ** 2, side=side), sigma)
    return image


def spread_over(
    weight: FloatImage, label: NDArray[np.int32], counts: Numbers, rng: np.random.Generator
) -> tuple[Places, NDArray[np.intp]]:
    """Throw places into cells, denser where ``weight`` is higher.

    Args:
        weight: Array of shape (side, side), 0 or more.
        label: Number of the cell of each pixel from 1, 0 outside.
        counts: How many places each cell gets on average; a cell cut by the border gets its share.
        rng: Decides.

    Returns:
        The places in pixels and the cell row (from 0) of each.
    """
    flat, owner = weight.ravel().astype(np.float64), label.ravel()
    sums = np.bincount(owner, flat, len(counts) + 1)
    area = np.bincount(owner, minlength=len(counts) + 1)
    whole = np.maximum(area, np.median(area[1:][area[1:] > 0]) if (area[1:] > 0).any() else 1)
    rate = np.append(0.0, counts) * area / whole / np.maximum(sums, 1e-9)
    cumulative = np.cumsum(flat * rate[owner])
    if cumulative[-1] <= 0:
        return np.zeros(0, np.complex128), np.zeros(0, np.intp)
    chosen = np.searchsorted(cumulative, rng.random(rng.poisson(cumulative[-1])) * cumulative[-1])
    chosen = np.minimum(chosen, flat.size - 1)
    row, column = np.divmod(chosen, label.shape[1])
    jitter = rng.uniform(-0.5, 0.5, (2, chosen.size))
    return column + jitter[0] + 1j * (row + jitter[1]), owner[chosen].astype(np.intp) - 1


def threads(
    starts: Places,
    headings: Numbers,
    *,
    label: NDArray[np.int32],
    length: Numbers,
    bend: float,
    rng: np.random.Generator,
    weight: FloatImage | None = None,
    width: float = 0.0,
) -> Threads:
    """Let threads walk from their starts until their length is used up or their own cell ends.

    Args:
        starts: In pixels.
        headings: First directions in radians.
        label: Number of the cell of each pixel; a thread never leaves the cell it starts in.
        length: Of each thread, in pixels.
        bend: Typical change of direction a pixel, in radians; it changes sign slowly, so that threads wave.
        rng: Decides the bends.
        weight: Multiplies the light along the way, shape (side, side).
        width: Gaussian standard deviation of a thread in pixels.
    """
    side = label.shape[0]
    steps = int(np.ceil(length.max() / STEP)) if length.size else 0
    at, turn = starts.astype(np.complex128), headings.astype(np.float64)
    own = _look_up(label, at)
    alive, curl, reached = own > 0, rng.normal(0, bend, at.size), np.zeros(at.size)
    walked: Places = np.full((steps, at.size), np.nan + 0j)
    for step in range(steps):
        curl = 0.9 * curl + rng.normal(0, 0.44 * bend, at.size)
        turn = turn + curl * STEP
        ahead = at + STEP * np.exp(1j * turn)
        alive &= (_look_up(label, ahead) == own) & (length > step * STEP)
        at = np.where(alive, ahead, at)
        reached += alive * STEP
        walked[step] = np.where(alive, ahead, np.nan)
    seen = walked[~np.isnan(walked.real)]
    image = splat(seen, STEP, side=side) / max(2.5 * width, 1.0)
    image = image if weight is None else image * weight
    return Threads(blur(image, max(width, LEAST_SPREAD)), at, np.exp(1j * turn), reached)


def _look_up(label: NDArray[np.int32], places: Places) -> NDArray[np.int32]:
    """Return the label under each place; outside the field that of the nearest pixel."""
    last = label.shape[0] - 1
    return label[
        np.clip(np.rint(places.imag), 0, last).astype(np.intp), np.clip(np.rint(places.real), 0, last).astype(np.intp)
    ]


def circles(places: Places, radii: Numbers, *, thickness: float, side: int) -> FloatImage:
    """Draw circles, filled where ``thickness`` is 0; all lengths in pixels; brightness 1."""
    canvas = np.zeros((side, side), np.uint8)
    stroke = cv2.FILLED if thickness <= 0 else max(round(thickness), 1)
    for place, radius in zip(_fixed(places), radii, strict=True):
        cv2.circle(canvas, place, max(round(radius * 2**SHIFT), 4), 255, stroke, cv2.LINE_AA, SHIFT)
    return canvas.astype(np.float32) / 255


def _fixed(places: Places) -> list[tuple[int, int]]:
    return [(round(place.real * 2**SHIFT), round(place.imag * 2**SHIFT)) for place in places]
