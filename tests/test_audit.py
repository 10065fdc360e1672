"""Auditing a store: what is written, what is told, what is never forgotten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.store import Store
from protloc.curate.groups import GROUPS_FILE, Groups
from protloc.errors import RunError, SettingsError
from protloc.verbs.audit import audit

FIELDS, SIDE = 48, 64


def write_cells(folder: Path, name: str, planes: np.ndarray) -> None:
    for stain, plane in zip(HPA_STAINS, planes, strict=True):
        cv2.imwrite(str(folder / f"{name}{stain.suffix}.png"), plane)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Return 48 fields of blots, the last of them the first one turned, and labelled otherwise."""
    folder = tmp_path_factory.mktemp("cells")
    generator = np.random.default_rng(0)
    (folder / "images").mkdir()
    fields: list[np.ndarray] = []
    for number in range(FIELDS):
        planes = cv2.GaussianBlur(generator.random((SIDE, SIDE, 4)).astype(np.float32), (0, 0), 4)
        planes = cv2.normalize(planes, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8).transpose(2, 0, 1)
        fields.append(np.rot90(fields[0], axes=(1, 2)) if number == FIELDS - 1 else planes)
        write_cells(folder / "images", f"f{number:02d}", fields[-1])
    lines = [f"f{number:02d},{number % 2}" for number in range(FIELDS)]
    (folder / "train.csv").write_text("\n".join(["Id,Target", *lines]) + "\n")
    keys = [f"f{number:02d},A{number // 2}" for number in range(FIELDS)]
    (folder / "keys.csv").write_text("\n".join(["id,antibody", *keys]) + "\n")
    prepare(folder / "images", folder / "store", labels=folder / "train.csv", reading=Reading(side=SIDE))
    prepare(folder / "images", folder / "unlabelled", reading=Reading(side=SIDE))
    return folder


@pytest.fixture
def store(source: Path, tmp_path: Path) -> Store:
    return Store.open(shutil.copytree(source / "store", tmp_path / "store"))


def test_the_turned_field_is_found_and_its_label_called_in_conflict(store):
    made = audit(store)
    assert (store.ids[made.pairs.first[0]], store.ids[made.pairs.second[0]]) == ("f00", "f47")
    assert len(made.pairs) == 1
    pairs = pd.read_csv(store.folder / "audit" / "pairs.csv")
    assert pairs[["first", "second", "labels_differ"]].to_numpy().tolist() == [["f00", "f47", True]]
    groups = Groups.read(made.groups_file)
    assert groups.groups[47] == "f00"
    assert len(set(groups.groups)) == FIELDS - 1
    assert "f47" in made.page.read_text("utf-8")
    assert "1 pair of near-duplicates." in made.summary
    facts = json.loads((store.folder / "audit" / "audit.json").read_text())
    assert facts["groups_with_differing_labels"] == ["f00"]


def test_keys_and_near_duplicates_join_together(store, source):
    groups = Groups.read(audit(store, keys=source / "keys.csv").groups_file)
    assert {groups.ids[row] for row, name in enumerate(groups.groups) if name == "f00"} == {"f00", "f01", "f46", "f47"}
    assert len(set(groups.groups)) == 23


def test_groups_joined_by_keys_are_not_forgotten(store, source):
    before = audit(store, keys=source / "keys.csv").groups_file.read_bytes()
    with pytest.raises(SettingsError, match=r"23 groups .* would fall apart.*Say the same --keys again"):
        audit(store)
    assert (store.folder / GROUPS_FILE).read_bytes() == before
    (store.folder / GROUPS_FILE).unlink()
    assert len(set(audit(store).joined.groups.groups)) == FIELDS - 1


def test_groups_of_another_store_are_replaced(store):
    Groups(("x",), ("x",), ("x",)).write(store.folder / GROUPS_FILE)
    assert len(audit(store).joined.groups) == FIELDS


def test_an_unlabelled_store_is_audited_without_a_word_on_labels(source, tmp_path):
    made = audit(Store.open(source / "unlabelled"), out=tmp_path / "page")
    assert len(made.pairs) == 1
    assert "labelled differently" not in made.summary
    assert (tmp_path / "page" / "index.html").is_file()


def test_a_file_in_the_place_of_the_folder_is_refused_before_any_work(store, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(SettingsError, match=r"taken is a file, expected a folder"):
        audit(store, out=tmp_path / "taken")
    assert not (store.folder / GROUPS_FILE).exists()


def test_a_run_that_is_none_is_told_so(store, tmp_path):
    with pytest.raises(RunError, match=r"nowhere: not a run"):
        audit(store, run=tmp_path / "nowhere")
