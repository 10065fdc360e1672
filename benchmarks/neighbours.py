"""How fast the exact search is, how much memory it takes, what its neighbours have in common.

    python benchmarks/neighbours.py [--vectors 1000000] [--dimensions 1280] [--stored 20000] [--seed 0]
    python benchmarks/neighbours.py --index ATLAS.parquet --simulated fields.csv

The first searches random unit vectors, held in memory, for 64 queries at a time, and prints the time of a batch, what
memory the search adds to that of the index, and beside it what no exact search can undercut: the product of the
queries with all vectors without looking for the largest, and reading every vector once; faiss's exact search where it
is installed; then, of an index of 20,000 in a parquet file, reading, searching while it is read, and searching along
faiss's graph. A small --vectors is a quick run.

The second takes an index of simulated fields and the fields.csv of that simulation, and prints how often the nearest
neighbour of a field shares compartments, the antibody, the cell line or the plate with it, and how often any other
field would: among all other fields, and among those of another antibody, and of another cell line or plate too. 95 %
intervals are bootstraps over antibodies.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.apply.embed import model_hash
from protloc.apply.embedded import Embedded, has_compartments
from protloc.apply.embedded_files import ROW_GROUP, write_embedded
from protloc.apply.maps import FieldMap
from protloc.apply.nearest import ExactSearch, Vectors, unit
from protloc.apply.neighbours import Index
from protloc.learn.bundle import Bundle
from protloc.options import bundle_folder

QUERIES, K, REPEATS = 64, 5, 3
PAGE = resource.getpagesize()
MB = 1e6


def blocks_of(vectors: int, dimensions: int, *, seed: int) -> list[Vectors]:
    """Make random unit vectors, a block at a time as an index holds them."""
    rng = np.random.default_rng(seed)
    sizes = [min(ROW_GROUP, vectors - start) for start in range(0, vectors, ROW_GROUP)]
    return [unit(rng.standard_normal((size, dimensions), np.float32)) for size in sizes]


def resident() -> float:
    """Return the memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MB


