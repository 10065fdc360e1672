"""Is the field in focus?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.look import Look
from protloc.apply.checks.nuclei import LANDMARKS

BLURRED = 0.31  # of a landmark; 0.2 is the limit of what is blurred without end, sharp edges alone give 0.33
BLURRED_PROTEIN = 0.25  # of a protein, which may be even by nature


def check_focus(look: Look) -> Iterator[Finding]:
    """Yield a finding where the landmark stains, or where there are none the protein, have no fine structure."""
    if not look.large_enough:
        return
    sharp = {name: sharpness(look.alike[name]) for name in look.shown}
    landmarks = {name: value for name, value in sharp.items() if name in LANDMARKS}
    judged, least = (landmarks, BLURRED) if landmarks else (sharp, BLURRED_PROTEIN)
    out = tuple(name for name, value in judged.items() if value < least)
    if out:
        verb = "image is" if len(out) == 1 else "images are"
        yield Finding(
            Fault.FOCUS,
            Severity.WARNING,
            f"The {' and '.join(out)} {verb} out of focus, or of very low resolution.",
            "Focus again, or leave the field out.",
            out,
        )


def sharpness(at: Mapping[int, float]) -> float:
    """Return how fast the likeness of a view to itself falls, from 2 px aside to 4, as a share of that to 8.

    It is 0.2 where all is blurred over many px (the likeness falls with the square), 1/3 for sharp outlines of large
    things (it falls evenly), more for fine structure. Noise has no part in it, as it shows at lag 0 alone.

    Args:
        at: What :func:`protloc.apply.checks.look.autocovariances` returns of the view.
    """
    return (at[2] - at[4]) / max(at[2] - at[8], 1e-9)
