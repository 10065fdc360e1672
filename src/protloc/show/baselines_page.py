"""The page that sets recipes side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path

import pandas as pd

from protloc.atlas.files import write_text
from protloc.show.page import Table, render

FLATTERY = "The same recipes on another split: what a leak is worth"


def write_baselines_page(
    out: Path,
    rows: pd.DataFrame,
    *,
    flattered: pd.DataFrame | None = None,
    store: str,
    simulated: bool,
    notes: Sequence[str] = (),
) -> Path:
    """Write a table of recipes as one HTML file that needs no other file, whole or not at all.

    Args:
        out: The file.
        rows: A row a recipe; its first column names it, a missing value becomes a dash.
        flattered: What they score on another split, and how much more; None without one.
        store: Name of the store they were trained on.
        simulated: Whether its fields are known to be simulated.
        notes: What a reader must know of the columns, a paragraph each.

    Returns:
        ``out``.
    """
    tables = [comparison_table(rows, caption="Recipes trained and judged on one split.")]
    if flattered is not None:
        tables.append(comparison_table(flattered, caption=f"{FLATTERY}. After a number its 95 % interval."))
    write_text(out, render("baselines", store=store, simulated=simulated, tables=tables, notes=tuple(notes)))
    return out


def comparison_table(rows: pd.DataFrame, *, caption: str) -> Table:
    """Turn a data frame into a table for a page.

    Args:
        rows: Its first column names the rows; ``_`` in column names becomes a space.
        caption: What the table tells.
    """
    header = tuple(str(name).replace("_", " ") for name in rows.columns)
    cells = tuple(tuple(_cell(value) for value in row) for row in rows.itertuples(index=False, name=None))
    words = frozenset(place for place, name in enumerate(rows.columns) if not pd.api.types.is_numeric_dtype(rows[name]))
    return Table(caption, header, cells, text=words - {0})


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | str) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    number = float(value)
    return f"{number:,.1f}" if abs(number) >= 10 else f"{number:.4f}"
