"""Pages: self-contained, escaped, usable without sight or a network."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError

from protloc.atlas.stains import HPA_STAINS
from protloc.show.figures_labels import labels_per_field_figure
from protloc.show.page import Table, number, picture_of, render, thumbnail_of

Reader = Callable[[str], Any]


def test_a_missing_name_is_an_error_not_a_hole() -> None:
    with pytest.raises(UndefinedError, match="store"):
        render("baselines", simulated=False, table=Table("", ("a",), ()), notes=())


def test_text_is_escaped(read_page: Reader) -> None:
    table = Table("<b>caption</b>", ("name",), (("<script>alert(1)</script>",),))
    html = render("baselines", store="a & b", simulated=False, table=table, notes=("<i>",))
    read_page(html)
    assert "&lt;script&gt;" in html
    assert "a &amp; b" in html


def test_a_table_names_its_rows_and_columns(read_page: Reader) -> None:
    table = Table(
        "caption", ("class", "GO", "fields"), (("a", "x", "1"), ("b", "y", "2")), frozenset({1}), frozenset({1})
    )
    page = read_page(render("baselines", store="s", simulated=False, table=table, notes=()))
    assert [cell["scope"] for cell in page.all("th")] == ["col", "col", "col", "row", "row"]
    assert [row.get("class") for row in page.all("tr")] == [None, None, "marked"]
    assert [cell.get("class") for cell in page.all("td")] == ["text", None, "text", None]


def test_pictures_hold_their_png_and_their_natural_width() -> None:
    picture = picture_of(labels_per_field_figure(np.array([1, 2])), "labels", alt="a", caption="c")
    assert base64.b64decode(picture.address.partition(",")[2]) == picture.png
    assert picture.width == round(5.6 * 96)


def test_thumbnails_are_composites() -> None:
    thumbnail = thumbnail_of(np.zeros((4, 8, 8), np.uint8), HPA_STAINS, alt="dark", lines=(("is", "nothing"),))
    assert base64.b64decode(thumbnail.address.partition(",")[2]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "written"), [(0.12345, "0.123"), (1, "1.000"), (None, "–"), (float("nan"), "–"), (float("inf"), "–")]
)
def test_numbers_are_written_alike(value: float | None, written: str) -> None:
    assert number(value) == written
