"""Simulated atlases on disk."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from protloc.atlas.simulate import SimulatedAtlas, code_clean, plan_fields, render_clean, simulate
from protloc.atlas.table import read_labels
from protloc.atlas.vocabulary import load_vocabulary
from protloc.errors import SettingsError, StoreError

STAINS = ("red", "green", "blue", "yellow")


class KilledError(Exception):
    """Stands for a kill in the middle of the work."""


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def interrupt_after(fields: int) -> object:
    def progress(done: int, total: int) -> None:
        if done >= fields:
            raise KilledError(f"{done} of {total}")

    return progress


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> SimulatedAtlas:
    return simulate(tmp_path_factory.mktemp("simulated") / "atlas", fields=20, side=64, seed=3, jobs=1, masks=True)


def test_an_atlas_has_four_gray_pictures_a_field_and_a_table_that_protloc_reads(atlas: SimulatedAtlas) -> None:
    table = read_labels(atlas.labels, load_vocabulary("kaggle2018"))
    assert len(table) == atlas.fields == 20
    names = {f"{field}_{stain}.png" for field in table.ids for stain in STAINS}
    assert {file.name for file in atlas.images.iterdir()} == names
    for name in names:
        picture = cv2.imread(str(atlas.images / name), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.shape == (64, 64)
        assert picture.dtype == np.uint8
    assert not list(atlas.folder.parent.glob("*.partial"))


def test_the_truth_stands_beside_the_labels(atlas: SimulatedAtlas) -> None:
    truth = pd.read_csv(atlas.truth, keep_default_na=False, dtype={"weights": str})
    labels = pd.read_csv(atlas.labels)
    assert list(truth["id"]) == list(labels["Id"])
    assert {"antibody", "gene", "cell_line", "plate", "well", "duplicate_of"} <= set(truth.columns)
    assert truth["antibody"].nunique() == atlas.antibodies
    assert (truth["duplicate_of"] != "").sum() == atlas.duplicates
    by_antibody = labels["Target"].astype(str).groupby(truth["antibody"]).nunique()
    assert (by_antibody == 1).all()


def test_masks_are_pictures_a_label(atlas: SimulatedAtlas) -> None:
    table = read_labels(atlas.labels, load_vocabulary("kaggle2018"))
    wanted = {f"{field}_{label}.png" for field, labels in zip(table.ids, table.labels, strict=True) for label in labels}
    assert {file.name for file in atlas.masks.iterdir()} == wanted
    masks = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in atlas.masks.iterdir()]
    assert all(set(np.unique(mask)) <= {0, 255} for mask in masks)
    assert all(mask.shape == (64, 64) for mask in masks)
    assert np.mean([mask.any() for mask in masks]) > 0.9


def test_bytes_do_not_depend_on_the_number_of_jobs(atlas: SimulatedAtlas, tmp_path: Path) -> None:
    parallel = simulate(tmp_path / "atlas", fields=20, side=64, seed=3, jobs=2, masks=True)
    assert digests(parallel.folder) == digests(atlas.folder)


def test_another_seed_gives_another_atlas_and_fewer_fields_its_beginning(atlas: SimulatedAtlas, tmp_path: Path) -> None:
    other = simulate(tmp_path / "other", fields=3, side=64, seed=4, jobs=1)
    fewer = simulate(tmp_path / "fewer", fields=3, side=64, seed=3, jobs=1)
    assert not set(digests(other.images).values()) & set(digests(atlas.images).values())
    assert digests(fewer.images).items() <= digests(atlas.images).items()
    assert not fewer.masks.exists()


def test_an_interrupted_atlas_goes_on_where_it_was(atlas: SimulatedAtlas, tmp_path: Path) -> None:
    dest, arguments = tmp_path / "atlas", {"fields": 20, "side": 64, "seed": 3, "jobs": 1, "masks": True}
    with pytest.raises(KilledError):
        simulate(dest, **arguments, progress=interrupt_after(8))
    assert not dest.exists()
    finished = {file: file.stat().st_mtime_ns for file in (tmp_path / "atlas.partial" / "train").iterdir()}
    assert len(finished) == 8 * 4
    seen: list[tuple[int, int]] = []
    simulate(dest, **arguments, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(12, 20), (16, 20), (20, 20)]
    assert digests(dest) == digests(atlas.folder)
    assert all((dest / "train" / file.name).stat().st_mtime_ns == time for file, time in finished.items())


KILLED_HALFWAY = """
import os, signal, sys
from pathlib import Path
from protloc.atlas.simulate import simulate

if __name__ == "__main__":
    end = lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
    simulate(Path(sys.argv[1]), fields=20, side=64, seed=3, jobs=2, masks=True, progress=end)
