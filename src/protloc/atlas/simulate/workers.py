"""Work spread over processes that end when their parent does."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from typing import TypeVar

import cv2

Piece = TypeVar("Piece")


def spread(work: Callable[[Piece], int], pieces: Sequence[Piece], *, workers: int) -> Iterator[int]:
    """Yield what ``work`` returns for each piece as soon as it is done, in whatever order.

    Args:
        work: A function of a module, so that it can be sent to another process.
        pieces: What it is called with.
        workers: Number of processes; with 1 the work is done in this one.
    """
    if workers == 1:
        yield from map(work, pieces)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in) as pool:
        futures = [pool.submit(work, piece) for piece in pieces]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _settle_in() -> None:
    """Make a worker use one core, and end with its parent: one that is killed cannot tell its workers."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
