"""Pattern of the cytosol, of which there are five kinds."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.marks import dots, spread_over
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Cytosol")
def cytosol(scene: Scene) -> FloatImage:
    """Draw the cytoplasm even, mottled, netted, peppered or fading from the nucleus; weaker in it; small dark holes."""
    frame = scene.frame
    body = (
        frame.height(rise=scene.style.uniform(1.0, 6.0))
        * scene.mottle(4.0, depth=0.15)
        * (1 - np.float32(scene.style.uniform(0.3, 0.9)) * frame.nucleus())
    )
    grain = _GRAINS[int(scene.style.integers(len(_GRAINS)))](scene)
    holes = 1 - 0.6 / (1 + np.exp(-6 * (scene.noise(0.6) - 1.9)))
    return body * grain * holes


def _even(scene: Scene) -> FloatImage:
    return scene.mottle(0.5, depth=scene.style.uniform(0.08, 0.25))


def _mottled(scene: Scene) -> FloatImage:
    return scene.mottle(1.2, depth=scene.style.uniform(0.2, 0.45)) * scene.mottle(0.4, depth=0.2)


def _netted(scene: Scene) -> FloatImage:
    return 0.45 + scene.net(scene.style.uniform(0.4, 0.7))


def _peppered(scene: Scene) -> FloatImage:
    places, _ = spread_over(scene.frame.cytoplasm(), scene.frame.label, scene.counts(60, 250), scene.rng)
    sizes = scene.px(0.4) * scene.rng.uniform(0.3, 0.8, places.size)
    grains = dots(places, sizes=sizes, heights=np.ones(places.size), side=scene.frame.side)
    return 0.5 + np.float32(scene.style.uniform(0.3, 0.9)) * grains


def _fading(scene: Scene) -> FloatImage:
    reach = np.float32(scene.style.uniform(3, 9))
    return (0.25 + np.exp(-np.maximum(scene.frame.nuclear, 0) / reach)) * scene.mottle(0.5, depth=0.25)


_GRAINS = (_even, _even, _mottled, _netted, _peppered, _fading)
