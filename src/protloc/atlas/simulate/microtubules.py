"""Growth of microtubules: long, curved, held off edge and nucleus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Numbers, Phase, Places
from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import LEAST_SPREAD, Threads, blur, pixels, splat, spread_over
from protloc.atlas.simulate.textures import FloatImage

MICROTUBULES_A_CELL = 80  # in a cell of 15 µm radius
STEP = 1.0  # px between two points
WALL = 1.6  # µm; how far edge and nucleus are felt


def grow_microtubules(frame: Frame, rng: np.random.Generator) -> Threads:
    """Grow waving threads: some from the centrosome, most from all over the cytoplasm, many around the nucleus."""
    cells, pixel = frame.cells, frame.pixel
    room = cells.body_axes.prod(axis=1) * pixel**2 / 225
    counts = MICROTUBULES_A_CELL * np.clip(room, 0.5, 2.5) * rng.uniform(0.6, 1.3) * (cells.phase != Phase.DYING)
    counts *= (cells.phase != Phase.METAPHASE) & (cells.phase != Phase.ANAPHASE)
    from_centre = rng.uniform(0.05, 0.35)
    owners = np.repeat(np.arange(len(cells)), np.rint(from_centre * counts).astype(int))
    fade = np.exp(-np.maximum(frame.nuclear, 0) / np.float32(rng.uniform(3, 8)))
    near = frame.cytoplasm() * frame.height(rise=1.0) * (np.float32(rng.uniform(0.1, 0.5)) + fade)
    places, seats = spread_over(near, frame.label, (1 - from_centre) * counts, rng)
    heading = np.concatenate([rng.uniform(0, 2 * np.pi, owners.size), _first_headings(frame, places, seats, rng)])
    off = rng.exponential(1.2, owners.size) / pixel * np.exp(1j * heading[: owners.size])
    starts = np.concatenate([cells.centrosome[owners] + off, places])
    reach = np.concatenate([cells.body_axes[owners, 0], cells.body_axes[seats, 0]])
    length = np.maximum(reach * rng.uniform(0.4, 1.9, starts.size), 5.0 / pixel)
    return _walk(frame, starts, heading, length, rng)


def _first_headings(frame: Frame, places: Places, seats: NDArray[np.intp], rng: np.random.Generator) -> Numbers:
    """Let threads start outwards, around the nucleus, or along the cell, in shares of their own for every field."""
    cells = frame.cells
    outwards = np.angle(places - cells.nucleus[seats])
    around = outwards + rng.choice([-1, 1], seats.size) * np.pi / 2
    along = cells.angle[seats] + np.pi * rng.integers(0, 2, seats.size)
    kind = rng.choice(3, seats.size, p=rng.dirichlet([2.0, 1.5, 1.0]))
    return np.choose(kind, [outwards, around, along]) + rng.normal(0, 0.45, seats.size)


def _walk(frame: Frame, starts: Places, headings: Numbers, length: Numbers, rng: np.random.Generator) -> Threads:
    """Let threads walk until their length is used up or their own cell ends; most turn before they hit a wall."""
    side, bend = frame.side, float(rng.uniform(0.02, 0.07)) * frame.pixel / 0.64
    label, push = frame.label.ravel(), _pushes(frame).ravel()
    tips, turns, reached = starts.copy(), headings.astype(np.float64), np.zeros(starts.size)
    keen = rng.uniform(0.0, 0.5, starts.size) * frame.pixel / 0.64  # how sharply each turns away from a wall
    light = np.exp(rng.normal(0, 0.45, starts.size))  # several side by side look like one bright one
    own = label[_flat(starts, side)]
    going = np.flatnonzero(own > 0)
    curl = rng.normal(0, bend, starts.size)
    seen: list[Places] = []
    shine: list[Numbers] = []
    for step in range(int(np.ceil(length.max(initial=0.0) / STEP))):
        curl[going] = 0.9 * curl[going] + rng.normal(0, 0.44 * bend, going.size)
        way = np.exp(1j * turns[going])
        steer = (np.conj(way) * push[_flat(tips[going], side)]).imag
        turns[going] += (curl[going] + keen[going] * steer) * STEP
        ahead = tips[going] + STEP * np.exp(1j * turns[going])
        kept = (label[_flat(ahead, side)] == own[going]) & (length[going] > step * STEP)
        going, ahead = going[kept], ahead[kept]
        if not going.size:
            break
        tips[going] = ahead
        reached[going] += STEP
        seen.append(ahead)
        shine.append(light[going])
    return Threads(_drawn(frame, seen, shine), tips, np.exp(1j * turns), reached)


def _drawn(frame: Frame, places: list[Places], light: list[Numbers]) -> FloatImage:
    """Draw the points of all threads, step by step, dimmed in the nuclei."""
    if not places:
        return np.zeros((frame.side, frame.side), np.float32)
    image = splat(np.concatenate(places), np.concatenate(light) * STEP, side=frame.side)
    return blur(image * (1 - np.float32(0.9) * frame.nucleus()), LEAST_SPREAD)


def _pushes(frame: Frame) -> NDArray[np.complex64]:
    """Return at every pixel which way edge and nucleus turn a thread, and how strongly (0 to 1)."""
    free = np.minimum(frame.edge, np.maximum(frame.nuclear, 0)).astype(np.float32)
    rows, columns = np.gradient(blur(free, 0.8))
    slope = (columns + 1j * rows) / np.float32(frame.pixel)
    return (slope * np.exp(-free / np.float32(WALL))).astype(np.complex64)


def _flat(places: Places, side: int) -> NDArray[np.intp]:
    """Return the number of the pixel under each place; outside the field that of the nearest pixel."""
    row, column = pixels(places, side)
    return row * side + column
