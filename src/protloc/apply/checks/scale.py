"""How wide a field is, told by its nuclei or files."""

from __future__ import annotations

from collections.abc import Iterator

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.look import Look
from protloc.apply.checks.nuclei import NOT_NUCLEAR, Nuclei

FIELD_WIDTH = 164.0  # µm, of HPA's fields: 2048 px of 0.08 µm, of Kaggle's 512 px of 0.32 µm
WIDTHS = (60.0, 330.0)  # µm; HPA enlarges some fields up to 2.5 times, others show twice as much
DIAMETERS = (0.056, 0.33)  # of a nucleus in such fields, as shares of their width
NUCLEUS = (6.0, 32.0)  # µm, diameter in any cell line
USUAL_NUCLEUS = 14.5  # µm


def check_scale(look: Look, nuclei: Nuclei | None, *, any_width: bool = False) -> Iterator[Finding]:
    """Yield a finding where the pixel size, or the size of nuclei, is not such as in HPA's fields.

    Args:
        look: The field.
        nuclei: What the stain of nuclei shows, or None where there is none.
        any_width: The model learnt from tiles, whose width in µm it does not tell; only a stated pixel size is judged.
    """
    shown = nuclei if nuclei is not None and nuclei.look >= NOT_NUCLEAR else None
    if look.pixel is not None and shown is not None:
        micrometres = shown.diameter * look.window * look.pixel
        if not NUCLEUS[0] <= micrometres <= NUCLEUS[1]:
            yield _finding(
                f"With {look.pixel:.3g} µm a pixel the nuclei would be {micrometres:.3g} µm wide; expected "
                f"{NUCLEUS[0]:g} to {NUCLEUS[1]:g} µm.",
                f"Check the pixel size; {look.pixel * USUAL_NUCLEUS / micrometres:.2g} µm would fit. "
                "Say it with --pixel-size.",
            )
            return
    if any_width:
        return
    if look.pixel is not None:
        yield from _by_width(look.window * look.pixel, look)
    elif shown is not None and not DIAMETERS[0] <= shown.diameter <= DIAMETERS[1]:
        yield from _by_nuclei(shown.diameter, look)


def _by_width(width: float, look: Look) -> Iterator[Finding]:
    if WIDTHS[0] <= width <= WIDTHS[1]:
        return
    yield _finding(
        f"The field is {width:.4g} µm wide ({look.window} px of {look.pixel:.3g} µm); the model knows fields of about "
        f"{FIELD_WIDTH:g} µm, {WIDTHS[0]:g} to {WIDTHS[1]:g} µm.",
        _remedy(round(FIELD_WIDTH / width * look.window), look),
    )


def _by_nuclei(diameter: float, look: Look) -> Iterator[Finding]:
    usual = USUAL_NUCLEUS / FIELD_WIDTH
    times = f"{usual / diameter:.2g} times smaller" if diameter < usual else f"{diameter / usual:.2g} times larger"
    yield _finding(
        f"The nuclei are {diameter:.1%} of the field's width, {times} than in the fields the model knows.",
        _remedy(round(diameter / usual * look.window), look) + " Say the pixel size with --pixel-size if you know it.",
    )


def _remedy(tile: int, look: Look) -> str:
    if tile < look.window:
        return f"Cut the field into tiles of the right width: predict with --tile {tile}."
    return f"Use a lower magnification, or stitch neighbouring fields to a width of about {FIELD_WIDTH:g} µm."


def _finding(sentence: str, remedy: str) -> Finding:
    return Finding(Fault.SCALE, Severity.WARNING, sentence, remedy)
