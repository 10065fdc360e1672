"""Strokes every pattern is drawn with: dots, threads, arcs, circles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Places
from protloc.atlas.simulate.textures import FloatImage, bright_end

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
    flow: FloatImage | None = None,
    pull: float = 0.0,
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
        flow: Directions in radians that threads turn to, either way along, shape (side, side); neighbours so run
            together and bundle.
        pull: How strongly they do, radians a pixel.
    """
    side = label.shape[0]
    steps = int(np.ceil(length.max() / STEP)) if length.size else 0
    tips, last, reached = starts.astype(np.complex128), headings.astype(np.float64), np.zeros(starts.size)
    row = np.flatnonzero(label[pixels(tips, side)] > 0)  # of the threads that still walk
    at, turn, curl, own = tips[row], last[row], rng.normal(0, bend, row.size), label[pixels(tips[row], side)]
    walked: list[Places] = [at[:0]]
    for step in range(steps):
        curl = 0.9 * curl + rng.normal(0, 0.44 * bend, at.size)
        turn = turn + curl * STEP
        if flow is not None:
            turn = turn + 0.5 * pull * STEP * np.sin(2 * (flow[pixels(at, side)] - turn))
        at = at + STEP * (np.cos(turn) + 1j * np.sin(turn))
        goes_on = (label[pixels(at, side)] == own) & (length[row] > step * STEP)
        at, turn, curl = at[goes_on], turn[goes_on], curl[goes_on]
        own, row = own[goes_on], row[goes_on]
        tips[row], last[row] = at, turn
        reached[row] += STEP
        walked.append(at)
    image = splat(np.concatenate(walked), STEP, side=side) / max(2.5 * width, 1.0)
    image = image if weight is None else image * weight
    return Threads(blur(image, max(width, LEAST_SPREAD)), tips, np.exp(1j * last), reached)


def arcs(
    starts: Places,
    headings: Numbers,
    *,
    length: Numbers,
    curve: Numbers | float,
    light: Numbers | float,
    width: float,
    label: NDArray[np.int32],
    bounded: bool = True,
) -> FloatImage:
    """Draw smooth arcs, faster than threads.

    Args:
        starts: Where each begins, in pixels.
        headings: First directions in radians.
        length: Of each arc, in pixels.
        curve: Change of direction a pixel, in radians.
        light: Brightness of each.
        width: Gaussian standard deviation of an arc in pixels.
        label: Number of the cell of each pixel.
        bounded: Whether an arc shows in the cell that it begins in only.

    Returns:
        Array of shape (side, side), float32.
    """
    side = label.shape[0]
    points = int(np.ceil(length.max() / STEP)) if length.size else 0
    way = STEP * np.arange(points, dtype=np.float32)[None, :]
    half = 0.5 * np.broadcast_to(np.asarray(curve, np.float32), starts.shape)[:, None] * way
    chord = way * np.sinc(half / np.pi)
    course = headings.astype(np.float32)[:, None] + half
    places = starts[:, None] + chord * (np.cos(course) + 1j * np.sin(course))
    shown = way <= length[:, None]
    if bounded:
        shown &= label[pixels(places, side)] == label[pixels(starts, side)][:, None]
    weights = np.broadcast_to(np.broadcast_to(light, starts.shape)[:, None], places.shape)[shown]
    image = splat(places[shown], STEP * weights, side=side) / max(2.5 * width, 1.0)
    return blur(image, max(width, LEAST_SPREAD))


def lit(image: FloatImage) -> FloatImage:
    """Scale an image to a bright end of 1, even where only a few pixels are bright."""
    return image / np.float32(max(bright_end(image), 0.4 * float(image.max()), 1e-6))


def pixels(places: Places, side: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and column of the pixel under each place; outside the field those of the nearest pixel."""
    row, column = (np.clip(np.rint(part), 0, side - 1).astype(np.intp) for part in (places.imag, places.real))
    return row, column


def circles(places: Places, radii: Numbers, *, thickness: float, side: int) -> FloatImage:
    """Draw circles, filled where ``thickness`` is 0; all lengths in pixels; brightness 1."""
    canvas = np.zeros((side, side), np.uint8)
    stroke = cv2.FILLED if thickness <= 0 else max(round(thickness), 1)
    for place, radius in zip(_fixed(places), radii, strict=True):
        cv2.circle(canvas, place, max(round(radius * 2**SHIFT), 4), 255, stroke, cv2.LINE_AA, SHIFT)
    return canvas.astype(np.float32) / 255


def _fixed(places: Places) -> list[tuple[int, int]]:
    return [(round(place.real * 2**SHIFT), round(place.imag * 2**SHIFT)) for place in places]
