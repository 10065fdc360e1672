"""The page of recipes: one cell an estimate, the judged part first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protloc.show.baselines_page import (
    course_table,
    flattery_table,
    published_tables,
    score_table,
    write_baselines_page,
)

Reader = Callable[[str], Any]


@pytest.fixture
def rows() -> pd.DataFrame:
    """Return two recipes, of which the second was never judged, and for which something was published."""
    course = {"epochs": [1, 12], "best_epoch": [1, 9], "seconds": [1234.5, 8.0], "images_per_second": [2559.5, 3.0]}
    figures = {
        f"{part}_{metric}{end}": [value, np.nan]
        for part in ("validation", "test")
        for metric in ("loss", "macro_f1", "samples_f1")
        for end, value in (("", 0.5), ("_low", 0.25), ("_high", 0.75))
    }
    told = {"recipe": ["a", "b"], "backbone": ["net", "net"], "weights": ["none", "imagenet"], **course, **figures}
    published = {"published_test_loss": [np.nan, 0.6911], "published_test_macro_f1": [np.nan, 0.4894]}
    return pd.DataFrame({**told, **published})


def test_an_estimate_is_one_cell_and_the_judged_part_comes_first(rows: pd.DataFrame) -> None:
    table = score_table(rows)
    metrics = ("macro-F1", "samples-F1", "loss")
    names = [f"{part} {metric}" for part in ("test", "validation") for metric in metrics]
    assert table.header == ("recipe", "weights", *names)
    assert table.rows == (("a", "none", *["0.500 (0.250–0.750)"] * 6), ("b", "imagenet", *["–"] * 6))


def test_folds_have_one_judged_part(rows: pd.DataFrame) -> None:
    folds = rows.filter(regex="^(recipe|weights|test)").rename(columns=lambda name: name.replace("test", "out_of_fold"))
    assert score_table(folds).header[2:] == ("out-of-fold macro-F1", "out-of-fold samples-F1", "out-of-fold loss")


def test_figures_without_intervals_stand_alone() -> None:
    bare = pd.DataFrame({"recipe": ["a"], "weights": ["none"], "test_loss": [0.25]})
    assert score_table(bare).rows == (("a", "none", "0.250"),)
    assert published_tables(bare) == ()


def test_the_course_of_each_recipe_is_set_out(rows: pd.DataFrame) -> None:
    table = course_table(rows.assign(other=[None, 0.25]))
    assert table.header == ("recipe", "epochs", "seconds", "images/s", "epoch kept", "backbone", "other")
    assert table.rows == (
        ("a", "1", "1,234", "2,560", "1", "net", "–"),
        ("b", "12", "8", "3", "9", "net", "0.2500"),
    )
    assert table.text == {5}


def test_only_what_was_published_is_set_out(rows: pd.DataFrame) -> None:
    (table,) = published_tables(rows)
    assert table.header == ("recipe", "test macro-F1", "test loss")
    assert table.rows == (("b", "0.4894", "0.6911"),)
    assert published_tables(rows.head(1)) == ()


def test_differences_have_a_true_minus_and_names_keep_their_hyphens() -> None:
    flattered = pd.DataFrame(
        {
            "recipe": ["baseline-2", "b"],
            "metric": ["macro-F1", "samples-F1"],
            "by_field-1": ["0.500 (0.400 to 0.600)"] * 2,
            "difference": ["-0.010 (-0.083 to +0.034)", "+0.068 (+0.021 to +0.115)"],
            "resolved": ["no", "yes"],
        }
    )
    table = flattery_table(flattered)
    assert table.header[2] == "by_field-1"
    assert table.rows[0] == (
        "baseline-2", "macro-F1", "0.500 (0.400 to 0.600)", "−0.010 (−0.083 to +0.034)", "no",
    )  # fmt: skip
    assert table.marked == {1}
    assert table.text == {1, 4}


def test_the_page_holds_every_table_and_note(rows: pd.DataFrame, tmp_path: Path, read_page: Reader) -> None:
    flattered = pd.DataFrame({"recipe": ["<b>"], "difference": ["+0.1"], "resolved": ["no"]})
    out = write_baselines_page(
        tmp_path / "b.html", rows, flattered=flattered, store="demo", simulated=True, notes=["of other fields"]
    )
    html = out.read_text("utf-8")
    assert len(read_page(html).all("table")) == 4
    assert "<b>" not in html
    assert "of other fields" in html
    assert "The fields are simulated." in html
    assert "Recipes on “demo”" in html
