"""Patterns of the cytoskeleton: filaments, adhesions, microtubules with their ends."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.marks import blur, dots, spread_over, threads
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Intermediate filaments")
def intermediate_filaments(scene: Scene) -> FloatImage:
    """Draw wavy, tangled bundles: a cage around the nucleus that thins outwards, for some antibodies only a cap."""
    frame, rng = scene.frame, scene.rng
    reach = np.float32(scene.style.uniform(2.0, 6.0))
    near = frame.cytoplasm() * np.exp(-np.maximum(frame.nuclear, 0) / reach)
    if scene.style.random() < 0.35:
        near = near * np.exp(-frame.from_places(scene.cells.centrosome) / 4.0)
    places, seats = spread_over(near, frame.label, scene.counts(40, 100), rng)
    around = np.angle(places - scene.cells.nucleus[seats]) + rng.choice([-1, 1], seats.size) * rng.normal(
        1.3, 0.5, seats.size
    )
    length = scene.px(1.0) * rng.uniform(5, 22, places.size)
    clear = 1 - 0.8 * frame.nucleus()
    tangle = threads(
        places,
        around,
        label=frame.label,
        length=length,
        bend=0.11 * frame.pixel / 0.64,
        rng=rng,
        weight=clear,
        width=scene.px(0.24),
    ).image
    return tangle + scene.style.uniform(0.1, 0.6) * blur(tangle, scene.px(0.9))


@pattern("Actin filaments")
def actin_filaments(scene: Scene) -> FloatImage:
    """Draw long, straight, parallel fibres along the cell, with a bright cortex."""
    frame, rng = scene.frame, scene.rng
    places, seats = spread_over(frame.height(rise=2.0), frame.label, scene.counts(16, 45), rng)
    along = scene.cells.angle[seats] + rng.normal(0, 0.13, seats.size)
    length = scene.cells.body_axes[seats, 0] * rng.uniform(0.5, 1.3, seats.size)
    fibres = [
        threads(places, along + turn, label=frame.label, length=length, bend=0.004, rng=rng, width=scene.px(0.2)).image
        for turn in (0.0, np.pi)
    ]
    cortex = np.exp(-frame.edge / np.float32(max(0.5, frame.pixel))) * frame.inside * scene.mottle(2.0, depth=0.6)
    return fibres[0] + fibres[1] + np.float32(scene.style.uniform(0.3, 2.0)) * cortex


@pattern("Focal adhesion sites")
def focal_adhesions(scene: Scene) -> FloatImage:
    """Draw 10 to 60 elongated patches of 1 to 5 µm near the free edge of the cell, pointing inwards."""
    frame, rng = scene.frame, scene.rng
    rim = frame.inside * np.exp(-(((frame.edge - 1.5) / 1.5) ** 2)) * (frame.contact > 2) * (frame.nuclear > 1)
    places, seats = spread_over(rim + 0.04 * frame.cytoplasm(), frame.label, scene.counts(12, 50), rng)
    inwards = np.angle(scene.cells.nucleus[seats] - places) + rng.normal(0, 0.3, seats.size)
    length = scene.px(1.0) * rng.uniform(1, 4.5, places.size)
    patches = threads(places, inwards, label=frame.label, length=length, bend=0.01, rng=rng, width=scene.px(0.25)).image
    return np.minimum(patches, 2.0) + scene.style.uniform(0.02, 0.2) * frame.height() * scene.mottle(0.6, depth=0.3)


@pattern("Microtubules")
def microtubules(scene: Scene) -> FloatImage:
    """Draw the same threads as the red stain, more or less hazy."""
    network = scene.microtubules.image
    return network + scene.style.uniform(0.1, 1.0) * blur(network, scene.px(1.2))


@pattern("Microtubule ends")
def microtubule_ends(scene: Scene) -> FloatImage:
    """Draw short comets at the outer ends of the microtubules."""
    network = scene.microtubules
    far = network.lengths > scene.px(3.0)
    tips, headings = network.tips[far], network.headings[far]
    tail = scene.px(0.25) * np.arange(4)[:, None]
    places = (tips[None, :] - tail * headings[None, :]).ravel()
    heights = np.broadcast_to(np.array([1.0, 0.8, 0.5, 0.3])[:, None], (4, tips.size)).ravel()
    comets = dots(places, sizes=np.full(places.size, scene.px(0.22)), heights=heights, side=scene.frame.side)
    return (comets + scene.style.uniform(0.02, 0.15) * scene.microtubules.image) * scene.frame.inside
