"""Packing a folder of image files into a store."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, sha256_of, write_json
from protloc.atlas.finishing import REJECTED, LabelsOf, read_rejected, write_fields, write_rejected
from protloc.atlas.images import find_fields
from protloc.atlas.journal import JOURNAL, Entry, Journal
from protloc.atlas.listing import FieldFiles, FieldListing, readable
from protloc.atlas.reading import Reading, in_order, read_field, threads
from protloc.atlas.stains import Stain
from protloc.atlas.store import FORMAT, Store, partial_of, sealed
from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import Vocabulary, load_vocabulary
from protloc.errors import ImageError, SettingsError, StoreError
from protloc.progress import Progress

_WAITING_BYTES = 2**24
_HASHED_AT_ONCE = 512  # file states that lie in memory as text


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` did.

    Attributes:
        folder: Where the finished store lies.
        source_fields: Fields of the source that are in the store, whole or as tiles.
        resumed: Fields that an earlier, interrupted call had finished already.
        cropped: Oblong fields of which only the central square was stored.
        existed: Whether the very store asked for lay there already.
    """

    folder: Path
    source_fields: int
    resumed: int
    cropped: int
    existed: bool

    @cached_property
    def store(self) -> Store:
        """Return the finished store."""
        return Store.open(self.folder, verify=False)

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """Return the rejected fields: columns ``id``, ``file``, ``reason``, as in ``rejected.csv``."""
        return read_rejected(self.folder / REJECTED)

    @property
    def summary(self) -> str:
        """Return in words what is in the store, what is not, and where the reasons are."""
        written = _written(self.folder)
        images, rejected = written["counts"]["fields"], written["counts"]["rejected"]
        kept = f"{self.source_fields} fields" + (f" as {images} tiles" if images > self.source_fields else "")
        stains = ", ".join(stain["name"] for stain in written["channels"])
        told = [f"{self.folder}: {kept}, {stains}, {written['side']} px, {rejected} rejected."]
        if rejected:
            listed = self.folder / REJECTED
            told.append(f"Why is in {listed}; the first: {read_rejected(listed, most=1)['reason'][0]}")
        if self.cropped:
            told.append(f"{self.cropped} fields are oblong; their central square was taken (--tile keeps more).")
        if self.resumed:
            told.append(f"{self.resumed} fields were finished by an earlier, interrupted call.")
        if self.existed:
            told.append("It was there already, made of the same files with the same settings.")
        return "\n".join(told)


