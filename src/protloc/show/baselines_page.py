"""The page that sets recipes side by side."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from protloc.atlas.files import write_text
from protloc.judge.evaluation import HEADLINES, Estimate
from protloc.show.page import Table, number, render
from protloc.show.report_words import estimate_in_words

FLATTERY = "The same recipes on another split: what a leak is worth"
PARTS = {"test": "test", "out_of_fold": "out-of-fold", "validation": "validation"}  # the judged one first
METRICS = ("macro_f1", "samples_f1", "loss")
ENDS = ("", "_low", "_high")  # of the columns of an estimate
PUBLISHED = "published_"
COURSE = {"epochs": "epochs", "seconds": "seconds", "images_per_second": "images/s", "best_epoch": "epoch kept"}
WORDS = frozenset({"weights", "backbone", "metric", "resolved"})  # columns that hold no numbers
DIGITS = {"seconds": 0, "images_per_second": 0}  # published numbers are given to four


def write_baselines_page(
    out: Path,
    rows: pd.DataFrame,
    *,
    flattered: pd.DataFrame | None = None,
    store: str,
    simulated: bool,
    notes: Sequence[str] = (),
) -> Path:
    """Write what recipes score as one HTML file that needs no other file, whole or not at all.

    Args:
        out: The file.
        rows: A row a recipe: ``recipe``, ``weights``, a column ``{part}_{metric}`` with its ``_low`` and ``_high`` for
            each figure, and whatever else is known of it. A missing value becomes a dash.
        flattered: What they score on another split, and how much more, in words; None without one.
        store: Name of the store they were trained on.
        simulated: Whether its fields are known to be simulated.
        notes: What a reader must know of the columns, a paragraph each.

    Returns:
        ``out``.
    """
    tables = [score_table(rows), course_table(rows), *published_tables(rows)]
    if flattered is not None:
        tables.append(flattery_table(flattered))
    write_text(out, render("baselines", store=store, simulated=simulated, tables=tables, notes=tuple(notes)))
    return out


def score_table(rows: pd.DataFrame) -> Table:
    """Set out what each recipe scores, a cell an estimate: the judged part before the validation part."""
    figures = [column for column in _figures() if column in rows]
    cells = tuple(
        (str(row["recipe"]), str(row["weights"]), *(_estimate(row, column) for column in figures))
        for row in rows.to_dict("records")
    )
    caption = "Recipes trained and judged on one split. After a number its 95 % interval. Loss is better when low."
    return Table(caption, ("recipe", "weights", *map(_heading, figures)), cells, text=frozenset({1}))


def course_table(rows: pd.DataFrame) -> Table:
    """Set out how each recipe was trained, and what else is known of it."""
    told = {f"{column}{end}" for column in _figures() for end in ENDS} | {"recipe", "weights", *COURSE}
    rest = [column for column in rows if column not in told and not str(column).startswith(PUBLISHED)]
    columns = ["recipe", *(column for column in COURSE if column in rows), *map(str, rest)]
    cells = tuple(tuple(_cell(row[column], column) for column in columns) for row in rows.to_dict("records"))
    return Table("How they were trained.", tuple(map(_heading, columns)), cells, text=_text(columns))


def published_tables(rows: pd.DataFrame) -> tuple[Table, ...]:
    """Set out what was published for recipes, of other fields; no table where nothing was."""
    columns = [f"{PUBLISHED}{column}" for column in _figures() if f"{PUBLISHED}{column}" in rows]
    known = [row for row in rows.to_dict("records") if not all(pd.isna(row[column]) for column in columns)]
    cells = tuple((str(row["recipe"]), *(_cell(row[column], column) for column in columns)) for row in known)
    header = ("recipe", *(_heading(column.removeprefix(PUBLISHED)) for column in columns))
    return (Table("What was published, on other fields than these.", header, cells),) if cells else ()


def flattery_table(flattered: pd.DataFrame) -> Table:
    """Set out by how much another split flatters each recipe; the resolved differences are shaded."""
    columns = [str(column) for column in flattered.columns]
    cells = tuple(
        tuple(_with_minus(str(value)) for value in row) for row in flattered.itertuples(index=False, name=None)
    )
    marked = frozenset(place for place, row in enumerate(cells) if row[-1] == "yes")
    caption = f"{FLATTERY}. After a number its 95 % interval; resolved differences are shaded."
    return Table(caption, tuple(columns), cells, marked=marked, text=_text(columns))


def _figures() -> list[str]:
    return [f"{part}_{metric}" for part in PARTS for metric in METRICS]


def _text(columns: Sequence[str]) -> frozenset[int]:
    return frozenset(place for place, column in enumerate(columns) if column in WORDS)


def _heading(column: str) -> str:
    """Name a column as people call it: ``test_macro_f1`` is test macro-F1."""
    for metric in METRICS:
        if column.endswith(f"_{metric}"):
            part = column.removesuffix(f"_{metric}")
            return f"{PARTS.get(part, part.replace('_', ' '))} {HEADLINES[metric]}"
    return COURSE.get(column, column.replace("_", " "))


def _estimate(row: Mapping[Hashable, Any], column: str) -> str:
    low, high = (row.get(f"{column}{end}") for end in ENDS[1:])
    unknown = low is None or high is None or pd.isna(low) or pd.isna(high)
    value = float("nan") if row[column] is None else float(row[column])
    return estimate_in_words(Estimate(value) if unknown else Estimate(value, low, high))


def _cell(value: Any, column: str) -> str:  # noqa: ANN401 - whatever a table holds
    if value is None or pd.isna(value):
        return "–"
    if isinstance(value, float):
        digits = DIGITS.get(column, 4)
        return f"{value:,.{digits}f}" if digits == 0 else number(value, digits=digits)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _with_minus(text: str) -> str:
    """Write the minus of numbers as a minus; a hyphen within a name stays one."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)
