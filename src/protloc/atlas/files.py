"""Writing files so that nobody ever reads half of one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protloc.errors import SettingsError

StrPath: TypeAlias = str | os.PathLike[str]


@contextmanager
def atomic_file(path: Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` on success, remove it on error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yield a temporary folder beside ``path``; put it in the place of ``path`` on success, remove it on error.

    What stood there is whole under one name or another until the new one stands there.
    """
    path = path.resolve()
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}.{state}") for state in ("partial", "old"))
    for left_over in (temporary, old):
        shutil.rmtree(left_over, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.replace(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_folder(path: Path) -> None:
    """Refuse, before any work, a folder to write to that is a file.

    Raises:
        SettingsError: if it is one, or lies in one.
    """
    for place in (path, *path.parents):
        if place.is_file():
            raise SettingsError(f"--out: {place} is a file, expected a folder to write to. Name another.")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever json can write
    """Write ``value`` as indented JSON, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` without its index as parquet, whole or not at all; equal frames give equal bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` without its index as CSV, whole or not at all."""
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits, reading a block at a time."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
