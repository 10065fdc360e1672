"""Unfinished stores: what a kill leaves is whole fields, and nothing finished is done again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from protloc.atlas.journal import Entry, Journal
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import parse_stains
from protloc.atlas.store import partial_of
from protloc.errors import StoreError

STAINS = parse_stains(["green", "blue"])
READING = Reading(stains=STAINS, side=8)
FIELDS = 10


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of ten fields of two stains, f00 to f09."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(FIELDS):
        for stain in STAINS:
            pixels = generator.integers(0, 256, (16, 16), dtype=np.uint8)
            cv2.imwrite(str(folder / f"f{number:02d}{stain.suffix}.png"), pixels)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_journal_gives_back_what_was_added(tmp_path: Path) -> None:
    kept = Entry("a", ({"id": "a", "mean": 0.5},), cropped=True)
    rejected = Entry("b", file="b.png", reason="b.png: no µ")
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    with Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8)) as journal:
        journal.append(kept, [image])
        journal.append(rejected, [])
    with Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8)) as journal:
        assert (journal.finished, journal.images) == (2, 1)
        assert list(journal.entries()) == [kept, rejected]
        assert journal.close_shards() == ("images-00000.npy",)
    assert np.array_equal(np.load(tmp_path / "j" / "images-00000.npy"), image[None])


class Calls(list[tuple[int, int]]):
    """Notes the progress that is told."""

    def __call__(self, done: int, total: int) -> None:  # noqa: D102
        self.append((done, total))


class Killed(BaseException):
    """Stands for a kill inside of this process."""


def killed_after(fields: int) -> object:
    def stop(done: int, _total: int) -> None:
        if done == fields:
            raise Killed

    return stop


def interrupted(images: Path, store: Path, *, after: int, reading: Reading = READING) -> Path:
    """Prepare until ``after`` fields are finished; return the unfinished store."""
    with pytest.raises(Killed):
        prepare(images, store, reading=reading, jobs=2, progress=killed_after(after))
    assert not store.exists()
    return partial_of(store)


def test_an_interrupted_call_goes_on_where_it_stood(images: Path, tmp_path: Path, decoded: list[str]) -> None:
    prepare(images, tmp_path / "whole", reading=READING)
    for after in range(1, FIELDS + 1):
        interrupted(images, tmp_path / "store", after=after)
        decoded.clear()
        calls = Calls()
        prepared = prepare(images, tmp_path / "store", reading=READING, progress=calls)
        assert prepared.resumed == after
        assert sorted(decoded) == [f"f{number:02d}" for number in range(after, FIELDS)]
        assert calls == [(done, FIELDS) for done in range(after + 1, FIELDS + 1)]
        assert f"{after} fields were finished by an earlier" in prepared.summary
        assert contents(tmp_path / "store") == contents(tmp_path / "whole")
        shutil.rmtree(tmp_path / "store")


def test_rejections_survive_a_kill(images: Path, tmp_path: Path, decoded: list[str]) -> None:
    (images / "f01_blue.png").write_bytes(b"damaged")
    prepare(images, tmp_path / "whole", reading=READING)
    interrupted(images, tmp_path / "store", after=4)
    decoded.clear()
    assert prepare(images, tmp_path / "store", reading=READING).rejected["id"].tolist() == ["f01"]
    assert "f01" not in decoded
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.parametrize("rows_a_shard", [1, 2, 3, 9])
def test_shards_roll_over_and_are_resumed(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_a_shard: int
) -> None:
    monkeypatch.setattr("protloc.atlas.journal.SHARD_BYTES", 128 + rows_a_shard * 2 * 8 * 8)
    reading = Reading(stains=STAINS, side=8, tile=8)  # four tiles a field: shards end inside of fields
    whole = prepare(images, tmp_path / "whole", reading=reading).store
    assert len(whole.shards) == -(-4 * FIELDS // rows_a_shard)
    assert all((whole.folder / name).stat().st_size <= 128 + rows_a_shard * 128 for name in whole.shards)
    for after in (1, 2, 5, FIELDS):
        interrupted(images, tmp_path / "store", after=after, reading=reading)
        assert prepare(images, tmp_path / "store", reading=reading).resumed == after
        assert contents(tmp_path / "store") == contents(whole.folder)
        shutil.rmtree(tmp_path / "store")


def test_a_journal_cut_at_any_byte_counts_whole_fields_only(images: Path, tmp_path: Path) -> None:
    unfinished = interrupted(images, tmp_path / "store", after=5)
    journal = (unfinished / "journal.jsonl").read_bytes()
    plan = json.loads(journal.splitlines()[0])["plan"]
    ends = [place + 1 for place, byte in enumerate(journal) if byte == ord("\n")]
    for length in range(ends[3], len(journal)):
        (unfinished / "journal.jsonl").write_bytes(journal[:length])
        with Journal(unfinished, plan=plan, image_shape=(2, 8, 8)) as opened:
            whole = sum(end <= length for end in ends)
            assert (opened.finished, opened.images) == (whole - 1, whole - 1)
            assert [entry.field for entry in opened.entries()] == [f"f{number:02d}" for number in range(whole - 1)]
        assert (unfinished / "journal.jsonl").read_bytes() == journal[: ends[whole - 1]]


def test_a_shard_cut_at_any_byte_takes_its_fields_out_of_the_journal(images: Path, tmp_path: Path) -> None:
    unfinished = interrupted(images, tmp_path / "store", after=5)
    journal, shard = unfinished / "journal.jsonl", unfinished / "images-00000.npy"
    whole_journal, whole_shard = journal.read_bytes(), shard.read_bytes()
    plan = json.loads(whole_journal.splitlines()[0])["plan"]
    for length in (0, 1, 127, 128, *range(128 + 3 * 128, 128 + 5 * 128 + 1)):
        journal.write_bytes(whole_journal)
        shard.write_bytes(whole_shard[:length])
        with Journal(unfinished, plan=plan, image_shape=(2, 8, 8)) as opened:
            assert opened.finished == opened.images == max(0, length - 128) // 128


@pytest.mark.parametrize("cut", [(0, 0), (20, 10**6), (-1, 0), (-1, 200), (-200, 10**6), (10**6, -1), (10**6, -129)])
def test_whatever_a_kill_cuts_the_final_bytes_are_the_same(images: Path, tmp_path: Path, cut: tuple[int, int]) -> None:
    prepare(images, tmp_path / "whole", reading=READING)
    unfinished = interrupted(images, tmp_path / "store", after=6)
    for name, length in zip(("journal.jsonl", "images-00000.npy"), cut, strict=True):
        (unfinished / name).write_bytes((unfinished / name).read_bytes()[:length])
    assert prepare(images, tmp_path / "store", reading=READING).resumed < 6
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.parametrize("line", [b"[]\n", b"7\n", b"{\n", b"\xff\n", b"\n"])
def test_garbage_in_a_journal_ends_it(images: Path, tmp_path: Path, line: bytes) -> None:
    prepare(images, tmp_path / "whole", reading=READING)
    unfinished = interrupted(images, tmp_path / "store", after=4)
    with (unfinished / "journal.jsonl").open("ab") as stream:
        stream.write(line)
    assert prepare(images, tmp_path / "store", reading=READING).resumed == 4
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_images_left_over_from_a_read_that_later_failed_are_cleared(images: Path, tmp_path: Path) -> None:
    unfinished = interrupted(images, tmp_path / "store", after=3)
    (unfinished / "images-00001.npy").write_bytes(b"left over")
    (unfinished / ".fields.parquet.123.partial").write_bytes(b"left over")
    prepare(images, tmp_path / "store", reading=READING)
    assert names(tmp_path / "store") == ["fields.parquet", "images-00000.npy", "rejected.csv", "store.json"]


def test_another_plan_starts_clean(images: Path, tmp_path: Path, decoded: list[str]) -> None:
    interrupted(images, tmp_path / "store", after=5)
    decoded.clear()
    other = prepare(images, tmp_path / "store", reading=Reading(stains=STAINS, side=16))
    assert (other.resumed, len(decoded), other.store.side) == (0, FIELDS, 16)
    shutil.rmtree(tmp_path / "store")
    interrupted(images, tmp_path / "store", after=5)
    decoded.clear()
    cv2.imwrite(str(images / "f02_green.png"), np.zeros((16, 16), np.uint8))
    changed = prepare(images, tmp_path / "store", reading=READING)
    assert (changed.resumed, len(decoded)) == (0, FIELDS)
    assert changed.store.images([2])[0, 0].max() == 0


KILLED_CHILD = """
import os, signal, sys
from pathlib import Path
from protloc.atlas import finishing, journal, prepare as room
from protloc.atlas.reading import Reading
from protloc.atlas.stains import parse_stains

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def half_a_table(path, schema):
    Path(path).write_bytes(b"PAR1 half")
    die()

