"""Runs on disk: what is written about a run is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from protloc.atlas.store import Store
from protloc.curate.split import Split, split
from protloc.errors import RunError
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import read_run, split_digest, write_run

SETTINGS = TrainSettings(recipe="mine", epochs=2, minority_classes=("Ring",))


@pytest.fixture(scope="module")
def parts(tiny_world) -> Split:
    return split(tiny_world.store.table)


def test_what_is_written_is_read(tiny_store: Store, parts: Split, tmp_path: Path) -> None:
    written = write_run(tmp_path / "run", settings=SETTINGS, store=tiny_store, split=parts, split_name="mine")
    read = read_run(tmp_path / "run")
    assert read == written
    assert (read.settings, read.store, read.split_name) == (SETTINGS, tiny_store.folder.resolve(), "mine")
    assert set(read.record.versions) == {"protloc", "torch", "timm", "lightning", "numpy"}
    assert read.history == ()
    assert not read.finished
    read.check_fields(tiny_store, parts)


def test_a_split_made_anew_is_noticed_whatever_its_order(tiny_store: Store, parts: Split, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", settings=SETTINGS, store=tiny_store, split=parts, split_name="mine")
    reordered = Split(parts.ids[::-1], parts.parts[::-1])
    run.check_fields(tiny_store, reordered)
    assert split_digest(reordered) == split_digest(parts)
    with pytest.raises(RunError, match="the split mine has been made anew since the training"):
        run.check_fields(tiny_store, split(tiny_store.table, seed=1))


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a run, it has no settings.toml. Make one with protloc train"):
        read_run(tmp_path)
    (tmp_path / "settings.toml").write_text("epochs = 3\n")
    with pytest.raises(RunError, match=r"not a run of this version.*'run' is missing"):
        read_run(tmp_path)
