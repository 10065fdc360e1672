"""Patterns of the nucleus: nucleoplasm, membrane, nucleoli, centers, speckles, bodies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.cells import Numbers, Places
from protloc.atlas.simulate.marks import arcs, blur, dots, lit, spread_over
from protloc.atlas.simulate.patterns.variety import crowd, haze, share
from protloc.atlas.simulate.scene import Scene, pattern
from protloc.atlas.simulate.textures import FloatImage


@pattern("Nucleoplasm")
def nucleoplasm(scene: Scene) -> FloatImage:
    """Draw the whole nucleus without its nucleoli: smooth, fine-grained or blotchy, in weak light of the cytoplasm."""
    style = scene.style
    blotchy = scene.mottle(style.uniform(0.8, 2.0), depth=style.uniform(0.03, 0.35))
    flat = max(style.uniform(-0.4, 0.6), 0.0)  # the rest thins out towards the nuclear edge
    vault = 1 - flat * np.exp(np.minimum(scene.frame.nuclear, 0) / 1.5)
    core = _chromatin(scene, dark=style.uniform(0.4, 1.0)) * _fine(scene) * blotchy * vault
    return core + haze(scene, 0.005, 0.2)


@pattern("Nuclear membrane")
def nuclear_membrane(scene: Scene) -> FloatImage:
    """Draw a thin ring at the edge of granular nuclei; in some nuclei folds run across as lines; cytoplasm weak."""
    frame, style = scene.frame, scene.style
    width = max(0.28, 0.55 * frame.pixel)
    ring = np.exp(-0.5 * ((frame.nuclear + 0.15) / width) ** 2) * scene.mottle(0.8, depth=style.uniform(0.15, 0.4))
    inside = share(scene, 0.07, 0.7) * _chromatin(scene, dark=style.uniform(0.0, 0.6)) * _fine(scene)
    around = haze(scene, 0.01, 0.3)
    return (ring + inside + style.uniform(0.2, 0.8) * _folds(scene)) * frame.inside + around


@pattern("Nucleoli")
def nucleoli(scene: Scene) -> FloatImage:
    """Draw one to six rounded or lobed bodies in each nucleus, where DNA is dark, in a weaker nucleoplasm."""
    unlike = scene.frame.per_cell(np.exp(scene.rng.normal(0, 0.2, len(scene.cells))))
    bodies = scene.frame.nucleoli * unlike * scene.mottle(0.6, depth=scene.style.uniform(0.1, 0.35))
    if scene.style.random() < 0.2:  # some antibodies stain only the rim of the nucleolus
        bodies = bodies - 0.7 * blur(scene.frame.nucleoli, scene.px(0.5)) ** 3
    around = share(scene, 0.02, 0.55) * _chromatin(scene, dark=0.0) * _fine(scene)
    return np.maximum(bodies, 0) + around + haze(scene, 0.01, 0.3)


@pattern("Nucleoli fibrillar center")
def fibrillar_centers(scene: Scene) -> FloatImage:
    """Draw two to ten small spots clustered inside each nucleolus, over weak nucleoli and the haze of the cell."""
    frame = scene.frame
    most = int(scene.style.integers(3, 10))
    owners = np.repeat(np.arange(frame.nucleolus_radii.size), scene.rng.integers(2, most, frame.nucleolus_radii.size))
    turn = np.sqrt(scene.rng.random(owners.size)) * np.exp(1j * scene.rng.uniform(0, 2 * np.pi, owners.size))
    places = frame.nucleolus_centres[owners] + 0.75 * turn * frame.nucleolus_radii[owners]
    spots = _sharp(scene, places, low=0.3, high=0.6) * frame.nucleus()
    weak = share(scene, 0.02, 0.4) * frame.nucleoli * _fine(scene)
    return spots + weak + haze(scene, 0.02, 0.18, nucleus=(0.5, 1.5))


@pattern("Nuclear speckles")
def nuclear_speckles(scene: Scene) -> FloatImage:
    """Draw 20 to 50 irregular patches of unequal size between the nucleoli, on a weaker nucleoplasm."""
    patches = scene.noise(scene.style.uniform(0.4, 0.8))
    speckles = 1 / (1 + np.exp(-scene.style.uniform(3, 6) * (patches - scene.style.uniform(0.7, 1.4))))
    weak = share(scene, 0.06, 0.6) * _fine(scene)
    patchy = _chromatin(scene, dark=scene.style.uniform(0.6, 1.0)) * (speckles + weak)
    return patchy + haze(scene, 0.005, 0.18)


@pattern("Nuclear bodies")
def nuclear_bodies(scene: Scene) -> FloatImage:
    """Draw 2 to 20 sharp round dots in each nucleus, on a weaker nucleoplasm."""
    frame = scene.frame
    room = _chromatin(scene, dark=1.0) * (frame.nuclear < -0.8)
    places, _ = spread_over(room, frame.label, crowd(scene, 2.5, 16) * _has_nucleus(scene), scene.rng)
    plasm = share(scene, 0.04, 0.5) * _chromatin(scene, dark=scene.style.uniform(0.3, 1.0)) * _fine(scene)
    return _sharp(scene, places, low=0.4, high=1.0) + plasm + haze(scene, 0.01, 0.15)


def _chromatin(scene: Scene, *, dark: float) -> FloatImage:
    return scene.frame.nucleus() * scene.frame.inside * (1 - dark * scene.frame.nucleoli)


def _fine(scene: Scene) -> FloatImage:
    """Draw the grain of a nucleoplasm around 1, of 0.3 to 0.6 µm, shallow or deep."""
    return scene.mottle(scene.style.uniform(0.3, 0.6), depth=scene.style.uniform(0.08, 0.5))


def _sharp(scene: Scene, places: Places, *, low: float, high: float) -> FloatImage:
    """Draw dots of ``low`` to ``high`` µm across at the places, some brighter than others, bright end 1.5."""
    sizes = scene.px(0.4) * scene.rng.uniform(low, high, places.size)
    heights = np.exp(scene.rng.normal(0, scene.style.uniform(0.1, 0.4), places.size))
    return np.float32(1.5) * lit(dots(places, sizes=sizes, heights=heights, side=scene.frame.side))


def _has_nucleus(scene: Scene) -> Numbers:
    has: NDArray[np.float64] = np.zeros(len(scene.cells))
    has[scene.cells.resting()] = 1.0
    return has


def _folds(scene: Scene) -> FloatImage:
    """Draw one or two curved lines across a third of the nuclei."""
    cells, frame, rng = scene.cells, scene.frame, scene.rng
    rows = cells.resting()
    rows = rows[rng.random(rows.size) < 0.35]
    length = 1.4 * cells.nucleus_axes[rows, 0]
    heading = cells.angle[rows] + rng.normal(0, 0.6, rows.size)
    starts = cells.nucleus[rows] - 0.5 * length * np.exp(1j * heading)
    curve = rng.normal(0, 0.06, rows.size) * frame.pixel
    lines = arcs(starts, heading, length=length, curve=curve, light=1.0, width=0.0, label=frame.label)
    return lines * frame.nucleus() * frame.inside
