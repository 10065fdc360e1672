"""Patterns at the centrosome or in dividing cells."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Phase, Places
from protloc.atlas.simulate.landmarks import spindle_axes, spindles
from protloc.atlas.simulate.marks import dots
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Centrosome")
def centrosome(scene: Scene) -> FloatImage:
    """Draw one or two dots of 0.5 to 0.8 µm close to each nucleus, at the poles in mitosis."""
    places = _poles(scene)
    apart = (
        scene.px(1.0) * scene.rng.uniform(0.5, 1.3, places.size) * np.exp(1j * scene.rng.uniform(0, 6.3, places.size))
    )
    twins = scene.rng.random(places.size) < 0.5
    places = np.concatenate([places, (places + apart)[twins]])
    sizes = scene.px(0.38) * scene.rng.uniform(0.55, 0.95, places.size)
    heights = np.exp(scene.rng.normal(0, 0.25, places.size))
    return dots(places, sizes=sizes, heights=heights, side=scene.frame.side)


@pattern("Microtubule organizing center")
def organizing_center(scene: Scene) -> FloatImage:
    """Draw one soft spot of 1 to 3 µm where the microtubules converge."""
    places = _poles(scene)
    sizes = scene.px(0.4) * scene.rng.uniform(1.0, 2.6, places.size)
    soft = dots(places, sizes=sizes, heights=np.full(places.size, 0.7), side=scene.frame.side)
    core = dots(places, sizes=0.35 * sizes, heights=np.full(places.size, 0.5), side=scene.frame.side)
    return (soft + core) * scene.mottle(0.5, depth=0.3) * (1 - 0.5 * scene.frame.nucleus())


@pattern("Mitotic spindle")
def mitotic_spindle(scene: Scene) -> FloatImage:
    """Draw a two-poled spindle of 8 to 12 µm in the dividing cells only."""
    return spindles(scene.frame, scene.rng) * scene.mottle(0.5, depth=0.25)


@pattern("Cytokinetic bridge")
def cytokinetic_bridge(scene: Scene) -> FloatImage:
    """Draw a thin bridge of 5 to 20 µm between two daughter cells, brightest on both sides of its middle."""
    cells = scene.cells
    daughters = np.flatnonzero(cells.phase == Phase.DAUGHTER)
    daughters = daughters[~np.isnan(cells.sister[daughters].real)]
    middle = 0.5 * (cells.nucleus[daughters] + cells.sister[daughters])
    axis = cells.nucleus[daughters] - middle
    gap = np.maximum(np.abs(axis) - cells.nucleus_axes[daughters].min(axis=1), scene.px(2.0))
    along = np.linspace(0.0, 1.0, 24)[:, None]
    sag = scene.px(0.5) * 1j * np.sin(3 * along) * axis / np.maximum(np.abs(axis), 1)
    places = middle + along * gap * axis / np.maximum(np.abs(axis), 1e-6) + sag
    light = np.exp(-(((along * gap / scene.px(1.0)) - 1.5) ** 2) / 2.5) + 0.25
    sizes = np.full(places.size, scene.px(0.42))
    return dots(
        places.ravel(), sizes=sizes, heights=0.4 * np.broadcast_to(light, places.shape).ravel(), side=scene.frame.side
    )


def _poles(scene: Scene) -> Places:
    """Return one place a resting cell and two a dividing one."""
    cells = scene.cells
    dividing = (cells.phase == Phase.METAPHASE) | (cells.phase == Phase.ANAPHASE)
    axes = spindle_axes(cells, scene.frame.pixel)[dividing]
    middle = cells.nucleus[dividing]
    at_rest = cells.centrosome[~dividing & (cells.phase != Phase.DYING)]
    return np.concatenate([at_rest, middle + axes, middle - axes])
