"""Stains: what each channel shows, how its file is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protloc.errors import SettingsError

MOST_STAINS = 8

# which of the R, G, B planes carry the signal in a colour-coded file of the HPA site, and the colour shown on screen
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "gray": (255, 255, 255),
}


@dataclass(frozen=True)
class Stain:
    """One fluorescent stain of a field.

    Attributes:
        name: Such as ``green``; a known colour name decides how colour-coded files are read.
        suffix: What follows the field id in the file name, before the extension: ``_green``.
    """

    name: str
    suffix: str

    @property
    def colour(self) -> tuple[int, int, int]:
        """Return the colour of the stain on screen, (R, G, B) in 0..255; white where the name is no colour."""
        return COLOURS.get(self.name, (255, 255, 255))


HPA_STAINS = tuple(Stain(name, f"_{name}") for name in ("red", "green", "blue", "yellow"))


def parse_stains(specifications: Sequence[str]) -> tuple[Stain, ...]:
    """Read stains from ``name`` or ``name=suffix`` words; a bare name has the suffix ``_name``.

    Raises:
        SettingsError: if there are none or more than eight, or a name or suffix comes twice.
    """
    stains = tuple(_parse_stain(word.strip()) for word in specifications)
    if not 1 <= len(stains) <= MOST_STAINS:
        raise SettingsError(
            f"--stains: {len(stains)} stains given, expected 1 to {MOST_STAINS}. Name them as green,blue."
        )
    for kind, values in (("name", [s.name for s in stains]), ("suffix", [s.suffix for s in stains])):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise SettingsError(f"--stains: the {kind} {twice[0]!r} comes twice. Give every stain its own {kind}.")
    return stains


def _parse_stain(word: str) -> Stain:
    name, equals, suffix = word.partition("=")
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise SettingsError(
            f"--stains: {word!r} is not a stain; expected NAME or NAME=SUFFIX with a name of letters and digits, "
            "as in green or dapi=_ch00."
        )
    return Stain(name, suffix if equals else f"_{name}")