def prepare(
    source: StrPath,
    store: StrPath,
    *,
    labels: StrPath | None = None,
    vocabulary: Vocabulary | None = None,
    reading: Reading | None = None,
    strict: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Pack the fields of a folder into a store.

    Killed at any moment and called again with the same arguments, it goes on after the last finished field. The same
    input gives the same bytes, whatever ``jobs``.

    Args:
        source: Folder of images named ``<id><suffix>.<png|tif|jpg>``.
        store: The store to make; it lies beside itself as ``<store>.partial`` until it is whole.
        labels: Label table; without one the store is unlabelled.
        vocabulary: What the class ids mean; ``kaggle2018`` if not given.
        reading: Stains, side, tiles and limits.
        strict: Raise if any field is rejected.
        jobs: Threads that decode; as many as there are processors if not given.
        progress: Called after each finished field.

    Raises:
        ImageError: if the source has no such images.
        TableError: if the label table is wrong.
        SettingsError: if ``jobs`` is less than one, or the images are clean stains of a side other than ``reading``'s.
        StoreError: if ``store`` exists with other content or cannot be written, no field is left, or one is rejected
            under ``strict``; the rejected fields are then in ``<store>.rejected.csv``.
    """
    source, store, labels = Path(source), Path(store), Path(labels) if labels is not None else None
    vocabulary = vocabulary or load_vocabulary("kaggle2018")
    reading = reading or Reading()
    fields = find_fields(source, reading.stains)
    labels_of, without_image = _labels_of(read_labels(labels, vocabulary) if labels is not None else None, fields)
    simulation = _simulation(source)
    _check_clean(simulation, reading)
    description = _describe(source, labels, reading=reading, vocabulary=vocabulary, simulation=simulation)
    plan = _plan(fields, description, asdict(reading), sha256_of(labels) if labels else None)
    workers = threads(jobs)
    try:
        _put_in_place(store, plan.undated)
        if store.exists() and not _is_empty_folder(store):
            _check_existing(store, plan, strict=strict)
            return _prepared(store, existed=True)
        with Journal(partial_of(store), plan=plan.dated, image_shape=reading.image_shape) as journal:
            resumed = journal.finished
            unread = islice(fields, resumed, None)
            read = in_order(
                lambda field: _read(field, reading, labels_of), unread, jobs=workers, ahead=_ahead(reading, workers)
            )
            for entry, images in read:
                journal.append(entry, images)
                if progress is not None:
                    progress(journal.finished, len(fields))
            counts = write_rejected(journal, without_image=without_image)
            _check_left(journal, store, counts, strict=strict)
            description |= {"plan": plan.undated, "counts": counts}
            _finish(journal, store, description, stains=reading.stains, labels_of=labels_of)
    except OSError as error:
        raise StoreError(f"{store}: cannot be written ({error}). Check the place, its rights and its room.") from error
    return _prepared(store, resumed=resumed)


def _simulation(source: Path) -> dict[str, Any] | None:
    """Return the arguments of the simulated atlas that a folder of images belongs to, None where there is none."""
    for file in (source / "simulation.json", source.resolve().parent / "simulation.json"):
        if file.is_file():
            return json.loads(file.read_text("utf-8"))
    return None


def _check_clean(simulation: dict[str, Any] | None, reading: Reading) -> None:
    """Refuse to shrink clean stains: the mean of square roots is not the root of the mean."""
    if not simulation or not simulation.get("clean"):
        return
    if (side := reading.tile or simulation["side"]) != reading.side:
        raise SettingsError(
            f"--side: {reading.side} px, but the images are clean stains of {side} px, expected the same: they cannot "
            f"be shrunk. Say --side {side}, or simulate them at {reading.side} px."
        )


def _describe(
    source: Path,
    labels: Path | None,
    *,
    reading: Reading,
    vocabulary: Vocabulary,
    simulation: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the part of ``store.json`` that is known before a field is read."""
    clean = {"clean": True} if simulation and simulation.get("clean") else {}
    return clean | {
        "format": FORMAT,
        "side": reading.side,
        "tile": reading.tile,
        "bit_depth": reading.bit_depth,
        "channels": [asdict(stain) for stain in reading.stains],
        "vocabulary": vocabulary.to_json(),
        "labelled": labels is not None,
        "source": {
            "folder": readable(source.resolve().name),
            "labels": readable(labels.name) if labels else None,
            "simulated": simulation is not None,
        },
    }


def _labels_of(table: LabelTable | None, fields: FieldListing) -> tuple[LabelsOf | None, list[str]]:
    """Return what tells the labels of a field, None where the table has it not, and the table's fields without image.

    The table can go then, with its 250 bytes a field: each label set is kept once, and of the ids those of the files.
    """
    if table is None:
        return None, []
    once = {labels: labels for labels in table.label_sets}
    by_row: list[tuple[int, ...] | None] = [None] * len(fields)
    without_image: list[str] = []
    for field, labels in zip(table.ids, table.labels, strict=True):
        row = fields.row_of(field)
        if row is None:
            without_image.append(field)
        else:
            by_row[row] = once[labels]

    def labels_of(field: str) -> tuple[int, ...] | None:
        row = fields.row_of(field)
        return None if row is None else by_row[row]

    return labels_of, without_image


@dataclass(frozen=True)
class _Plan:
    """Digests of everything that decides the bytes of a store.

    Attributes:
        undated: Of settings, file names and sizes; a copied source has the same.
        dated: Of the times of change too.
        newest: When a file was changed last, in ns.
    """

    undated: str
    dated: str
    newest: int


def _plan(fields: FieldListing, *settings: Any) -> _Plan:  # noqa: ANN401 - whatever json can write
    """Walk through the files once, with the text of a few in memory: that of all would take 300 bytes a file."""
    undated, dates = hashlib.sha256(json.dumps(settings, sort_keys=True)[:-1].encode() + b", ["), hashlib.sha256()
    states = ((name, _state(f"{field.folder}{os.sep}{name}")) for field in fields for name in field.file_names)
    comma, newest = b"", 0
    while some := list(islice(states, _HASHED_AT_ONCE)):
        undated.update(comma + json.dumps([(name, state.st_size) for name, state in some])[1:-1].encode())
        changed = array("q", (state.st_mtime_ns for _, state in some))
        dates.update(changed)
        comma, newest = b", ", max(newest, *changed)
    undated.update(b"]]")
    dates.update(undated.digest())
    return _Plan(undated.hexdigest(), dates.hexdigest(), newest)


def _state(file: str) -> os.stat_result:
    try:
        return os.stat(file)  # noqa: PTH116 - a Path a file is slower than its state
    except OSError:  # a link that leads nowhere
        return os.lstat(file)


def _put_in_place(store: Path, plan: str) -> None:
    """Rename a store that was whole but for its name when a kill came."""
    unfinished = partial_of(store)
    if store.exists() or not (unfinished / "store.json").is_file() or (unfinished / JOURNAL).exists():
        return
    if _written(unfinished)["plan"] == plan:
        unfinished.replace(store)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _check_existing(store: Path, plan: _Plan, *, strict: bool) -> None:
    """Refuse a store that lies there already if it is not the one asked for, or is damaged.

    The plan in a store has no times, so that a copied source gives the same bytes; a file changed since is newer.
    """
    if not (store / "store.json").is_file():
        raise StoreError(f"{store}: exists and is no store. Remove it, or give another name.")
    Store.open(store)
    written = _written(store)
    if written["plan"] != plan.undated or plan.newest > (store / "store.json").stat().st_mtime_ns:
        raise StoreError(
            f"{store}: exists, made from other files or with other settings. Remove it, or give another name."
        )
    if strict and written["counts"]["rejected"]:
        raise StoreError(
            f"{store}: exists, with {written['counts']['rejected']} fields rejected, and --strict was said. "
            "Its rejected.csv says why."
        )


def _ahead(reading: Reading, workers: int) -> int:
    """Return how many fields may wait to be written: enough that no thread is idle, never more than 16 MiB."""
    waiting = 0 if reading.tile else _WAITING_BYTES // math.prod(reading.image_shape)
    return max(2 * workers, min(8 * workers, waiting))


def _read(field: FieldFiles, reading: Reading, labels_of: LabelsOf | None) -> tuple[Entry, list[NDArray[np.uint8]]]:
    """Read one field to its journal entry and images."""
    if labels_of is not None and labels_of(field.id) is None:
        return _rejection(field, f"{field.id}: not in the label table. Add it, or prepare without labels."), []
    try:
        images = read_field(field, reading)
    except ImageError as error:
        return _rejection(field, str(error)), []
    rows = [
        {
            "id": image_id,
            "group": field.id,
            "source_side": images.source_side,
            "bit_depth": images.bit_depth,
            **_statistics(image, reading.stains),
        }
        for image_id, image in images.by_id.items()
    ]
    return Entry(field.id, tuple(rows), cropped=images.cropped), list(images.by_id.values())


def _rejection(field: FieldFiles, reason: str) -> Entry:
    """Return the entry of a rejected field, with the file that the reason names or all the field has."""
    names = [readable(name) for name in field.file_names]
    blamed = next((name for name in names if reason.startswith(f"{name}: ")), "; ".join(names))
    return Entry(field.id, file=blamed, reason=reason)


def _statistics(image: NDArray[np.uint8], stains: Sequence[Stain]) -> dict[str, float]:
    both = [cv2.meanStdDev(plane) for plane in image]  # five times as fast as numpy, of whole numbers as exact
    means = {f"mean_{stain.name}": round(float(mean[0, 0]), 4) for stain, (mean, _) in zip(stains, both, strict=True)}
    return means | {f"sd_{stain.name}": round(float(sd[0, 0]), 4) for stain, (_, sd) in zip(stains, both, strict=True)}


def _check_left(journal: Journal, store: Path, counts: dict[str, int], *, strict: bool) -> None:
    """Refuse to make a store without a field, or under ``strict`` without all; leave but the reasons."""
    if journal.images and not (strict and counts["rejected"]):
        return
    listed = store.with_name(f"{store.name}.{REJECTED}")
    (journal.folder / REJECTED).replace(listed)
    shutil.rmtree(journal.folder)
    reasons = enumerate(read_rejected(listed, most=3)["reason"], start=1)
    shown = " ".join(f"({number}) {reason}" for number, reason in reasons)
    why = (
        f"{counts['rejected']} fields were rejected and --strict was said"
        if journal.images
        else f"no field is left, {counts['rejected']} were rejected"
    )
    raise StoreError(f"{store}: not made, {why}. All are listed with the reason in {listed}; the first: {shown}")


def _finish(
    journal: Journal,
    store: Path,
    description: dict[str, Any],
    *,
    stains: Sequence[Stain],
    labels_of: LabelsOf | None,
) -> None:
    """Turn a complete journal into the store."""
    shards = journal.close_shards()
    with ThreadPoolExecutor() as pool:  # hashed while the table is written: 1.7 s for 50,000 fields of 128 px
        hashed = pool.map(sha256_of, (journal.folder / name for name in shards))
        tables = [write_fields(journal, stains=stains, labels_of=labels_of), journal.folder / REJECTED]
        sums = dict(zip(shards, hashed, strict=True)) | {file.name: sha256_of(file) for file in tables}
    write_json(journal.folder / "store.json", sealed(description | {"sha256": sums}))
    (journal.folder / JOURNAL).unlink()
    journal.folder.replace(store)


def _written(store: Path) -> dict[str, Any]:
    return json.loads((store / "store.json").read_text("utf-8"))


def _prepared(store: Path, *, resumed: int = 0, existed: bool = False) -> Prepared:
    counts = _written(store)["counts"]
    return Prepared(store, counts["source_fields"], resumed, counts["cropped"], existed)
