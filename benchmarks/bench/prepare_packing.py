"""Contender: protloc packs the fields and reads them for some epochs."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np

from bench.contest import take_turns
from protloc.atlas.prepare import prepare
from protloc.learn.data import Batches

BATCH = 32


def main() -> None:
    """Pack into a new store at each go; ``python -m bench.prepare_packing ATLAS STORE EPOCHS``."""
    atlas, packed, epochs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    generator = np.random.default_rng(0)

    def run() -> dict[str, float]:
        shutil.rmtree(packed, ignore_errors=True)
        began = time.perf_counter()
        prepared = prepare(atlas / "train", packed, labels=atlas / "train.csv")
        for _ in range(epochs):
            for _batch in Batches(prepared.store, generator.permutation(len(prepared.store)), size=BATCH):
                pass
        seconds = time.perf_counter() - began
        return {"count": prepared.source_fields * max(epochs, 1), "seconds": seconds}

    take_turns(run)


if __name__ == "__main__":
    main()
