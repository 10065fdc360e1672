"""Names of files for things that are called anything."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

LONGEST = 80  # letters; file systems take 255 bytes, and an ending is to come
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
DIGITS = re.compile(r"-[0-9a-f]{8}")
# Windows keeps these for devices, whatever stands behind a dot
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def file_names(called: Sequence[str]) -> dict[str, str]:
    """Name files for things that are called anything, such as field ids and classes.

    ASCII letters, digits, ``_``, ``-`` and ``.`` stay, and ``_`` stands for all else. Where that leaves what no file
    can be called everywhere, or what differs from another by capitals at most, eight digits of the SHA-256 of what it
    is called tell it from others.

    Returns:
        For each of ``called`` a name of these letters alone, 1 to 80 of them, that does not begin or end with a dot;
        no two alike, capitals or not.
    """
    left = {name: UNSAFE.sub("_", name).strip("_.-") for name in called}
    alike = Counter(name.casefold() for name in left.values())
    return {name: own if _fits(own) and alike[own.casefold()] == 1 else _told_apart(name) for name, own in left.items()}


def _fits(name: str) -> bool:
    """Tell whether a file can be called so, and nothing that was told apart is."""
    return 0 < len(name) <= LONGEST and not DEVICE.fullmatch(name) and not DIGITS.fullmatch(name[-9:])


def _told_apart(name: str) -> str:
    legible = UNSAFE.sub("_", name).replace(".", "_").strip("_-")[: LONGEST - 9] or "unnamed"
    return f"{legible}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
