"""Does each landmark stain show what it should?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.look import Look, View
from protloc.apply.checks.nuclei import MICROTUBULES, NOT_NUCLEAR, NUCLEI, RETICULUM, UNSURE, Nuclei

EXCHANGED = -0.08  # reach below: what is called red keeps nearer to the nuclei than what is called yellow
HOLE_WEIGHT = 0.3  # of the dark of the nuclei against the reach
RINGS = ((0.0, 0.3), (0.8, 1.6))  # from the nuclear edge, in radii of a nucleus
MORE = 1.0  # by so much red or yellow look more like nuclei than blue only where the stains are exchanged
MORE_PROTEIN = 4.0  # a protein may, where blue does not
SHOWN = frozenset({MICROTUBULES, RETICULUM})


def check_order(look: Look, nuclei: Mapping[str, Nuclei]) -> Iterator[Finding]:
    """Yield a finding where a landmark stain shows what another should: blue nuclei, red and yellow the cytoplasm.

    Args:
        look: The field.
        nuclei: What :func:`protloc.apply.checks.nuclei.nuclei_of` makes of it.
    """
    if NUCLEI not in nuclei:
        return
    best = _more_nuclear(nuclei)
    if best is not None:
        yield _finding(
            f"The blue image does not look like nuclei, but the {best} image does.",
            f"Check the channels; if exchanged, exchange what --stains names for blue and {best}, as in "
            f"blue=_{best},{best}=_blue, the others as they are.",
            (NUCLEI, best),
        )
        return
    if nuclei[NUCLEI].look < NOT_NUCLEAR:
        yield _finding(
            "The blue image does not look like nuclei.",
            "Check that it is the stain of DNA, and that field and magnification are such as the model knows.",
            (NUCLEI,),
        )
        return
    if nuclei.keys() >= SHOWN and nuclei[NUCLEI].part == 1 and reach(look.views, nuclei[NUCLEI]) < EXCHANGED:
        yield _finding(
            "The red and the yellow image seem exchanged: the one called yellow reaches further into the cells, as "
            "microtubules do.",
            "Check the channels; if exchanged, exchange what --stains names for red and yellow, as in "
            "red=_yellow,yellow=_red, the others as they are.",
            (MICROTUBULES, RETICULUM),
        )


def reach(views: Mapping[str, View], nuclei: Nuclei) -> float:
    """Return how much further from the nuclei red goes than yellow, and how much darker nuclei are in it.

    Microtubules fill the cell to its edge and leave the nucleus dark; the reticulum is densest around the nucleus, and
    shines through from above and below. Both as differences of logarithms: below 0 the two are rather exchanged.
    """
    radius = max(nuclei.diameter * len(nuclei.mask) / 2, 1.0)
    away = cv2.distanceTransform(1 - nuclei.mask, cv2.DIST_L2, cv2.DIST_MASK_5) / radius
    places = (*((away > low) & (away <= high) for low, high in RINGS), nuclei.mask > 0)
    red, yellow = (_by_place(views[name], places) for name in (MICROTUBULES, RETICULUM))
    far, inside = red - yellow
    return float(far - HOLE_WEIGHT * inside)


def _more_nuclear(nuclei: Mapping[str, Nuclei]) -> str | None:
    """Return the stain that shows nuclei instead of blue: red or yellow if one does, else a protein, else None."""
    blue = nuclei[NUCLEI].look
    more = {name: each.look - blue for name, each in nuclei.items() if name != NUCLEI}
    landmarks = [name for name in more if name in SHOWN and more[name] > MORE]
    others = [name for name in more if name not in SHOWN and more[name] > MORE_PROTEIN and blue < UNSURE]
    return max(landmarks or others, key=lambda name: more[name], default=None)


def _by_place(view: View, places: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Return the logarithms of the light far from the nuclei, and inside them, over that next to them."""
    light = view - np.percentile(view, 2)
    near, far, inside = (_mean(light, place) for place in places)
    return np.log(np.array([far, inside]) / near)


def _mean(light: View, where: NDArray[np.bool_]) -> float:
    """Return the mean light there, or of everything where there is nothing; never 0."""
    return max(float(light[where].mean() if where.any() else light.mean()), 0.1)


def _finding(sentence: str, remedy: str, stains: tuple[str, ...]) -> Finding:
    return Finding(Fault.ORDER, Severity.SERIOUS, sentence, remedy, stains)
