"""Do nuclei show in a view, and how large are they?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.look import VIEW, Look, View, blurred

NUCLEI, MICROTUBULES, RETICULUM = "blue", "red", "yellow"  # what HPA's landmark stains show
LANDMARKS = (NUCLEI, MICROTUBULES, RETICULUM)
UNSURE = 0.0  # a look below is rather none of nuclei
NOT_NUCLEAR = -2.5  # a look below is none of nuclei
NUCLEAR = 8.0  # a look above is surely of nuclei
CLOSER = 1 / 3  # of the window: nuclei too small for a view of all of it show here
SMALL = 0.07  # of the window: so small nuclei may be clusters of smaller ones
LEAST_AREA = 60  # px; what is smaller is debris
NONE = -99.0  # the look of a view with nothing in it
CONVEX = 0.85  # share of its hull that a lone nucleus fills
FEW = 3
# what benchmarks/preflight.py --fit --fields 300 --seed 100 prints
OFFSET = -75.3
WEIGHTS = {"solidity": 10.6, "roundness": 3.6, "parting": 14.3, "coherence": 25.8, "bulge": 279.2}


@dataclass(frozen=True, eq=False)
class Nuclei:
    """What a view shows, taken for nuclei.

    Attributes:
        mask: What is bright, (side, side), uint8 0 or 1.
        traits: What tells nuclei from other stains, see :func:`nuclei_in`; nothing where nothing is bright.
        diameter: Median by area of the lone ones that the border does not cut, as a share of the window's width, so
            that pieces of nuclei hardly count; 0 where there is nothing.
        median: Their plain median diameter, likewise.
        part: The central part of the window that was looked at.
    """

    mask: NDArray[np.uint8]
    traits: Mapping[str, float]
    diameter: float
    median: float
    part: float = 1.0

    @property
    def look(self) -> float:
        """Return the logit of how much it looks like nuclei: the higher, the more; 0 is as likely as not."""
        return OFFSET + sum(weight * self.traits[name] for name, weight in WEIGHTS.items()) if self.traits else NONE


def nuclei_of(look: Look) -> dict[str, Nuclei]:
    """Return what each landmark stain that is not empty shows, taken for nuclei; nothing where they cannot be judged.

    They cannot where the stain of nuclei is missing or empty, or the field too small. Of that stain a part is looked at
    more closely where nuclei do not show in a view of the whole window, or seem small.
    """
    if not look.large_enough or NUCLEI not in look.shown:
        return {}
    found = {name: nuclei_in(look.views[name]) for name in look.shown if name in LANDMARKS}
    whole = found[NUCLEI]
    shows = whole.look >= NOT_NUCLEAR
    if (not shows or whole.median < SMALL) and look.window * CLOSER >= VIEW / 2:
        near = nuclei_in(look.view(NUCLEI, side=VIEW, part=CLOSER), part=CLOSER)
        if near.look > NUCLEAR:
            found[NUCLEI] = replace(near, mask=whole.mask, part=whole.part) if shows else near
    if found[NUCLEI].look < UNSURE:
        found |= {name: nuclei_in(look.views[name]) for name in look.shown if name not in found}
    return found


def nuclei_in(view: View, *, part: float = 1.0) -> Nuclei:
    """Find what is bright in a view and measure how much it looks like nuclei.

    Nuclei are convex, roundish, set off from the dark, with smooth edges and no threads. The traits that tell so are
    ``solidity``: share of the convex hulls that is filled; ``roundness``: 4 pi area / length squared, mean by area;
    ``parting``: share of the variance between bright and dark (Otsu 1979); ``coherence`` of the direction of edges
    within 3 px, 0..1; ``bulge``: curvature across both directions where the view is arched, as a share of that across
    the stronger one: 0 for threads.
    """
    smooth = blurred(view, 1.0)
    scaled = np.clip(smooth / max(float(np.percentile(smooth, 99.5)), 1e-6), 0, 1)
    _, found = cv2.threshold((scaled * 255).astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = np.asarray(found, np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = [outline for outline in outlines if cv2.contourArea(outline) > LEAST_AREA]
    if not outlines:
        return Nuclei(mask, {}, 0.0, 0.0, part)
    traits = _shapes(outlines) | {
        "parting": _parting(scaled, mask > 0),
        "coherence": coherence(smooth),
        "bulge": bulge(view),
    }
    diameter, median = _diameters(outlines, side=len(view))
    return Nuclei(mask, traits, part * diameter / len(view), part * median / len(view), part)


def _shapes(outlines: Sequence[NDArray[Any]]) -> dict[str, float]:
    areas = np.array([cv2.contourArea(outline) for outline in outlines])
    lengths = np.array([cv2.arcLength(outline, closed=True) for outline in outlines])
    hulls = np.array([cv2.contourArea(cv2.convexHull(outline)) for outline in outlines])
    return {
        "solidity": float(areas.sum() / hulls.sum()),
        "roundness": float((4 * np.pi * areas**2 / lengths**2).sum() / areas.sum()),
    }


def _parting(scaled: View, bright: NDArray[np.bool_]) -> float:
    covered = float(bright.mean())
    apart = float(scaled[bright].mean() - scaled[~bright].mean()) if 0 < covered < 1 else 0.0
    return covered * (1 - covered) * apart**2 / max(float(scaled.var()), 1e-9)


def coherence(smooth: View) -> float:
    """Return how much edges agree in direction within 3 px, 0..1, mean by their strength (structure tensor)."""
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    half = tuple(length // 2 for length in smooth.shape[::-1])  # what is to be blurred needs no more
    products = (cv2.resize(each, half, interpolation=cv2.INTER_AREA) for each in (across**2, across * down, down**2))
    xx, xy, yy = (blurred(product, 1.5) for product in products)
    return float(np.sqrt((xx - yy) ** 2 + 4 * xy**2).sum() / max(float((xx + yy).sum()), 1e-6))


def bulge(view: View) -> float:
    """Return the share of arching that goes both ways, from the curvatures of the view blurred by 2 px."""
    smooth = blurred(view, 2.0)
    xx, xy, yy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((2, 0), (1, 1), (0, 2)))
    spread = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    stronger, weaker = np.maximum(spread - xx - yy, 0), np.maximum(-spread - xx - yy, 0)
    return float(weaker.sum() / max(float(stronger.sum()), 1e-6))


def _diameters(outlines: Sequence[NDArray[Any]], *, side: int) -> tuple[float, float]:
    """Return the median diameter by area in px, and the plain one, of lone nuclei, or of all where those are few."""
    whole = [outline for outline in outlines if outline.min() > 0 and outline.max() < side - 1]
    lone = [
        outline for outline in whole if cv2.contourArea(outline) > CONVEX * cv2.contourArea(cv2.convexHull(outline))
    ]
    areas = np.sort([cv2.contourArea(outline) for outline in (lone if len(lone) >= FEW else outlines)])
    by_area = areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)]
    return float(np.sqrt(by_area * 4 / np.pi)), float(np.sqrt(np.median(areas) * 4 / np.pi))
