"""Is there light, not too much, in enough grey levels?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.look import VIEW, WHITE, Look, View, autocovariances, blurred
from protloc.atlas.images import Plane

# thresholds were chosen on simulated fields of one seed, judged on another: benchmarks/preflight.py
STRUCTURED = 0.08  # of the variance is seen two px aside in whatever shows cells; noise has none
LEAST_VARIANCE = 1e-3  # grey levels squared; what is even has none, up to rounding
HOT = 2.0  # bright ends; what is brighter are hot pixels
DARK = 17.0  # of 255; 12 bits shown as 16 end at 16, simulated antibodies that hardly stain at 29
SATURATED = 0.50  # of the bright half of a stain may be at its end
SATURATED_PIXELS = 0.001  # of all, at least
NOISE_STEPS = 0.04  # of the steps of half the grey scale: as many of the whole scale may be noise
FEWEST_LEVELS = 12
COMB_LEVELS, COMB_SHARE = 40, 0.6  # so few levels with gaps between them are steps
WRAPPED, UNCLIPPED = 0.0003, 0.06  # of neighbours differ by nearly the whole scale, though few pixels are at its end
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
    for one, other in combinations([name for name in look.planes if not is_empty(look.views[name])], 2):
        if likeness(look.planes[one], look.planes[other]) > COPIED:
            yield Finding(
                Fault.DUPLICATED,
                Severity.SERIOUS,
                f"The {one} and the {other} image are the same picture, down to its noise.",
                "Export both stains again, each from its own channel; if one was never taken, leave it out.",
                (one, other),
            )


def is_empty(view: View) -> bool:
    """Tell whether a view shows nothing but noise, one grey level, or an uneven lamp."""
    at = autocovariances(np.minimum(view, HOT * bright_end(view)), (0, 2))
    return at[0] < LEAST_VARIANCE or at[2] < STRUCTURED * at[0]


def bright_end(view: View) -> float:
    """Return the grey level that one pixel in a thousand exceeds."""
    return float(np.percentile(view, 99.9))


def saturated_share(plane: Plane) -> tuple[float, float]:
    """Return which share of all pixels stands at the brightest value, and which of those over half of it."""
    end = int(plane.max())
    at_end = float((plane == end).mean())
    return at_end, at_end / max(float((plane > end / 2).mean()), 1e-12)


def levels(plane: Plane) -> tuple[int, float]:
    """Return how many grey levels a plane uses up to its bright end, and their share of those it could."""
    counts = np.bincount(plane.ravel())
    end = int(np.searchsorted(counts.cumsum(), 0.999 * plane.size))
    used = np.flatnonzero(counts[: end + 1])
    return used.size, used.size / float(end - used[0] + 1)


def wrapped_share(plane: Plane, *, white: int) -> float:
    """Return the share of neighbours that differ by more than .8 of the grey scale, beyond what noise explains.

    In a photograph hardly any do, and where noise makes some, half as large differences are far more frequent. Values
    that ran over the end of the scale begin anew at black, beside white ones.
    """
    steps = np.abs(np.diff(plane.astype(np.float32), axis=1)) / np.float32(white)
    noise = NOISE_STEPS * float(((steps > 0.4) & (steps < 0.6)).mean())
    return float((steps > 0.8).mean()) - noise


def blockiness(plane: Plane) -> float:
    """Return by how much steps at every eighth px exceed the others, as a share; the lesser of both directions.

    It is 0 for planes too small to tell.
    """
    if min(plane.shape) < LEAST_BLOCKS * BLOCK:
        return 0.0
    signal = plane.astype(np.float32)
    return min(_stepped(signal), _stepped(signal.T))


def _stepped(signal: NDArray[np.float32]) -> float:
    """Return the excess of the column steps at the most stepped of the eight places over their median."""
    steps = np.abs(np.diff(signal, axis=1)).mean(axis=0)
    steps = steps[: len(steps) // BLOCK * BLOCK].reshape(-1, BLOCK)
    by_place = steps.mean(axis=0)
    return float(by_place[BLOCK - 1] / max(float(np.median(by_place)), 1e-6) - 1)


def likeness(one: Plane, other: Plane) -> float:
    """Return the correlation of the finest structure of two planes, in -1..1; of copies it is 1, as noise is copied."""
    fine = [_finest(plane) for plane in (one, other)]
    size = float(np.sqrt((fine[0] ** 2).mean() * (fine[1] ** 2).mean()))
    return float((fine[0] * fine[1]).mean()) / size if size > 0 else 0.0


def _finest(plane: Plane) -> View:
    top, left = (max(length - FINE_PART, 0) // 2 for length in plane.shape)
    part = plane[top : top + FINE_PART, left : left + FINE_PART].astype(np.float32)
    part = np.minimum(part, np.float32(HOT * np.percentile(part, 99.9)))  # hot pixels are those of the camera
    fine = part - blurred(part, 1.0)
    return fine - fine.mean()


def _light_of(look: Look, name: str) -> Finding | None:
    """Return the first thing that is wrong with the light of a stain: what is empty is not also dark."""
    plane, view = look.planes[name], look.views[name]
    if is_empty(view):
        return Finding(
            Fault.EMPTY,
            Severity.SERIOUS,
            f"The {name} image shows nothing but noise.",
            f"Check lamp, filter and file; if there is no {name} stain, leave its files out.",
            (name,),
        )
    if bright_end(view) < DARK:
        return _too_dark(look, name, view)
    used, share = levels(plane)
    if look.large_enough and (used <= FEWEST_LEVELS or (used <= COMB_LEVELS and share < COMB_SHARE)):
        return Finding(
            Fault.LEVELS,
            Severity.WARNING,
            f"The {name} image has only {used} grey levels.",
            "Export it again from the microscope's own file, without reducing its bits or colours.",
            (name,),
        )
    return _too_bright(look, name, plane)


def _too_dark(look: Look, name: str, view: View) -> Finding:
    plane, white = look.planes[name], look.white(name)
    end = bright_end(view) / WHITE
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


def _too_bright(look: Look, name: str, plane: Plane) -> Finding | None:
    pixels, share = saturated_share(plane)
    if share < UNCLIPPED and wrapped_share(plane, white=look.white(name)) > WRAPPED:
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
