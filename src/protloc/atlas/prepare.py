"""Packing a folder of image files into a store."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, sha256_of, write_csv, write_json, write_parquet
from protloc.atlas.images import FieldFiles, find_fields, readable
from protloc.atlas.journal import JOURNAL, Entry, Journal
from protloc.atlas.reading import Reading, in_order, read_field, threads
from protloc.atlas.stains import Stain
from protloc.atlas.store import FORMAT, Store, partial_of, sealed
from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import Vocabulary, load_vocabulary
from protloc.errors import ImageError, SettingsError, StoreError
from protloc.progress import Progress

REJECTED_COLUMNS = ["id", "file", "reason"]


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` did.

    Attributes:
        store: The finished store.
        source_fields: Fields of the source that are in the store, whole or as tiles.
        rejected: Rejected fields: columns ``id``, ``file``, ``reason``, as in ``rejected.csv``.
        resumed: Fields that an earlier, interrupted call had finished already.
        cropped: Oblong fields of which only the central square was stored.
        existed: Whether the very store asked for lay there already.
    """

    store: Store
    source_fields: int
    rejected: pd.DataFrame
    resumed: int
    cropped: int
    existed: bool

    @property
    def summary(self) -> str:
        """Return in words what is in the store, what is not, and where the reasons are."""
        store = self.store
        kept = f"{self.source_fields} fields" + (f" as {len(store)} tiles" if len(store) > self.source_fields else "")
        stains = ", ".join(stain.name for stain in store.stains)
        told = [f"{store.folder}: {kept}, {stains}, {store.side} px, {len(self.rejected)} rejected."]
        if len(self.rejected):
            first = self.rejected["reason"].iloc[0]
            told.append(f"Why is in {store.folder / 'rejected.csv'}; the first: {first}")
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
    table = read_labels(labels, vocabulary) if labels is not None else None
    fields = find_fields(source, reading.stains)
    simulation = _simulation(source)
    _check_clean(simulation, reading)
    description = _describe(source, labels, reading=reading, vocabulary=vocabulary, simulation=simulation)
    listing = _listing(fields)
    plan = _digest(description, asdict(reading), sha256_of(labels) if labels else None, [file[:2] for file in listing])
    workers = threads(jobs)
    try:
        _put_in_place(store, plan)
        if store.exists() and not _is_empty_folder(store):
            return _prepared(_existing(store, plan, listing, strict=strict), existed=True)
        with Journal(partial_of(store), plan=_digest(plan, listing), image_shape=reading.image_shape) as journal:
            resumed = journal.finished
            for entry, images in in_order(lambda field: _read(field, reading, table), fields[resumed:], jobs=workers):
                journal.append(entry, images)
                if progress is not None:
                    progress(journal.finished, len(fields))
            _finish(journal, store, description | {"plan": plan}, table=table, strict=strict)
    except OSError as error:
        raise StoreError(f"{store}: cannot be written ({error}). Check the place, its rights and its room.") from error
    return _prepared(Store.open(store, verify=False), resumed=resumed)


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


def _listing(fields: Sequence[FieldFiles]) -> list[tuple[str, int, int]]:
    """Return name, size in bytes and time of change in ns of every file."""
    states = ((path.name, _state(path)) for field in fields for path in field.paths)
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _digest(*values: Any) -> str:  # noqa: ANN401 - whatever json can write
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:  # a link that leads nowhere
        return path.lstat()


def _put_in_place(store: Path, plan: str) -> None:
    """Rename a store that was whole but for its name when a kill came."""
    unfinished = partial_of(store)
    if store.exists() or not (unfinished / "store.json").is_file() or (unfinished / JOURNAL).exists():
        return
    if json.loads((unfinished / "store.json").read_text("utf-8"))["plan"] == plan:
        unfinished.replace(store)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _existing(store: Path, plan: str, listing: Sequence[tuple[str, int, int]], *, strict: bool) -> Store:
    """Return the store that lies there already if it is the one asked for.

    The plan in a store has no times, so that a copied source gives the same bytes; a file changed since is newer.
    """
    if not (store / "store.json").is_file():
        raise StoreError(f"{store}: exists and is no store. Remove it, or give another name.")
    opened = Store.open(store)
    written = json.loads((store / "store.json").read_text("utf-8"))
    newest = max(changed for _, _, changed in listing)
    if written["plan"] != plan or newest > (store / "store.json").stat().st_mtime_ns:
        raise StoreError(
            f"{store}: exists, made from other files or with other settings. Remove it, or give another name."
        )
    if strict and written["counts"]["rejected"]:
        raise StoreError(
            f"{store}: exists, with {written['counts']['rejected']} fields rejected, and --strict was said. "
            "Its rejected.csv says why."
        )
    return opened


