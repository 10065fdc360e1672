"""Runs on disk: what is written about a run is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from protloc.atlas.store import Store
from protloc.curate.split import Folds, Split, split
from protloc.errors import BundleError, RunError
from protloc.learn import starter
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import existing_run, read_run, split_digest, write_run
from protloc.options import bundle_folder

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
    assert (read.history, read.folds, read.record.folds) == ((), (), 0)
    assert not read.finished
    read.check_fields(tiny_store, parts)


def test_a_split_made_anew_is_noticed_whatever_its_order(tiny_store: Store, parts: Split, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", settings=SETTINGS, store=tiny_store, split=parts, split_name="mine")
    reordered = Split(parts.ids[::-1], parts.parts[::-1])
    run.check_fields(tiny_store, reordered)
    assert split_digest(reordered) == split_digest(parts)
    with pytest.raises(RunError, match="the split mine has been made anew since the training"):
        run.check_fields(tiny_store, split(tiny_store.table, seed=1))


def test_a_run_of_folds_is_read_with_the_folds_begun(tiny_store: Store, tmp_path: Path) -> None:
    folds = Folds(tiny_store.ids, tuple(place % 3 for place in range(84)))
    run = write_run(tmp_path / "run", settings=SETTINGS, store=tiny_store, split=folds, split_name="cv")
    assert (run.record.folds, run.folds, run.history, run.finished) == (3, (), (), False)
    for fold in (0, 1):
        write_run(
            run.fold_folder(fold), settings=SETTINGS, store=tiny_store, split=folds.split(fold), split_name=f"cv:{fold}"
        )
    read = read_run(tmp_path / "run")
    assert [fold.split_name for fold in read.folds] == ["cv:0", "cv:1"]
    assert [fold.folder.name for fold in read.folds] == ["0", "1"]
    assert [fold.record.folds for fold in read.folds] == [0, 0]
    read.check_fields(tiny_store, folds)
    read.folds[1].check_fields(tiny_store, folds.split(1))
    with pytest.raises(RunError, match=r"0 of 3 folds are trained, expected all. Go on with .* --resume"):
        read.bundle()
    moved = Folds(folds.ids, folds.folds[1:] + folds.folds[:1])
    with pytest.raises(RunError, match="the split cv has been made anew since the training"):
        read.check_fields(tiny_store, moved)
    with pytest.raises(RunError, match="the split cv has been made anew since the training"):
        existing_run(tmp_path / "run", settings=SETTINGS, store=tiny_store, split=moved, split_name="cv", resume=True)


def test_folds_are_known_whatever_their_order() -> None:
    folds = Folds(("a", "b", "c"), (0, 1, 2))
    assert split_digest(Folds(("c", "a", "b"), (2, 0, 1))) == split_digest(folds)
    assert split_digest(Folds(("a", "b", "c"), (0, 2, 1))) != split_digest(folds)


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a run, it has no settings.toml. Make one with protloc train"):
        read_run(tmp_path)
    (tmp_path / "settings.toml").write_text("epochs = 3\n")
    with pytest.raises(RunError, match=r"not a run of this version.*'run' is missing"):
        read_run(tmp_path)


def test_a_run_without_a_network_yet_says_so(tiny_store: Store, parts: Split, tmp_path: Path) -> None:
    told = {"settings": SETTINGS, "store": tiny_store}
    one = write_run(tmp_path / "one", **told, split=parts, split_name="mine")
    folds = Folds(tiny_store.ids, tuple(place % 3 for place in range(84)))
    write_run(tmp_path / "cv", **told, split=folds, split_name="cv")
    for ask in (lambda folder: read_run(folder).bundle(), bundle_folder):
        with pytest.raises(RunError, match=r"one: no epoch has ended yet, so there is no network\. Go on .*--resume"):
            ask(tmp_path / "one")
        with pytest.raises(RunError, match=r"cv: 0 of 3 folds are trained, expected all\. Go on with .*--resume"):
            ask(tmp_path / "cv")
    one.bundle_folder.mkdir()  # as a kill before the description leaves it
    with pytest.raises(RunError, match="no epoch has ended yet"):
        bundle_folder(tmp_path / "one")


def test_starter_is_the_model_that_comes_with_protloc_unless_one_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(starter, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(BundleError, match=r"shipped: the starter model is missing.* Install protloc again"):
        bundle_folder(Path("starter"))
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "model.json").write_text("{}")
    assert bundle_folder(Path("starter")) == tmp_path / "shipped"
    (tmp_path / "starter" / "bundle").mkdir(parents=True)
    (tmp_path / "starter" / "bundle" / "model.json").write_text("{}")
    assert bundle_folder(Path("starter")) == Path("starter/bundle")


def test_the_bundle_of_a_run_or_the_folder_itself_is_named(tmp_path: Path) -> None:
    assert bundle_folder(tmp_path) == tmp_path
    (tmp_path / "bundle").mkdir()
    assert bundle_folder(tmp_path) == tmp_path
    (tmp_path / "bundle" / "model.json").write_text("{}")
    assert bundle_folder(tmp_path) == tmp_path / "bundle"
    (tmp_path / "settings.toml").write_text("")
    assert bundle_folder(tmp_path) == tmp_path / "bundle"
