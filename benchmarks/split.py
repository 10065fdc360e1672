"""Times the split of a label table, of a million fields, of a million fields in groups.

    python benchmarks/split.py TABLE.csv        (such as Kaggle's train.csv)

Prints a line each: fields, groups, seconds, peak memory, and the largest distance of a class count from its share.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.split import balance, split

MILLION = 1_000_000
FIELDS_A_GROUP = 6  # about what an antibody has in HPA v18


def synthetic(like: LabelTable, *, fields: int, fields_a_group: int) -> LabelTable:
    """Draw fields whose label sets are as frequent as in ``like``; a third also gets a class by chance."""
    generator = np.random.default_rng(0)
    groups = np.arange(fields)
    if fields_a_group > 1:
        groups = np.sort(generator.integers(0, fields // fields_a_group, fields))
    drawn = generator.integers(0, len(like), groups.max() + 1)[groups]
    extra = np.where(generator.random(fields) < 1 / 3, generator.choice(len(like.vocabulary), fields), -1)
    ids = [compartment.id for compartment in like.vocabulary.compartments]
    labels = [
        tuple(sorted({*like.labels[row], ids[column]})) if column >= 0 else like.labels[row]
        for row, column in zip(drawn.tolist(), extra.tolist(), strict=True)
    ]
    names = tuple(f"field{number:07d}" for number in range(fields))
    return LabelTable(names, tuple(labels), like.vocabulary, tuple(f"group{number:07d}" for number in groups.tolist()))


def measure(name: str, table: LabelTable) -> None:
    """Split once, print the figures."""
    start = time.perf_counter()
    parted = split(table)
    seconds = time.perf_counter() - start
    worst = balance(parted, table).filter(like="_off").abs().to_numpy().max()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name:32} {len(table):>9,} fields {len(set(table.groups)):>9,} groups {len(table.label_sets):>7,} label sets "
        f"{seconds:7.2f} s   peak {memory:5.2f} GiB   worst {worst:6.2f} fields off"
    )


def main() -> None:
    """Run the three cases."""
    real = read_labels(Path(sys.argv[1]), load_vocabulary("kaggle2018"))
    measure(Path(sys.argv[1]).name, real)
    measure("a million fields", synthetic(real, fields=MILLION, fields_a_group=1))
    measure("a million fields in groups", synthetic(real, fields=MILLION, fields_a_group=FIELDS_A_GROUP))


if __name__ == "__main__":
    main()
