"""Patterns of the nucleus: nucleoplasm, membrane, nucleoli, centers, speckles, bodies."""

from __future__ import annotations

import numpy as np

from protloc.atlas.simulate.cells import Numbers
from protloc.atlas.simulate.marks import blur, dots, spread_over, threads
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Nucleoplasm")
def nucleoplasm(scene: Scene) -> FloatImage:
    """Draw the whole nucleus without its nucleoli, fine-grained to blotchy."""
    fine = scene.mottle(0.45, depth=scene.style.uniform(0.1, 0.45))
    coarse = scene.mottle(1.6, depth=scene.style.uniform(0.03, 0.2))
    return _chromatin(scene, dark=scene.style.uniform(0.6, 1.0)) * fine * coarse


@pattern("Nuclear membrane")
def nuclear_membrane(scene: Scene) -> FloatImage:
    """Draw a thin ring at the nuclear edge; in some nuclei folds run across as lines."""
    frame = scene.frame
    width = max(0.28, 0.55 * frame.pixel)
    ring = np.exp(-0.5 * ((frame.nuclear + 0.15) / np.float32(width)) ** 2) * scene.mottle(0.8, depth=0.25)
    inside = scene.style.uniform(0.05, 0.3) * frame.nucleus() * scene.mottle(0.5, depth=0.2)
    return (ring + inside + 0.8 * _folds(scene)) * frame.inside


@pattern("Nucleoli")
def nucleoli(scene: Scene) -> FloatImage:
    """Draw one to six rounded or lobed bodies in each nucleus, where DNA is dark; a weak nucleoplasm around them."""
    bodies = scene.frame.nucleoli * scene.mottle(0.6, depth=0.2)
    if scene.style.random() < 0.2:  # some antibodies stain only the rim of the nucleolus
        bodies = bodies - 0.7 * blur(scene.frame.nucleoli, scene.px(0.5)) ** 3
    around = scene.style.uniform(0.0, 0.3) * _chromatin(scene, dark=0.0) * scene.mottle(0.5, depth=0.25)
    return np.maximum(bodies, 0) + around


@pattern("Nucleoli fibrillar center")
def fibrillar_centers(scene: Scene) -> FloatImage:
    """Draw two to ten small spots clustered inside each nucleolus."""
    frame = scene.frame
    owners = np.repeat(np.arange(frame.nucleolus_radii.size), scene.rng.integers(2, 9, frame.nucleolus_radii.size))
    turn = np.sqrt(scene.rng.random(owners.size)) * np.exp(1j * scene.rng.uniform(0, 2 * np.pi, owners.size))
    places = frame.nucleolus_centres[owners] + 0.75 * turn * frame.nucleolus_radii[owners]
    spots = _sharp(scene, places, low=0.3, high=0.6) * frame.nucleus()
    return spots + frame.nucleoli * scene.style.uniform(0.0, 0.25) + scene.style.uniform(0, 0.12) * frame.nucleus()


@pattern("Nuclear speckles")
def nuclear_speckles(scene: Scene) -> FloatImage:
    """Draw 20 to 50 irregular patches of unequal size between the nucleoli, on a weak nucleoplasm."""
    patches = scene.noise(scene.style.uniform(0.45, 0.75))
    speckles = 1 / (1 + np.exp(-5 * (patches - scene.style.uniform(0.8, 1.3))))
    weak = scene.style.uniform(0.08, 0.4)
    return _chromatin(scene, dark=1.0) * (speckles + weak * scene.mottle(0.5, depth=0.2))


@pattern("Nuclear bodies")
def nuclear_bodies(scene: Scene) -> FloatImage:
    """Draw 2 to 20 sharp round dots in each nucleus, on a weak nucleoplasm."""
    frame = scene.frame
    room = _chromatin(scene, dark=1.0) * (frame.nuclear < -0.8)
    places, _ = spread_over(room, frame.label, scene.counts(2.5, 16) * _has_nucleus(scene), scene.rng)
    weak = scene.style.uniform(0.02, 0.35) * _chromatin(scene, dark=0.8) * scene.mottle(0.5, depth=0.25)
    return _sharp(scene, places, low=0.4, high=1.0) + weak


def _chromatin(scene: Scene, *, dark: float) -> FloatImage:
    return scene.frame.nucleus() * scene.frame.inside * np.float32(1) * (1 - np.float32(dark) * scene.frame.nucleoli)


def _sharp(scene: Scene, places: np.ndarray, *, low: float, high: float) -> FloatImage:
    """Draw dots of ``low`` to ``high`` µm across at the places, some brighter than others."""
    sizes = scene.px(0.4) * scene.rng.uniform(low, high, places.size)
    return dots(places, sizes=sizes, heights=np.exp(scene.rng.normal(0, 0.3, places.size)), side=scene.frame.side)


def _has_nucleus(scene: Scene) -> Numbers:
    has = np.zeros(len(scene.cells))
    has[scene.cells.resting()] = 1.0
    return has


def _folds(scene: Scene) -> FloatImage:
    """Draw one or two curved lines across a third of the nuclei."""
    cells, frame = scene.cells, scene.frame
    rows = cells.resting()
    rows = rows[scene.rng.random(rows.size) < 0.35]
    length = 1.4 * cells.nucleus_axes[rows, 0]
    heading = cells.angle[rows] + scene.rng.normal(0, 0.6, rows.size)
    starts = cells.nucleus[rows] - 0.5 * length * np.exp(1j * heading)
    inside = frame.nucleus() * frame.inside
    return threads(starts, heading, label=frame.label, length=length, bend=0.03, rng=scene.rng, weight=inside).image
