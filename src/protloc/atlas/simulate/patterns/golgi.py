"""Pattern of the Golgi apparatus: ribbons, crescents, fragments."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.marks import dots, spread_over, threads
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage, bright_end

WIDEST = 2.4  # radians; beyond this half angle the Golgi surrounds the nucleus
WHOLLY_BROKEN = 0.85  # above this share of fragments no ribbon is left


@pattern("Golgi apparatus")
def golgi(scene: Scene) -> FloatImage:
    """Draw ribbons and stacks curling around one side of the nucleus, 5 to 10 µm across, or scattered fragments.

    The antibody decides between a compact ribbon, a crescent, broken pieces, and fragments all around the nucleus,
    and how much light the reticulum has besides.
    """
    region = _region(scene)
    broken = scene.style.uniform(0.0, 1.0) ** 1.5  # most are whole
    pieces = _fragments(scene, region)
    shape = (0.2 + broken) * pieces / bright_end(pieces[::2, ::2])
    if broken < WHOLLY_BROKEN:
        ribbons = _ribbons(scene, region)
        shape = shape + (1 - broken) * ribbons / bright_end(ribbons[::2, ::2])
    cloud = np.float32(scene.style.uniform(0.0, 0.35)) * region  # stacks above and below the focus
    faint = np.float32(scene.style.uniform(0.0, 0.2) / max(float(scene.reticulum.max()), 1e-6)) * scene.reticulum
    return shape / bright_end(shape[::2, ::2]) + cloud * scene.mottle(0.6, depth=0.4) + faint


def _region(scene: Scene) -> FloatImage:
    """Return where the Golgi may lie: a sector around the centrosome's side of the nucleus, 1 in its middle."""
    frame, cells, count = scene.frame, scene.cells, len(scene.cells)
    open_angle = np.exp(scene.style.uniform(np.log(0.3), np.log(1.1))) * (3.0 if scene.style.random() < 0.2 else 1.0)
    angles = np.clip(open_angle * np.exp(scene.rng.normal(0, 0.35, count)), 0.2, WIDEST)
    depths = scene.style.uniform(0.8, 3.2) * np.exp(scene.rng.normal(0, 0.3, count))
    gaps = scene.style.uniform(0.5, 2.0) * scene.rng.uniform(0.4, 1.6, count)
    towards = np.append(1.0, cells.centrosome - cells.nucleus).astype(np.complex64)[frame.label]
    grid = np.arange(frame.side, dtype=np.float32)
    here = grid[None, :] + 1j * grid[:, None] - np.append(0.0, cells.nucleus).astype(np.complex64)[frame.label]
    turned = np.angle(here * np.conj(towards))
    sector = (turned / np.maximum(frame.per_cell(angles), 0.1)) ** 2
    layer = ((frame.nuclear - frame.per_cell(gaps)) / np.maximum(frame.per_cell(depths), 0.1)) ** 2
    return np.exp(-0.5 * (sector + layer)) * (frame.nuclear > -0.1) * frame.inside


def _ribbons(scene: Scene, region: FloatImage) -> FloatImage:
    places, seats = spread_over(region**1.5, scene.frame.label, scene.counts(8, 24), scene.rng)
    length = scene.px(1.0) * scene.rng.uniform(1.5, scene.style.uniform(3.5, 8.0), places.size)
    outwards = np.angle(places - scene.cells.nucleus[seats])
    heading = outwards + scene.rng.choice([-1, 1], seats.size) * scene.rng.normal(
        1.7, scene.style.uniform(0.3, 1.2), seats.size
    )
    near = np.minimum(1.6 * np.sqrt(region), 1.0) * scene.mottle(0.9, depth=0.5)
    bend, width = 0.14 * scene.frame.pixel / 0.64, scene.px(scene.style.uniform(0.18, 0.4))
    label = scene.frame.label
    drawn = threads(places, heading, label=label, length=length, bend=bend, rng=scene.rng, weight=near, width=width)
    return drawn.image


def _fragments(scene: Scene, region: FloatImage) -> FloatImage:
    """Draw pieces of 0.4 to 1.5 µm, uneven in size and light, some of them stacks drawn out into short bars."""
    places, _ = spread_over(region, scene.frame.label, scene.counts(10, 45), scene.rng)
    drawn_out = (
        scene.px(0.35) * scene.rng.normal(0, 1, places.size) * np.exp(1j * scene.rng.uniform(0, 6.3, places.size))
    )
    bars = np.concatenate([places - drawn_out, places, places + drawn_out])
    sizes = scene.px(0.2) * np.exp(scene.rng.normal(0.2, 0.35, places.size))
    light = np.exp(scene.rng.normal(0, 0.5, places.size)) / 2
    return dots(bars, sizes=np.tile(sizes, 3), heights=np.tile(light, 3), side=scene.frame.side)
