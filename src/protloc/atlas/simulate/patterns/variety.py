"""What makes two antibodies of one compartment differ: grain, haze, numbers."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Numbers
from protloc.atlas.simulate.marks import dots, lit, spread_over
from protloc.atlas.simulate.scene import Scene
from protloc.atlas.simulate.textures import FloatImage


def share(scene: Scene, low: float, high: float) -> float:
    """Draw a number for the antibody, log-even in low..high."""
    return float(np.exp(scene.style.uniform(np.log(low), np.log(high))))


def crowd(scene: Scene, low: float, high: float) -> Numbers:
    """Draw a number for every cell: the antibody sets the level in low..high and how unlike the cells are."""
    level, unlike, empty = share(scene, low, high), scene.style.uniform(0.25, 0.9), scene.style.uniform(-0.1, 0.3)
    count = len(scene.cells)
    return level * np.exp(scene.rng.normal(0, unlike, count) - 0.25 * unlike**2) * (scene.rng.random(count) > empty)


def grain(scene: Scene) -> FloatImage:
    """Draw the texture of diffuse light around 1: smooth, mottled, netted, peppered or clotted, of 0.3 to 1.5 µm."""
    return _GRAINS[int(scene.style.integers(len(_GRAINS)))](scene)


def haze(scene: Scene, low: float, high: float, *, nucleus: tuple[float, float] = (0.2, 1.1)) -> FloatImage:
    """Draw the granular light that an antibody leaves beside its compartment.

    Args:
        scene: The field.
        low: Least light over the cytoplasm; the antibody decides, log-even.
        high: Most light there.
        nucleus: Least and most light over the nucleus, as shares of that over the cytoplasm.
    """
    frame = scene.frame
    around = share(scene, low, high)
    within = around * share(scene, *nucleus)
    core = frame.nucleus() * (1 - scene.style.uniform(0.0, 0.8) * frame.nucleoli)
    body = around * frame.height(rise=scene.style.uniform(1.0, 4.0)) * (1 - frame.nucleus())
    # a root makes the grain shallower: deep, it would pass for dots
    return (body + within * core * frame.inside) * np.sqrt(grain(scene)) * scene.mottle(3.0, depth=0.2)


def _smooth(scene: Scene) -> FloatImage:
    return scene.mottle(0.4, depth=scene.style.uniform(0.08, 0.25))


def _mottled(scene: Scene) -> FloatImage:
    coarse = scene.style.uniform(0.7, 1.5)
    return scene.mottle(coarse, depth=scene.style.uniform(0.15, 0.4)) * scene.mottle(
        0.35, depth=scene.style.uniform(0.15, 0.5)
    )


def _netted(scene: Scene) -> FloatImage:
    return (scene.style.uniform(0.5, 1.6) + scene.net(scene.style.uniform(0.35, 0.7))) * scene.mottle(1.4, depth=0.2)


def _grainy(scene: Scene) -> FloatImage:
    return scene.mottle(scene.style.uniform(0.3, 0.5), depth=scene.style.uniform(0.2, 0.5))


def _peppered(scene: Scene) -> FloatImage:
    places, _ = spread_over(
        scene.frame.inside * scene.mottle(2.0, depth=0.4), scene.frame.label, scene.counts(60, 300), scene.rng
    )
    sizes = scene.px(0.4) * scene.rng.uniform(0.3, 0.9, places.size)
    heights = np.exp(scene.rng.normal(0, 0.5, places.size))
    grains = lit(dots(places, sizes=sizes, heights=heights, side=scene.frame.side))
    return (0.7 + share(scene, 0.25, 1.0) * grains) * scene.mottle(0.4, depth=0.2)


_GRAINS = (_smooth, _mottled, _mottled, _netted, _grainy, _grainy, _peppered)
