"""What a check found, in sentences with a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What may be wrong with a field; the values stand in tables."""

    UNREADABLE = "unreadable"
    MISSING = "missing stain"
    DUPLICATED = "duplicated stain"
    ORDER = "stain order"
    EMPTY = "empty"
    DARK = "dark"
    SATURATED = "saturated"
    LEVELS = "few grey levels"
    WRAPPED = "wrapped grey levels"
    COMPRESSED = "compressed"
    FOCUS = "out of focus"
    SCALE = "pixel size"
    FAR = "far from the atlas"


class Severity(StrEnum):
    """How much a finding matters, the most first."""

    SERIOUS = "serious"  # the answer for this field means nothing before it is remedied
    WARNING = "warning"  # the answer may be off
    NOTE = "note"  # good to know


@dataclass(frozen=True)
class Finding:
    """One thing that may be wrong with a field.

    Attributes:
        fault: What.
        severity: How much it matters.
        sentence: What was seen, for a biologist to read.
        remedy: What to do about it, a sentence.
        stains: Names of the stains it is about; none where it is about the field.
    """

    fault: Fault
    severity: Severity
    sentence: str
    remedy: str
    stains: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return sentence and remedy."""
        return f"{self.sentence} {self.remedy}"
