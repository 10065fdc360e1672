"""Clean landmark stains: microtubules, endoplasmic reticulum, DNA."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import Threads, blur, dots, spread_over
from protloc.atlas.simulate.microtubules import grow_microtubules
from protloc.atlas.simulate.mitosis import bridges, chromosomes, spindles
from protloc.atlas.simulate.textures import FloatImage, ridges, texture

__all__ = ["blue_stain", "draw_reticulum", "grow_microtubules", "red_stain", "yellow_stain"]


def red_stain(frame: Frame, network: Threads, rng: np.random.Generator) -> FloatImage:
    """Mix the microtubule network with the blur of those out of focus, densest around the nucleus."""
    side, pixel = frame.side, frame.pixel
    grain = np.exp(0.45 * texture(rng, side=side, grain=0.45 / pixel))
    fade = np.exp(-np.maximum(frame.nuclear, 0) / np.float32(rng.uniform(2.5, 8)))
    typical = float(np.mean(network.image)) / max(float(np.mean(frame.label > 0)), 0.01)
    near = rng.uniform(0.1, 0.4) * blur(network.image, 1.0 / pixel)
    far = rng.uniform(0.0, 0.25) * blur(network.image, 2.6 / pixel)
    unfocused = near + far + rng.uniform(0.15, 0.9) * typical * (0.3 + fade)
    thick = np.float32(rng.uniform(0.0, 0.2))
    fibres = network.image * (thick + (1 - thick) * frame.height(rise=1.5)) + unfocused * grain * frame.height(rise=1.0)
    fibres = fibres * frame.room
    red = fibres * (1 - np.float32(rng.uniform(0.65, 0.95)) * frame.nucleus())
    red = (red * np.exp(0.2 * texture(rng, side=side, grain=3.0 / pixel))) ** 0.85  # bundles block their own light
    bright = np.float32(np.quantile(red[::4, ::4], 0.995))
    joined = np.float32(rng.uniform(0.3, 1.0)) * bridges(frame, reach=rng.uniform(2.5, 7), gap=0.8, width=0.35)
    return _lit(red + bright * (1.9 * spindles(frame, rng) + joined), frame) + bright * joined * (frame.label == 0)


def draw_reticulum(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw granular sheets around the nucleus and a fine net towards the edge, with dark holes and a nuclear rim."""
    side, pixel = frame.side, frame.pixel
    away = np.maximum(frame.nuclear - 1.0, 0)
    radii = (axes.mean(axis=1) * pixel for axes in (frame.cells.body_axes, frame.cells.nucleus_axes))
    depth = np.maximum(np.subtract(*radii), 2.0)  # µm of cytoplasm outside the nucleus
    reach = depth * rng.uniform(0.8, 2.5) * np.exp(rng.normal(0, 0.3, depth.size))
    near = np.exp(-away / np.maximum(frame.per_cell(reach), 1.5))
    grain = np.exp(rng.uniform(0.25, 0.6) * texture(rng, side=side, grain=0.4 / pixel))
    clouds = np.exp(rng.uniform(0.05, 0.25) * texture(rng, side=side, grain=1.3 / pixel))
    lobes = np.exp(rng.uniform(0.1, 0.3) * texture(rng, side=side, grain=4.5 / pixel))
    sheets = rng.uniform(0.3, 1.2) * near * grain * clouds * lobes
    net = (0.1 + 0.9 * ridges(rng, side=side, grain=0.4 / pixel)) * (rng.uniform(0.1, 0.5) + np.sqrt(near))
    holes = 1 - np.float32(rng.uniform(0.0, 0.8)) * (texture(rng, side=side, grain=0.9 / pixel) > 1.5)
    flat = frame.height(rise=rng.uniform(0.5, 4)) * frame.cytoplasm() * frame.room
    rim = np.exp(-((frame.nuclear / np.float32(max(0.45, pixel))) ** 2)) * frame.inside
    return (sheets + np.float32(rng.uniform(0.3, 0.8)) * net) * holes * flat + np.float32(rng.uniform(0, 0.5)) * rim


def yellow_stain(frame: Frame, net: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Add to the reticulum what is out of focus above and below it and what shines through the nucleus."""
    side, pixel = frame.side, frame.pixel
    shine = np.float32(rng.uniform(0.03, 0.3)) * frame.nucleus() * (1 - 0.5 * frame.nucleoli)
    shine = shine * (1 + 0.3 * texture(rng, side=side, grain=0.6 / pixel)) * frame.inside
    return _lit(net + np.float32(rng.uniform(0.0, 0.15)) * blur(net, 1.5 / pixel) + shine, frame)


def blue_stain(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw granular nuclei with dark nucleoli, unequally bright, and the chromosomes of dividing and dying cells."""
    side, pixel = frame.side, frame.pixel
    grain = rng.uniform(0.1, 0.4) * texture(rng, side=side, grain=0.45 / pixel)
    grain = grain + rng.uniform(0.0, 0.27) * texture(rng, side=side, grain=1.1 / pixel)
    grain = grain + rng.uniform(0.0, 0.15) * texture(rng, side=side, grain=3.0 / pixel)
    dark = 1 - rng.uniform(0.25, 0.75) * frame.nucleoli
    rim = rng.uniform(0.0, 0.35) * np.exp(-(((frame.nuclear + 0.5) / np.float32(max(0.6, pixel))) ** 2))
    spotted = _bright_centres(frame, rng) if rng.random() < 0.08 else 0.0
    level = frame.per_cell(np.exp(rng.normal(0, rng.uniform(0.12, 0.35), len(frame.cells))))
    nuclei = frame.nucleus(width=rng.uniform(0.15, 0.5)) * np.maximum(1 + grain + rim, 0.15) * dark * level + spotted
    return _lit(nuclei + np.float32(rng.uniform(1.2, 2.2)) * chromosomes(frame, rng), frame)


def _bright_centres(frame: Frame, rng: np.random.Generator) -> FloatImage:
    """Draw the bright chromocentres that the nuclei of mouse cells have."""
    places, _ = spread_over(frame.nucleus(), frame.label, np.full(len(frame.cells), 14.0), rng)
    sizes = rng.uniform(0.3, 0.7, places.size) / frame.pixel
    return dots(places, sizes=sizes, heights=np.ones(places.size), side=frame.side) * frame.nucleus()


def _lit(stain: FloatImage, frame: Frame) -> FloatImage:
    return stain * frame.per_cell(frame.cells.brightness)
