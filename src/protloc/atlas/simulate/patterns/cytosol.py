"""Pattern of the cytosol, as often granular as smooth."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.patterns.variety import grain, share
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Cytosol")
def cytosol(scene: Scene) -> FloatImage:
    """Draw the cytoplasm smooth, mottled, netted or peppered, flat or fading from the nucleus, with dark vacuoles."""
    return _thickness(scene) * _nuclei(scene) * grain(scene) * _vacuoles(scene)


def _thickness(scene: Scene) -> FloatImage:
    """Draw how much cytosol lies over each pixel: flat cells are even, rounded ones fade outwards."""
    frame, style = scene.frame, scene.style
    round_ = max(style.uniform(-0.3, 0.9), 0.0)
    dome = np.sqrt(np.clip(1.05 - np.square(np.clip(frame.radius, 0, 1)), 0.05, 1.0))
    fades = style.uniform(0.3, 3.0) * (style.random() < 0.4)
    around = 1 + fades * np.exp(-np.maximum(frame.nuclear, 0) / style.uniform(2.5, 9.0))
    flat = frame.height(rise=style.uniform(0.8, 5.0)) * (1 - round_ + round_ * dome)
    return flat * around * scene.mottle(style.uniform(2.5, 6.0), depth=style.uniform(0.08, 0.35))


def _nuclei(scene: Scene) -> FloatImage:
    """Draw how much is seen over the nuclei: a tenth to nearly all, and nucleoli lighter or darker."""
    frame = scene.frame
    dark = scene.style.uniform(0.25, 0.9)
    nucleoli = scene.style.uniform(-0.4, 0.5)
    return (1 - dark * frame.nucleus()) * (1 + nucleoli * frame.nucleoli)


def _vacuoles(scene: Scene) -> FloatImage:
    """Draw dark holes of about 0.5 to 2 µm, few to many."""
    depth, rare = scene.style.uniform(0.2, 0.9), scene.style.uniform(1.3, 2.6)
    return 1 - depth / (1 + np.exp(-7 * (scene.noise(share(scene, 0.4, 1.1)) - rare)))