@contextmanager
def peak(every: float = 0.005) -> Iterator[list[float]]:
    """Yield a list that afterwards holds by how many MB the memory of this process rose meanwhile, at most."""
    before, most, ended = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            most[0] = max(most[0], resident() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def print_time(what: str, work: Callable[[], object], *, gigabytes: float) -> None:
    """Print the median time of some work over the whole index, and what memory it added."""
    spans = list[float]()
    with peak() as added:
        work()  # the first call settles memory and threads
        for _ in range(REPEATS):
            began = time.perf_counter()
            work()
            spans.append(time.perf_counter() - began)
    middle = float(np.median(spans))
    print(
        f"| {what} | {middle:.3f} ({min(spans):.3f} to {max(spans):.3f}) | {gigabytes / middle:.1f} | {added[0]:.0f} |",
        flush=True,
    )


def print_search(vectors: int, dimensions: int, *, seed: int) -> None:
    """Print what the exact search takes in memory and time, beside its limits."""
    blocks = blocks_of(vectors, dimensions, seed=seed)
    queries = unit(np.random.default_rng([seed, 1]).standard_normal((QUERIES, dimensions), np.float32))
    room, one = np.empty((QUERIES, ROW_GROUP), np.float32), queries[0]
    gigabytes = vectors * dimensions * 4 / 1e9
    print(f"{vectors:,} vectors of {dimensions:,}, float32, {gigabytes:.2f} GB; {QUERIES} queries, {K} neighbours")
    print("| | s a batch (range of 3) | GB/s | MB added at most |\n|---|--:|--:|--:|")
    search = ExactSearch(lambda: blocks)
    print_time("exact search", lambda: search.nearest(queries, K), gigabytes=gigabytes)
    print_time(
        "product alone", lambda: [np.matmul(queries, each.T, out=room[:, : len(each)]) for each in blocks],
        gigabytes=gigabytes,
    )  # fmt: skip
    print_time("reading alone: one query's product", lambda: [each @ one for each in blocks], gigabytes=gigabytes)
    if find_spec("faiss") is not None:
        import faiss

        print_time(
            "faiss, exact",
            lambda: [faiss.knn(queries, each, K, metric=faiss.METRIC_INNER_PRODUCT) for each in blocks],
            gigabytes=gigabytes,
        )
    exact, rows = search.nearest(queries[:2], K)
    everything = np.concatenate([queries[:2] @ each.T for each in blocks], axis=1)
    assert (rows == np.argsort(-everything, axis=1, kind="stable")[:, :K]).all()  # noqa: S101 - it measured the right thing
    assert np.allclose(exact, -np.sort(-everything, axis=1)[:, :K])  # noqa: S101


def print_stored(bundle: Bundle, fields: int, dimensions: int, *, seed: int) -> None:
    """Print what an index in a file takes to be read and searched, each way."""
    embeddings = np.random.default_rng([seed, 2]).standard_normal((fields, dimensions), np.float32)
    names = bundle.vocabulary.names
    labels = tuple((names[row % len(names)],) for row in range(fields))
    ids = tuple(f"field-{row:07d}" for row in range(fields))
    made = Embedded(ids, embeddings, labels, bundle.vocabulary, model_hash(bundle), bundle.needed)
    places = FieldMap("PCA", embeddings[:, :2], embeddings[:, :2], np.ones(2))
    ways = ("held", "streamed", "approximate") if find_spec("faiss") is not None else ("held", "streamed")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "index.parquet"
        write_embedded(made, places, file)
        print(f"\n{fields:,} fields in a parquet file of {file.stat().st_size / MB:.0f} MB")
        print("| way | s to open | s for 64 fields | MB added | nearest as the exact one's |\n|---|--:|--:|--:|--:|")
        queries = embeddings[:QUERIES] + 0.5 * embeddings[QUERIES : 2 * QUERIES]
        expected: tuple[tuple[str, ...], ...] = ()
        for way in ways:
            with peak() as added:
                began = time.perf_counter()
                index = Index.read(file, bundle, way=way)
                opened = time.perf_counter()
                found = index.search(queries, K).ids
                ended = time.perf_counter()
            expected = expected or found
            same = np.mean([len({*one} & {*other}) / K for one, other in zip(found, expected, strict=True)])
            print(f"| {way} | {opened - began:.2f} | {ended - opened:.3f} | {added[0]:.0f} | {100 * same:.0f} % |")


def print_in_common(index: Path, simulated: Path) -> None:
    """Print how often a field's nearest neighbour has something in common with it, and how often any other would."""
    table = pq.read_table(index)
    ids: list[str] = table["id"].to_pylist()
    told = [None if each is None else tuple(each) for each in table["labels"].to_pylist()]
    targets = has_compartments(told, sorted({name for each in told for name in each or ()})).astype(np.float32)
    known = pd.read_csv(simulated).set_index("id").loc[ids]
    directions = unit(np.stack(table["embedding"].to_numpy()))
    similar = directions @ directions.T
    same = {name: _alike(known[column]) for name, column in
            (("antibody", "antibody"), ("cell line", "cell_line"), ("plate", "plate"))}  # fmt: skip
    both, counts = targets @ targets.T, targets.sum(axis=1)
    common = {
        "a compartment": both > 0,
        "all compartments": (both == counts) & (both == counts[:, np.newaxis]),
        **same,
    }
    print(f"{len(ids):,} fields of {known['antibody'].nunique():,} antibodies")
    print(f"| the nearest, by chance | {' | '.join(f'shares {name}' for name in common)} |")
    print("|---|" + "--:|" * len(common))
    for words, left_out in (
        ("of all other fields", np.eye(len(ids), dtype=bool)),
        ("of other antibodies", same["antibody"]),
        ("of other antibodies and cell lines", same["antibody"] | same["cell line"]),
        ("of other antibodies and plates", same["antibody"] | same["plate"]),
    ):
        nearest = np.where(left_out, -np.inf, similar).argmax(axis=1)
        cells = list[str]()
        for shared in common.values():
            hits = shared[np.arange(len(ids)), nearest].astype(float)
            chance = ((shared & ~left_out).sum(axis=1) / (~left_out).sum(axis=1)).mean()
            cells.append(f"{_with_interval(hits, known['antibody'])}, {chance:.3f}")
        print(f"| {words} | {' | '.join(cells)} |")


def _alike(values: pd.Series) -> NDArray[np.bool_]:
    codes = values.factorize()[0]
    return codes[:, np.newaxis] == codes


def _with_interval(hits: NDArray[np.float64], antibodies: pd.Series) -> str:
    group = antibodies.factorize()[0]
    sums, counts = np.bincount(group, hits), np.bincount(group)
    drawn = np.random.default_rng(0).integers(0, len(counts), (1000, len(counts)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return f"{hits.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("vectors", 1_000_000), ("dimensions", 1280), ("stored", 20_000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--simulated", type=Path)
    options = parser.parse_args()
    if options.index is not None:
        print_in_common(options.index, options.simulated)
        return
    print_stored(Bundle.load(bundle_folder(Path("starter"))), options.stored, options.dimensions, seed=options.seed)
    print_search(options.vectors, options.dimensions, seed=options.seed)


if __name__ == "__main__":
    main()
