"""Self-contained HTML pages: figures, tables, thumbnails, templates."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protloc.atlas.stains import Stain
from protloc.show.composite import composite, thumbnail_bytes
from protloc.show.figures import CSS_PIXELS_PER_INCH, png_bytes


@dataclass(frozen=True)
class Picture:
    """A drawn figure, ready for a page or a file.

    Attributes:
        name: File name without ``.png``, and anchor in the page.
        png: The file's content.
        width: Width in CSS px at which its text has the size of the page's.
        alt: What it shows, for those who cannot see it.
        caption: What stands under it.
    """

    name: str
    png: bytes
    width: int
    alt: str
    caption: str

    @property
    def address(self) -> str:
        """Return the picture as a ``data:`` address."""
        return _address(self.png, "png")


@dataclass(frozen=True)
class Thumbnail:
    """A field shown small, with what is to be said of it.

    Attributes:
        jpeg: The picture.
        alt: What it shows, for those who cannot see it.
        lines: Name and text of each line under it.
    """

    jpeg: bytes
    alt: str
    lines: tuple[tuple[str, str], ...]

    @property
    def address(self) -> str:
        """Return the picture as a ``data:`` address."""
        return _address(self.jpeg, "jpeg")


@dataclass(frozen=True)
class Table:
    """A table as it is shown: every cell is text; the first cell of a row names it.

    Attributes:
        caption: What it tells.
        header: A word a column.
        rows: As many cells as the header.
        marked: Places of the rows that stand out.
        text: Places of the columns after the first that hold words, not numbers.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    text: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Tile:
    """A number worth a glance.

    Attributes:
        value: The number as text.
        name: What it is.
        note: A few words more, or empty.
    """

    value: str
    name: str
    note: str = ""


def picture_of(figure: Figure, name: str, *, alt: str, caption: str, photographs: bool = False) -> Picture:
    """Draw ``figure``; ``photographs`` keeps all of its colours."""
    width = round(figure.get_figwidth() * CSS_PIXELS_PER_INCH)
    return Picture(name, png_bytes(figure, photographs=photographs), width, alt, caption)


def thumbnail_of(
    image: NDArray[np.uint8], stains: tuple[Stain, ...], *, alt: str, lines: tuple[tuple[str, str], ...]
) -> Thumbnail:
    """Show a field in the colours of its stains.

    Args:
        image: Shape (stains, side, side).
        stains: What each channel shows, in channel order.
        alt: What it shows, in words.
        lines: Name and text of each line under it.
    """
    return Thumbnail(thumbnail_bytes(composite(image, stains)), alt, lines)


def render(template: str, **content: Any) -> str:  # noqa: ANN401 - each template names what it needs
    """Fill a template of ``show/templates``; text is escaped, and a name that is missing is an error."""
    return _environment().get_template(f"{template}.html.j2").render(version=version("protloc"), **content)


def number(value: float | None, *, digits: int = 3) -> str:
    """Write a number with a fixed number of digits; a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def plural(count: int, word: str) -> str:
    """Write a count with its word: 1 field, 2,000 fields, 3 classes."""
    ending = "" if count == 1 else "es" if word.endswith("s") else "s"
    return f"{count:,} {word}{ending}"


def counted(count: int, word: str, note: str = "") -> Tile:
    """Return a count as a tile, its word after it: 1 field, 2,000 fields."""
    value, _, name = plural(count, word).partition(" ")
    return Tile(value, name, note)


def percent(share: float) -> str:
    """Write a share in 0..1 as a percentage: 12 %, 3.4 %, 0.21 %."""
    digits = 0 if share >= 0.0995 or share in {0, 1} else 1 if share >= 0.00995 else 2
    return f"{100 * share:.{digits}f} %"


def percent_in_words(value: float, low: float | None, high: float | None) -> str:
    """Write a share in 0..1 with its interval: 12 % (10–15 %); a dash for what is not defined."""
    if not np.isfinite(value):
        return "–"
    if low is None or high is None:
        return percent(value)
    return f"{percent(value)} ({percent(low).removesuffix(' %')}–{percent(high)})"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("protloc.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _address(picture: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
