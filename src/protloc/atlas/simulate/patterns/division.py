"""Patterns at the centrosome or in dividing cells."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Numbers, Phase, Places
from protloc.atlas.simulate.marks import dots
from protloc.atlas.simulate.mitosis import bridges, find_mitoses, spindles
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage

SPINDLE_GLOW = 4.2  # µm; how far the light around a spindle reaches into its rounded cell


@pattern("Centrosome")
def centrosome(scene: Scene) -> FloatImage:
    """Draw one or two dots of 0.5 to 0.8 µm close to each nucleus, at the poles in mitosis; some are out of focus."""
    places = _poles(scene)
    turn = np.exp(1j * scene.rng.uniform(0, 2 * np.pi, places.size))
    apart = scene.px(1.0) * scene.rng.gamma(3.0, 0.35, places.size) * turn
    twins = scene.rng.random(places.size) < scene.style.uniform(0.3, 0.8)
    heights = np.exp(scene.rng.normal(0, scene.style.uniform(0.15, 0.6), places.size))
    heights = heights * np.where(scene.rng.random(places.size) < scene.style.uniform(0.6, 1.0), 1.0, 0.15)
    sizes = scene.px(0.38) * scene.rng.uniform(0.55, 0.95, places.size)
    mother = dots(places, sizes=sizes, heights=heights, side=scene.frame.side)
    weaker = heights[twins] * scene.rng.uniform(0.3, 1.0, int(twins.sum()))
    daughter = dots((places + apart)[twins], sizes=0.9 * sizes[twins], heights=weaker, side=scene.frame.side)
    around = _satellites(scene, places, heights) if scene.style.random() < 0.3 else np.float32(0.0)
    return mother + daughter + around


def _satellites(scene: Scene, places: Places, heights: Numbers) -> FloatImage:
    """Draw the faint grains that gather around the centrosome for some antibodies."""
    each = 9
    turn = np.exp(1j * scene.rng.uniform(0, 2 * np.pi, (places.size, each)))
    grains = places[:, None] + scene.px(1.0) * scene.rng.gamma(2.0, 0.45, turn.shape) * turn
    light = np.repeat(0.25 * heights, each) * scene.rng.uniform(0.3, 1.0, grains.size)
    return dots(grains.ravel(), sizes=np.full(grains.size, scene.px(0.2)), heights=light, side=scene.frame.side)


@pattern("Microtubule organizing center")
def organizing_center(scene: Scene) -> FloatImage:
    """Draw one soft, ragged spot of 1 to 3 µm where the microtubules converge, with a few rays along them."""
    places = _poles(scene)
    level = np.exp(scene.rng.normal(0, 0.25, places.size))
    sizes = scene.px(0.45) * scene.rng.uniform(1.2, 2.7, places.size)
    side = scene.frame.side
    soft = dots(places, sizes=sizes, heights=0.7 * level, side=side)
    core = dots(places, sizes=0.35 * sizes, heights=scene.style.uniform(0.1, 0.5) * level, side=side)
    rays = soft * scene.microtubules.image / max(float(np.quantile(scene.microtubules.image, 0.99)), 1e-6)
    ragged = (soft + core + np.float32(scene.style.uniform(0, 0.8)) * rays) * scene.mottle(0.5, depth=0.3)
    return ragged * (1 - 0.5 * scene.frame.nucleus())


@pattern("Mitotic spindle")
def mitotic_spindle(scene: Scene) -> FloatImage:
    """Draw a two-poled spindle of 8 to 12 µm in the dividing cells only, in the glow of their cytosol."""
    frame, mitoses = scene.frame, find_mitoses(scene.frame)
    middles = np.full(len(scene.cells), np.nan + 0j)
    middles[mitoses.rows] = mitoses.middle
    away = np.nan_to_num(frame.from_places(middles), nan=1e3)
    glow = np.exp(-((away / np.float32(SPINDLE_GLOW)) ** 2)) * frame.inside * scene.mottle(0.7, depth=0.3)
    at_poles = dots(
        mitoses.poles,
        sizes=np.full(mitoses.poles.size, scene.px(0.6)),
        heights=np.ones(mitoses.poles.size),
        side=frame.side,
    )
    shares = scene.style.uniform([0.0, 0.0], [0.3, 0.9])
    fibres = spindles(frame, scene.rng) * scene.mottle(0.5, depth=0.3)
    return fibres + np.float32(shares[0]) * glow + np.float32(shares[1]) * at_poles


@pattern("Cytokinetic bridge")
def cytokinetic_bridge(scene: Scene) -> FloatImage:
    """Draw a thin, bent bridge of 5 to 20 µm between two daughters, mostly brightest on both sides of its middle."""
    reach, width = scene.style.uniform([1.8, 0.2], [6.0, 0.42])
    gap = scene.style.uniform(0.6, 1.0) if scene.style.random() < 0.7 else scene.style.uniform(-1.5, 0.0)
    light = bridges(scene.frame, reach=float(reach), gap=float(gap), width=float(width))
    return light * scene.mottle(0.6, depth=scene.style.uniform(0.2, 0.6))


def _poles(scene: Scene) -> Places:
    """Return one place a resting cell and two a dividing one."""
    cells = scene.cells
    resting = (cells.phase == Phase.RESTING) | (cells.phase == Phase.DAUGHTER)
    return np.concatenate([cells.centrosome[resting], find_mitoses(scene.frame).poles])
