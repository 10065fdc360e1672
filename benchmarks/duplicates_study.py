"""Near-duplicates: what is found, how fast, in how much memory; prints a line a figure.

    python benchmarks/duplicates_study.py STORE fields.csv

STORE is prepared from a simulated atlas, fields.csv is the truth which ``protloc simulate`` wrote beside it.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.store import Store
from protloc.curate.bands import search
from protloc.curate.duplicates import near_duplicates
from protloc.curate.hashes import BITS, POSES, Hashes, posed, posed_hashes

Done = TypeVar("Done")

STAINS = 4
KAGGLE_FIELDS = 31_072
HASHES = (62_500, 125_000, 500_000, 1_000_000)
RUNS, ENOUGH = 3, 6.0  # what is timed runs so often, unless so many seconds have gone
PLANTED = 0.01  # of the hashes are those of a repeat
WRITTEN_AT_ONCE = 1_000  # fields; what is mapped counts as memory
UNLIKE = 0.07  # of a repeat's bits, as between simulated twins


def planted(store: Store, truth_csv: Path, *, stains: Sequence[int] | None = None) -> tuple[float, float]:
    """Return recall and precision of the pairs among a simulated atlas, all pairs of a cluster of repeats being true.

    Args:
        store: Prepared from the atlas.
        truth_csv: Its ``fields.csv``.
        stains: Channels to look at, all by default.
    """
    channels = list(range(len(store.stains)) if stains is None else stains)
    pairs = near_duplicates(lambda rows: store.images(rows)[:, channels], fields=len(store))
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    true = _true_pairs(store, truth_csv)
    return len(found & true) / max(len(true), 1), len(found & true) / max(len(found), 1)


def _true_pairs(store: Store, truth_csv: Path) -> set[tuple[int, int]]:
    truth = pd.read_csv(truth_csv, keep_default_na=False).set_index("id").loc[list(store.ids)]
    origins = truth["duplicate_of"].where(truth["duplicate_of"] != "", truth.index)
    clusters = pd.Series(range(len(store))).groupby(origins.to_numpy()).agg(list)
    return {(one, other) for rows in clusters for one in rows for other in rows if one < other}


def speed(fields: int, store: Store) -> tuple[float, float]:
    """Return seconds and peak GiB of finding near-duplicates among ``fields`` fields.

    Each stain of a field is that of some field of the store, turned and rolled round by chance, so that all are
    different. They are written to one file first, off the clock, and read as the audit reads a store.
    """
    seconds, gib, _ = in_new_process(_speed, fields, str(store.folder))
    return seconds, gib


def hashes(number: int) -> tuple[float, float, float]:
    """Return seconds, peak GiB and recall of searching hashes of four stains drawn by chance.

    One in a hundred is the hash of another field, turned by chance, 7 % of its bits inverted.
    """
    return in_new_process(search_planted, number)


def timed(work: Callable[[], Done]) -> tuple[float, Done]:
    """Return the median seconds of up to ``RUNS`` runs, and what the last one returned."""
    seconds: list[float] = []
    while True:
        began = time.perf_counter()
        done = work()
        seconds.append(time.perf_counter() - began)
        if len(seconds) == RUNS or sum(seconds) > ENOUGH:
            return median(seconds), done


def in_new_process(work: Callable[..., tuple[float, float]], *arguments: object) -> tuple[float, float, float]:
    """Return the seconds that ``work`` returns, the peak GiB of a process that does just that, and the recall."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., tuple[float, float]], *arguments: object) -> tuple[float, float, float]:
    seconds, recall = work(*arguments)
    return seconds, peak_gib(), recall


def peak_gib() -> float:
    """Return the peak resident memory of this process; ``getrusage`` would count what its parent held before."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 2**20


def _speed(fields: int, folder: str) -> tuple[float, float]:
    store = Store.open(folder, verify=False)
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "images.npy"
        shape = (fields, len(store.stains), store.side, store.side)
        for start in range(0, fields, WRITTEN_AT_ONCE):
            written = np.lib.format.open_memmap(file, "r+" if start else "w+", np.uint8, shape)
            rows = np.arange(start, min(start + WRITTEN_AT_ONCE, fields))
            written[rows] = _composed(store, rows)
        del written
        began = time.perf_counter()
        near_duplicates(lambda rows: np.load(file, mmap_mode="r")[rows], fields=fields)
        return time.perf_counter() - began, np.nan


def _composed(store: Store, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    return np.concatenate([_compose(store, np.random.default_rng(int(row)))[None] for row in rows])


def _compose(store: Store, generator: np.random.Generator) -> NDArray[np.uint8]:
    sources = generator.integers(len(store), size=len(store.stains))
    images = store.images(sources)[range(len(sources)), range(len(sources))]
    rolls = generator.integers(store.side, size=(len(sources), 2))
    poses = generator.integers(POSES, size=len(sources))
    return np.stack([posed(np.roll(*each, (0, 1)), pose) for *each, pose in zip(images, rolls, poses, strict=True)])


def search_planted(number: int) -> tuple[float, float]:
    """Return the median seconds of searching hashes drawn by chance, and the recall; in this process."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(2**64, size=(number, STAINS), dtype=np.uint64) | np.uint64(1)
    repeats = int(PLANTED * number)
    drawn[-repeats:] = _repeated(drawn[:repeats], generator)
    seconds, found = timed(lambda: search(drawn))
    right = found.second - found.first == number - repeats
    return seconds, len(np.unique(found.first[right])) / repeats


def _repeated(originals: Hashes, generator: np.random.Generator) -> Hashes:
    unlike = generator.random((*originals.shape, BITS)) < UNLIKE
    places = np.arange(1, BITS + 1, dtype=np.uint64)
    noise = (unlike.astype(np.uint64) << places).sum(axis=-1, dtype=np.uint64)
    return posed_hashes(originals, generator.integers(POSES, size=(len(originals), 1))) ^ noise


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("truth", type=Path)
    arguments = parser.parse_args()
    store = Store.open(arguments.store)
    for stains in (None, *([stain] for stain in range(len(store.stains)))):
        recall, precision = planted(store, arguments.truth, stains=stains)
        names = "all stains" if stains is None else f"{store.stains[stains[0]].name} alone"
        print(f"{len(store)} simulated fields, {names}: recall {recall:.3f}, precision {precision:.3f}")
    seconds, gib = speed(KAGGLE_FIELDS, store)
    print(f"{KAGGLE_FIELDS} fields of {store.side} px: {seconds:.1f} s, {gib:.2f} GiB")
    for number in HASHES:
        seconds, gib, recall = hashes(number)
        print(f"{number} hashes: {seconds:.1f} s, {gib:.2f} GiB, recall {recall:.4f}")


if __name__ == "__main__":
    main()
