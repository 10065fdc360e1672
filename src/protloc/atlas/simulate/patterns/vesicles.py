"""Patterns of dots in the cytoplasm: vesicles, droplets, bodies, clumps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Numbers, Places
from protloc.atlas.simulate.marks import arcs, circles, dots, lit, spread_over
from protloc.atlas.simulate.patterns.variety import crowd, haze
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage

BLURRED = 0.25  # share of dots above or below the focus: wider and fainter


@pattern("Peroxisomes")
def peroxisomes(scene: Scene) -> FloatImage:
    """Draw 100 to 300 nearly even dots of 0.3 to 0.6 µm all over the cytoplasm of each cell, over weak haze."""
    room = _room(scene) * scene.mottle(3.0, depth=scene.style.uniform(0.0, 0.5))
    points = _scattered(scene, room, crowd(scene, 100, 280), low=0.3, high=0.6, uneven=(0.1, 0.3))
    return points + haze(scene, 0.01, 0.18)


@pattern("Endosomes")
def endosomes(scene: Scene) -> FloatImage:
    """Draw 20 to 100 dots of unequal size and brightness, in patches, many near the nucleus or near the edge."""
    frame, style = scene.frame, scene.style
    near = np.exp(-np.maximum(frame.nuclear, 0) / 3.0) + style.uniform(0, 1.5) * np.exp(-frame.edge / 2.0)
    weight = _room(scene) * (style.uniform(0.05, 0.6) + near) * scene.mottle(3.0, depth=0.9)
    points = _scattered(scene, weight, crowd(scene, 20, 100), low=0.3, high=1.1, uneven=(0.4, 1.0))
    return points + haze(scene, 0.015, 0.2)


@pattern("Lysosomes")
def lysosomes(scene: Scene) -> FloatImage:
    """Draw 50 to 200 dots of 0.5 to 1.2 µm, crowded around the nucleus or on one side of it."""
    frame, style = scene.frame, scene.style
    near = np.exp(-np.maximum(frame.nuclear, 0) / style.uniform(2.0, 5.0))
    if style.random() < 0.4:
        near = near * (0.1 + np.exp(-frame.from_places(scene.cells.centrosome) / style.uniform(3, 7)))
    weight = _room(scene) * near * scene.mottle(3.0, depth=0.6)
    points = _scattered(scene, weight, crowd(scene, 50, 180), low=0.5, high=1.2, uneven=(0.25, 0.7))
    return points + haze(scene, 0.015, 0.28)


@pattern("Lipid droplets")
def lipid_droplets(scene: Scene) -> FloatImage:
    """Draw 10 to 80 circles of 0.5 to 2 µm in clusters, hollow for half of the antibodies, over granular cytoplasm."""
    frame, rng = scene.frame, scene.rng
    weight = _room(scene) * scene.mottle(2.2, depth=1.3)
    places, owners = spread_over(weight, frame.label, crowd(scene, 10, 75), rng)
    size = scene.style.uniform(0.35, 0.7) * np.exp(rng.normal(0, 0.25, len(scene.cells)))
    radii = scene.px(1.0) * np.clip(size[owners] * np.exp(rng.normal(0, 0.4, places.size)), 0.25, 1.0)
    heights = np.exp(rng.normal(0, 0.35, places.size))
    drops = dots(places, sizes=0.6 * radii, heights=heights, side=frame.side)
    if scene.style.random() < 0.5:
        drops = drops - 0.9 * dots(places, sizes=0.38 * radii, heights=heights, side=frame.side)
    return lit(np.maximum(drops, 0)) * frame.inside + haze(scene, 0.03, 0.3)


@pattern("Cytoplasmic bodies")
def cytoplasmic_bodies(scene: Scene) -> FloatImage:
    """Draw 5 to 30 sharp dots of 0.3 to 1 µm in the cytoplasm, over the haze of the whole cell."""
    points = _scattered(scene, _room(scene), crowd(scene, 5, 28), low=0.4, high=1.0, uneven=(0.2, 0.6))
    return points + haze(scene, 0.015, 0.13)


@pattern("Aggresome")
def aggresome(scene: Scene) -> FloatImage:
    """Draw one dense clump of 2 to 4 µm beside the nucleus in some of the cells, at times amid bright arcs."""
    frame, cells, rng = scene.frame, scene.cells, scene.rng
    rows = np.flatnonzero(rng.random(len(cells)) < scene.style.uniform(0.3, 0.9))
    beside = cells.nucleus + 1.15 * (cells.centrosome - cells.nucleus)
    owners = np.repeat(rows, 7)
    reach = scene.px(1.0) * np.repeat(scene.style.uniform(0.65, 1.1) * rng.uniform(0.75, 1.35, rows.size), 7)
    off = rng.normal(0, 0.6, (2, owners.size))
    clump = dots(
        beside[owners] + (off[0] + 1j * off[1]) * reach,
        sizes=0.7 * reach,
        heights=np.repeat(np.exp(rng.normal(0, 0.35, rows.size)), 7),
        side=frame.side,
    )
    spots = lit(np.minimum(clump, 2.5)) * scene.mottle(0.5, depth=0.25) * (frame.inside - 0.7 * frame.nucleus())
    return spots + _bright_arcs(scene, beside, rows) + haze(scene, 0.03, 0.28)


def _bright_arcs(scene: Scene, middles: Places, rows: NDArray[np.intp]) -> FloatImage:
    """Draw arcs of 5 to 16 µm that sweep past the clumps around the nucleus, as its cage does, for some antibodies."""
    rng, light = scene.rng, max(scene.style.uniform(-0.8, 0.5), 0.0)
    owners = np.repeat(rows, 8)
    spread = rng.normal(0, scene.px(1.0), (2, owners.size))
    starts = middles[owners] + spread[0] + 1j * spread[1]
    away = starts - scene.cells.nucleus[owners]
    way = rng.choice([-1.0, 1.0], owners.size)
    fibres = arcs(
        starts,
        np.angle(1j * way * away) + rng.normal(0, 0.2, owners.size),
        length=scene.px(1.0) * rng.uniform(5, 16, owners.size),
        curve=way * rng.uniform(0.5, 1.2, owners.size) / np.maximum(np.abs(away), 1.0),
        light=np.exp(rng.normal(0, 0.6, owners.size)),
        width=scene.px(0.3),
        label=scene.frame.label,
    )
    return light * lit(fibres) * (1 - 0.8 * scene.frame.nucleus())


@pattern("Rods & rings")
def rods_and_rings(scene: Scene) -> FloatImage:
    """Draw one to ten rods of 3 to 10 µm or rings of 2 to 5 µm in the cytoplasm of each cell, over haze."""
    frame, rng = scene.frame, scene.rng
    ringed = scene.style.uniform(0.1, 0.6)
    places, _ = spread_over(_room(scene) * (frame.edge > 1.0), frame.label, crowd(scene, 1.5, 7), rng)
    are_rings = rng.random(places.size) < ringed
    radii = scene.px(1.0) * rng.uniform(1.0, 2.4, int(are_rings.sum()))
    rings = circles(places[are_rings], radii, thickness=max(scene.px(0.6), 1.0), side=frame.side)
    starts = places[~are_rings]
    rods = arcs(
        starts,
        rng.uniform(0, 2 * np.pi, starts.size),
        length=scene.px(1.0) * rng.uniform(3, 10, starts.size),
        curve=rng.normal(0, 0.02, starts.size) * frame.pixel,
        light=1.0,
        width=scene.px(0.3),
        label=frame.label,
    )
    drawn = np.maximum(0.8 * rings, np.minimum(lit(rods), 1.2)) * scene.mottle(1.0, depth=0.3) * frame.inside
    return drawn + haze(scene, 0.02, 0.22)


def _room(scene: Scene) -> FloatImage:
    """Return where vesicles may lie: the cytoplasm, rarer where the cell is thin."""
    return scene.frame.cytoplasm() * (scene.frame.nuclear > 0.3) * scene.frame.height(rise=1.5)


def _scattered(
    scene: Scene, weight: FloatImage, counts: Numbers, *, low: float, high: float, uneven: tuple[float, float]
) -> FloatImage:
    """Draw dots of ``low`` to ``high`` µm across where ``weight`` is high, bright end 1.

    ``uneven`` holds the least and most log deviation of their light, which the antibody decides; cells differ in the
    size and light of all their dots.
    """
    rng = scene.rng
    places, owners = spread_over(weight, scene.frame.label, counts, rng)
    cell = np.exp(rng.normal(0, (0.15, 0.35), (len(scene.cells), 2)))[owners]
    sizes = scene.px(0.4) * np.clip(rng.uniform(low, high, places.size) * cell[:, 0], low, high)
    heights = np.exp(rng.normal(0, scene.style.uniform(*uneven), places.size)) * cell[:, 1]
    wider = np.where(rng.random(places.size) < BLURRED, rng.uniform(1.3, 2.2, places.size), 1.0)
    image = dots(places, sizes=sizes * wider, heights=heights / wider**2.5, side=scene.frame.side)
    return lit(image) * scene.frame.inside
