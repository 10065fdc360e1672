"""Patterns of membranes: reticulum, Golgi, mitochondria, plasma membrane, junctions."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.marks import dots, spread_over, threads
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage, bright_end


@pattern("Endoplasmic reticulum")
def reticulum(scene: Scene) -> FloatImage:
    """Draw the net of the yellow stain, brightest at the rim of the nucleus, with a grain of its own."""
    return scene.reticulum * scene.mottle(0.5, depth=scene.style.uniform(0.1, 0.35))


@pattern("Golgi apparatus")
def golgi(scene: Scene) -> FloatImage:
    """Draw tangled ribbons on one side of the nucleus, 5 to 10 µm across; for some antibodies scattered fragments."""
    frame, cells = scene.frame, scene.cells
    beside = cells.nucleus + scene.style.uniform(1.05, 1.3) * (cells.centrosome - cells.nucleus)
    scattered = scene.style.random() < 0.25
    reach = np.float32(scene.style.uniform(1.6, 3.2) * (2.2 if scattered else 1.0))
    away = frame.from_places(beside) / reach
    patch = np.exp(-0.5 * away**2) * (frame.nuclear > 0.15) * frame.inside
    few = scene.style.uniform(0.0, 0.12) * scene.reticulum / max(float(scene.reticulum.max()), 1e-6)
    shape = _fragments(scene, patch) if scattered else _ribbons(scene, patch, away)
    return shape / bright_end(shape) + few


def _ribbons(scene: Scene, patch: FloatImage, away: FloatImage) -> FloatImage:
    places, seats = spread_over(patch, scene.frame.label, scene.counts(12, 26), scene.rng)
    length = scene.px(1.0) * scene.rng.uniform(2, 7, places.size)
    heading = np.angle(places - scene.cells.nucleus[seats]) + scene.rng.normal(1.57, 0.6, seats.size)
    near = (scene.frame.nuclear > 0.1) / (1 + np.exp(np.clip(4 * (away - 2.2), -30, 30)))
    bend, width = 0.16 * scene.frame.pixel / 0.64, scene.px(0.3)
    label = scene.frame.label
    return threads(
        places, heading, label=label, length=length, bend=bend, rng=scene.rng, weight=near, width=width
    ).image * scene.mottle(0.6, depth=0.3)


def _fragments(scene: Scene, patch: FloatImage) -> FloatImage:
    pieces = np.maximum(scene.net(scene.style.uniform(0.5, 0.8)) - 0.35, 0)
    places, _ = spread_over(patch, scene.frame.label, scene.counts(10, 40), scene.rng)
    sizes = scene.px(1.0) * scene.rng.uniform(0.15, 0.4, places.size)
    bits = dots(places, sizes=sizes, heights=np.ones(places.size), side=scene.frame.side)
    return (np.sqrt(patch) * pieces * (patch > 0.25) + 0.6 * bits) * scene.frame.inside


@pattern("Mitochondria")
def mitochondria(scene: Scene) -> FloatImage:
    """Draw short threads of 0.4 µm by 1 to 5, dense around the nucleus; for some antibodies a grainy cloud."""
    frame, rng = scene.frame, scene.rng
    fade = np.exp(-np.maximum(frame.nuclear, 0) / np.float32(scene.style.uniform(3.5, 9.0)))
    weight = frame.cytoplasm() * (frame.nuclear > 0.4) * (0.08 + fade) * frame.height(rise=2.0)
    places, seats = spread_over(weight, frame.label, scene.counts(60, 150), rng)
    outwards = np.angle(places - scene.cells.nucleus[seats]) + rng.normal(0, 0.9, seats.size)
    longest = scene.style.uniform(1.5, 6.0)
    length = scene.px(1.0) * rng.uniform(0.8, longest, places.size)
    clear = (frame.nuclear > 0.2).astype(np.float32)
    bend = 0.12 * frame.pixel / 0.64
    worms = threads(
        places, outwards, label=frame.label, length=length, bend=bend, rng=rng, weight=clear, width=scene.px(0.22)
    )
    return worms.image + scene.style.uniform(0.0, 0.15) * weight


@pattern("Plasma membrane")
def plasma_membrane(scene: Scene) -> FloatImage:
    """Draw the outline of the cell, brighter at contacts, ruffles, and a textured sheet over the whole cell."""
    frame = scene.frame
    width = np.float32(max(0.35, 0.7 * frame.pixel))
    rim = np.exp(-0.5 * (frame.edge / width) ** 2) * frame.inside
    touching = np.exp(-0.5 * (frame.contact / width) ** 2) * frame.inside
    ruffles = np.maximum(scene.noise(1.8), 0) * np.exp(-frame.edge / 2.5) * frame.inside
    sheet = frame.inside * scene.mottle(0.6, depth=0.35) * scene.mottle(2.5, depth=0.25)
    weights = scene.style.uniform([0.4, 0.3, 0.1, 0.12], [1.0, 1.2, 0.7, 0.55])
    return np.maximum(weights[0] * rim * scene.mottle(2.0, depth=0.4), 0) + sum(
        np.float32(share) * part for share, part in zip(weights[1:], (touching, ruffles, sheet), strict=True)
    )


@pattern("Cell junctions")
def cell_junctions(scene: Scene) -> FloatImage:
    """Draw only the lines where two cells touch, dotted or closed."""
    frame = scene.frame
    width = np.float32(max(0.35, 0.6 * frame.pixel))
    line = np.exp(-0.5 * (frame.contact / width) ** 2) * frame.inside
    dotted = scene.mottle(0.7, depth=scene.style.uniform(0.2, 1.0)) * scene.mottle(5.0, depth=0.5)
    return line * dotted + scene.style.uniform(0.01, 0.12) * frame.inside * scene.mottle(0.6, depth=0.3)
