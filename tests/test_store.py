"""The store: what it gives, and that nothing damaged passes for whole."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import parse_stains
from protloc.atlas.store import Store, partial_of, sealed
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import StoreError

STAINS = parse_stains(["green", "blue"])
SIDE = 8
FIELDS = 7
VOCABULARY = Vocabulary("own", (Compartment(4, "A"), Compartment(1, "B")))


def image_of(row: int) -> np.ndarray:
    """Return the pixels of a field, of shape (2, 8, 8)."""
    return np.random.default_rng(row).integers(0, 256, (2, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "images").mkdir()
    for row in range(FIELDS):
        for stain, plane in zip(STAINS, image_of(row), strict=True):
            cv2.imwrite(str(folder / "images" / f"f{row}{stain.suffix}.png"), plane)
    lines = [f"f{row},{'4 1' if row % 2 else '1' if row else ''}" for row in range(FIELDS)]
    (folder / "train.csv").write_text("\n".join(["Id,Target", *lines]), "utf-8")
    return folder


def make(source: Path, folder: Path, *, labelled: bool = True) -> Store:
    labels = source / "train.csv" if labelled else None
    reading = Reading(stains=STAINS, side=SIDE)
    prepared = prepare(source / "images", folder, labels=labels, vocabulary=VOCABULARY, reading=reading, jobs=1)
    return prepared.store


@pytest.fixture(params=[1, 3, 100])
def store(request: pytest.FixtureRequest, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store in shards of 1, 3 or all fields."""
    monkeypatch.setattr("protloc.atlas.journal.SHARD_BYTES", 128 + request.param * 2 * SIDE * SIDE + 5)
    made = make(source, tmp_path / "store")
    assert len(made.shards) == -(-FIELDS // request.param)
    return made


@pytest.mark.parametrize("rows", [[0], [6, 0, 3], [2, 2, 5, 2], list(range(7)), [], np.array([5, 4, 6])])
def test_images_come_in_the_order_asked_across_shards(store: Store, rows: list[int]) -> None:
    images = store.images(rows)
    assert images.shape == (len(rows), 2, SIDE, SIDE)
    assert images.dtype == np.uint8
    assert all(np.array_equal(image, image_of(row)) for image, row in zip(images, rows, strict=True))


def test_images_are_fresh_memory(store: Store) -> None:
    images = store.images([1, 2])
    assert type(images) is np.ndarray
    images[:] = 0
    assert np.array_equal(store.images([1])[0], image_of(1))


def test_a_row_that_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(IndexError):
        store.images([FIELDS])


def test_a_store_opened_again_says_the_same(store: Store) -> None:
    again = Store.open(store.folder)
    assert (len(again), again.ids, again.side, again.labelled) == (7, tuple(f"f{n}" for n in range(7)), SIDE, True)
    assert not again.clean
    assert again.stains == STAINS
    assert again.vocabulary == VOCABULARY
    assert again.source == {"folder": "images", "labels": "train.csv", "simulated": False}
    assert again.fields.equals(store.fields)
    assert list(again.fields) == [
        *("id", "labels", "group", "source_side", "bit_depth"),
        *("mean_green", "mean_blue", "sd_green", "sd_blue"),
    ]


def test_the_table_of_a_labelled_store(store: Store) -> None:
    assert store.table.labels == ((), (1, 4), (1,), (1, 4), (1,), (1, 4), (1,))
    assert store.table.groups == store.ids
    assert store.targets[:3].tolist() == [[0, 0], [1, 1], [0, 1]]
    assert store.targets.dtype == np.uint8


def test_means_and_deviations_are_those_of_the_images(store: Store) -> None:
    images = store.images(range(7)).astype(float)
    for channel, stain in enumerate(STAINS):
        np.testing.assert_allclose(store.fields[f"mean_{stain.name}"], images[:, channel].mean(axis=(1, 2)), atol=1e-4)
        np.testing.assert_allclose(store.fields[f"sd_{stain.name}"], images[:, channel].std(axis=(1, 2)), atol=1e-4)


def test_shards_are_plain_arrays_within_their_limit(store: Store) -> None:
    shards = [np.load(store.folder / name) for name in store.shards]
    assert np.array_equal(np.concatenate(shards), store.images(range(7)))
    assert len({shard.shape for shard in shards[:-1]}) <= 1


def test_an_unlabelled_store_names_the_remedy(source: Path, tmp_path: Path) -> None:
    store = make(source, tmp_path / "store", labelled=False)
    assert not Store.open(store.folder).labelled
    for asked in ("table", "targets"):
        with pytest.raises(StoreError, match=r"store: the store has no labels\. Prepare it again with --labels"):
            getattr(store, asked)


def test_no_flipped_byte_goes_unnoticed(source: Path, tmp_path: Path) -> None:
    folder = make(source, tmp_path / "store").folder
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for place in range(0, len(whole), 2 if file.name == "store.json" else max(1, len(whole) // 40)):
            damaged = bytearray(whole)
            damaged[place] ^= (0x01, 0x20, 0xFF)[place % 3] if not chr(whole[place]).isspace() else 0x01
            file.write_bytes(damaged)
            with pytest.raises(StoreError, match=re.escape(str(file))):
                Store.open(folder)
        file.write_bytes(whole)
    assert len(Store.open(folder)) == FIELDS


def test_no_missing_or_cut_file_goes_unnoticed(source: Path, tmp_path: Path) -> None:
    folder = make(source, tmp_path / "store").folder
    for name in ("images-00000.npy", "fields.parquet", "rejected.csv"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1])
        with pytest.raises(StoreError, match=rf"{name}: changed or damaged, SHA-256 .* expected .*again"):
            Store.open(folder)
        (folder / name).unlink()
        for verify in (True, False):
            with pytest.raises(StoreError, match=f"{name}: missing, though store.json names it"):
                Store.open(folder, verify=verify)
        (folder / name).write_bytes(whole)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone: not a store, it has no store\.json\. Make one with protloc prepare"):
        Store.open(tmp_path / "gone")
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(StoreError, match="file: not a store"):
        Store.open(tmp_path / "file")
    partial_of(tmp_path / "half").mkdir()
    with pytest.raises(StoreError, match=r"half: not a store.*It is unfinished: run the same prepare again"):
        Store.open(tmp_path / "half")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{", "damaged"),
        ("[1]", "format None, expected 1"),
        ('{"format": 2}', "format 2, expected 1"),
        ('{"format": 1}', "changed or damaged, its own SHA-256 is wrong"),
        ("\xff", "damaged"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, written: str, told: str) -> None:
    (tmp_path / "store.json").write_text(written, "latin-1")
    with pytest.raises(StoreError, match=rf"store\.json: {told}.*Prepare the store again"):
        Store.open(tmp_path)


def test_an_edited_description_is_refused_until_it_is_sealed(source: Path, tmp_path: Path) -> None:
    folder = make(source, tmp_path / "store").folder
    written = json.loads((folder / "store.json").read_text("utf-8"))
    written["side"] = 9
    (folder / "store.json").write_text(json.dumps(written), "utf-8")
    with pytest.raises(StoreError, match="its own SHA-256 is wrong"):
        Store.open(folder, verify=False)
    (folder / "store.json").write_text(json.dumps(sealed(written)), "utf-8")
    assert Store.open(folder).side == 9


def test_a_store_of_clean_stains_says_so(source: Path, tmp_path: Path) -> None:
    folder = make(source, tmp_path / "store").folder
    written = json.loads((folder / "store.json").read_text("utf-8"))
    assert "clean" not in written  # stores of photographs are as they were before there were clean ones
    (folder / "store.json").write_text(json.dumps(sealed(written | {"clean": True})), "utf-8")
    assert Store.open(folder).clean


def test_a_store_may_be_moved(source: Path, tmp_path: Path) -> None:
    folder = make(source, tmp_path / "store").folder
    shutil.move(folder, tmp_path / "elsewhere")
    assert np.array_equal(Store.open(tmp_path / "elsewhere").images([3])[0], image_of(3))


def test_the_unfinished_store_lies_beside_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert partial_of(tmp_path / "s") == tmp_path / "s.partial"
    monkeypatch.chdir(tmp_path)
    assert partial_of(Path()) == tmp_path.parent / f"{tmp_path.name}.partial"
