"""Patterns of membranes: reticulum, mitochondria, plasma membrane, junctions."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.marks import blur, dots, splat, spread_over, threads
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage, bright_end

LEAST_SHARE = 0.08  # a form of mitochondria with less of the light is left out


@pattern("Endoplasmic reticulum")
def reticulum(scene: Scene) -> FloatImage:
    """Draw the sheets and the net of the yellow stain with a grain of their own, a cloud for many antibodies."""
    net = scene.reticulum
    cloudy = np.float32(scene.style.uniform(0.0, 0.6))
    seen = (1 - cloudy) * net + cloudy * blur(net, scene.px(0.8))
    grain = scene.mottle(0.4, depth=scene.style.uniform(0.1, 0.4))
    return seen * grain * scene.mottle(2.5, depth=scene.style.uniform(0.0, 0.3))


@pattern("Mitochondria")
def mitochondria(scene: Scene) -> FloatImage:
    """Draw threads of 0.4 µm by 1 to 5, dense around the nucleus; for many antibodies grains or a grainy cloud."""
    frame = scene.frame
    fade = np.exp(-np.maximum(frame.nuclear, 0) / np.float32(np.exp(scene.style.uniform(np.log(2.0), np.log(12.0)))))
    weight = frame.cytoplasm() * (frame.nuclear > 0.3) * (scene.style.uniform(0.02, 0.2) + fade)
    weight = weight * frame.height(rise=scene.style.uniform(0.7, 3.0)) * scene.mottle(2.2, depth=0.5)
    shares = scene.style.dirichlet([1.0, 0.9, 0.6])
    image = np.zeros_like(weight)
    for share, draw in zip(shares, (_worms, _grains, _cloud), strict=True):
        if share > LEAST_SHARE:
            part = draw(scene, weight)
            image += np.float32(share / bright_end(part[::2, ::2])) * part
    return image


def _worms(scene: Scene, weight: FloatImage) -> FloatImage:
    rng, frame = scene.rng, scene.frame
    places, seats = spread_over(weight, frame.label, scene.counts(60, 170), rng)
    outwards = np.angle(places - scene.cells.nucleus[seats]) + rng.normal(0, scene.style.uniform(0.7, 1.8), seats.size)
    length = scene.px(1.0) * rng.uniform(0.8, scene.style.uniform(1.5, 6.0), places.size)
    clear = (frame.nuclear > 0.2) * scene.mottle(1.5, depth=0.4)
    bend, width = 0.22 * frame.pixel / 0.64, scene.px(0.22)
    label = frame.label
    return threads(places, outwards, label=label, length=length, bend=bend, rng=rng, weight=clear, width=width).image


def _grains(scene: Scene, weight: FloatImage) -> FloatImage:
    places, _ = spread_over(weight, scene.frame.label, scene.counts(120, 350), scene.rng)
    sizes = scene.px(0.2) * scene.rng.uniform(0.8, 1.6, places.size)
    light = np.exp(scene.rng.normal(0, 0.5, places.size))
    return dots(places, sizes=sizes, heights=light, side=scene.frame.side)


def _cloud(scene: Scene, weight: FloatImage) -> FloatImage:
    return weight * scene.mottle(0.45, depth=0.6) * scene.mottle(1.0, depth=0.3)


@pattern("Plasma membrane")
def plasma_membrane(scene: Scene) -> FloatImage:
    """Draw the outline of the cell, brighter at contacts, ruffles, spikes, and a textured sheet over the whole cell."""
    frame = scene.frame
    width = np.float32(max(0.35, 0.7 * frame.pixel))
    rim = np.exp(-0.5 * (frame.edge / width) ** 2) * frame.inside * scene.mottle(1.0, depth=0.4)
    touching = np.exp(-0.5 * (frame.contact / width) ** 2) * frame.inside * scene.mottle(1.2, depth=0.35)
    folds = np.maximum(scene.net(1.6) - 0.35, 0) * np.maximum(scene.noise(3.0) + 0.3, 0)
    ruffles = folds * np.exp(-frame.edge / np.float32(scene.style.uniform(1.5, 5.0))) * frame.inside
    weights = scene.style.uniform([0.3, 0.2, 0.1, 0.15, 0.0], [0.9, 0.9, 1.0, 0.6, 0.8]).astype(np.float32)
    parts = (rim, touching, ruffles, _sheet(scene), _spikes(scene))
    uneven = scene.mottle(4.0, depth=0.35)  # cells turn some of their edge more to the light than the rest
    return uneven * sum((share * part for share, part in zip(weights, parts, strict=True)), 0 * rim)


def _sheet(scene: Scene) -> FloatImage:
    """Draw the membrane seen from above: granular, folded, with the stubs of microvilli."""
    folds = scene.net(scene.style.uniform(0.8, 2.0)) * np.float32(scene.style.uniform(0.0, 1.0))
    grain = scene.mottle(0.45, depth=scene.style.uniform(0.2, 0.7)) * scene.mottle(2.0, depth=0.3)
    return scene.frame.inside * grain * (0.6 + folds)


def _spikes(scene: Scene) -> FloatImage:
    """Draw filopodia of 1 to 4 µm that stand off the free edge."""
    frame, rng = scene.frame, scene.rng
    free = (frame.edge < max(0.8, 1.5 * frame.pixel)) * (frame.contact > 2.0) * frame.inside
    roots, seats = spread_over(free, frame.label, scene.counts(4, 40), rng)
    lean = np.angle(roots - scene.cells.nucleus[seats]) + rng.normal(0, 0.35, seats.size)
    out = np.linspace(-0.3, 1.0, 12) * scene.px(1.0) * np.minimum(1 + rng.exponential(0.8, (seats.size, 1)), 4.0)
    places = roots[:, None] + out * np.exp(1j * lean)[:, None]
    step = np.abs(out[:, 1:2] - out[:, :1])
    return blur(splat(places.ravel(), np.broadcast_to(step, places.shape).ravel(), side=frame.side), scene.px(0.2))


@pattern("Cell junctions")
def cell_junctions(scene: Scene) -> FloatImage:
    """Draw only the lines where two cells touch, dotted, ragged or closed, with faint light in the cell."""
    frame = scene.frame
    width = np.float32(max(0.35, 0.6 * frame.pixel))
    ragged = width * np.exp(np.float32(scene.style.uniform(0.0, 0.6)) * scene.noise(0.8))
    line = np.exp(-0.5 * (frame.contact / ragged) ** 2) * frame.inside
    dotted = scene.mottle(0.6, depth=scene.style.uniform(0.2, 1.1)) * scene.mottle(5.0, depth=0.6)
    faint = np.float32(scene.style.uniform(0.01, 0.12)) * frame.inside * scene.mottle(0.5, depth=0.4)
    return line * dotted + faint
