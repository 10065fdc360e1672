"""The tables of a store, written from a complete journal."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protloc.atlas.files import atomic_file
from protloc.atlas.journal import Journal
from protloc.atlas.stains import Stain

LabelsOf = Callable[[str], Sequence[int] | None]  # of a field id

REJECTED = "rejected.csv"
ROWS_AT_ONCE = 512  # a row group: 50,000 rows as one took 60 MB, most of it the writer's dictionaries


def write_fields(journal: Journal, *, stains: Sequence[Stain], labels_of: LabelsOf | None) -> Path:
    """Write ``fields.parquet`` beside the journal: a row an image, with the labels of its field if there are any."""
    schema = _schema(stains, labelled=labels_of is not None)
    rows = (row for entry in journal.entries() for row in entry.rows)
    file = journal.folder / "fields.parquet"
    with atomic_file(file) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            columns: dict[str, list[Any]] = {name: [row[name] for row in some] for name in some[0]}
            columns["labels"] = [None if labels_of is None else labels_of(row["group"]) for row in some]
            writer.write_batch(pa.RecordBatch.from_pydict(columns, schema))
    return file


def _schema(stains: Sequence[Stain], *, labelled: bool) -> pa.Schema:
    """Return the columns of ``fields.parquet``; see :class:`protloc.atlas.store.Store`."""
    figures = [f"{figure}_{stain.name}" for figure in ("mean", "sd") for stain in stains]
    return pa.schema(
        [
            ("id", pa.large_string()),
            ("labels", pa.list_(pa.int64()) if labelled else pa.null()),
            ("group", pa.large_string()),
            ("source_side", pa.int64()),
            ("bit_depth", pa.int64()),
            *((name, pa.float64()) for name in figures),
        ]
    )


def write_rejected(journal: Journal, *, without_image: Iterable[str]) -> dict[str, int]:
    """Write ``rejected.csv`` beside the journal: the fields not in the store, and why.

    Args:
        journal: A complete one.
        without_image: Fields of the label table of which there is no image; they come last.

    Returns:
        How many there are: ``fields`` (images), ``source_fields``, ``rejected``, ``cropped``.
    """
    counts = {"fields": journal.images, "source_fields": 0, "rejected": 0, "cropped": 0}
    with (
        atomic_file(journal.folder / REJECTED) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(("id", "file", "reason"))
        for entry in journal.entries():
            counts["source_fields"] += bool(entry.rows)
            counts["cropped"] += entry.cropped
            if entry.reason:
                counts["rejected"] += 1
                lines.writerow((entry.field, entry.file, entry.reason))
        for field in without_image:
            counts["rejected"] += 1
            lines.writerow((field, "", f"{field}: in the label table, but there is no image of it."))
    return counts


def read_rejected(file: Path, *, most: int | None = None) -> pd.DataFrame:
    """Read a ``rejected.csv``, or its first ``most`` fields: columns ``id``, ``file``, ``reason``."""
    return pd.read_csv(file, dtype=str, keep_default_na=False, nrows=most)