def append(self, entry, images):
    for image in images:
        self._append_image(image)
    if self.finished == 3:
        die()
    self._entries.write(journal.json.dumps(vars(entry)).encode() + b"\\n")
    self._entries.flush()
    self.finished += 1

def rename(self, target):
    die() if self.is_dir() else os.replace(self, target)

def told(done, total):
    print(done, flush=True)

moment, images, store = sys.argv[1:]
if moment == "between image and entry": journal.Journal.append = append
if moment == "while writing a table": finishing.pq.ParquetWriter = half_a_table
if moment == "before the description": room.write_json = die
if moment == "before the renaming": Path.replace = rename
room.prepare(Path(images), Path(store), reading=Reading(stains=parse_stains(["green", "blue"]), side=8), jobs=2,
             progress=told if moment == "any" else None)
"""


def child(moment: str, images: Path, store: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED_CHILD, moment, str(images), str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words


@pytest.mark.parametrize(
    ("moment", "finished"),
    [
        ("between image and entry", 3),
        ("while writing a table", FIELDS),
        ("before the description", FIELDS),
        ("before the renaming", 0),  # the store is whole and only gets its name
    ],
)
def test_a_real_kill_at_a_moment_costs_nothing_that_was_finished(
    images: Path, tmp_path: Path, decoded: list[str], moment: str, finished: int
) -> None:
    prepare(images, tmp_path / "whole", reading=READING)
    with child(moment, images, tmp_path / "store") as process:
        assert process.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "store").exists()
    decoded.clear()
    prepared = prepare(images, tmp_path / "store", reading=READING)
    assert prepared.resumed == finished
    assert len(decoded) == (0 if prepared.existed else FIELDS - finished)
    assert prepared.existed == (moment == "before the renaming")
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    assert names(tmp_path) == ["images", "store", "whole"]


def test_a_real_kill_from_outside_at_any_moment(images: Path, tmp_path: Path, decoded: list[str]) -> None:
    for number in range(FIELDS, 300):
        for stain in ("green", "blue"):
            os.link(images / f"f{number % FIELDS:02d}_{stain}.png", images / f"f{number}_{stain}.png")
    prepare(images, tmp_path / "whole", reading=READING)
    decoded.clear()
    with child("any", images, tmp_path / "store") as process:
        assert process.stdout is not None
        seen = sum(1 for _ in zip(range(20), process.stdout, strict=False))
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
    prepared = prepare(images, tmp_path / "store", reading=READING)
    assert prepared.resumed >= seen == 20
    assert len(decoded) == 300 - prepared.resumed
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_second_process_is_kept_out_while_the_first_writes(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8)),
        pytest.raises(StoreError, match="another prepare is writing it"),
    ):
        Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8))
    with Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8)) as journal:
        assert journal.finished == 0


def test_a_folder_that_was_refused_is_free_once_it_is_cleared(tmp_path: Path) -> None:
    strange = tmp_path / "j" / "thesis.txt"
    strange.parent.mkdir()
    strange.write_text("years of work")
    with pytest.raises(StoreError, match=r"holds thesis\.txt"):
        Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8))
    strange.unlink()
    with Journal(tmp_path / "j", plan="p", image_shape=(1, 8, 8)) as journal:
        assert journal.finished == 0
