"""Known keys: the antibody, gene, plate, parent of each field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protloc.atlas.files import StrPath
from protloc.errors import SettingsError, TableError

KEYS = ("parent", "antibody", "gene", "plate")  # from the most specific to the least
TABLES = (".csv", ".parquet")
REST = "*"  # stands for any further words of an id


def known_keys(parents: Sequence[str], *, source: StrPath | None) -> dict[str, tuple[str, ...]]:
    """Tell all that is known of fields: always the parent, and the keys that ``source`` tells.

    Args:
        parents: The field that each was cut from, itself where it is whole: ``LabelTable.groups``, or the column
            ``group`` of a store. By these names the keys are looked up.
        source: As in :func:`read_keys`; None where nothing else is known.

    Returns:
        For each known key, ``parent`` first, its value for every field; empty where it is unknown.

    Raises:
        SettingsError, TableError: as :func:`read_keys` does.
    """
    told = read_keys(source, parents) if source is not None else {}
    above = told.get("parent", parents)
    return told | {"parent": tuple(parent or own for parent, own in zip(above, parents, strict=True))}


def read_keys(source: StrPath, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read the antibody, gene, plate, parent of fields from a table, or from the words of their ids.

    Args:
        source: A ``.csv`` or ``.parquet`` file with the columns ``id`` and any of ``antibody``, ``gene``, ``plate``,
            ``parent`` in any case, such as the ``fields.csv`` of a simulated atlas; other columns are read over. Or
            the names of the words of every id, such as ``gene_antibody_plate_well_field`` where an id is
            ``ENSG00000000003_4109_24_H11_1``; other names are read over, ``*`` at the end stands for any more words.
        ids: Field ids.

    Returns:
        For each known key its value for every field; empty where it is unknown.

    Raises:
        SettingsError: if ``source`` is neither such a file nor such words.
        TableError: if the file cannot be read, lacks a column or a field or contradicts itself, or an id has another
            number of words.
    """
    if Path(source).suffix.lower() in TABLES:
        return _keys_of_table(Path(source), ids)
    return _keys_of_words(str(source), ids)


def _keys_of_words(pattern: str, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    names = pattern.lower().split("_")
    places = {name: names.index(name) for name in KEYS if name in names}
    if not places or any(names.count(name) > 1 for name in places):
        is_path = pattern and (Path(pattern).suffix or Path(pattern).exists())
        raise SettingsError(
            f"--keys {pattern}: expected a .csv or .parquet file, or the names of the words of an id with any of "
            f"{', '.join(KEYS)} once, as in gene_antibody_plate_well_field."
            + (" If it is a table, save it as .csv." if is_path else "")
        )
    _check_words(pattern, names, ids)
    return {name: tuple(field.split("_", place + 1)[place] for field in ids) for name, place in places.items()}


def _check_words(pattern: str, names: Sequence[str], ids: Sequence[str]) -> None:
    least = len(names) - (names[-1] == REST)
    most = None if names[-1] == REST else least
    for field in ids:
        words = field.count("_") + 1
        if words < least or (most is not None and words > most):
            more = f" Say {pattern}_{REST} if more may follow." if words > least else ""
            raise TableError(
                f"--keys {pattern}: id {field!r} has {words} words, expected {least}.{more} "
                "Name every word of the ids, or give a table with the columns id and antibody."
            )


def _keys_of_table(file: Path, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    read = _read_table(file)
    columns = list(map(str, read.columns))
    told = pd.DataFrame({str(name).strip().lower(): cells.str.strip() for name, cells in read.items()})
    known = [name for name in KEYS if name in told.columns]
    if "id" not in told.columns or not known:
        uncut = len(columns) == 1 and any(mark in columns[0] for mark in ";\t")
        raise TableError(
            f"{file}: the columns are {columns}, expected id and any of {', '.join(KEYS)}. "
            + ("Put commas between the cells." if uncut else "Name the columns so.")
        )
    told = told.drop_duplicates(["id", *known])
    named = pd.Index(told["id"])
    if named.has_duplicates:
        twice = named[named.duplicated()][0]
        raise TableError(f"{file}: id {twice!r} has lines that differ in {', '.join(known)}. Keep the true one.")
    rows = named.get_indexer(pd.Index(ids, dtype=named.dtype))
    missing = (rows < 0).nonzero()[0]
    if len(missing):
        raise TableError(
            f"{file}: no line for {len(missing):,} of {len(ids):,} fields, such as {ids[missing[0]]!r}. "
            "Add them; leave cells empty where a key is unknown."
        )
    return {name: tuple(pd.Index(told[name])[rows].tolist()) for name in known}


def _read_table(file: Path) -> pd.DataFrame:
    """Read all cells as text."""
    if not file.is_file():
        what = "a folder, expected a file; save the table as .csv" if file.is_dir() else "no such file"
        raise TableError(f"{file}: {what}. Give CSV in UTF-8, or parquet, with the columns id and antibody.")
    try:
        if file.suffix.lower() == ".csv":
            return pd.read_csv(file, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")
        read = pq.read_table(file)
        texts = [column.cast(pa.string()) for column in read.columns]
        return pa.table(texts, names=read.column_names).to_pandas().fillna("")
    except (OSError, ValueError, NotImplementedError) as error:  # pandas' and pyarrow's own are subclasses of these
        raise TableError(
            f"{file}: cannot be read as a table ({error}). Give CSV in UTF-8, or parquet, with the columns "
            "id and antibody."
        ) from error
