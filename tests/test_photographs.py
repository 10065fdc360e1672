"""What is seen of a store: its photographs, or those a camera takes of clean stains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protloc.atlas import photographs
from protloc.atlas.photographs import photographs_of
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.simulate import Camera, simulate
from protloc.atlas.stains import parse_stains
from protloc.atlas.store import Store
from protloc.errors import StoreError
from protloc.judge.predictions import PartPredictions, predictions_file
from protloc.show.page import thumbnail_of
from protloc.verbs.evaluate import evaluate
from protloc.verbs.explore import explore
from protloc.verbs.train import train_recipe


def stored(folder: Path, *, stains: str = "red green blue yellow", clean: bool = True, fields: int = 4) -> Store:
    made = simulate(folder / "atlas", fields=fields, side=64, seed=2, jobs=1, clean=clean)
    reading = Reading(stains=parse_stains(stains.split()), side=64)
    return prepare(made.images, folder / stains.replace(" ", "-"), labels=made.labels, reading=reading, jobs=1).store


@pytest.fixture(autouse=True)
def simple_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw cameras as simply as can be, so that these tests do not hang on how exposures vary."""

    def draw(rng: np.random.Generator, *, side: int) -> Camera:
        return Camera(pixel=164 / side, level=(float(rng.uniform(50, 250)),) * 4)

    monkeypatch.setattr(photographs, "draw_any_camera", draw)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stored(tmp_path_factory.mktemp("clean"))


def test_the_photograph_of_a_row_depends_on_seed_and_row_alone(store: Store) -> None:
    together = photographs_of(store, range(4), seed=7)
    assert together.dtype == np.uint8
    assert together.shape == (4, 4, 64, 64)
    np.testing.assert_array_equal(photographs_of(store, np.array([3, 1, 3]), seed=7), together[[3, 1, 3]])
    assert (photographs_of(store, [0], seed=8)[0] != together[0]).mean() > 0.1
    assert (together != store.images(range(4))).mean() > 0.3
    assert photographs_of(store, [], seed=7).shape == (0, 4, 64, 64)


def test_a_store_of_fewer_stains_is_photographed_by_the_same_cameras(store: Store, tmp_path: Path) -> None:
    fewer = stored(tmp_path, stains="blue green")
    all_stains, some = (photographs_of(each, range(4), seed=1) for each in (store, fewer))
    np.testing.assert_array_equal(some[:, 0], all_stains[:, 2])
    assert np.abs(some[:, 1].astype(int) - all_stains[:, 1]).mean() < 25  # all but the light that bleeds into green


def test_a_store_of_photographs_is_seen_as_it_is(tmp_path: Path) -> None:
    taken = stored(tmp_path, clean=False)
    np.testing.assert_array_equal(photographs_of(taken, [2, 0], seed=7), taken.images([2, 0]))


def test_pages_show_photographs(store: Store, tmp_path: Path) -> None:
    seen, coded = (explore(each, out=tmp_path / str(each.clean)) for each in (store, replace(store, clean=False)))
    others = {a.name for a, b in zip(seen.figures, coded.figures, strict=True) if a.read_bytes() != b.read_bytes()}
    assert others == {"intensities.png", "fields.png"}


def test_a_report_shows_the_photographs_that_were_judged(tmp_path: Path) -> None:
    store, seed = stored(tmp_path, stains="green", fields=16), 3
    overrides = [f"seed={seed}", "epochs=1", "device=cpu"]
    run = train_recipe(store, recipe="baseline-cnn", run=tmp_path / "run", overrides=overrides).run
    page = evaluate(run).report.read_text("utf-8")
    judged = PartPredictions.read(predictions_file(run, "test")).ids
    rows = [store.ids.index(field) for field in judged]
    for image in photographs_of(store, rows, seed=seed):
        assert thumbnail_of(image, store.stains, alt="", lines=()).address in page


def test_a_clean_store_of_stains_no_camera_knows_is_refused(tmp_path: Path) -> None:
    dapi = replace(stored(tmp_path, stains="blue"), stains=parse_stains(["dapi"]))
    with pytest.raises(StoreError, match="clean stains named dapi, expected some of red, green, blue, yellow"):
        photographs_of(dapi, [0])
