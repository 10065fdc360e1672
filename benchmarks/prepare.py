"""Speed and memory of prepare; prints a line a figure.

    python benchmarks/prepare.py [--fields 500] [--more 5000] [--jobs N]

Fields are hard links of a few simulated ones, so that the disk holds little and decoding is as long as ever.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

SIDE = 256
ORIGINALS = 8
STAINS = ("red", "green", "blue", "yellow")

CHILD = """
import resource, sys
from pathlib import Path
from protloc.atlas.prepare import prepare
source, store, jobs = sys.argv[1:]
prepare(Path(source), Path(store), jobs=int(jobs))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def draw_stain(generator: np.random.Generator) -> np.ndarray:
    """Return one 8-bit image of blurred cells and camera noise, which compresses about as real fields do."""
    image = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(25):
        centre = generator.integers(0, SIDE, 2).tolist()
        cv2.circle(image, centre, int(generator.integers(4, 20)), float(generator.uniform(20, 160)), -1)
    blurred = cv2.GaussianBlur(image, (0, 0), 3)
    return generator.poisson(np.maximum(blurred - 4, 0)).clip(0, 255).astype(np.uint8)


def write_fields(folder: Path, *, fields: int) -> None:
    """Write ``fields`` fields, of which all but the first few are links to those."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number in range(fields):
        for stain in STAINS:
            file = folder / f"f{number:06d}_{stain}.png"
            if number < ORIGINALS:
                cv2.imwrite(str(file), draw_stain(generator))
            else:
                os.link(folder / f"f{number % ORIGINALS:06d}_{stain}.png", file)


def decode_all(folder: Path, *, jobs: int) -> None:
    """Decode every file and do nothing with it: the limit of what prepare can reach."""
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(decode, sorted(folder.iterdir()), chunksize=32):
            pass


def decode(file: Path) -> None:
    """Decode one file."""
    cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


def fields_a_second(work: Callable[[], object], *, fields: int) -> float:
    """Return how many fields a second ``work`` gets through."""
    start = time.perf_counter()
    work()
    return fields / (time.perf_counter() - start)


def peak_mib(source: Path, store: Path, *, jobs: int) -> float:
    """Return the peak resident memory of a process that prepares ``source``, in MiB."""
    command = [sys.executable, "-c", CHILD, str(source), str(store), str(jobs)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=500)
    parser.add_argument("--more", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    chosen = parser.parse_args()
    from protloc.atlas.prepare import prepare

    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        write_fields(few, fields=chosen.fields)
        write_fields(many, fields=chosen.more)
        ours, limit = [], []
        for turn in range(3):
            limit.append(fields_a_second(lambda: decode_all(few, jobs=chosen.jobs), fields=chosen.fields))
            store = Path(folder) / f"store{turn}"
            ours.append(fields_a_second(lambda s=store: prepare(few, s, jobs=chosen.jobs), fields=chosen.fields))
        print(f"prepare, {SIDE} px, {chosen.jobs} jobs: {max(ours):.0f} fields/s")
        print(f"decoding only: {max(limit):.0f} fields/s; prepare reaches {max(ours) / max(limit):.2f} of it")
        low = peak_mib(few, Path(folder) / "store-few", jobs=chosen.jobs)
        high = peak_mib(many, Path(folder) / "store-many", jobs=chosen.jobs)
        print(f"peak memory: {low:.0f} MiB at {chosen.fields} fields, {high:.0f} MiB at {chosen.more} fields")
        print(f"growth: {(high / low - 1) * 100:.1f} %")


if __name__ == "__main__":
    main()
