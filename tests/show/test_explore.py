"""Explore: what is in a store or label table, as figures with a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import parse_stains
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import Compartment, Vocabulary, load_vocabulary
from protloc.errors import ProtlocError
from protloc.show.tally import evenly_spaced
from protloc.verbs import explore as explore_module
from protloc.verbs.explore import ExploreResult, explore

Reader = Callable[[str], Any]
LABEL_FIGURES = ["class_counts", "labels_per_field", "co_occurrence", "label_sets"]


def table_of(labels: list[tuple[int, ...]], *, classes: int = 3) -> LabelTable:
    """Return a label table of fields f0, f1 and so on."""
    ids = tuple(f"f{number}" for number in range(len(labels)))
    vocabulary = Vocabulary("shapes", tuple(Compartment(10 * n, f"shape {n}") for n in range(classes)))
    return LabelTable(ids, tuple(labels), vocabulary, groups=ids)


def unlabelled_store(folder: Path, *, stains: int, fields: int = 3) -> Store:
    """Return a store of random fields in stains c0, c1 and so on."""
    generator = np.random.default_rng(0)
    (folder / "images").mkdir()
    names = [f"c{number}" for number in range(stains)]
    for number in range(fields):
        for name in names:
            plane = generator.integers(0, 255, (16, 16), dtype=np.uint8)
            cv2.imwrite(str(folder / "images" / f"f{number}_{name}.png"), plane)
    reading = Reading(stains=parse_stains(names), side=16)
    return prepare(folder / "images", folder / "store", reading=reading, jobs=1).store


@pytest.fixture(scope="module")
def explored(tiny_world: Any, tmp_path_factory: pytest.TempPathFactory) -> ExploreResult:  # noqa: ANN401 - of another conftest
    """Return what explore made of the tiny store; do not change it."""
    return explore(tiny_world.store, out=tmp_path_factory.mktemp("explored") / "out", name="x")


def test_a_store_gives_every_figure_and_one_page(explored: ExploreResult, read_page: Reader) -> None:
    assert [figure.stem for figure in explored.figures] == [*LABEL_FIGURES, "intensities", "fields"]
    assert all(cv2.imread(str(figure)) is not None for figure in explored.figures)
    assert sorted(path.name for path in explored.out.iterdir()) == sorted(
        ["index.html", "explore.json", *(figure.name for figure in explored.figures)]
    )
    page = read_page(explored.page.read_text("utf-8"))
    assert len(page.all("img")) == 5 + 3  # the charts, and an example of each of the three classes


def test_the_facts_are_those_of_the_labels(tiny_store: Store, explored: ExploreResult) -> None:
    facts = json.loads((explored.out / "explore.json").read_text("utf-8"))
    counts = tiny_store.targets.sum(axis=0).tolist()
    assert [entry["fields"] for entry in facts["classes"]] == counts
    assert facts["labels_a_field"] == pytest.approx(sum(counts) / len(tiny_store))
    assert explored.label_sets == facts["label_sets"] == len(set(tiny_store.table.labels))
    assert "84 fields" in explored.summary


def test_minority_classes_are_named_with_their_ids(tmp_path: Path, read_page: Reader) -> None:
    table = table_of([(0,)] * 150 + [(0, 20)])
    found = explore(table, out=tmp_path / "out", name="train.csv")
    assert (found.minority, found.minority_ids) == (("shape 2",), (20,))  # shape 1 is absent, not rare
    assert found.label_sets == 2
    assert "shape 2" in found.summary
    html = found.page.read_text("utf-8")
    assert "What is in train.csv" in html
    assert [row.get("class") for row in read_page(html).all("tr")] == [None, None, None, "marked"]


def test_a_label_table_has_no_figure_of_stains(tmp_path: Path) -> None:
    found = explore(table_of([(0,), (10, 20), ()]), out=tmp_path / "out")
    assert [figure.stem for figure in found.figures] == LABEL_FIGURES
    assert "Intensities" not in found.page.read_text("utf-8")


def test_fields_without_any_location_can_be_explored(tmp_path: Path) -> None:
    found = explore(table_of([()] * 4), out=tmp_path / "out")
    assert (found.minority, found.label_sets) == ((), 1)


@pytest.mark.parametrize("classes", [1, 40])
def test_any_number_of_classes_can_be_explored(classes: int, tmp_path: Path, read_page: Reader) -> None:
    generator = np.random.default_rng(0)
    labels = [tuple(sorted({10 * int(c) for c in generator.integers(0, classes, 3)})) for _ in range(300)]
    found = explore(table_of(labels, classes=classes), out=tmp_path / "out")
    assert len(read_page(found.page.read_text("utf-8")).all("img")) == 4


@pytest.mark.parametrize("stains", [1, 8])
def test_an_unlabelled_store_of_any_stains_shows_its_stains_only(
    stains: int, tmp_path: Path, read_page: Reader
) -> None:
    found = explore(unlabelled_store(tmp_path, stains=stains), out=tmp_path / "out")
    assert [figure.stem for figure in found.figures] == ["intensities", "fields"]
    assert (found.minority, found.label_sets) == ((), 0)
    html = found.page.read_text("utf-8")
    assert "without labels" in html
    assert len(read_page(html).all("img")) == 1 + 3


def test_every_sampled_pixel_is_counted(tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_module, "MOST_SAMPLED", 40)
    monkeypatch.setattr(explore_module, "READ_AT_ONCE", 7)
    seen: list[np.ndarray] = []
    drawn = explore_module.image_pictures
    monkeypatch.setattr(explore_module, "image_pictures", lambda facts: seen.append(facts.levels) or drawn(facts))
    explore(tiny_store, out=tmp_path / "out")
    sampled = tiny_store.images(evenly_spaced(84, most=40))
    assert seen[0].sum(axis=1).tolist() == [40 * 32 * 32] * 4
    assert seen[0] @ np.arange(256) == pytest.approx(sampled.sum(axis=(0, 2, 3), dtype=np.int64))


def test_the_page_says_when_fields_are_simulated(tiny_store: Store, explored: ExploreResult, tmp_path: Path) -> None:
    said = "These fields are simulated"
    assert said not in explored.page.read_text("utf-8")
    simulated = replace(tiny_store, source={**tiny_store.source, "simulated": True})
    assert said in explore(simulated, out=tmp_path / "b").page.read_text("utf-8")


def test_the_same_store_gives_the_same_bytes(tiny_store: Store, explored: ExploreResult, tmp_path: Path) -> None:
    again = explore(tiny_store, out=tmp_path / "out", name="x").out
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in explored.out.iterdir()}


def test_an_earlier_output_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()  # an empty folder is as good as none
    explore(table_of([(0,)]), out=out)
    (out / "old.png").touch()
    explore(table_of([(0,), (10,)]), out=out)
    assert not (out / "old.png").exists()
    assert "2 fields" in (out / "index.html").read_text("utf-8")


def test_what_somebody_put_into_an_output_is_not_removed(tmp_path: Path) -> None:
    explore(table_of([(0,)]), out=tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("years of work", "utf-8")
    with pytest.raises(ProtlocError, match=r"it has notes\.txt"):
        explore(table_of([(0,)]), out=tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").is_file()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_output_of_explore_is_left_alone(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    if kind == "folder":
        out.mkdir()
    precious = out / "chapter1.txt" if kind == "folder" else out
    precious.write_text("years of work", "utf-8")
    with pytest.raises(ProtlocError, match=r"thesis exists and is not only an output of explore.*Give a folder"):
        explore(table_of([(0,)]), out=out)
    assert precious.read_text("utf-8") == "years of work"


def test_a_failure_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = explore(table_of([(0,)]), out=tmp_path / "out").out
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(explore_module, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        explore(table_of([(0,), (10,)]), out=out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_examples_show_each_class_as_pure_as_it_comes(
    tiny_store: Store, explored: ExploreResult, read_page: Reader
) -> None:
    page = read_page(explored.page.read_text("utf-8"))
    shown = [image["alt"] or "" for image in page.all("img")][-3:]
    table = tiny_store.table
    for alt, name in zip(shown, tiny_store.vocabulary.names, strict=True):
        _, field, shape = alt.split()
        assert shape == name
        assert table.labels[table.ids.index(field)] == (tiny_store.vocabulary.names.index(name),)


def test_a_class_that_no_field_has_gets_no_example(tiny_store: Store, tmp_path: Path) -> None:
    vocabulary = Vocabulary("four", (*tiny_store.vocabulary.compartments, Compartment(77, "Never seen")))
    found = explore(replace(tiny_store, vocabulary=vocabulary), out=tmp_path / "out")
    html = found.page.read_text("utf-8")
    assert "Never seen" in html
    assert len(re.findall(r'alt="Field [^"]*"', html)) == 3


def test_the_real_label_table_has_seven_minority_classes_and_577_label_sets(
    real_data: Path, tmp_path: Path, read_page: Reader
) -> None:
    table = read_labels(real_data / "tables" / "kaggle2018_train.csv", load_vocabulary("kaggle2018"))
    found = explore(table, out=tmp_path / "out")
    assert found.minority_ids == (8, 9, 10, 15, 17, 20, 27)
    assert found.label_sets == 577
    assert found.fields == 31072
    html = found.page.read_text("utf-8")
    assert "12,885" in html
    assert "1.63" in html
    read_page(html)
