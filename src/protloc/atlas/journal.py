"""The unfinished store: images appended field by field, resumable after a kill."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from protloc.atlas.store import SHARD_BYTES
from protloc.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

JOURNAL = "journal.jsonl"
OWN_FILES = re.compile(r"journal\.jsonl|images-\d{5,}\.npy|fields\.parquet|rejected\.csv|store\.json|\..*\.partial")


@dataclass(frozen=True)
class Entry:
    """What became of one field of the source.

    Attributes:
        field: Field id.
        rows: One description a stored image: columns of ``fields.parquet`` without the labels; empty if rejected.
        file: The file that was to blame, or all the field has; empty if it was not rejected.
        reason: Why the field was rejected, or empty.
        cropped: Whether only the central square of the field was stored.
    """

    field: str
    rows: tuple[Mapping[str, Any], ...] = ()
    file: str = ""
    reason: str = ""
    cropped: bool = False


class Journal:
    """A folder in which a store grows; whatever it holds after a kill is whole fields.

    Images are appended to the shards first and the entry to the journal after. When the journal is opened again,
    entries count as far as they can be read and their images are there; whatever lies behind is cut off.
    """

    def __init__(self, folder: Path, *, plan: str, image_shape: tuple[int, int, int]) -> None:
        """Open the journal of ``plan`` in ``folder``, or start it anew where the folder holds another plan.

        Args:
            folder: The unfinished store.
            plan: Digest of everything that decides the bytes of the store.
            image_shape: (stains, side, side).
        """
        self.folder = folder
        self._image_shape = image_shape
        self._image_bytes = int(np.prod(image_shape))
        self._rows_a_shard = max(1, (SHARD_BYTES - len(self._header(0))) // self._image_bytes)
        self._file = folder / JOURNAL
        self._lock = _lock(folder)
        try:
            if not self._file.is_file() or next(self._lines(), None) != {"plan": plan}:
                self._start(plan)
        except BaseException:
            _unlock(self._lock)
            raise
        for stray in folder.glob(".*.partial"):  # a table that was being written when the kill came
            stray.unlink()
        self.finished, self.images, whole_bytes = self._count()
        with self._file.open("r+b") as stream:
            stream.truncate(whole_bytes)
        self._entries = self._file.open("ab")
        self._shard: BinaryIO | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entries.close()
        if self._shard is not None:
            self._shard.close()
        _unlock(self._lock)

    def append(self, entry: Entry, images: Sequence[NDArray[np.uint8]]) -> None:
        """Add a finished field and its images, one a row of ``entry``."""
        for image in images:
            self._append_image(image)
        self._entries.write(json.dumps(vars(entry)).encode() + b"\n")
        self._entries.flush()
        self.finished += 1

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in the order they were added."""
        lines = self._lines()
        next(lines)
        return (Entry(x["field"], tuple(x["rows"]), x["file"], x["reason"], x["cropped"]) for x in lines)

    def close_shards(self) -> tuple[str, ...]:
        """Give every shard its final header and return the file names in row order."""
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        starts = range(0, self.images, self._rows_a_shard)
        wanted = {self._path(number) for number in range(len(starts))}
        for superfluous in set(self.folder.glob("images-*.npy")) - wanted:
            superfluous.unlink()
        for number, start in enumerate(starts):
            with self._path(number).open("r+b") as stream:
                stream.write(self._header(min(self._rows_a_shard, self.images - start)))
        return tuple(self._path(number).name for number in range(len(starts)))

    def _start(self, plan: str) -> None:
        """Empty the folder of another plan's work and note the plan."""
        strange = [path.name for path in self.folder.glob("*") if not OWN_FILES.fullmatch(path.name)]
        if strange:
            raise StoreError(
                f"{self.folder}: holds {strange[0]}, which is not of a store; expected a name that is free. "
                "Move the folder away, or give the store another name."
            )
        for path in self.folder.iterdir():  # emptied and not removed: it bears the lock
            path.unlink()
        self._file.write_text(json.dumps({"plan": plan}) + "\n", "utf-8")

    def _append_image(self, image: NDArray[np.uint8]) -> None:
        number, row = divmod(self.images, self._rows_a_shard)
        if self._shard is None or row == 0:
            self._shard = self._open_shard(number, row)
        self._shard.write(np.ascontiguousarray(image).data)
        self._shard.flush()
        self.images += 1

    def _open_shard(self, number: int, row: int) -> BinaryIO:
        """Return the shard, cut to its first ``row`` images, ready to append to."""
        if self._shard is not None:
            self._shard.close()
        path = self._path(number)
        path.touch()
        stream = path.open("r+b")
        header = self._header(row)
        stream.write(header)
        stream.truncate(len(header) + row * self._image_bytes)
        stream.seek(0, 2)
        return stream

    def _header(self, rows: int) -> bytes:
        """Return the npy header for ``rows`` images; numpy pads it to one length for any number of rows."""
        written = _Bytes()
        npy.write_array_header_1_0(  # pyright: ignore[reportUnknownMemberType]
            written, {"shape": (rows, *self._image_shape), "fortran_order": False, "descr": "|u1"}
        )
        return written.content

    def _path(self, number: int) -> Path:
        return self.folder / f"images-{number:05d}.npy"

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Yield the readable lines; the first that is cut or garbled ends them."""
        with self._file.open("rb") as stream:
            for line in stream:
                parsed = _parse(line)
                if parsed is None:
                    return
                yield parsed

    def _count(self) -> tuple[int, int, int]:
        """Return the finished fields, their images, and the length of their lines in bytes."""
        finished, images, length = -1, 0, 0  # the first line is the plan
        held = self._images_held()
        with self._file.open("rb") as stream:
            for line in stream:
                parsed = _parse(line)
                if parsed is None or images + len(parsed.get("rows", ())) > held:
                    break
                finished, images, length = finished + 1, images + len(parsed.get("rows", ())), length + len(line)
        return finished, images, length

    def _images_held(self) -> int:
        """Return how many images the shards hold, up to the first gap."""
        header_bytes, held = len(self._header(0)), 0
        for number in count():
            path = self._path(number)
            image_bytes = path.stat().st_size - header_bytes if path.is_file() else 0
            rows = max(0, image_bytes // self._image_bytes)
            held += rows
            if rows < self._rows_a_shard:
                break
        return held


def _lock(folder: Path) -> int | None:
    """Keep other processes out of the folder as long as it is open; they would cut off what this one appends.

    Returns:
        The descriptor that holds the lock, or None where the system (Windows) has no such locks.

    Raises:
        StoreError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreError(f"{folder}: another prepare is writing it. Wait for it, or name another store.") from error
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


class _Bytes:
    """The least of a file that numpy's header writer asks for."""

    content = b""

    def write(self, block: bytes) -> None:
        self.content += block


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None  # pyright: ignore[reportUnknownVariableType]
