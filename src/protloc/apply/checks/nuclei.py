"""Do nuclei show in a view, and how large are they?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.light import is_empty
from protloc.apply.checks.look import VIEW, Look, View, blurred

NUCLEI, MICROTUBULES, RETICULUM = "blue", "red", "yellow"  # what HPA's landmark stains show
NOT_NUCLEAR = -0.8  # a look below is none of nuclei
NUCLEAR = 2.0  # a look above is surely of nuclei
CLOSER = 1 / 3  # of the window: nuclei too small for a view of all of it show here
LEAST_AREA = 60  # px; what is smaller is debris
NONE = -99.0  # the look of a view with nothing in it
CONVEX = 0.85  # share of its hull that a lone nucleus fills
FEW = 3
# logistic regression, blue against red and yellow, of simulated fields: benchmarks/preflight.py --fit
OFFSET = -63.1
WEIGHTS = {"solidity": 13.0, "roundness": 2.8, "parting": 7.7, "coherence": 23.4, "bulge": 231.0}


@dataclass(frozen=True, eq=False)
class Nuclei:
    """What a view shows, taken for nuclei.

    Attributes:
        mask: What is bright, (side, side), uint8 0 or 1.
        look: Logit of how much they look like nuclei: the higher, the more; 0 is as likely as not.
        diameter: Median of the lone ones that the border does not cut, as a share of the window's width; 0 where
            there is nothing.
        part: The central part of the window that was looked at.
    """

    mask: NDArray[np.uint8]
    look: float
    diameter: float
    part: float = 1.0


def nuclei_of(look: Look) -> dict[str, Nuclei]:
    """Return what each stain that is not empty shows, taken for nuclei; nothing for a field too small to judge.

    Of the stain of nuclei a part is looked at more closely where they do not show in a view of the whole window.
    """
    if not look.large_enough:
        return {}
    found = {name: nuclei_in(view) for name, view in look.views.items() if not is_empty(view)}
    if NUCLEI in found and found[NUCLEI].look < NOT_NUCLEAR and look.window * CLOSER >= VIEW / 2:
        near = nuclei_in(look.view(NUCLEI, side=VIEW, part=CLOSER), part=CLOSER)
        if near.look >= NOT_NUCLEAR:
            found[NUCLEI] = near
    return found


def nuclei_in(view: View, *, part: float = 1.0) -> Nuclei:
    """Find what is bright in a view and tell how much it looks like nuclei.

    Nuclei are convex, roundish, set off from the dark, with smooth edges and no threads.
    """
    smooth = blurred(view, 1.0)
    scaled = np.clip(smooth / max(float(np.percentile(smooth, 99.5)), 1e-6), 0, 1)
    _, mask = cv2.threshold((scaled * 255).astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = [outline for outline in outlines if cv2.contourArea(outline) > LEAST_AREA]
    mask = np.asarray(mask, np.uint8)
    if not outlines:
        return Nuclei(mask, NONE, 0.0, part)
    features = traits(view, scaled, mask, outlines)
    look = OFFSET + sum(weight * features[name] for name, weight in WEIGHTS.items())
    return Nuclei(mask, float(look), part * _diameter(outlines, side=view.shape[0]) / view.shape[0], part)


def traits(view: View, scaled: View, mask: NDArray[np.uint8], outlines: Sequence[NDArray[Any]]) -> dict[str, float]:
    """Return what tells nuclei from other stains.

    Returns:
        ``solidity``: share of the convex hulls that is filled. ``roundness``: 4 pi area / length squared, mean by area.
        ``parting``: share of the variance between bright and dark (Otsu 1979). ``coherence`` of the direction of edges
        within 3 px, 0..1. ``bulge``: curvature across both directions where the view is arched, as a share of that
        across the stronger one: 0 for threads.
    """
    areas = np.array([cv2.contourArea(outline) for outline in outlines])
    lengths = np.array([cv2.arcLength(outline, closed=True) for outline in outlines])
    hulls = np.array([cv2.contourArea(cv2.convexHull(outline)) for outline in outlines])
    bright = mask > 0
    covered = float(bright.mean())
    apart = float(scaled[bright].mean() - scaled[~bright].mean()) if 0 < covered < 1 else 0.0
    return {
        "solidity": float(areas.sum() / hulls.sum()),
        "roundness": float((4 * np.pi * areas**2 / lengths**2).sum() / areas.sum()),
        "parting": covered * (1 - covered) * apart**2 / max(float(scaled.var()), 1e-9),
        "coherence": coherence(view),
        "bulge": bulge(view),
    }


def coherence(view: View) -> float:
    """Return how much edges agree in direction within 3 px, 0..1, mean by their strength (structure tensor)."""
    smooth = blurred(view, 1.0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    xx, xy, yy = (blurred(product, 3.0) for product in (across * across, across * down, down * down))
    return float(np.sqrt((xx - yy) ** 2 + 4 * xy**2).sum() / max(float((xx + yy).sum()), 1e-6))


def bulge(view: View) -> float:
    """Return the share of arching that goes both ways, from the curvatures of the view blurred by 2 px."""
    smooth = blurred(view, 2.0)
    xx, xy, yy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((2, 0), (1, 1), (0, 2)))
    spread = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    stronger, weaker = np.maximum(spread - xx - yy, 0), np.maximum(-spread - xx - yy, 0)
    return float(weaker.sum() / max(float(stronger.sum()), 1e-6))


def _diameter(outlines: Sequence[NDArray[Any]], *, side: int) -> float:
    """Return the median diameter in px of lone nuclei, of all there are where those are few."""
    whole = [outline for outline in outlines if outline.min() > 0 and outline.max() < side - 1]
    lone = [
        outline for outline in whole if cv2.contourArea(outline) > CONVEX * cv2.contourArea(cv2.convexHull(outline))
    ]
    areas = [cv2.contourArea(outline) for outline in (lone if len(lone) >= FEW else outlines)]
    return float(np.sqrt(np.median(areas) * 4 / np.pi))
