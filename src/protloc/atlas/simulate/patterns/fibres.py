"""Patterns of the cytoskeleton: filaments, adhesions, microtubules with their ends."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Numbers
from protloc.atlas.simulate.marks import arcs, blur, dots, lit, pixels, spread_over, threads
from protloc.atlas.simulate.patterns.variety import crowd, haze, share
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage

USUAL_CELL = 225.0  # µm²; square of the mean half axis of a middling cell, to which numbers of fibres refer


@pattern("Intermediate filaments")
def intermediate_filaments(scene: Scene) -> FloatImage:
    """Draw wavy, tangled bundles: a cage or cap at the nucleus or a net over the whole cell, in diffuse light."""
    frame, rng, style = scene.frame, scene.rng, scene.style
    room = _filament_room(scene)
    places, _ = spread_over(room, frame.label, _by_area(scene, scene.counts(90, 240)), rng)
    flow = _around_nuclei(scene) + style.uniform(0.5, 1.3) * scene.noise(style.uniform(1.8, 3.5))
    heading = flow[pixels(places, frame.side)] + np.pi * rng.integers(0, 2, places.size)
    tangle = threads(
        places,
        heading + rng.normal(0, 0.5, places.size),
        label=frame.label,
        length=scene.px(1.0) * rng.uniform(5, 20, places.size),
        bend=0.14 * frame.pixel,
        rng=rng,
        weight=(1 - style.uniform(0.3, 0.9) * frame.nucleus()) * scene.mottle(1.8, depth=0.6),
        width=scene.px(0.2),
        flow=flow,
        pull=0.55 * frame.pixel,
    ).image
    diffuse = share(scene, 0.1, 0.6) * blur(tangle, scene.px(0.9)) + share(scene, 0.05, 0.7) * blur(tangle, scene.px(3))
    weak = haze(scene, 0.01, 0.2)
    fibres = lit(tangle + diffuse * frame.inside * scene.mottle(0.5, depth=0.25))
    return fibres**0.75 + weak  # bundles block their own light, so single fibres are not lost beside them


def _filament_room(scene: Scene) -> FloatImage:
    """Return where filaments begin: at the nucleus, on one side of it, or anywhere in the cytoplasm."""
    frame, kind = scene.frame, int(scene.style.integers(4))
    reach = scene.style.uniform(6, 25) if kind == 0 else scene.style.uniform(1.5, 5.0)
    near = (1 - 0.7 * frame.nucleus()) * frame.inside * np.exp(-np.maximum(frame.nuclear, 0) / reach)
    if kind == 1:
        near = near * (0.03 + np.exp(-frame.from_places(scene.cells.centrosome) / 3.5))
    return near * scene.mottle(3.0, depth=0.6)


def _around_nuclei(scene: Scene) -> FloatImage:
    """Return the direction along the nuclear edge in radians, shape (side, side)."""
    rows, columns = np.gradient(blur(np.clip(scene.frame.nuclear, -20, 40), 1.5))
    return np.arctan2(columns, -rows)


@pattern("Actin filaments")
def actin_filaments(scene: Scene) -> FloatImage:
    """Draw long, straight, parallel fibres along the cell, bright cortex and spikes, over granular cytoplasm."""
    frame, style = scene.frame, scene.style
    fibres = share(scene, 0.25, 1.0) * lit(_stress_fibres(scene)) * (1 - 0.5 * frame.nucleus())
    cortex = np.exp(-frame.edge / max(style.uniform(0.3, 0.8), 0.8 * frame.pixel)) * frame.inside
    rim = share(scene, 0.1, 1.0) * cortex * scene.mottle(1.5, depth=style.uniform(0.4, 1.1))
    spikes = share(scene, 0.05, 0.6) * lit(_spikes(scene))
    return fibres + rim + spikes + haze(scene, 0.03, 0.35)


def _stress_fibres(scene: Scene) -> FloatImage:
    """Draw parallel fibres of unequal light, in bundles, along most of each cell or part of it."""
    frame, rng = scene.frame, scene.rng
    room = frame.height(rise=1.5) * scene.mottle(2.5, depth=0.7)
    places, seats = spread_over(room, frame.label, _by_area(scene, crowd(scene, 18, 60)), rng)
    turned = rng.normal(0, 0.25, len(scene.cells))
    heading = (scene.cells.angle + turned)[seats] + rng.normal(0, scene.style.uniform(0.04, 0.2), seats.size)
    curve = rng.normal(0, 0.006, len(scene.cells))[seats] * frame.pixel
    reach = scene.cells.body_axes[seats, 0] * rng.uniform(0.15, 0.9, seats.size)
    light = np.exp(rng.normal(0, 0.6, seats.size))
    ways = ((heading, curve), (heading + np.pi, -curve))
    halves = [
        arcs(places, way, length=reach, curve=turn, light=light, width=scene.px(0.18), label=frame.label)
        for way, turn in ways
    ]
    return halves[0] + halves[1]


def _spikes(scene: Scene) -> FloatImage:
    """Draw spikes of 1 to 4 µm that stand out of free edges."""
    frame, rng = scene.frame, scene.rng
    rim = frame.inside * (frame.edge < max(1.0, 2 * frame.pixel)) * (frame.contact > 2)
    places, seats = spread_over(rim * scene.mottle(3.0, depth=1.0), frame.label, crowd(scene, 2, 25), rng)
    outwards = np.angle(places - scene.cells.body[seats]) + rng.normal(0, 0.4, seats.size)
    length = scene.px(1.0) * rng.uniform(1, 3.5, seats.size)
    return arcs(
        places,
        outwards,
        length=length,
        curve=0.0,
        light=np.exp(rng.normal(0, 0.4, seats.size)),
        width=scene.px(0.15),
        label=frame.label,
        bounded=False,
    )


@pattern("Focal adhesion sites")
def focal_adhesions(scene: Scene) -> FloatImage:
    """Draw 10 to 60 elongated patches of 1 to 5 µm near the free edge of the cell, pointing inwards, in haze."""
    frame, rng = scene.frame, scene.rng
    rim = frame.inside * np.exp(-(((frame.edge - 1.5) / 1.5) ** 2)) * (frame.contact > 2) * (frame.nuclear > 1)
    places, seats = spread_over(rim + 0.04 * frame.cytoplasm(), frame.label, crowd(scene, 12, 50), rng)
    inwards = np.angle(scene.cells.nucleus[seats] - places) + rng.normal(0, 0.3, seats.size)
    patches = arcs(
        places,
        inwards,
        length=scene.px(1.0) * rng.uniform(1, 4.5, places.size),
        curve=0.0,
        light=np.exp(rng.normal(0, 0.5, places.size)),
        width=scene.px(0.25),
        label=frame.label,
    )
    return lit(patches) + haze(scene, 0.02, 0.3)


@pattern("Microtubules")
def microtubules(scene: Scene) -> FloatImage:
    """Draw the same threads as the red stain, bundled, more or less hazy."""
    network = scene.microtubules.image
    near = blur(network, scene.px(0.8))
    bundled = network * (near / max(float(near.mean()), 1e-6)) ** scene.style.uniform(0.0, 0.5)
    hazy = share(scene, 0.1, 1.2) * blur(network, scene.px(1.2))
    weak = haze(scene, 0.01, 0.2)
    return lit(bundled + hazy * scene.mottle(0.5, depth=0.2)) ** 0.8 + weak  # as in red, bundles block their own light


@pattern("Microtubule ends")
def microtubule_ends(scene: Scene) -> FloatImage:
    """Draw short comets of 0.5 to 1 µm at the outer ends of the microtubules, over their weak network."""
    network = scene.microtubules
    far = (network.lengths > scene.px(3.0)) & (scene.rng.random(network.lengths.size) < scene.style.uniform(0.4, 1.0))
    tips, headings = network.tips[far], network.headings[far]
    tail = scene.px(0.25) * np.arange(4)[:, None]
    places = (tips[None, :] - tail * headings[None, :]).ravel()
    light = np.exp(scene.rng.normal(0, 0.4, tips.size))
    heights = (np.array([1.0, 0.8, 0.5, 0.3])[:, None] * light).ravel()
    comets = dots(places, sizes=np.full(places.size, scene.px(0.22)), heights=heights, side=scene.frame.side)
    weak = share(scene, 0.02, 0.3) * lit(network.image)
    return (lit(comets) + weak) * scene.frame.inside + haze(scene, 0.01, 0.25)


def _by_area(scene: Scene, numbers: Numbers) -> Numbers:
    """Give large cells more and small ones less."""
    area = scene.cells.body_axes.prod(axis=1) * scene.frame.pixel**2
    return numbers * np.clip(area / USUAL_CELL, 0.3, 2.0)
