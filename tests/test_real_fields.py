"""Learning from real fields of the Human Protein Atlas."""

from __future__ import annotations

from pathlib import Path

import pytest

from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.store import Store
from protloc.curate.split import Split
from protloc.learn.recipes import load_recipe
from protloc.learn.train import train


@pytest.fixture
def tiles_and_twins(real_data: Path, tmp_path: Path) -> Store:
    """Return the 74 whole tiles of 512 px of the six real fields, each a second time under another name."""
    images = tmp_path / "images"
    images.mkdir()
    for file in (real_data / "fields").iterdir():
        for name in (file.name, f"twin-{file.name}"):
            (images / name).symlink_to(file.resolve())
    lines = (real_data / "fields_train.csv").read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join([*lines, *(f"twin-{line}" for line in lines[1:])]) + "\n")
    reading = Reading(tile=512, side=64)
    return prepare(images, tmp_path / "store", labels=tmp_path / "train.csv", reading=reading).store


def test_a_network_can_learn_real_tiles_by_heart(tiles_and_twins: Store, tmp_path: Path):
    store = tiles_and_twins
    parts = tuple("validation" if field.startswith("twin-") else "train" for field in store.ids)
    assert parts.count("train") == 74
    settings = load_recipe("baseline-cnn").with_overrides(
        ["epochs=34", "batch_size=16", "dropout=0.0", "learning_rate=2e-3"]
    )
    learnt = train(store, settings=settings, run=tmp_path / "run", split=Split(store.ids, parts), split_name="twins")
    # the twins are the training tiles themselves: their macro-F1 over the present classes is the training one
    assert learnt.macro_f1 >= 0.95
