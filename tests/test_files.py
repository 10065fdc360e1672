"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

from protloc.atlas.files import (
    atomic_file,
    atomic_folder,
    sha256_of,
    write_csv,
    write_json,
    write_parquet,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def break_off_in(writing: AbstractContextManager[Path], name: str) -> None:
    with writing as temporary:
        (temporary / name).write_text("half", "utf-8")
        raise KeyError


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("half", "utf-8")
        assert temporary.parent == target.parent
        assert not target.exists()
        temporary.write_text("whole", "utf-8")
    assert target.read_text("utf-8") == "whole"
    assert names(target.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(KeyError):
        break_off_in(atomic_file(target), "")
    assert target.read_text("utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_was_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a.txt"):
        pass


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with atomic_folder(target) as temporary:
        (temporary / "old").write_text("x", "utf-8")
        assert not target.exists()
    with pytest.raises(KeyError):
        break_off_in(atomic_folder(target), "new")
    assert names(target) == ["old"]
    with atomic_folder(target) as temporary:
        (temporary / "new").write_text("x", "utf-8")
    assert names(target) == ["new"]
    with pytest.raises(FileNotFoundError), atomic_folder(target) as temporary:
        temporary.rmdir()
    assert names(target) == ["new"], "what cannot be put in its place leaves it as it was"
    assert names(tmp_path) == ["bundle"]


def test_json_is_readable_and_refuses_what_json_has_not(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"µ": [1, None]})
    assert file.read_bytes() == '{\n  "µ": [\n    1,\n    null\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, float("nan"))
    assert file.stat().st_size > 20


def test_equal_frames_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "labels": [[1, 2], []], "mean": [0.5, 1.5]}, index=[5, 9])
    write_parquet(tmp_path / "a.parquet", frame)
    write_parquet(tmp_path / "b.parquet", frame.reset_index(drop=True))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    back = pd.read_parquet(tmp_path / "a.parquet")
    assert back["id"].tolist() == ["a", "b"]
    assert [list(labels) for labels in back["labels"]] == [[1, 2], []]


def test_csv_has_no_index_and_one_kind_of_line_end(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"id": ['x,"y"', "z"], "n": [1, 2]}))
    assert (tmp_path / "a.csv").read_bytes() == b'id,n\n"x,""y""",1\nz,2\n'


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    large = bytes(3_000_000)
    (tmp_path / "b").write_bytes(large)
    assert sha256_of(tmp_path / "b") == hashlib.sha256(large).hexdigest()
