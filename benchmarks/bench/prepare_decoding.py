"""Limit: decoding the files on as many threads or processes as cores, with nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.contest import take_turns

SHARES = 8  # a worker, so that none is idle at the end


def decoder(name: str) -> Callable[[bytes], Any]:
    """Return what makes pixels of a PNG: ``cv2``, protloc's own, or ``imagecodecs``, the fastest that was found."""
    if name == "imagecodecs":
        return import_module("imagecodecs").png_decode
    return lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def decode(name: str, files: list[str]) -> None:
    """Decode some files one after another."""
    pixels_of = decoder(name)
    for file in files:
        with open(file, "rb") as stream:  # noqa: PTH123 - as fast as can be
            content = stream.read()
        pixels_of(content)


def main() -> None:
    """Decode all at each go; ``python -m bench.prepare_decoding FOLDER cv2|imagecodecs threads|processes``."""
    folder, name, kind = sys.argv[1:]
    files = sorted(str(file) for file in Path(folder).iterdir())
    workers = os.cpu_count() or 1
    shares = [files[number :: SHARES * workers] for number in range(SHARES * workers)]
    pool = (ThreadPoolExecutor if kind == "threads" else ProcessPoolExecutor)(workers)

    def run() -> int:
        list(pool.map(partial(decode, name), shares))
        return len(files) // 4

    with pool:
        take_turns(run)


if __name__ == "__main__":
    main()
