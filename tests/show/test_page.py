"""Pages: self-contained, escaped, usable without sight or a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from protloc.atlas.stains import HPA_STAINS
from protloc.show.figures_labels import labels_per_field_figure
from protloc.show.page import (
    Table,
    Tile,
    counted,
    number,
    percent,
    percent_in_words,
    picture_of,
    plural,
    render,
    thumbnail_of,
)

Reader = Callable[[str], Any]


def test_a_missing_name_is_an_error_not_a_hole() -> None:
    with pytest.raises(UndefinedError, match="store"):
        render("baselines", simulated=False, table=Table("", ("a",), ()), notes=())


def test_text_is_escaped(read_page: Reader) -> None:
    table = Table("<b>caption</b>", ("name",), (("<script>alert(1)</script>",),))
    html = render("baselines", store="a & b", simulated=False, tables=[table], notes=("<i>",))
    read_page(html)
    assert "&lt;script&gt;" in html
    assert "a &amp; b" in html


def test_a_table_names_its_rows_and_columns(read_page: Reader) -> None:
    table = Table(
        "caption", ("class", "GO", "fields"), (("a", "x", "1"), ("b", "y", "2")), frozenset({1}), frozenset({1})
    )
    page = read_page(render("baselines", store="s", simulated=False, tables=[table], notes=()))
    assert [cell["scope"] for cell in page.all("th")] == ["col", "col", "col", "row", "row"]
    assert [row.get("class") for row in page.all("tr")] == [None, None, "marked"]
    assert [cell.get("class") for cell in page.all("td")] == ["text", None, "text", None]


def test_pictures_hold_their_png_and_their_natural_width() -> None:
    picture = picture_of(labels_per_field_figure(np.array([1, 2])), "labels", alt="a", caption="c")
    assert base64.b64decode(picture.address.partition(",")[2]) == picture.png
    assert picture.width == round(5.6 * 96)


def test_thumbnails_are_composites() -> None:
    thumbnail = thumbnail_of(np.zeros((4, 8, 8), np.uint8), HPA_STAINS, alt="dark", lines=(("is", "nothing"),))
    assert base64.b64decode(thumbnail.address.partition(",")[2]) == thumbnail.jpeg
    assert Image.open(io.BytesIO(thumbnail.jpeg)).format == "JPEG"


@pytest.mark.parametrize(
    ("value", "written"), [(0.12345, "0.123"), (1, "1.000"), (None, "–"), (float("nan"), "–"), (float("inf"), "–")]
)
def test_numbers_are_written_alike(value: float | None, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("share", "written"), [(0, "0 %"), (1, "100 %"), (0.12345, "12 %"), (0.0345, "3.5 %"), (0.00212, "0.21 %")]
)
def test_small_shares_keep_two_digits(share: float, written: str) -> None:
    assert percent(share) == written


def test_shares_are_written_with_their_interval() -> None:
    assert percent_in_words(0.5, 0.4, 0.615) == "50 % (40–62 %)"
    assert percent_in_words(0.5, None, None) == "50 %"
    assert percent_in_words(float("nan"), 0, 1) == "–"


@pytest.mark.parametrize(
    ("count", "word", "written"), [(1, "field", "1 field"), (2000, "field", "2,000 fields"), (0, "class", "0 classes")]
)
def test_words_follow_their_count(count: int, word: str, written: str) -> None:
    assert plural(count, word) == written


def test_a_counted_tile_has_its_word() -> None:
    assert counted(1, "near-duplicate pair") == Tile("1", "near-duplicate pair")
    assert counted(2000, "field", "all") == Tile("2,000", "fields", "all")


def test_an_interval_in_a_table_never_breaks() -> None:
    table = Table(
        "c", ("class", "why", "F1"), (("Golgi (old)", "for (no) reason", "0.50 (0.40–0.60)"),), text=frozenset({1})
    )
    html = render("baselines", store="s", simulated=False, tables=[table], notes=())
    assert '0.50 <span class="interval">(0.40–0.60)</span></td>' in html
    assert html.count('class="interval"') == 1
