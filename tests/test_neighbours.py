"""Neighbours: exact in blocks, by faiss alike, of the same model only, with their labels."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protloc.apply import nearest
from protloc.apply.embed import model_hash
from protloc.apply.embedded import Embedded, embed_fields
from protloc.apply.embedded_files import write_embedded
from protloc.apply.maps import field_map
from protloc.apply.nearest import ExactSearch, unit
from protloc.apply.neighbours import Index, Neighbours
from protloc.atlas.stains import HPA_STAINS
from protloc.errors import BundleError, MissingExtraError, SettingsError, TableError
from protloc.learn.bundle import Bundle
from protloc.verbs.neighbours import neighbours

SIDE = 32
# directions at 0, 10, 20, 90 and 180 degrees, of different lengths, which must not matter
ANGLES = np.deg2rad([0, 10, 20, 90, 180])
FAN = (np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * [[1], [9], [0.1], [3], [2]]).astype(np.float32)
FAN_LABELS = (("Disc",), ("Disc", "Ring"), None, (), ("Bars",))


@pytest.fixture(scope="module")
def bundle(tiny_world) -> Bundle:
    return tiny_world.untrained()


@pytest.fixture
def fan(bundle, tiny_world, tmp_path):
    """Return the file of an index of five fields in known directions."""
    return written(tmp_path / "fan.parquet", bundle, FAN, FAN_LABELS, tiny_world.vocabulary)


def written(file, bundle, embeddings, labels, vocabulary):
    ids = tuple("abcdefghijklmnopqrstuvwxyz"[: len(embeddings)])
    made = Embedded(ids, embeddings, labels, vocabulary, model_hash(bundle), tuple(each.name for each in HPA_STAINS))
    write_embedded(made, field_map(embeddings), file)
    return file


def in_blocks(vectors, size: int) -> ExactSearch:
    return ExactSearch(lambda: (vectors[start : start + size] for start in range(0, len(vectors), size)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 9), st.integers(1, 50), st.integers(1, 12))
def test_a_search_in_blocks_finds_what_looking_at_all_at_once_finds(seed, fields, dimensions, block, k):
    generator = np.random.default_rng(seed)
    vectors = unit(generator.normal(size=(fields, dimensions)).astype(np.float32))
    queries = unit(generator.normal(size=(7, dimensions)).astype(np.float32))
    k = min(k, fields)
    found, rows = in_blocks(vectors, block).nearest(queries, k)
    everything = queries.astype(np.float64) @ vectors.astype(np.float64).T
    np.testing.assert_allclose(found, -np.sort(-everything, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(everything, rows, axis=1), found, atol=1e-5)
    assert all(len(set(row)) == k for row in rows.tolist())


def test_many_queries_are_searched_for_some_at_a_time(monkeypatch):
    monkeypatch.setattr(nearest, "QUERIES", 3)
    generator = np.random.default_rng(0)
    vectors, queries = (unit(generator.normal(size=(n, 4)).astype(np.float32)) for n in (20, 10))
    found, rows = in_blocks(vectors, 6).nearest(queries, 4)
    np.testing.assert_array_equal(rows, np.argsort(-(queries @ vectors.T), axis=1)[:, :4])
    assert found.dtype == np.float32


def test_no_more_than_two_blocks_are_in_memory_at_a_time():
    alive: set[int] = set()
    most = 0

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal most
        for number in range(12):
            block = np.full((5, 3), number, np.float32)
            alive.add(number)
            weakref.finalize(block, alive.discard, number)
            most = max(most, len(alive))
            yield block
            del block

    gc.collect()
    ExactSearch(blocks).nearest(np.ones((2, 3), np.float32), 2)
    assert 1 <= most <= 2


def test_unit_vectors_have_length_one_and_nothing_stays_nothing():
    np.testing.assert_allclose(unit(np.array([[3, 4], [0, 0]], np.float32)), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert unit(np.ones((2, 3), np.float32)).dtype == np.float32


@pytest.mark.parametrize("way", ["streamed", "held", "approximate"])
def test_neighbours_of_a_hand_worked_case(bundle, fan, way):
    if way == "approximate":
        pytest.importorskip("faiss")
    index = Index.read(fan, bundle, way=way)
    assert len(index) == 5
    # at 12 degrees: 10 is 2 away, 20 is 8, 0 is 12
    query = np.array([[np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))]], np.float32) * 7
    for _ in range(2):
        found = index.search(query, 3)
        assert found.ids == (("b", "c", "a"),)
        np.testing.assert_allclose(found.similarities, [np.cos(np.deg2rad([2, 8, 12]))], atol=1e-6)
        assert found.labels == ((("Disc", "Ring"), None, ("Disc",)),)
        # two of the three are labelled
        np.testing.assert_allclose(found.votes, [[1, 0.5, 0]])


def test_every_way_finds_the_same(bundle, tiny_world, tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("protloc.apply.neighbours.ROW_GROUP", 10)
    embedded = embed_fields(bundle, tiny_world.store.folder)
    file = tmp_path / "atlas.parquet"
    write_embedded(embedded, field_map(embedded.embeddings), file)
    streamed, held, approximate = (
        Index.read(file, bundle, way=way).search(embedded.embeddings, 5)  # pyright: ignore[reportArgumentType]
        for way in ("streamed", "held", "approximate")
    )
    assert streamed.ids == held.ids == approximate.ids
    assert streamed.labels == held.labels == approximate.labels
    np.testing.assert_allclose(streamed.similarities, held.similarities, atol=1e-6)
    np.testing.assert_allclose(approximate.similarities, held.similarities, atol=1e-5)
    assert [ids[0] for ids in streamed.ids] == list(embedded.ids)  # each is the nearest to itself


def test_a_field_is_not_its_own_neighbour_but_may_be_anothers_of_its_name(bundle, fan):
    index = Index.read(fan, bundle)
    # the first is b itself; the second is called b too, but looks like a; the third is none of them
    queries, ids = np.stack([FAN[1] * 2, FAN[0], FAN[0]]), ["b", "b", "z"]
    found = index.search(queries, 2, ids=ids)
    assert set(found.ids[0]) == {"a", "c"}  # both are 10 degrees away
    assert found.ids[1:] == (("a", "b"), ("a", "b"))
    assert index.search(queries, 9, ids=ids).similarities.shape == (3, 4)
    assert index.search(queries, 9).similarities.shape == (3, 5)


def test_fewer_fields_than_asked_for_are_all_given(bundle, fan):
    found = Index.read(fan, bundle).search(FAN[:1], 50)
    assert sorted(found.ids[0]) == list("abcde")
    assert found.similarities[0, -1] == pytest.approx(-1)
    with pytest.raises(SettingsError, match="--k: 0, expected at least 1"):
        Index.read(fan, bundle).search(FAN[:1], 0)


def test_no_query_has_no_neighbours(bundle, fan):
    found = Index.read(fan, bundle).search(FAN[:0], 2)
    assert (found.ids, found.similarities.shape, found.votes.shape) == ((), (0, 2), (0, 3))
    assert found.table([]).empty


def test_tables_of_neighbours_by_hand():
    found = Neighbours(
        ids=(("x", "y"), ("y", "z")),
        similarities=np.array([[0.9, 0.8], [0.7, 0.6]], np.float32),
        labels=((("A",), ()), ((), None)),
        names=("A", "B"),
    )
    table = found.table(["p", "q"])
    assert table.columns.tolist() == ["id", "rank", "neighbour", "similarity", "labels"]
    assert table[["id", "rank", "neighbour"]].to_numpy().tolist() == [
        ["p", 1, "x"], ["p", 2, "y"], ["q", 1, "y"], ["q", 2, "z"]
    ]  # fmt: skip
    assert table["labels"].fillna("").tolist() == ["A", "none", "none", ""]
    assert found.vote_table(["p", "q"]).to_numpy().tolist() == [["p", 0.5, 0.0], ["q", 0.0, 0.0]]
    nobody_knows = Neighbours((("z",),), np.ones((1, 1), np.float32), ((None,),), ("A",))
    assert np.isnan(nobody_knows.votes).all()


def test_an_index_of_another_model_is_refused(fan, tiny_world):
    with pytest.raises(BundleError, match=r"fan.parquet: made with another model \(SHA-256 .* protloc embed"):
        Index.read(fan, tiny_world.untrained(seed=4))


def test_what_is_no_index_is_refused(bundle, tiny_world, tmp_path):
    with pytest.raises(TableError, match=r"nowhere.parquet: no such file. .* protloc embed BUNDLE"):
        Index.read(tmp_path / "nowhere.parquet", bundle)
    (tmp_path / "text.parquet").write_text("id,labels\n")
    with pytest.raises(TableError, match=r"text.parquet: not a parquet file"):
        Index.read(tmp_path / "text.parquet", bundle)
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(TableError, match=r"other.parquet: parquet, but not an index of this version"):
        Index.read(tmp_path / "other.parquet", bundle)
    empty = written(tmp_path / "empty.parquet", bundle, FAN[:0], (), tiny_world.vocabulary)
    with pytest.raises(TableError, match="an index without a field"):
        Index.read(empty, bundle)


@pytest.mark.parametrize("way", ["held", "streamed"])
def test_a_damaged_index_is_told_by_its_name(bundle, tiny_world, tmp_path, way):
    cloud = np.random.default_rng(0).normal(size=(26, 400)).astype(np.float32)
    file = written(tmp_path / "atlas.parquet", bundle, cloud, (None,) * 26, tiny_world.vocabulary)
    whole = bytearray(file.read_bytes())
    whole[20_000:20_400] = bytes(400)  # among the embeddings
    file.write_bytes(whole)
    with pytest.raises(
        TableError, match=r"atlas.parquet: damaged \(.*\). Copy it again, or make it anew: protloc embed"
    ):
        Index.read(file, bundle, way=way).search(cloud[:1], 1)
    file.write_bytes(whole[:20_000])
    with pytest.raises(TableError, match=r"atlas.parquet: not a parquet file, or only part of one"):
        Index.read(file, bundle, way=way)


def test_faiss_is_named_where_it_is_missing(bundle, fan, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"--approximate: faiss is not installed. pip install 'protloc\[faiss"):
        Index.read(fan, bundle, way="approximate")
    assert len(Index.read(fan, bundle)) == 5


@pytest.mark.parametrize(("ending", "read"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_neighbours_of_a_folder_are_written_with_their_votes(bundle, tiny_world, tmp_path, ending, read):
    embedded = embed_fields(bundle, tiny_world.store.folder)
    write_embedded(embedded, field_map(embedded.embeddings), tmp_path / "atlas.parquet")
    made = neighbours(bundle, tiny_world.images, index=tmp_path / "atlas.parquet", out=tmp_path / f"near{ending}", k=3)
    table = read(made.file)
    assert len(table) == 3 * 84
    assert (table["id"] != table["neighbour"]).all()
    by_hand = embedded.embeddings / np.linalg.norm(embedded.embeddings, axis=1, keepdims=True)
    similar = by_hand @ by_hand.T
    np.fill_diagonal(similar, -1)
    np.testing.assert_allclose(
        table["similarity"].to_numpy().reshape(84, 3), -np.sort(-similar, axis=1)[:, :3], atol=1e-5
    )
    votes = read(made.votes)
    assert votes.columns.tolist() == ["id", "Disc", "Ring", "Bars"]
    targets = dict(zip(embedded.ids, embedded.targets, strict=True))
    first = np.mean([targets[neighbour] for neighbour in table["neighbour"][:3]], axis=0)
    np.testing.assert_allclose(votes.iloc[0, 1:].to_numpy(float), first)
    assert "For each the 3 most similar of the 84 fields" in made.summary
    assert made.votes.name == f"near.votes{ending}"
    assert "may be the stains" not in made.summary


def test_neighbours_by_other_stains_than_the_indexs_come_with_a_warning(bundle, tiny_world, fan, tmp_path):
    embedded = embed_fields(bundle, tiny_world.store.folder)
    write_embedded(embedded, field_map(embedded.embeddings), tmp_path / "atlas.parquet")
    made = neighbours(
        bundle, tiny_world.images, index=tmp_path / "atlas.parquet", out=tmp_path / "x.csv", stains=HPA_STAINS[1:2]
    )
    assert "The fields have the stains green, those of the index red, green, blue, yellow" in made.summary
    with pytest.raises(SettingsError, match=r"ends in '.txt'"):
        neighbours(bundle, tiny_world.images, index=fan, out=tmp_path / "x.txt")
    with pytest.raises(SettingsError, match=r"fan.parquet is a file, expected a folder"):
        neighbours(bundle, tiny_world.images, index=fan, out=fan / "x.csv")
