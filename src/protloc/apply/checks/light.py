"""Is there light, not too much, in enough grey levels?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.look import HOT, VIEW, WHITE, Look, View, blurred
from protloc.atlas.images import Plane

# thresholds were chosen on simulated fields of one seed, judged on another: benchmarks/preflight.py
DARK = 17.0  # of 255; 12 bits shown as 16 end at 16, simulated antibodies that hardly stain at 29
SATURATED = 0.45  # of the bright half of a stain may be at its end
SATURATED_PIXELS = 0.001  # of all, at least
NOISE_STEPS = 0.04  # of the steps of half the grey scale: as many of the whole scale may be noise
FEWEST_LEVELS = 12
COMB_LEVELS, COMB_SHARE = 40, 0.6  # so few levels with gaps between them are steps
WRAPPED, UNCLIPPED = 0.0002, 0.02  # of neighbours differ by nearly the whole scale, though few pixels are at its end
BLOCKED = 0.25  # by how much steps at the borders of JPEG's blocks exceed those inside
COPIED = 0.80  # correlation of what two stains have finest, noise included
BLOCK = 8  # px, of JPEG
LEAST_BLOCKS = 12  # a side; of fewer chance steps are as large
SEEN = 2  # px of a view; smaller blocks are gone when the field is shrunk
FINE_PART = 512  # px; a part this large tells whether noise is copied


def check_light(look: Look) -> Iterator[Finding]:
    """Yield what is wrong with the light of each stain, and which stains are one image twice."""
    for name in look.planes:
        found = _light_of(look, name)
        if found is not None:
            yield found
    yield from _compressed(look)
    fine = {name: finest(look.planes[name], end=_bright_end(look.counts[name])) for name in look.shown}
    for one, other in combinations(fine, 2):
        if likeness(fine[one], fine[other]) > COPIED:
            yield Finding(
                Fault.DUPLICATED,
                Severity.SERIOUS,
                f"The {one} and the {other} image are the same picture, down to its noise.",
                "Export both stains again, each from its own channel; if one was never taken, leave it out.",
                (one, other),
            )


def saturated_share(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return which share of all pixels stands at the brightest value, and which of those over half of it.

    Args:
        counts: Of the pixels, by grey level.
    """
    end = int(np.flatnonzero(counts)[-1])
    at_end = int(counts[end])
    return at_end / int(counts.sum()), at_end / max(int(counts[end // 2 + 1 :].sum()), 1)


def levels(counts: NDArray[np.int64]) -> tuple[int, float]:
    """Return how many grey levels are used up to the bright end, and their share of those that could be.

    Args:
        counts: Of the pixels, by grey level.
    """
    used = np.flatnonzero(counts[: _bright_end(counts) + 1])
    return used.size, used.size / float(_bright_end(counts) + 1 - used[0])


def wrapped_share(plane: Plane, *, white: int) -> float:
    """Return the share of neighbours that differ by more than .8 of the grey scale, beyond what noise explains.

    In a photograph hardly any do, and where noise makes some, half as large differences are far more frequent. Values
    that ran over the end of the scale begin anew at black, beside white ones.
    """
    steps = cv2.absdiff(plane[:, 1:], plane[:, :-1])
    over = {share: np.count_nonzero(steps > int(share * white)) for share in (0.4, 0.6, 0.8)}
    return (over[0.8] - NOISE_STEPS * (over[0.4] - over[0.6])) / max(steps.size, 1)


def blockiness(plane: Plane) -> float:
    """Return by how much steps at every eighth px exceed the others, as a share; the lesser of both directions.

    It is 0 for planes too small to tell.
    """
    if min(plane.shape) < LEAST_BLOCKS * BLOCK:
        return 0.0
    across, down = cv2.absdiff(plane[:, 1:], plane[:, :-1]), cv2.absdiff(plane[1:], plane[:-1])
    sums = (cv2.reduce(steps, axis, cv2.REDUCE_SUM, dtype=cv2.CV_64F) for axis, steps in enumerate((across, down)))
    return min(_stepped(each) for each in sums)


def _stepped(steps: NDArray[Any]) -> float:
    """Return the excess of the steps at the borders of JPEG's blocks over their median at the eight places."""
    whole = steps.ravel()[: steps.size // BLOCK * BLOCK]
    by_place = whole.reshape(-1, BLOCK).mean(axis=0)
    return float(by_place[BLOCK - 1] / max(float(np.median(by_place)), 1e-3) - 1)


def likeness(one: View, other: View) -> float:
    """Return the correlation of what :func:`finest` returns of two planes; of copies it is 1, as noise is copied."""
    return float(np.dot(one.ravel(), other.ravel()))


def finest(plane: Plane, *, end: int) -> View:
    """Return the finest structure of the middle of a plane, as a vector of length 1, or 0 where there is none.

    Args:
        plane: The plane.
        end: Its bright end; what is twice as bright are hot pixels, and dimmed.
    """
    top, left = (max(length - FINE_PART, 0) // 2 for length in plane.shape)
    part = plane[top : top + FINE_PART, left : left + FINE_PART].astype(np.float32)
    light = np.minimum(part, np.float32(HOT * max(end, 1)))
    fine = light - blurred(light, 1.0)
    fine -= fine.mean()
    return fine / max(float(np.linalg.norm(fine)), 1e-6)


def _bright_end(counts: NDArray[np.int64]) -> int:
    """Return the grey level that one pixel in a thousand exceeds."""
    return int(np.searchsorted(counts.cumsum(), 0.999 * counts.sum()))


def _light_of(look: Look, name: str) -> Finding | None:
    """Return the first thing that is wrong with the light of a stain: what is empty is not also dark."""
    if name not in look.shown:
        return Finding(
            Fault.EMPTY,
            Severity.SERIOUS,
            f"The {name} image shows nothing but noise.",
            f"Check lamp, filter and file; if there is no {name} stain, leave its files out.",
            (name,),
        )
    if look.ends[name] < DARK:
        return _too_dark(look, name)
    counts = look.counts[name]
    used, share = levels(counts)
    if look.large_enough and (used <= FEWEST_LEVELS or (used <= COMB_LEVELS and share < COMB_SHARE)):
        return Finding(
            Fault.LEVELS,
            Severity.WARNING,
            f"The {name} image has only {used} grey levels.",
            "Export it again from the microscope's own file, without reducing its bits or colours.",
            (name,),
        )
    return _too_bright(look, name, counts)


def _too_dark(look: Look, name: str) -> Finding:
    plane, white = look.planes[name], look.white(name)
    end = look.ends[name] / WHITE
    bits = max(8, int(np.ceil(np.log2(max(2 * end * white, 2)))))
    if plane.dtype == np.uint8 or bits >= look.bit_depth:
        remedy = "Expose it longer, or export it with its own contrast."
    elif int(plane.max()) < 2**bits:
        remedy = f"Its signal has {bits} of {look.bit_depth} bits: say --bit-depth {bits}."
    else:
        remedy = (
            f"Its signal has {bits} of {look.bit_depth} bits, but hot pixels are brighter: clip it at {2**bits - 1}."
        )
    sentence = f"The {name} image is almost black: all but a thousandth of it is below {end:.1%} of white."
    return Finding(Fault.DARK, Severity.SERIOUS, sentence, remedy, (name,))


def _too_bright(look: Look, name: str, counts: NDArray[np.int64]) -> Finding | None:
    pixels, share = saturated_share(counts)
    if share < UNCLIPPED and wrapped_share(look.planes[name], white=look.white(name)) > WRAPPED:
        return Finding(
            Fault.WRAPPED,
            Severity.SERIOUS,
            f"Bright places of the {name} image turn black at once, as if its values had run over.",
            "Export it again as 16-bit, or rescale before converting to 8 bits.",
            (name,),
        )
    if share <= SATURATED or pixels <= SATURATED_PIXELS:
        return None
    return Finding(
        Fault.SATURATED,
        Severity.WARNING,
        f"The {name} image is saturated: {pixels:.1%} of it, {share:.0%} of its bright half, has the highest value.",
        "Expose it shorter, or export it without clipping; what is lost there cannot be restored.",
        (name,),
    )


def _compressed(look: Look) -> Iterator[Finding]:
    """Yield one finding for all stains with the squares of JPEG."""
    names = tuple(name for name, plane in look.planes.items() if blockiness(plane) > BLOCKED)
    if not names:
        return
    seen = BLOCK * VIEW / look.window >= SEEN
    verb = "image shows" if len(names) == 1 else "images show"
    told = f"The {' and '.join(names)} {verb} the squares of JPEG compression"
    yield Finding(
        Fault.COMPRESSED,
        Severity.WARNING if seen else Severity.NOTE,
        f"{told}." if seen else f"{told}; they all but vanish when the field is shrunk.",
        "Use the original file, or export it as PNG or TIFF.",
        names,
    )
