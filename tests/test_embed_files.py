"""Files of embeddings: parquet, AnnData, the figure of the map, what embed says."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from protloc.apply.embedded import Embedded
from protloc.apply.embedded_files import check_embedding_output, to_anndata, write_embedded
from protloc.apply.maps import FieldMap
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import MissingExtraError, SettingsError
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.verbs.embed import embed

SIDE = 32
VOCABULARY = Vocabulary("own", (Compartment(4, "Disc"), Compartment(7, "Ring/Rim"), Compartment(9, "Bars & co")))
EMBEDDINGS = np.arange(20, dtype=np.float32).reshape(4, 5)
PLACES = np.array([[0, 1], [2, 3], [4, 5], [6, 7]], np.float32)
BY_PCA = FieldMap("PCA", PLACES, np.hstack([PLACES, PLACES]), np.array([0.5, 0.25, 0.125, 0.125]))
FOUR = Embedded(
    ids=("a", "b", "naïve \N{GREEK SMALL LETTER MU}", "d"),
    embeddings=EMBEDDINGS,
    labels=(("Disc", "Bars & co"), None, (), ("Ring/Rim",)),
    vocabulary=VOCABULARY,
    model="0123abcd",
    stains=("green", "blue"),
)


@pytest.fixture(scope="module")
def bundle(tiny_world) -> Bundle:
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    return Bundle(
        backbone="baseline-cnn",
        vocabulary=tiny_world.vocabulary,
        stains=HPA_STAINS,
        side=SIDE,
        rule=AnswerRule.plain(3),
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={},
        protloc_version="0",
    )


def test_parquet_holds_ids_labels_embeddings_and_places(tmp_path):
    file = tmp_path / "atlas.parquet"
    write_embedded(FOUR, BY_PCA, file)
    table = pq.read_table(file)
    assert str(table.schema.field("embedding").type).startswith("fixed_size_list<")
    assert table.schema.field("embedding").type.list_size == 5
    assert table["id"].to_pylist() == list(FOUR.ids)
    assert table["labels"].to_pylist() == [["Disc", "Bars & co"], None, [], ["Ring/Rim"]]
    np.testing.assert_array_equal(np.stack(table["embedding"].to_pylist()), EMBEDDINGS)
    np.testing.assert_array_equal(np.stack([table["map_x"], table["map_y"]], axis=1), PLACES)
    assert json.loads(table.schema.metadata[b"protloc"]) == {
        "format": 1,
        "model": "0123abcd",
        "stains": ["green", "blue"],
        "classes": ["Disc", "Ring/Rim", "Bars & co"],
        "map": "PCA",
    }


def test_pandas_reads_the_parquet_as_it_is(tmp_path):
    write_embedded(FOUR, BY_PCA, tmp_path / "atlas.parquet")
    frame = pd.read_parquet(tmp_path / "atlas.parquet")
    assert list(frame.columns) == ["id", "labels", "embedding", "map_x", "map_y"]
    np.testing.assert_array_equal(np.stack(frame["embedding"]), EMBEDDINGS)


def test_anndata_comes_back_from_its_file(tmp_path):
    file = tmp_path / "atlas.h5ad"
    write_embedded(FOUR, BY_PCA, file)
    read = anndata.read_h5ad(file)
    assert read.X.dtype == np.float32
    np.testing.assert_array_equal(read.X, EMBEDDINGS)
    assert list(read.obs_names) == list(FOUR.ids)
    assert list(read.obs.columns) == ["labels", "Disc", "Ring|Rim", "Bars & co"]
    assert read.obs["labels"].isna().tolist() == [False, True, False, False]
    assert read.obs["labels"].dropna().tolist() == ["Disc; Bars & co", "none", "Ring/Rim"]
    np.testing.assert_array_equal(read.obs.iloc[:, 1:].to_numpy(bool), FOUR.targets)
    np.testing.assert_array_equal(read.obsm["X_pca"], BY_PCA.components)
    assert "X_umap" not in read.obsm
    np.testing.assert_array_equal(read.uns["pca"]["variance_ratio"], BY_PCA.shares)
    assert read.uns["protloc"]["model"] == "0123abcd"
    assert list(read.uns["protloc"]["stains"]) == ["green", "blue"]


def test_anndata_has_the_places_of_umap():
    made = to_anndata(FOUR, replace(BY_PCA, method="UMAP", places=PLACES + 1))
    np.testing.assert_array_equal(made.obsm["X_umap"], PLACES + 1)
    np.testing.assert_array_equal(made.obsm["X_pca"], BY_PCA.components)


def test_another_ending_is_refused_and_a_missing_library_named(monkeypatch, tmp_path):
    with pytest.raises(SettingsError, match=r"x.csv ends in '.csv', expected .parquet or .h5ad"):
        check_embedding_output(tmp_path / "x.csv")
    monkeypatch.setattr("protloc.apply.embedded_files.find_spec", lambda _name: None)
    check_embedding_output(tmp_path / "x.parquet")
    with pytest.raises(MissingExtraError, match=r"needs anndata, .* pip install 'protloc\[embed\]', or write .parquet"):
        check_embedding_output(tmp_path / "x.h5ad")


def test_embed_writes_an_index_with_its_map_beside(bundle, tiny_world, tmp_path, monkeypatch):
    monkeypatch.setattr("protloc.apply.maps.find_spec", lambda _name: None)
    images = shutil.copytree(tiny_world.images, tmp_path / "images")
    (images / "f001_green.png").write_bytes(b"not an image")
    made = embed(bundle, images, out=tmp_path / "out" / "atlas.parquet")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "atlas.parquet",
        "atlas.parquet.rejected.csv",
        "atlas.png",
    ]
    assert pq.read_metadata(made.file).num_rows == 83
    with Image.open(made.figure) as picture:
        assert picture.width > 1000
    assert "83 fields of 128 features; 0 labelled, 1 rejected." in made.summary
    assert f"Why fields were rejected is in {made.file}.rejected.csv" in made.summary
    assert "The two axes of the map hold" in made.summary
    assert "protloc neighbours" not in made.summary  # nothing is labelled

    labelled = embed(bundle, tiny_world.store.folder, out=made.file)
    assert not (tmp_path / "out" / "atlas.parquet.rejected.csv").exists()
    assert "84 labelled, 0 rejected" in labelled.summary
    assert f"protloc neighbours … --index {made.file}" in labelled.summary


def test_embed_refuses_an_ending_before_it_looks_at_a_field(bundle, tmp_path):
    with pytest.raises(SettingsError, match=r"x.txt ends in '.txt'"):
        embed(bundle, tmp_path / "nowhere", out=tmp_path / "x.txt")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file is a file, expected a folder"):
        embed(bundle, tmp_path / "nowhere", out=tmp_path / "file" / "x.parquet")


def test_embedding_loads_no_library_that_it_may_not_need():
    assert "protloc.verbs.embed" in sys.modules
    assert "umap" not in sys.modules
