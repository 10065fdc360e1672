"""Clean landmark stains: microtubules, endoplasmic reticulum, DNA."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Cells, Phase, Places
from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import Threads, blur, dots, splat, spread_over, threads
from protloc.atlas.simulate.textures import FloatImage, ridges, texture

MICROTUBULES_A_CELL = 75


def grow_microtubules(frame: Frame, rng: np.random.Generator) -> Threads:
    """Grow waving threads: some from the centrosome, most from all over the cytoplasm, many around the nucleus."""
    cells, pixel = frame.cells, frame.pixel
    room = cells.body_axes.prod(axis=1) * pixel**2 / 225
    counts = MICROTUBULES_A_CELL * np.clip(room, 0.4, 2.5) * (cells.nucleus_axes[:, 0] * pixel > 1)
    from_centre = rng.uniform(0.05, 0.35)
    owners = np.repeat(np.arange(len(cells)), np.rint(from_centre * counts).astype(int))
    near = frame.cytoplasm() * (0.25 + np.exp(-np.maximum(frame.nuclear, 0) / np.float32(rng.uniform(3, 7))))
    places, seats = spread_over(near, frame.label, (1 - from_centre) * counts, rng)
    outwards = np.angle(places - cells.nucleus[seats])
    turned = outwards + rng.choice([-1, 1], seats.size) * rng.uniform(0, rng.uniform(0.8, 2.2), seats.size)
    heading = np.concatenate([rng.uniform(0, 2 * np.pi, owners.size), turned])
    off = rng.exponential(1.2, owners.size) / pixel * np.exp(1j * heading[: owners.size])
    starts = np.concatenate([cells.centrosome[owners] + off, places])
    reach = np.concatenate([cells.body_axes[owners, 0], cells.body_axes[seats, 0]])
    length = reach * rng.uniform(0.4, 1.5, starts.size)
    bend = float(rng.uniform(0.03, 0.08)) * pixel / 0.64
    clear = 1 - 0.9 * frame.nucleus()
    return threads(starts, heading, label=frame.label, length=length, bend=bend, rng=rng, weight=clear)


def red_stain(frame: Frame, network: Threads, rng: np.random.Generator) -> FloatImage:
    """Mix the microtubule network with the blur of those out of focus, densest around the nucleus."""
    grain = np.exp(0.35 * texture(rng, side=frame.side, grain=0.5 / frame.pixel))
    fade = np.exp(-np.maximum(frame.nuclear, 0) / np.float32(rng.uniform(4, 12)))
    typical = float(np.mean(network.image)) / max(float(np.mean(frame.label > 0)), 0.01)
    unfocused = rng.uniform(0.3, 1.3) * blur(network.image, 1.4 / frame.pixel) + rng.uniform(0.1, 0.9) * typical * fade
    fibres = network.image * (0.4 + 0.6 * frame.height(rise=1.5)) + unfocused * grain * frame.height(rise=1.0)
    red = fibres * (1 - 0.8 * frame.nucleus()) * np.exp(0.2 * texture(rng, side=frame.side, grain=3.0 / frame.pixel))
    red = red**0.75  # bundles block their own light
    return _lit(red + 0.6 * float(red.max()) * spindles(frame, rng), frame)


def draw_reticulum(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw a fine net, brightest at the nuclear rim and fading outwards."""
    side, pixel = frame.side, frame.pixel
    fade = np.exp(-np.maximum(frame.nuclear - 1.0, 0) / np.float32(rng.uniform(4, 18)))
    fine = ridges(rng, side=side, grain=0.45 / pixel)
    sheets = np.exp(0.35 * texture(rng, side=side, grain=1.6 / pixel))
    rim = np.exp(-((frame.nuclear / np.float32(max(0.45, pixel))) ** 2))
    net = (
        (rng.uniform(0.3, 1.0) + fine)
        * sheets
        * (0.15 + fade)
        * frame.height(rise=rng.uniform(1, 4))
        * frame.cytoplasm()
    )
    return net + np.float32(rng.uniform(0.0, 0.4)) * rim * frame.inside