"""


def test_after_sigkill_no_worker_stays_and_the_work_goes_on(atlas: SimulatedAtlas, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(KILLED_HALFWAY)
    # run returns when the last process that holds the pipe has ended: workers that stayed would run into the timeout
    killed = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "atlas")],
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "atlas.partial").is_dir()
    simulate(tmp_path / "atlas", fields=20, side=64, seed=3, jobs=1, masks=True)
    assert digests(tmp_path / "atlas") == digests(atlas.folder)


def test_half_written_files_of_a_kill_are_replaced_and_swept_away(atlas: SimulatedAtlas, tmp_path: Path) -> None:
    dest, arguments = tmp_path / "atlas", {"fields": 20, "side": 64, "seed": 3, "jobs": 1, "masks": True}
    with pytest.raises(KilledError):
        simulate(dest, **arguments, progress=interrupt_after(4))
    unfinished = tmp_path / "atlas.partial"
    (unfinished / "train" / "sim-000001_green.png").unlink()
    (unfinished / "train" / ".sim-000001_green.png.4711.partial").write_bytes(b"\x89PNG half of it")
    simulate(dest, **arguments)
    assert digests(dest) == digests(atlas.folder)


def test_a_start_with_other_arguments_begins_clean(tmp_path: Path) -> None:
    dest = tmp_path / "atlas"
    with pytest.raises(KilledError):
        simulate(dest, fields=9, side=64, seed=1, jobs=1, progress=interrupt_after(4))
    clean = simulate(tmp_path / "clean", fields=5, side=64, seed=2, jobs=1)
    begun_again = simulate(dest, fields=5, side=64, seed=2, jobs=1)
    assert digests(begun_again.folder) == digests(clean.folder)


def test_a_folder_of_somebody_else_in_the_place_of_the_unfinished_atlas_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "atlas.partial").mkdir()
    precious = tmp_path / "atlas.partial" / "thesis.txt"
    precious.write_text("years of work", "utf-8")
    with pytest.raises(StoreError, match=r"atlas\.partial: exists and is no unfinished atlas.*Move it away"):
        simulate(tmp_path / "atlas", fields=1, side=64, jobs=1)
    assert precious.read_text("utf-8") == "years of work"


def test_the_same_atlas_is_not_made_twice(atlas: SimulatedAtlas) -> None:
    def never(done: int, total: int) -> None:
        pytest.fail(f"rendered {done} of {total} again")

    again = simulate(atlas.folder, fields=20, side=64, seed=3, masks=True, progress=never)
    assert again == atlas


def test_another_atlas_at_the_same_place_is_refused(atlas: SimulatedAtlas) -> None:
    before = digests(atlas.folder)
    with pytest.raises(
        StoreError, match=r"atlas: exists and is not the atlas asked for, .* Delete it or name another folder"
    ):
        simulate(atlas.folder, fields=21, side=64, seed=3, masks=True)
    assert digests(atlas.folder) == before


def test_a_file_in_the_way_is_refused_and_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="exists and is not the atlas"):
        simulate(tmp_path / "file", fields=1, side=64)
    (tmp_path / "empty").mkdir()
    assert simulate(tmp_path / "empty", fields=1, side=64, jobs=1).labels.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": 0}, "fields: 0 given, expected 1 or more"),
        ({"fields": 2, "side": 63}, "side: 63 given, expected 64 to 2048 pixels"),
        ({"fields": 2, "side": 4096}, "side: 4096 given"),
        ({"fields": 2, "seed": -1}, "seed: -1 given, expected 0 or more"),
        ({"fields": 2, "jobs": 0}, "jobs: 0 given, expected 1 or more"),
    ],
)
def test_arguments_out_of_range_are_named(tmp_path: Path, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        simulate(tmp_path / "atlas", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("balanced", [False, True])
def test_the_label_table_holds_the_planned_labels(tmp_path: Path, *, balanced: bool) -> None:
    plans = plan_fields(5, side=64, seed=8, balanced=balanced)
    atlas = simulate(tmp_path / "atlas", fields=5, side=64, seed=8, jobs=1, balanced=balanced)
    assert read_labels(atlas.labels, load_vocabulary("kaggle2018")).labels == tuple(p.antibody.labels for p in plans)
    assert plans != plan_fields(5, side=64, seed=8, balanced=not balanced)


def test_a_clean_atlas_holds_the_coded_stains_and_the_same_truth(atlas: SimulatedAtlas, tmp_path: Path) -> None:
    clean = simulate(tmp_path / "atlas", fields=20, side=64, seed=3, jobs=2, masks=True, clean=True)
    for plan in plan_fields(3, side=64, seed=3):
        stains = code_clean(render_clean(plan, seed=3).stains)
        for stain, expected in zip(STAINS, stains, strict=True):
            written = cv2.imread(str(clean.images / f"{plan.id}_{stain}.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(written, expected)
    assert digests(clean.masks) == digests(atlas.masks)
    for table in ("labels", "truth"):
        assert getattr(clean, table).read_bytes() == getattr(atlas, table).read_bytes()
    told = [json.loads((one.folder / "simulation.json").read_text("utf-8"))["clean"] for one in (atlas, clean)]
    assert told == [False, True]


def test_photographs_are_not_taken_for_clean_stains(atlas: SimulatedAtlas) -> None:
    with pytest.raises(StoreError, match="exists and is not the atlas asked for"):
        simulate(atlas.folder, fields=20, side=64, seed=3, masks=True, clean=True)