def _read(field: FieldFiles, reading: Reading, table: LabelTable | None) -> tuple[Entry, list[NDArray[np.uint8]]]:
    """Read one field to its journal entry and images."""
    if table is not None and field.id not in table.rows:
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
    names = [readable(path.name) for path in field.paths]
    blamed = next((name for name in names if reason.startswith(f"{name}: ")), "; ".join(names))
    return Entry(field.id, file=blamed, reason=reason)


def _statistics(image: NDArray[np.uint8], stains: Sequence[Stain]) -> dict[str, float]:
    both = [cv2.meanStdDev(plane) for plane in image]  # five times as fast as numpy, of whole numbers as exact
    means = {f"mean_{stain.name}": round(float(mean[0, 0]), 4) for stain, (mean, _) in zip(stains, both, strict=True)}
    return means | {f"sd_{stain.name}": round(float(sd[0, 0]), 4) for stain, (_, sd) in zip(stains, both, strict=True)}


def _finish(
    journal: Journal, store: Path, description: dict[str, Any], *, table: LabelTable | None, strict: bool
) -> None:
    """Turn a complete journal into the store."""
    rejected = _rejected(journal, table)
    if not journal.images or (strict and len(rejected)):
        shutil.rmtree(journal.folder)
        listed = store.with_name(f"{store.name}.rejected.csv")
        write_csv(listed, rejected)
        raise StoreError(_refusal(store, rejected, left=journal.images, listed=listed))
    shards = journal.close_shards()
    write_parquet(journal.folder / "fields.parquet", _frame(journal, table))
    write_csv(journal.folder / "rejected.csv", rejected)
    counts = {
        "fields": journal.images,
        "source_fields": sum(bool(entry.rows) for entry in journal.entries()),
        "rejected": len(rejected),
        "cropped": sum(entry.cropped for entry in journal.entries()),
    }
    sums = {name: sha256_of(journal.folder / name) for name in (*shards, "fields.parquet", "rejected.csv")}
    write_json(journal.folder / "store.json", sealed(description | {"counts": counts, "sha256": sums}))
    (journal.folder / JOURNAL).unlink()
    journal.folder.replace(store)


def _frame(journal: Journal, table: LabelTable | None) -> pd.DataFrame:
    """Return the columns of ``fields.parquet``, one list each: a record a field would take five times the memory."""
    columns: defaultdict[str, list[Any]] = defaultdict(list)
    for entry in journal.entries():
        for row in entry.rows:
            for name, value in row.items():
                columns[name].append(value)
    frame = pd.DataFrame(columns)
    labels = None
    if table is not None:  # as arrays, so that the column is one of whole numbers even where all sets are empty
        labels = [np.array(table.labels[table.rows[group]], np.int64) for group in columns["group"]]
    frame.insert(1, "labels", pd.Series(labels, dtype=object))
    return frame


def _rejected(journal: Journal, table: LabelTable | None) -> pd.DataFrame:
    """List the fields that are not in the store, those of the label table without any image last."""
    listed = [(entry.field, entry.file, entry.reason) for entry in journal.entries() if entry.reason]
    seen = {entry.field for entry in journal.entries()} if table is not None else set[str]()
    unseen = [field for field in table.ids if field not in seen] if table is not None else []
    listed += [(field, "", f"{field}: in the label table, but there is no image of it.") for field in unseen]
    return pd.DataFrame(listed, columns=REJECTED_COLUMNS)


def _refusal(store: Path, rejected: pd.DataFrame, *, left: int, listed: Path) -> str:
    shown = " ".join(f"({number}) {reason}" for number, reason in enumerate(rejected["reason"][:3], start=1))
    why = (
        f"{len(rejected)} fields were rejected and --strict was said"
        if left
        else f"no field is left, {len(rejected)} were rejected"
    )
    return f"{store}: not made, {why}. All are listed with the reason in {listed}; the first: {shown}"


def _prepared(store: Store, *, resumed: int = 0, existed: bool = False) -> Prepared:
    rejected = pd.read_csv(store.folder / "rejected.csv", dtype=str, keep_default_na=False)
    counts = json.loads((store.folder / "store.json").read_text("utf-8"))["counts"]
    return Prepared(store, counts["source_fields"], rejected, resumed, counts["cropped"], existed)