def yellow_stain(frame: Frame, net: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Add to the reticulum what shines through the nucleus."""
    shine = rng.uniform(0.05, 0.4) * frame.nucleus() * (1 - 0.5 * frame.nucleoli)
    return _lit(
        net + shine.astype(np.float32) * (1 + 0.3 * texture(rng, side=frame.side, grain=0.6 / frame.pixel)), frame
    )


def blue_stain(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw granular nuclei with dark nucleoli, and the condensed chromosomes of dividing and dying cells."""
    side, pixel = frame.side, frame.pixel
    grain = rng.uniform(0.1, 0.35) * texture(rng, side=side, grain=0.5 / pixel)
    grain = grain + rng.uniform(0.05, 0.2) * texture(rng, side=side, grain=1.3 / pixel)
    dark = 1 - rng.uniform(0.3, 0.7) * frame.nucleoli
    spotted = _bright_centres(frame, rng) if rng.random() < 0.08 else 0.0
    level = frame.per_cell(np.exp(rng.normal(0, 0.18, len(frame.cells))))
    nuclei = frame.nucleus(width=0.2) * np.maximum(1 + grain, 0.2) * dark * level + spotted
    return _lit(nuclei + 1.5 * chromosomes(frame, rng), frame)


def chromosomes(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw plates of metaphase, pairs of plates of anaphase and fragments of dying nuclei; brightness about 1."""
    cells, pixel = frame.cells, frame.pixel
    rows = np.flatnonzero((cells.phase == Phase.METAPHASE) | (cells.phase == Phase.ANAPHASE))
    owners = np.repeat(rows, 34)
    across = rng.uniform(-4.5, 4.5, owners.size) + 1j * rng.normal(0, 0.75, owners.size)
    apart = np.where(cells.phase[owners] == Phase.ANAPHASE, 3.4, 0.0) * rng.choice([-1, 1], owners.size)
    plates = cells.nucleus[owners] + (across + 1j * apart) / pixel * np.exp(1j * cells.angle[owners])
    dying = np.repeat(np.flatnonzero(cells.phase == Phase.DYING), 14)
    around = rng.normal(0, 2.6, (2, dying.size))
    bits = cells.nucleus[dying] + (around[0] + 1j * around[1]) / pixel
    sizes = np.concatenate([np.full(plates.size, 0.65), rng.uniform(0.4, 1.1, bits.size)]) / pixel
    return np.minimum(
        dots(np.concatenate([plates, bits]), sizes=sizes, heights=np.full(sizes.size, 0.9), side=frame.side), 1.6
    )


def spindles(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw a fan of fibres between the two poles of each dividing cell; the brightest is 1."""
    cells = frame.cells
    rows = np.flatnonzero((cells.phase == Phase.METAPHASE) | (cells.phase == Phase.ANAPHASE))
    if not rows.size:
        return np.zeros((frame.side, frame.side), np.float32)
    fibres, points = 46, max(int(14 / frame.pixel), 12)
    axis = spindle_axes(cells, frame.pixel)[rows][:, None, None]
    along = np.linspace(-1, 1, points)[None, None, :]
    bulge = rng.normal(0, 0.45, (rows.size, fibres, 1)) * (1 - along**2)
    places = cells.nucleus[rows][:, None, None] + axis * (along + 1j * bulge)
    faint = np.where(rng.random((rows.size, fibres, 1)) < 0.5, np.abs(along) ** 0.5, 1.0)
    image = blur(
        splat(places.ravel(), np.broadcast_to(faint, places.shape).ravel(), side=frame.side), 0.35 / frame.pixel
    )
    return image / max(float(image.max()), 1e-6)


def spindle_axes(cells: Cells, pixel: float) -> Places:
    """Return for every cell the complex vector in pixels from the middle of its spindle to one pole."""
    reach = np.where(cells.phase == Phase.ANAPHASE, 6.2, 5.0) / pixel
    return (1j * reach * np.exp(1j * cells.angle)).astype(np.complex128)


def _bright_centres(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw the bright chromocentres that the nuclei of mouse cells have."""
    places, _ = spread_over(frame.nucleus(), frame.label, np.full(len(frame.cells), 14.0), rng)
    sizes = rng.uniform(0.3, 0.7, places.size) / frame.pixel
    return dots(places, sizes=sizes, heights=np.ones(places.size), side=frame.side) * frame.nucleus()


def _lit(stain: FloatImage, frame: Frame) -> FloatImage:
    return stain * frame.per_cell(frame.cells.brightness)
