"""Worker processes that decode uploads, and may die."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.apply.checks.finding import Finding
from protloc.apply.checks.pixel_size import pixel_size_in
from protloc.apply.checks.planes import check_planes
from protloc.atlas.images import FieldPlanes, cut_tiles, shrink
from protloc.atlas.reading import Reading
from protloc.atlas.uploads import Upload, UploadedFields, read_upload, sort_uploads
from protloc.errors import ImageError

PREVIEW = 512  # px a side of what the page shows
START = 60.0  # seconds a new worker may take to import what it needs


@dataclass(frozen=True)
class Job:
    """Uploads to decode for a model.

    Attributes:
        uploads: The files.
        reading: The model's stains with their suffixes, side, tile; the most pixels an image may have.
        needed: Names of the stains the model cannot do without.
        preview: Whether pictures to show are wanted too.
        preflight: Whether to look for what may be wrong with the fields: as much work as decoding them twice.
    """

    uploads: tuple[Upload, ...]
    reading: Reading
    needed: tuple[str, ...]
    preview: bool = False
    preflight: bool = True


@dataclass(frozen=True, eq=False)
class DecodedField:
    """A field, or a tile of one, as the model takes it.

    Attributes:
        id: The field's id; of a tile with its place.
        source: The field's id, of a tile too.
        image: The stains that are given, (stains given, side, side), uint8.
        preview: The same, at most ``PREVIEW`` px a side, to be shown; None if it was not asked for.
        height: Of the source, in px.
        width: Of the source, in px.
        bit_depth: Bits of the pixels.
        findings: What may be wrong with the whole field, by its pixels alone.
    """

    id: str
    source: str
    image: NDArray[np.uint8]
    preview: NDArray[np.uint8] | None
    height: int
    width: int
    bit_depth: int
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, eq=False)
class Decoded:
    """What came of a job.

    Attributes:
        stains: Names of the stains that the images have, in the model's order.
        fields: The fields that could be read, in the order of their ids.
        rejected: Why a file or a field could not be read, by its name.
    """

    stains: tuple[str, ...]
    fields: tuple[DecodedField, ...]
    rejected: dict[str, str]


class DecodingError(Exception):
    """A worker died of a job, or took too long and was ended."""


class DecodePool:
    """Processes that decode uploads one job at a time each; one that dies takes only its own job with it.

    Args:
        workers: How many.
        seconds: How long a job may take.
        memory: Bytes of address space a worker may have beyond what it needs to start.
    """

    def __init__(self, workers: int, *, seconds: float, memory: int) -> None:
        self._seconds, self._memory = seconds, memory
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._own = threading.local()
        self._processes: set[BaseProcess] = set()

    def submit(self, job: Job) -> Future[Decoded]:
        """Decode uploads when a worker is free; the result may raise :class:`DecodingError`."""
        return self._threads.submit(self._run, job)

    def pids(self) -> list[int]:
        """Return the ids of the processes that live."""
        return [process.pid for process in list(self._processes) if process.pid is not None and process.is_alive()]

    def close(self) -> None:
        """End the workers when their jobs are done."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in list(self._processes):
            self._end(process)

    def _run(self, job: Job) -> Decoded:
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None or not worker.process.is_alive():
            if worker is not None:
                self._end(worker.process)
            worker = self._own.worker = self._started()
        try:
            worker.connection.send(job)
            if worker.connection.poll(self._seconds):
                return worker.connection.recv()
            reason = f"reading the images took longer than {self._seconds:g} seconds"
        except (EOFError, OSError):
            reason = "the process that read the images died of them"
        self._own.worker = None
        self._end(worker.process)
        raise DecodingError(f"{reason}. Send fewer or smaller images, or export them again.")

    def _started(self) -> _Worker:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=work, args=(theirs, self._memory), daemon=True)
        process.start()
        theirs.close()
        self._processes.add(process)
        try:
            ready = ours.poll(START) and ours.recv() == "ready"
        except (EOFError, OSError):
            ready = False
        if not ready:
            self._end(process)
            raise DecodingError("no process could be started to read the images. Try again.")
        return _Worker(process, ours)

    def _end(self, process: BaseProcess) -> None:
        process.kill()
        process.join()
        self._processes.discard(process)


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    connection: Connection


def work(connection: Connection, memory: int) -> None:
    """Decode the jobs that come through a pipe until it is closed; what a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: the server ends us when all is done
    _limit(memory)
    try:
        connection.send("ready")
        while True:
            connection.send(decode(connection.recv()))
    except (EOFError, BrokenPipeError):
        return


def decode(job: Job) -> Decoded:
    """Decode a job; what cannot be read is told, not raised."""
    found = sort_uploads(job.uploads, job.reading.stains, needed=job.needed)
    contents = {upload.name: upload.content for upload in job.uploads}
    fields: list[DecodedField] = []
    rejected = dict(found.rejected)
    for field in sorted({*found.fields, *found.stacks}):
        try:
            reading = job.reading
            planes = read_upload(
                field, found, contents, found.stains, max_pixels=reading.max_pixels, bit_depth=reading.bit_depth
            )
            findings = _checked(planes, found, job, _pixel_size(field, found, contents))
            fields += _decoded(field, planes, job, findings)
        except (ImageError, MemoryError) as error:
            rejected[field] = str(error) or f"{field}: too large for the memory of this server. Send smaller images."
    return Decoded(tuple(stain.name for stain in found.stains), tuple(fields), rejected)


def _pixel_size(field: str, found: UploadedFields, contents: Mapping[str, bytes]) -> float | None:
    """Return the pixel size in µm that one of a field's files states."""
    names = [field] if field in found.stacks else [name for names in found.fields[field].values() for name in names]
    return next(filter(None, (pixel_size_in(contents[name]) for name in names)), None)


def _checked(planes: FieldPlanes, found: UploadedFields, job: Job, pixel_size: float | None) -> tuple[Finding, ...]:
    if not job.preflight:
        return ()
    tile = job.reading.tile
    return check_planes(planes, found.stains, pixel_size=pixel_size, tile=tile, any_width=tile is not None)


def _decoded(field: str, planes: FieldPlanes, job: Job, findings: tuple[Finding, ...]) -> list[DecodedField]:
    side, tile = job.reading.side, job.reading.tile
    if tile is None:
        shown = min(planes.height, planes.width, PREVIEW)
        images, previews = {"": shrink(planes, side=side)}, {"": shrink(planes, side=shown) if job.preview else None}
    elif min(planes.height, planes.width) < tile:
        raise ImageError(f"{field}: {planes.width}x{planes.height} px, smaller than the model's tiles of {tile} px.")
    else:
        images = cut_tiles(planes, tile=tile, side=side)
        previews = cut_tiles(planes, tile=tile, side=min(tile, PREVIEW)) if job.preview else {}
    size = planes.height, planes.width, planes.bit_depth
    return [
        DecodedField(f"{field}.{name}" if name else field, field, image, previews.get(name), *size, findings)
        for name, image in images.items()
    ]


def _limit(memory: int) -> None:
    """Let this process have so many bytes more than now, and leave no file."""
    cv2.setNumThreads(1)
    with open("/proc/self/statm", encoding="ascii") as told:  # noqa: PTH123 - Linux only
        now = int(told.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
