"""Packing fields into a store: the same bytes always, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from protloc.atlas.prepare import Prepared, prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS, parse_stains
from protloc.atlas.store import Store
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import ImageError, SettingsError, StoreError, TableError

STAINS = parse_stains(["green", "blue"])
READING = Reading(stains=STAINS, side=8)
FIELDS = 10


def write_field(
    folder: Path, field: str, *, side: int = 16, stains: str = "green blue", dtype: type = np.uint8
) -> None:
    pixels = np.random.default_rng(list(field.encode())).integers(0, np.iinfo(dtype).max, (2, side, side)).astype(dtype)
    for stain, plane in zip(stains.split(), pixels, strict=False):
        cv2.imwrite(str(folder / f"{field}_{stain}.png"), plane)


def write_table(folder: Path, rows: dict[str, str]) -> Path:
    file = folder / "train.csv"
    file.write_text("\n".join(["Id,Target", *(f"{field},{labels}" for field, labels in rows.items())]) + "\n", "utf-8")
    return file


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of ten fields of two stains, f00 to f09."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(FIELDS):
        write_field(folder, f"f{number:02d}")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# what is in the store


def test_every_field_is_a_row_in_the_order_of_the_ids(images: Path, tmp_path: Path) -> None:
    labels = write_table(tmp_path, {f"f{number:02d}": f"{number} 27" for number in reversed(range(FIELDS))})
    prepared = prepare(images, tmp_path / "store", labels=labels, reading=READING)
    store = Store.open(tmp_path / "store")
    assert store.ids == tuple(f"f{number:02d}" for number in range(FIELDS))
    assert store.table.labels[3] == (3, 27)
    assert store.fields[["source_side", "bit_depth"]].drop_duplicates().to_numpy().tolist() == [[16, 8]]
    green = cv2.imread(str(images / "f03_green.png"), cv2.IMREAD_UNCHANGED)
    means = green.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    assert np.abs(store.images([3])[0, 0] - means).max() <= 0.5
    assert (prepared.source_fields, len(prepared.rejected), prepared.resumed, prepared.cropped) == (FIELDS, 0, 0, 0)
    assert names(tmp_path) == ["images", "store", "train.csv"]


def test_the_same_bytes_whatever_the_number_of_jobs(images: Path, tmp_path: Path) -> None:
    (images / "f04_blue.png").write_bytes(b"damaged")
    labels = write_table(tmp_path, {f"f{number:02d}": "1" for number in range(FIELDS)})
    made = []
    for jobs in (1, 2, 5, None):
        prepare(images, tmp_path / f"store{jobs}", labels=labels, reading=READING, jobs=jobs)
        made.append(contents(tmp_path / f"store{jobs}"))
    assert all(other == made[0] for other in made[1:])
    assert sorted(made[0]) == ["fields.parquet", "images-00000.npy", "rejected.csv", "store.json"]


def test_without_a_table_the_store_is_unlabelled(images: Path, tmp_path: Path) -> None:
    store = prepare(images, tmp_path / "store", reading=READING).store
    assert not store.labelled
    assert store.fields["labels"].isna().all()


def test_a_table_without_any_location_is_still_one_of_labels(images: Path, tmp_path: Path) -> None:
    labels = write_table(tmp_path, {f"f{number:02d}": "" for number in range(FIELDS)})
    store = prepare(images, tmp_path / "store", labels=labels, reading=READING).store
    assert store.labelled
    assert store.table.labels == ((),) * FIELDS
    assert store.targets.sum() == 0


def test_only_the_stains_asked_for_are_taken(images: Path, tmp_path: Path) -> None:
    (images / "f00_blue.png").unlink()
    store = prepare(images, tmp_path / "green", reading=Reading(stains=parse_stains(["green"]), side=8)).store
    assert store.images([0]).shape == (1, 1, 8, 8)
    assert len(store) == FIELDS
    swapped = prepare(images, tmp_path / "swapped", reading=Reading(stains=STAINS[::-1], side=8)).store
    assert np.array_equal(swapped.images([0])[0, 1], store.images([1])[0, 0])
    assert swapped.ids[0] == "f01"


def test_a_users_vocabulary_and_eight_stains(tmp_path: Path) -> None:
    stains = parse_stains([f"s{number}" for number in range(8)])
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"a_s{number}.png"), np.full((8, 8), number, np.uint8))
    vocabulary = Vocabulary("own", (Compartment(300, "A"), Compartment(2, "B")))
    labels = write_table(tmp_path, {"a": "2"})
    reading = Reading(stains=stains, side=8)
    store = prepare(tmp_path, tmp_path / "store", labels=labels, vocabulary=vocabulary, reading=reading).store
    assert store.images([0])[0, :, 0, 0].tolist() == list(range(8))
    assert store.targets.tolist() == [[0, 1]]
    assert store.vocabulary == vocabulary


def test_tiles_are_rows_with_their_field_as_group(images: Path, tmp_path: Path) -> None:
    write_field(images, "large", side=27)
    write_field(images, "small", side=7)
    labels = write_table(tmp_path, {"large": "3 4", "f00": "1", "small": "1"})
    reading = Reading(stains=STAINS, side=8, tile=8)
    prepared = prepare(images, tmp_path / "store", labels=labels, reading=reading)
    store = prepared.store
    corners = [f"r{row}c{column}" for row in range(3) for column in range(3)]
    assert store.ids == (
        *(f"f00.{corner}" for corner in corners if "2" not in corner),
        *(f"large.{c}" for c in corners),
    )
    assert store.table.groups == ("f00",) * 4 + ("large",) * 9
    assert store.table.labels == ((1,),) * 4 + ((3, 4),) * 9
    assert (prepared.source_fields, set(store.fields["source_side"])) == (2, {8})
    blue = cv2.imread(str(images / "large_blue.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(store.images([12])[0, 1], blue[16:24, 16:24])
    reason = prepared.rejected.set_index("id")["reason"]["small"]
    assert reason == "small: 7x7 px, smaller than a tile of 8 px. Say a smaller --tile."
    assert "2 fields as 13 tiles" in prepared.summary


def test_oblong_fields_are_counted_in_the_summary(images: Path, tmp_path: Path) -> None:
    for stain in ("green", "blue"):
        cv2.imwrite(str(images / f"wide_{stain}.png"), np.zeros((8, 12), np.uint8))
    prepared = prepare(images, tmp_path / "store", reading=READING)
    assert prepared.cropped == 1
    assert "1 fields are oblong; their central square was taken" in prepared.summary
    assert prepared.store.fields.set_index("id")["source_side"]["wide"] == 8


def test_the_bit_depth_is_kept_in_the_table(images: Path, tmp_path: Path) -> None:
    write_field(images, "f00", dtype=np.uint16)
    store = prepare(images, tmp_path / "store", reading=READING).store
    assert store.fields["bit_depth"].tolist() == [16] + [8] * (FIELDS - 1)
    assert store.images([0]).max() > 150


def test_a_name_that_is_not_utf8_is_a_field_like_others(images: Path, tmp_path: Path) -> None:
    for stain in ("green", "blue"):
        shutil.copy(images / f"f00_{stain}.png", images / os.fsdecode(f"caf\xe9_{stain}.png".encode("latin-1")))
    (images / os.fsdecode(b"bad\xff_green.png")).write_bytes(b"")
    prepared = prepare(images, tmp_path / "store", reading=READING)
    assert r"caf\xe9" in Store.open(tmp_path / "store").ids
    assert prepared.rejected["file"].tolist() == [r"bad\xff_green.png"]


@pytest.mark.parametrize("place", ["simulation.json", "images/simulation.json"])
def test_a_simulated_source_is_remembered(images: Path, tmp_path: Path, place: str) -> None:
    assert not prepare(images, tmp_path / "real", reading=READING).store.source["simulated"]
    (tmp_path / place).write_text("{}", "utf-8")
    store = prepare(images, tmp_path / "store", reading=READING).store
    assert store.source["simulated"]
    assert not store.clean


@pytest.mark.parametrize(("clean", "told"), [(True, {"clean": True}), (False, {})])
def test_clean_stains_are_remembered(images: Path, tmp_path: Path, *, clean: bool, told: dict[str, bool]) -> None:
    (tmp_path / "simulation.json").write_text(json.dumps({"side": 16, "clean": clean}), "utf-8")
    store = prepare(images, tmp_path / "store", reading=Reading(stains=STAINS, side=16)).store
    assert store.clean == Store.open(store.folder).clean == clean
    written = json.loads((store.folder / "store.json").read_text("utf-8"))
    assert {key: value for key, value in written.items() if key == "clean"} == told
    green = cv2.imread(str(images / "f03_green.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(store.images([3])[0, 0], green)


def test_clean_stains_are_cut_but_never_shrunk(images: Path, tmp_path: Path) -> None:
    (tmp_path / "simulation.json").write_text(json.dumps({"side": 16, "clean": True}), "utf-8")
    with pytest.raises(SettingsError, match=r"--side: 8 px, but the images are clean stains of 16 px.* Say --side 16"):
        prepare(images, tmp_path / "store", reading=READING)
    with pytest.raises(SettingsError, match=r"--side: 8 px, but the images are clean stains of 12 px.* Say --side 12"):
        prepare(images, tmp_path / "store", reading=Reading(stains=STAINS, side=8, tile=12))
    assert names(tmp_path) == ["images", "simulation.json"]
    tiles = prepare(images, tmp_path / "store", reading=Reading(stains=STAINS, side=8, tile=8)).store
    assert (len(tiles), tiles.clean) == (4 * FIELDS, True)


# what is not


def test_rejected_fields_are_listed_with_file_and_reason(images: Path, tmp_path: Path) -> None:
    (images / "f01_blue.png").write_bytes(b"\x89PNG damaged")
    (images / "f02_green.png").unlink()
    shutil.copy(images / "f03_green.png", images / "f03_green.tif")
    (images / "f04_green.png").unlink()
    (images / "f04_green.png").mkdir()
    write_field(images, "f05", side=15, stains="green")
    in_table = [f"f{number:02d}" for number in range(FIELDS) if number != 6]
    labels = write_table(tmp_path, dict.fromkeys(["zzz", *in_table, "aaa"], "1"))
    prepared = prepare(images, tmp_path / "store", labels=labels, reading=READING)
    listed = pd.read_csv(tmp_path / "store" / "rejected.csv", keep_default_na=False)
    assert listed.equals(prepared.rejected.astype(listed.dtypes))
    assert listed[["id", "file"]].to_numpy().tolist() == [
        ["f01", "f01_blue.png"],
        ["f02", "f02_blue.png"],
        ["f03", "f03_blue.png; f03_green.png; f03_green.tif"],
        ["f04", "f04_green.png"],
        ["f05", "f05_blue.png; f05_green.png"],
        ["f06", "f06_blue.png; f06_green.png"],
        ["zzz", ""],
        ["aaa", ""],
    ]
    expected = ["f01_blue.png: damaged", "f02: no green image", "f03: 2 green images", "f04_green.png: a directory"]
    expected += ["f05: the stains differ in size", "f06: not in the label table", "zzz: in the label table", "aaa: in"]
    assert all(reason.startswith(start) for reason, start in zip(listed["reason"], expected, strict=True))
    assert prepared.store.ids == ("f00", "f07", "f08", "f09")
    assert "4 fields, green, blue, 8 px, 8 rejected." in prepared.summary
    assert "rejected.csv; the first: f01_blue.png: damaged" in prepared.summary


def test_strict_makes_a_rejection_an_error_and_leaves_but_the_reasons(images: Path, tmp_path: Path) -> None:
    (images / "f01_blue.png").unlink()
    told = r"store: not made, 1 fields .* --strict was said\..*rejected.csv; the first: \(1\) f01: no blue"
    with pytest.raises(StoreError, match=told):
        prepare(images, tmp_path / "store", reading=READING, strict=True)
    assert names(tmp_path) == ["images", "store.rejected.csv"]
    prepare(images, tmp_path / "store", reading=READING)
    with pytest.raises(
        StoreError, match=r"store: exists, with 1 fields rejected, and --strict was said\. Its rejected"
    ):
        prepare(images, tmp_path / "store", reading=READING, strict=True)
    assert len(Store.open(tmp_path / "store")) == FIELDS - 1


def test_no_field_left_is_an_error_and_leaves_but_the_reasons(images: Path, tmp_path: Path) -> None:
    for file in images.glob("*_blue.png"):
        file.unlink()
    told = r"no field is left, 10 were rejected\. .*store\.rejected\.csv; the first: \(1\) f00: .* \(3\) f02"
    with pytest.raises(StoreError, match=told):
        prepare(images, tmp_path / "store", reading=READING)
    assert names(tmp_path) == ["images", "store.rejected.csv"]
    assert list(pd.read_csv(tmp_path / "store.rejected.csv")["id"]) == [f"f{number:02d}" for number in range(FIELDS)]


def test_wrong_arguments_leave_nothing(images: Path, tmp_path: Path) -> None:
    wrong = write_table(tmp_path, {"f00": "28"})
    for error, options in (
        (SettingsError, {"jobs": 0}),
        (SettingsError, {"jobs": -1}),
        (TableError, {"labels": wrong}),
        (TableError, {"labels": tmp_path / "gone.csv"}),
        (ImageError, {"reading": Reading(side=8, stains=parse_stains(["infrared"]))}),
    ):
        with pytest.raises(error):
            prepare(images, tmp_path / "store", **{"reading": READING, **options})
    with pytest.raises(ImageError, match="gone: not a folder"):
        prepare(tmp_path / "gone", tmp_path / "store")
    assert names(tmp_path) == ["images", "train.csv"]


# where the store lies


def test_parents_are_made_and_a_slash_at_the_end_is_nothing(images: Path, tmp_path: Path) -> None:
    prepare(images, Path(f"{tmp_path}/new/folder/store/"), reading=READING)
    assert names(tmp_path / "new" / "folder") == ["store"]
    assert len(Store.open(tmp_path / "new" / "folder" / "store")) == FIELDS


def test_a_store_is_made_where_the_user_stands(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(prepare(Path("images"), Path("store"), reading=READING).store) == FIELDS
    assert names(tmp_path) == [images.name, "store"]


def test_what_is_no_store_is_never_written_over(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    monkeypatch.chdir(images)
    for place in (tmp_path / "file", images, Path(), Path("/")):
        with pytest.raises(StoreError, match=r"exists and is no store\. Remove it, or give another name"):
            prepare(images, place, reading=READING)
    with pytest.raises(StoreError, match=r"store: cannot be written \(.*\)\. Check the place, its rights and its room"):
        prepare(images, tmp_path / "file" / "store", reading=READING)
    assert (tmp_path / "file").read_text("utf-8") == "mine"
    assert len(names(images)) == 2 * FIELDS


def test_a_users_folder_of_the_unfinished_name_is_left_alone(images: Path, tmp_path: Path) -> None:
    mine = tmp_path / "store.partial"
    mine.mkdir()
    (mine / "thesis.docx").write_text("years of work", "utf-8")
    with pytest.raises(StoreError, match=r"store\.partial: holds thesis\.docx, which is not of a store.*Move the"):
        prepare(images, tmp_path / "store", reading=READING)
    assert names(mine) == ["thesis.docx"]


def test_a_full_disk_is_told_and_the_work_goes_on_later(
    images: Path, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("protloc.atlas.prepare.write_fields", full)
        with pytest.raises(StoreError, match=r"store: cannot be written \(.*No space left on device"):
            prepare(images, tmp_path / "store", reading=READING)
    assert prepare(images, tmp_path / "store", reading=READING).resumed == FIELDS
    assert len(decoded) == FIELDS


# a store that is there already


def test_the_same_store_is_returned_without_reading_again(images: Path, tmp_path: Path, decoded: list[str]) -> None:
    first = prepare(images, tmp_path / "store", reading=READING)
    before = contents(tmp_path / "store")
    again = prepare(images, tmp_path / "store", reading=READING, strict=True, jobs=3)
    assert (first.existed, again.existed) == (False, True)
    assert "It was there already" in again.summary
    assert again.store.ids == first.store.ids
    assert contents(tmp_path / "store") == before
    assert len(decoded) == FIELDS


def test_a_damaged_store_is_not_returned(images: Path, tmp_path: Path) -> None:
    prepare(images, tmp_path / "store", reading=READING)
    with (tmp_path / "store" / "images-00000.npy").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(StoreError, match=r"images-00000\.npy: changed or damaged"):
        prepare(images, tmp_path / "store", reading=READING)


def test_a_store_of_another_plan_is_an_error(images: Path, tmp_path: Path) -> None:
    labels = write_table(tmp_path, {"f00": "1"})
    prepare(images, tmp_path / "store", reading=READING)
    told = r"store: exists, made from other files or with other settings\. Remove it, or give another name"
    for options in (
        {"reading": Reading(stains=STAINS, side=16)},
        {"reading": Reading(stains=STAINS, side=8, tile=8)},
        {"reading": Reading(stains=STAINS[::-1], side=8)},
        {"reading": READING, "labels": labels},
        {"reading": READING, "vocabulary": Vocabulary("own", (Compartment(0, "A"),))},
    ):
        with pytest.raises(StoreError, match=told):
            prepare(images, tmp_path / "store", **options)
    write_field(images, "f10")
    with pytest.raises(StoreError, match=told):
        prepare(images, tmp_path / "store", reading=READING)


def test_a_change_behind_a_link_is_noticed(images: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.png"
    shutil.move(images / "f00_blue.png", target)
    (images / "f00_blue.png").symlink_to(target)
    prepare(images, tmp_path / "store", reading=READING)
    cv2.imwrite(str(target), np.zeros((16, 16), np.uint8))
    with pytest.raises(StoreError, match="made from other files"):
        prepare(images, tmp_path / "store", reading=READING)
    target.unlink()
    rejected = prepare(images, tmp_path / "without", reading=READING).rejected
    assert rejected["file"].tolist() == ["f00_blue.png"]
    assert rejected["reason"][0].startswith("f00_blue.png: cannot be read (No such file or directory)")


# real fields


def _prepare_real(real_data: Path, store: Path, source: str, **reading: object) -> Prepared:
    labels = {"fields": "fields_train.csv", "green": "green.csv"}.get(source)
    table = real_data / labels if labels else None
    return prepare(real_data / source, store, labels=table, reading=Reading(**reading))


def test_real_fields_are_all_read(real_data: Path, tmp_path: Path) -> None:
    prepared = _prepare_real(real_data, tmp_path / "store", "fields")
    fields = prepared.store.fields.set_index("id")
    assert (len(fields), len(prepared.rejected), prepared.cropped) == (6, 0, 0)
    assert sorted(fields["source_side"]) == [512, 1728, 2048, 2048, 2048, 2048]
    jpeg = fields.loc["89_B5_1"]
    assert list(jpeg["labels"]) == [6]
    assert all(jpeg[f"mean_{stain.name}"] > 10 for stain in HPA_STAINS)
    assert all(jpeg[f"sd_{stain.name}"] > 20 for stain in HPA_STAINS)


def test_real_fields_give_tiles(real_data: Path, tmp_path: Path) -> None:
    store = _prepare_real(real_data, tmp_path / "store", "fields", tile=512).store
    # of 512, four of 2048, and of 1728 px
    assert len(store) == 1 + 4 * 16 + 9
    assert sorted(store.fields["group"].value_counts()) == [1, 9, 16, 16, 16, 16]


def test_real_images_without_their_stains_are_all_rejected(real_data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no field is left, 60 were rejected\..* \(1\) 019ba74e.*: no red and"):
        _prepare_real(real_data, tmp_path / "store", "unlabelled")
    listed = pd.read_csv(tmp_path / "store.rejected.csv")
    assert names(tmp_path) == ["store.rejected.csv"]
    assert set(listed["id"]) == {file.name.rpartition("_")[0] for file in (real_data / "unlabelled").iterdir()}


def test_real_green_images_are_a_store_of_one_stain(real_data: Path, tmp_path: Path) -> None:
    prepared = _prepare_real(real_data, tmp_path / "store", "green", stains=parse_stains(["green"]))
    assert (len(prepared.store), len(prepared.rejected)) == (20, 0)
    assert prepared.store.images(range(20)).shape == (20, 1, 128, 128)
    assert prepared.store.targets.any(axis=1).all()


def test_a_copied_source_gives_the_same_bytes(images: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(images, tmp_path / "copy" / images.name, copy_function=shutil.copyfile)
    first, second = tmp_path / "first", tmp_path / "second"
    prepare(images, first, reading=READING)
    prepare(copied, second, reading=READING)
    assert contents(first) == contents(second)


def test_a_file_changed_since_the_store_was_made_is_noticed(images: Path, tmp_path: Path) -> None:
    prepare(images, tmp_path / "store", reading=READING)
    changed = min(images.iterdir())
    made = (tmp_path / "store" / "store.json").stat().st_mtime_ns
    os.utime(changed, ns=(made + 1, made + 1))
    with pytest.raises(StoreError, match="made from other files"):
        prepare(images, tmp_path / "store", reading=READING)
