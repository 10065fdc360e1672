"""Limit: OpenCV decodes the files on as many threads or processes as cores, with nothing else."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from bench.contest import take_turns

SHARES = 8  # a worker, so that none is idle at the end


def decode(files: list[str]) -> None:
    """Decode some files one after another."""
    for file in files:
        with open(file, "rb") as stream:  # noqa: PTH123 - as fast as can be
            content = stream.read()
        cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def main() -> None:
    """Decode all at each go; ``python -m bench.prepare_decoding FOLDER threads|processes``."""
    files = sorted(str(file) for file in Path(sys.argv[1]).iterdir())
    workers = os.cpu_count() or 1
    shares = [files[number :: SHARES * workers] for number in range(SHARES * workers)]
    pool = (ThreadPoolExecutor if sys.argv[2] == "threads" else ProcessPoolExecutor)(workers)

    def run() -> int:
        list(pool.map(decode, shares))
        return len(files) // 4

    with pool:
        take_turns(run)


if __name__ == "__main__":
    main()
