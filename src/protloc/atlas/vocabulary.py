"""Vocabularies: the compartments a classifier can name."""

from __future__ import annotations

import csv
import io
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protloc.errors import VocabularyError

BUILT_IN = ("kaggle2018",)
TAKEN_NAMES = ("id", "answer", "present", "ask", "spread")  # columns of a table of predictions


@dataclass(frozen=True)
class Compartment:
    """One class of a vocabulary.

    Attributes:
        id: Number that stands for the class in label tables, 0 or more.
        name: Name shown to people, unique in its vocabulary.
        go: Gene Ontology cellular component such as ``GO:0005654``, or empty.
        group: Coarser part of the cell the compartment belongs to, or empty.
    """

    id: int
    name: str
    go: str = ""
    group: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """The ordered classes of one label scheme; a class's place is its column in every array.

    Attributes:
        name: ``kaggle2018`` or the stem of the user's file.
        compartments: The classes in column order.
    """

    name: str
    compartments: tuple[Compartment, ...]

    def __post_init__(self) -> None:
        if not self.compartments:
            raise VocabularyError(f"Vocabulary {self.name}: no class given. List at least one with an id and a name.")
        twice: dict[str, Counter[int | str]] = {
            "id": Counter(compartment.id for compartment in self.compartments),
            "name": Counter(self.names),
        }
        for kind, counts in twice.items():
            value, times = counts.most_common(1)[0]
            if times > 1:
                raise VocabularyError(f"Vocabulary {self.name}: the {kind} {value!r} comes twice. Make it unique.")
        for name in self.names:
            if name in TAKEN_NAMES or ";" in name:
                raise VocabularyError(
                    f"Vocabulary {self.name}: a class is called {name!r}; expected no semicolon, which stands between "
                    f"the names of an answer, and none of {', '.join(TAKEN_NAMES)}. Call it otherwise."
                )

    def __len__(self) -> int:
        return len(self.compartments)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in column order."""
        return tuple(compartment.name for compartment in self.compartments)

    @cached_property
    def columns(self) -> Mapping[int, int]:
        """Return the column of each class id."""
        return {compartment.id: column for column, compartment in enumerate(self.compartments)}

    def targets(self, labels: Sequence[Iterable[int]]) -> NDArray[np.uint8]:
        """Turn label sets of class ids into a multi-hot array.

        Returns:
            Array of shape (fields, classes), uint8, 1 where the field has the class.
        """
        targets = np.zeros((len(labels), len(self)), np.uint8)
        for row, ids in enumerate(labels):
            for class_id in ids:
                targets[row, self.columns[class_id]] = 1
        return targets

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``json`` writes and :meth:`from_json` reads."""
        return {"name": self.name, "classes": [asdict(compartment) for compartment in self.compartments]}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Vocabulary:
        """Read what :meth:`to_json` wrote."""
        return cls(written["name"], tuple(Compartment(**entry) for entry in written["classes"]))


def load_vocabulary(name_or_file: str | Path) -> Vocabulary:
    """Load a built-in vocabulary by name, or a user's own from a CSV or TOML file.

    A CSV file has the columns ``id,name`` and, if wanted, ``go,group``; a TOML file has one ``[[class]]`` table a
    class with the same keys.

    Raises:
        VocabularyError: if there is no such vocabulary or file, or an entry of it is wrong.
    """
    if str(name_or_file) in BUILT_IN:
        text = resources.files("protloc.atlas").joinpath("vocabularies", f"{name_or_file}.csv").read_text("utf-8")
        return _from_entries(str(name_or_file), _csv_entries(text))
    file = Path(name_or_file)
    if file.suffix.lower() not in {".csv", ".toml"} or not file.is_file():
        raise VocabularyError(
            f"{name_or_file}: no such vocabulary; expected {', '.join(BUILT_IN)} or an existing .csv or .toml file."
        )
    try:
        text = file.read_text("utf-8-sig")
        entries = _csv_entries(text) if file.suffix.lower() == ".csv" else _toml_entries(text)
    except OSError as error:
        raise VocabularyError(f"{file}: cannot be read ({error.strerror}). Check the file and its rights.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise VocabularyError(
            f"{file}: cannot be read as {file.suffix[1:].upper()} ({error}). Save it as UTF-8 text."
        ) from error
    return _from_entries(file.stem, entries, place=str(file))


def _csv_entries(text: str) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    filled = ((reader.line_num, _lower_keys(row)) for row in reader)
    return [(f"line {line}", entry) for line, entry in filled if entry]


def _lower_keys(row: Mapping[str | None, Any]) -> dict[str, Any]:
    """Return the cells that have a column and are not empty."""
    return {column.strip().lower(): cell for column, cell in row.items() if column and cell}


def _toml_entries(text: str) -> list[tuple[str, Any]]:
    classes = tomllib.loads(text).get("class", [])
    return [(f"class {number}", entry) for number, entry in enumerate(classes if isinstance(classes, list) else [], 1)]


def _from_entries(name: str, entries: Sequence[tuple[str, dict[str, Any]]], *, place: str = "") -> Vocabulary:
    place = place or name
    return Vocabulary(name, tuple(_compartment(entry, f"{place}, {where}") for where, entry in entries))


def _compartment(entry: Any, where: str) -> Compartment:  # noqa: ANN401 - TOML
    try:
        class_id = _whole_number(entry["id"])
        name = str(entry["name"]).strip()
    except (KeyError, ValueError, TypeError) as error:
        raise VocabularyError(
            f"{where}: {entry!r} has no whole-number id and name. Give every class an id of 0 or more and a name."
        ) from error
    if class_id < 0 or not name:
        raise VocabularyError(f"{where}: id {class_id}, name {name!r}; expected an id of 0 or more and a name.")
    return Compartment(class_id, name, str(entry.get("go") or "").strip(), str(entry.get("group") or "").strip())


def _whole_number(written: str | int) -> int:
    """Read 3 and "3", but not 3.5, true, or "1_000" as ``int`` would."""
    if isinstance(written, str):
        return int(written.replace("_", "?"))
    if isinstance(written, bool) or not isinstance(written, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(written)
    return written
