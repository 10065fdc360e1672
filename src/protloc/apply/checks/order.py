"""Does each landmark stain show what it should?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.look import Look, View
from protloc.apply.checks.nuclei import MICROTUBULES, NOT_NUCLEAR, NUCLEAR, NUCLEI, RETICULUM, Nuclei

EXCHANGED = 0.0  # reach below: what is called red keeps nearer to the nuclei than what is called yellow
HOLE_WEIGHT = 0.5  # of the dark of the nuclei against the reach
RINGS = ((0.0, 0.3), (0.8, 1.6))  # from the nuclear edge, in radii of a nucleus
SHOWN = {MICROTUBULES: "microtubules", RETICULUM: "the endoplasmic reticulum"}


def check_order(look: Look, nuclei: Mapping[str, Nuclei]) -> Iterator[Finding]:
    """Yield a finding where a landmark stain shows what another should: blue nuclei, red and yellow the cytoplasm.

    Args:
        look: The field.
        nuclei: What :func:`protloc.apply.checks.nuclei.nuclei_of` makes of it.
    """
    if NUCLEI not in nuclei:
        return
    if nuclei[NUCLEI].look < NOT_NUCLEAR:
        yield _no_nuclei({name: each.look for name, each in nuclei.items() if name != NUCLEI})
        return
    for name, shown in SHOWN.items():
        if name in nuclei and nuclei[name].look > NUCLEAR:
            yield _finding(
                f"The {name} image looks like nuclei, though it should show {shown}.",
                f"Check which channel was saved as {name}.",
                (name,),
            )
            return
    if SHOWN.keys() <= nuclei.keys() and nuclei[NUCLEI].part == 1 and reach(look.views, nuclei[NUCLEI]) < EXCHANGED:
        yield _finding(
            "The red and the yellow image seem exchanged: the one called yellow reaches further into the cells, as "
            "microtubules do.",
            "Check the channels; if exchanged, say --stains red=_yellow,yellow=_red with the others as they are.",
            (MICROTUBULES, RETICULUM),
        )


def reach(views: Mapping[str, View], nuclei: Nuclei) -> float:
    """Return how much further from the nuclei red goes than yellow, and how much darker nuclei are in it.

    Microtubules fill the cell to its edge and leave the nucleus dark; the reticulum is densest around the nucleus, and
    shines through from above and below. Both as differences of logarithms: below 0 the two are rather exchanged.
    """
    red, yellow = (_by_place(views[name], nuclei) for name in (MICROTUBULES, RETICULUM))
    far, inside = red - yellow
    return float(far - HOLE_WEIGHT * inside)


def _by_place(view: View, nuclei: Nuclei) -> NDArray[np.float64]:
    """Return the logarithms of the light far from the nuclei, and inside them, over that next to them."""
    radius = max(nuclei.diameter * len(view) / 2, 1.0)
    away = cv2.distanceTransform(1 - nuclei.mask, cv2.DIST_L2, cv2.DIST_MASK_5) / radius
    light = view - np.percentile(view, 2)
    near, far = (_mean(light, (away > low) & (away <= high)) for low, high in RINGS)
    return np.log(np.array([far, _mean(light, nuclei.mask > 0)]) / near)


def _mean(light: View, where: NDArray[np.bool_]) -> float:
    """Return the mean light there, or of everything where there is nothing; never 0."""
    return max(float(light[where].mean() if where.any() else light.mean()), 0.1)


def _no_nuclei(others: dict[str, float]) -> Finding:
    nuclear = [name for name, look in others.items() if look > NUCLEAR]
    best = next((name for name in nuclear if name in SHOWN), next(iter(nuclear), None))  # a protein may be nuclear too
    if best is None:
        return _finding(
            "The blue image does not look like nuclei.",
            "Check that it is the stain of DNA, and that field and magnification are such as the model knows.",
            (NUCLEI,),
        )
    return _finding(
        f"The blue image does not look like nuclei, but the {best} image does.",
        f"Check the channels; if exchanged, say --stains blue=_{best},{best}=_blue with the others as they are.",
        (NUCLEI, best),
    )


def _finding(sentence: str, remedy: str, stains: tuple[str, ...]) -> Finding:
    return Finding(Fault.ORDER, Severity.SERIOUS, sentence, remedy, stains)
