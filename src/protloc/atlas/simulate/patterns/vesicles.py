"""Patterns of dots in the cytoplasm: vesicles, droplets, bodies, clumps."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Numbers
from protloc.atlas.simulate.marks import circles, dots, spread_over, threads
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Peroxisomes")
def peroxisomes(scene: Scene) -> FloatImage:
    """Draw 100 to 300 even dots of 0.3 to 0.6 µm all over the cytoplasm of each cell."""
    return _scattered(scene, _room(scene), scene.counts(100, 280), low=0.3, high=0.6, uneven=0.15)


@pattern("Endosomes")
def endosomes(scene: Scene) -> FloatImage:
    """Draw 20 to 100 dots of unequal size and brightness, in patches, many near the nucleus or near the edge."""
    frame = scene.frame
    near = np.exp(-np.maximum(frame.nuclear, 0) / 3.0) + 0.8 * np.exp(-frame.edge / 2.0)
    weight = _room(scene) * (0.2 + near) * scene.mottle(3.0, depth=0.8)
    return _scattered(scene, weight, scene.counts(25, 100), low=0.3, high=1.1, uneven=0.6)


@pattern("Lysosomes")
def lysosomes(scene: Scene) -> FloatImage:
    """Draw 50 to 200 dots of 0.5 to 1.2 µm, crowded around the nucleus."""
    crowd = np.exp(-np.maximum(scene.frame.nuclear, 0) / np.float32(scene.style.uniform(2.5, 5.0)))
    weight = _room(scene) * crowd * scene.mottle(3.0, depth=0.5)
    return _scattered(scene, weight, scene.counts(50, 180), low=0.5, high=1.2, uneven=0.35)


@pattern("Lipid droplets")
def lipid_droplets(scene: Scene) -> FloatImage:
    """Draw 10 to 80 circles of 0.5 to 2 µm in clusters, hollow for half of the antibodies."""
    frame = scene.frame
    weight = _room(scene) * scene.mottle(2.2, depth=1.3)
    places, _ = spread_over(weight, frame.label, scene.counts(10, 70), scene.rng)
    radii = scene.px(0.5) * np.clip(np.exp(scene.rng.normal(0.0, 0.4, places.size)), 0.5, 2.0)
    full = dots(places, sizes=0.6 * radii, heights=np.ones(places.size), side=frame.side)
    if scene.style.random() < 0.5:
        return full
    return full - 0.9 * dots(places, sizes=0.38 * radii, heights=np.ones(places.size), side=frame.side)


@pattern("Cytoplasmic bodies")
def cytoplasmic_bodies(scene: Scene) -> FloatImage:
    """Draw 5 to 30 sharp dots of 0.3 to 1 µm in the cytoplasm."""
    return _scattered(scene, _room(scene), scene.counts(5, 28), low=0.45, high=1.0, uneven=0.4)


@pattern("Aggresome")
def aggresome(scene: Scene) -> FloatImage:
    """Draw one dense clump of 2 to 4 µm beside the nucleus, in some of the cells."""
    frame, cells = scene.frame, scene.cells
    rows = np.flatnonzero(scene.rng.random(len(cells)) < scene.style.uniform(0.3, 0.9))
    owners = np.repeat(rows, 7)
    reach = scene.px(1.0) * np.repeat(scene.rng.uniform(0.75, 1.3, rows.size), 7)
    beside = cells.nucleus + 1.15 * (cells.centrosome - cells.nucleus)
    off = scene.rng.normal(0, 0.6, (2, owners.size))
    places = beside[owners] + (off[0] + 1j * off[1]) * reach
    clump = dots(places, sizes=0.7 * reach, heights=np.full(owners.size, 0.5), side=frame.side)
    return np.minimum(clump, 1.6) * scene.mottle(0.5, depth=0.25) * (frame.inside - 0.7 * frame.nucleus())


@pattern("Rods & rings")
def rods_and_rings(scene: Scene) -> FloatImage:
    """Draw one to ten rods of 3 to 10 µm or rings of 2 to 5 µm in the cytoplasm of each cell."""
    frame = scene.frame
    ringed = scene.style.uniform(0.1, 0.6)
    places, _ = spread_over(_room(scene) * (frame.edge > 1.0), frame.label, scene.counts(1.5, 7), scene.rng)
    are_rings = scene.rng.random(places.size) < ringed
    radii = scene.px(1.0) * scene.rng.uniform(1.0, 2.4, int(are_rings.sum()))
    rings = circles(places[are_rings], radii, thickness=max(scene.px(0.6), 1.0), side=frame.side)
    starts = places[~are_rings]
    rods = threads(
        starts,
        scene.rng.uniform(0, 2 * np.pi, starts.size),
        label=frame.label,
        length=scene.px(1.0) * scene.rng.uniform(3, 10, starts.size),
        bend=0.004,
        rng=scene.rng,
        width=scene.px(0.3),
    )
    return np.maximum(rings, np.minimum(rods.image / max(np.quantile(rods.image, 0.999), 0.1), 1.2)) * frame.inside


def _room(scene: Scene) -> FloatImage:
    """Return where vesicles may lie: the cytoplasm, rarer where the cell is thin."""
    return scene.frame.cytoplasm() * (scene.frame.nuclear > 0.3) * scene.frame.height(rise=1.5)


def _scattered(
    scene: Scene, weight: FloatImage, counts: Numbers, *, low: float, high: float, uneven: float
) -> FloatImage:
    """Draw dots of ``low`` to ``high`` µm across where ``weight`` is high; ``uneven`` is their log deviation."""
    places, _ = spread_over(weight, scene.frame.label, counts, scene.rng)
    sizes = scene.px(0.4) * scene.rng.uniform(low, high, places.size)
    heights = np.exp(scene.rng.normal(0, uneven, places.size))
    return dots(places, sizes=sizes, heights=heights, side=scene.frame.side) * scene.frame.inside
