"""Label tables: which compartments each field was given."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.files import StrPath
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import TableError

ID_COLUMNS = ("id",)
LABEL_COLUMNS = ("target", "label", "labels")
MOST_DIGITS = 18  # Python refuses to read a number of thousands of digits


@dataclass(frozen=True)
class LabelTable:
    """Fields and their label sets.

    Attributes:
        ids: Field ids, unique.
        labels: The class ids of each field, sorted; empty where the protein has no location.
        vocabulary: What the class ids mean.
        groups: What is kept together in a split: a tile's parent field, else the field itself.
        repeated: Lines of the file that said of a field again what an earlier line had said.
    """

    ids: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    vocabulary: Vocabulary
    groups: tuple[str, ...]
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def targets(self) -> NDArray[np.uint8]:
        """Return the multi-hot array of shape (fields, classes), uint8."""
        return self.vocabulary.targets(self.labels)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Return the row of each field id."""
        return {field: row for row, field in enumerate(self.ids)}

    @cached_property
    def label_sets(self) -> Counter[tuple[int, ...]]:
        """Return how many fields have each distinct label set."""
        return Counter(self.labels)


def read_labels(file: StrPath, vocabulary: Vocabulary) -> LabelTable:
    """Read a label table such as Kaggle's ``train.csv``.

    The first line names the columns: ``Id`` and ``Target`` (or ``Label``), in any case and order. Labels are class
    ids with spaces or ``|`` between them; an empty cell is a field without a location. Windows line ends, a
    byte-order mark and quoted cells are understood. A line that repeats an id with the same labels is counted and
    read over.

    Raises:
        TableError: if the file is no such table, an id comes twice with different labels or a label is not in
            ``vocabulary``.
    """
    file = Path(file)
    reader = csv.reader(io.StringIO(_text_of(file), newline=""), strict=True)
    seen: dict[str, int] = {}
    labels: dict[str, tuple[int, ...]] = {}
    repeated = 0
    try:
        rows = _filled_rows(reader)
        header_line, header = next(rows, (1, []))
        id_column, label_column = _columns(header, f"{file}, line {header_line}")
        for line, row in rows:
            if len(row) <= max(id_column, label_column):
                raise TableError(
                    f"{file}, line {line}: {len(row)} cells {row}, expected at least an id and a label cell."
                )
            field = row[id_column].strip()
            if not field:
                raise TableError(f"{file}, line {line}: the id is empty. Give every field an id or delete the line.")
            told = _parse_labels(row[label_column], vocabulary, f"{file}, line {line}")
            if labels.setdefault(field, told) != told:
                raise TableError(
                    f"{file}, line {line}: id {field!r} stands already in line {seen[field]}, with other labels. "
                    "Keep one line a field, with all its labels in one cell."
                )
            repeated += field in seen
            seen.setdefault(field, line)
    except csv.Error as error:
        raise TableError(
            f"{file}, line {reader.line_num}: not CSV ({error}). Save the table as comma-separated text."
        ) from error
    if not seen:
        raise TableError(f"{file}: no field in it, expected a line a field under the column names.")
    ids = tuple(seen)
    return LabelTable(ids, tuple(labels.values()), vocabulary, groups=ids, repeated=repeated)


def _text_of(file: Path) -> str:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{file}: not UTF-8 text ({error}). Save the table as CSV, UTF-8.") from error
    except OSError as error:
        raise TableError(f"{file}: cannot be read ({error.strerror}). Give an existing label table.") from error
    if "\0" in text:
        raise TableError(f"{file}: holds NUL bytes, expected UTF-8 text. Save the table as CSV, UTF-8.")
    return text


def _columns(header: Sequence[str], where: str) -> tuple[int, int]:
    lowered = [name.strip().lower() for name in header]
    places = [
        next((lowered.index(name) for name in wanted if name in lowered), None)
        for wanted in (ID_COLUMNS, LABEL_COLUMNS)
    ]
    id_column, label_column = places
    if id_column is None or label_column is None:
        raise TableError(
            f"{where}: the columns are {list(header)}, expected Id and Target. "
            "Name the columns in the first line, as in Id,Target, with commas between."
        )
    return id_column, label_column


def _filled_rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row  # pyright: ignore[reportAttributeAccessIssue]


def _parse_labels(cell: str, vocabulary: Vocabulary, where: str) -> tuple[int, ...]:
    found: set[int] = set()
    for word in cell.replace("|", " ").split():
        if not (word.isascii() and word.isdecimal()):
            raise TableError(
                f"{where}: label {word!r} is not a number, expected class ids of {vocabulary.name} with spaces between."
            )
        if len(word) > MOST_DIGITS or int(word) not in vocabulary.columns:
            known = f"{min(vocabulary.columns)} to {max(vocabulary.columns)}"
            raise TableError(
                f"{where}: class {word} is not in the vocabulary {vocabulary.name} ({known}). "
                "Correct the label, or name the vocabulary that the table was made with."
            )
        found.add(int(word))
    return tuple(sorted(found))
