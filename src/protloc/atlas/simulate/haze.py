"""Light that nobody labels: haze of the cells, precipitate, debris."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import dots, spread_over
from protloc.atlas.simulate.textures import FloatImage, texture

SPECKLED_ANTIBODIES = 0.25  # share of antibodies that leave precipitate
DIRTY_FIELDS = 0.12  # share of fields with debris
PEPPER = 60.0  # grains a cell in a peppered haze


def draw_haze(
    frame: Frame, strength: tuple[float, float], rng: np.random.Generator, style: np.random.Generator
) -> FloatImage:
    """Draw unspecific light: granular, smooth, mottled, peppered or fading outwards as the antibody has it.

    Args:
        frame: The geometry.
        strength: Of the haze over the cytoplasm and over the nucleus, as shares of the pattern.
        rng: Chance of the field.
        style: Chance of the antibody, equal for all its fields.

    Returns:
        Array of shape (side, side), float32, 0 where ``strength`` is 0.
    """
    cytoplasm, nucleus = (np.float32(0.6 * each) for each in strength)
    if not cytoplasm and not nucleus:
        return np.zeros((frame.side, frame.side), np.float32)
    grain = np.exp(
        style.uniform(0.05, 0.6) * texture(rng, side=frame.side, grain=style.uniform(0.3, 0.9) / frame.pixel)
    )
    clouds = np.exp(style.uniform(0.1, 0.5) * texture(rng, side=frame.side, grain=style.uniform(1.2, 4) / frame.pixel))
    fade = style.uniform(0.3, 1.0) if style.random() < 0.4 else 0.0
    outwards = 1 - np.float32(fade) * (1 - np.exp(-np.maximum(frame.nuclear, 0) / np.float32(style.uniform(3, 10))))
    around = cytoplasm * frame.height(rise=style.uniform(1, 4)) * outwards * (1 - frame.nucleus())
    haze = (around + nucleus * frame.nucleus() * frame.inside) * grain * clouds
    if style.random() < 0.3:
        haze = haze + cytoplasm * _pepper(frame, rng)
    specks = _precipitate(frame, rng, style) if style.random() < SPECKLED_ANTIBODIES else 0.0
    return (haze * frame.per_cell(frame.cells.brightness) + specks).astype(np.float32)


def draw_debris(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw none to three bright clumps of 2 to 8 µm anywhere in the field, in most fields none."""
    count = int(rng.integers(1, 4)) if rng.random() < DIRTY_FIELDS else 0
    return _clumps(frame, rng, count=count, wide=rng.uniform(0.4, 1.6), bits=14, size=(0.4, 1.0), light=(0.1, 0.7))


def _pepper(frame: Frame, rng: np.random.Generator) -> FloatImage:
    weight = frame.cytoplasm() * frame.height(rise=1.5)
    places, _ = spread_over(weight, frame.label, np.full(len(frame.cells), PEPPER), rng)
    sizes = rng.uniform(0.15, 0.35, places.size) / frame.pixel
    return dots(places, sizes=sizes, heights=rng.uniform(0.3, 1.5, places.size), side=frame.side)


def _precipitate(frame: Frame, rng: np.random.Generator, style: np.random.Generator) -> FloatImage:
    """Draw lone specks, and clumps of them, wherever they settled: in cells and between them."""
    lone, clumps = (rng.poisson(np.exp(style.uniform(0, top))) for top in (4.5, 2.0))
    light = style.uniform(0.15, 0.5), style.uniform(0.5, 1.5)
    specks = _clumps(frame, rng, count=int(lone), wide=0.0, bits=1, size=(0.15, 0.4), light=light)
    return specks + _clumps(frame, rng, count=int(clumps), wide=0.8, bits=6, size=(0.15, 0.5), light=light)


def _clumps(
    frame: Frame,
    rng: np.random.Generator,
    *,
    count: int,
    wide: float,
    bits: int,
    size: tuple[float, float],
    light: tuple[float, float],
) -> FloatImage:
    """Scatter ``count`` clumps of ``bits`` dots; ``wide`` and ``size`` are standard deviations in µm."""
    column, row = np.repeat(rng.uniform(0, frame.side, (2, count)), bits, axis=1)
    off = rng.normal(0, wide / frame.pixel, (2, count * bits)) * np.repeat(
        rng.uniform(0.5, 2.0, (2, count)), bits, axis=1
    )
    places = column + off[0] + 1j * (row + off[1])
    sizes = rng.uniform(*size, places.size) / frame.pixel
    return dots(places, sizes=sizes, heights=rng.uniform(*light, places.size), side=frame.side)
