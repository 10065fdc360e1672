"""Times splits; compares their balance with other tools' on real label tables.

    python benchmarks/split.py KAGGLE2018_TRAIN.csv HPA_V18.csv

Prints a line a split: fields, groups, seconds, peak memory so far, the largest distance of a class from its share;
then what share of the fields each key of HPA v18 would join, and a line a tool: the label-distribution distance of its
five folds and their largest distance. Needs the extra ``test`` (scikit-learn, iterative-stratification).
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from protloc.atlas.keys import known_keys
from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.balance import balance, label_distance
from protloc.curate.groups import join_groups, naive_leaks
from protloc.curate.split import Folds, Split, fold, split

MILLION = 1_000_000
FIELDS_A_GROUP = 6  # about what an antibody has in HPA v18
FOLDS = 5
WORDS = "gene_antibody_plate_well_field_*"  # of the ids of HPA v18; some fields have a crop's name behind


@dataclass(frozen=True)
class SplitFigures:
    """One timed split: seconds with reading, GiB at the peak so far, fields that the worst class is off."""

    name: str
    fields: int
    groups: int
    seconds: float
    peak_gib: float
    worst: float

    def __str__(self) -> str:
        """Return the figures as a line."""
        return (
            f"{self.name:38} {self.fields:>9,} fields {self.groups:>9,} groups {self.seconds:7.2f} s   "
            f"peak {self.peak_gib:5.2f} GiB   worst {self.worst:6.2f} fields off"
        )


@dataclass(frozen=True)
class ToolFigures:
    """How balanced one tool's folds are: label-distribution distance, fields that the worst class is off."""

    tool: str
    distance: float
    worst: float

    def __str__(self) -> str:
        """Return the figures as a line."""
        return f"{self.tool:60} LD {self.distance:.2e}   worst {self.worst:7.2f} fields off"


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


def read(file: Path) -> LabelTable:
    """Read a label table of the 28 classes."""
    return read_labels(file, load_vocabulary("kaggle2018"))


def by_antibody(file: Path) -> LabelTable:
    """Read HPA v18 and group it by antibody."""
    table = read(file)
    keys = known_keys(table.groups, source=WORDS)
    return replace(table, groups=join_groups(table.ids, keys=keys, join=["antibody"]).groups.groups)


def measure(
    name: str, table_of: Callable[[], LabelTable], *, parting: Callable[[LabelTable], Split | Folds] = split
) -> SplitFigures:
    """Make a table and split it once, on the clock."""
    start = time.perf_counter()
    table = table_of()
    parted = parting(table)
    seconds = time.perf_counter() - start
    worst = balance(parted, table).filter(like="_off").abs().to_numpy().max()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return SplitFigures(name, len(table), len(set(table.groups)), seconds, memory, float(worst))


def compare(table: LabelTable, *, folds: int = FOLDS) -> Iterator[ToolFigures]:
    """Fold a table with protloc and with every other tool that takes it."""
    sets = pd.factorize(pd.Series(table.labels, dtype=object))[0]
    rivals: dict[str, Callable[[], Iterator[tuple[object, NDArray[np.intp]]]]] = {
        "scikit-learn GroupKFold": lambda: GroupKFold(folds).split(sets, groups=table.groups),
        "scikit-learn StratifiedGroupKFold on label sets": lambda: StratifiedGroupKFold(folds).split(
            sets, sets, table.groups
        ),
        "scikit-learn StratifiedGroupKFold on label sets, shuffled": lambda: StratifiedGroupKFold(
            folds, shuffle=True, random_state=0
        ).split(sets, sets, table.groups),
    }
    if table.groups == table.ids:
        rivals = {
            "iterative-stratification": lambda: MultilabelStratifiedKFold(folds, shuffle=True, random_state=0).split(
                sets, table.targets
            )
        }
    yield _figures("protloc", table, np.array(fold(table, folds=folds).folds))
    for tool, rival in rivals.items():
        dealt = np.empty(len(table), np.intp)
        with warnings.catch_warnings():  # label sets rarer than there are folds
            warnings.simplefilter("ignore", UserWarning)
            for number, (_, test) in enumerate(rival()):
                dealt[test] = number
        yield _figures(tool, table, dealt)


def _figures(tool: str, table: LabelTable, dealt: NDArray[np.intp]) -> ToolFigures:
    off = balance(Folds(table.ids, tuple(dealt.tolist())), table).filter(like="_off").abs().to_numpy().max()
    return ToolFigures(tool, label_distance(table.targets, dealt), float(off))


def key_lines(file: Path) -> Iterator[str]:
    """Tell what each key of HPA v18 alone would join, and what all of them."""
    table = read(file)
    keys = known_keys(table.groups, source=WORDS)
    for join in (["antibody"], ["gene"], ["plate"], ["antibody", "plate"], None):
        joined = join_groups(table.ids, keys=keys, join=join)
        largest = pd.Series(joined.groups.groups).value_counts().iloc[0] / len(table)
        leaking = naive_leaks(joined.groups)
        yield (
            f"{', '.join(join or ['the rule for keys']):20} largest group {largest:7.2%} of the fields; of "
            f"{leaking.judged:,} test fields of a naive split {leaking.with_group:,.1f} have a mate in training. "
            f"{joined.summary}"
        )


def main() -> None:
    """Print all figures."""
    kaggle, hpa = map(Path, sys.argv[1:])
    print(measure("Kaggle 2018, read and split", lambda: read(kaggle)))
    print(measure("HPA v18 by antibody, read and split", lambda: by_antibody(hpa)))
    print(measure("HPA v18 by antibody, read and 5 folds", lambda: by_antibody(hpa), parting=five_folds))
    real = read(kaggle)
    single = synthetic(real, fields=MILLION, fields_a_group=1)
    print(measure("a million fields", lambda: single))
    grouped = synthetic(real, fields=MILLION, fields_a_group=FIELDS_A_GROUP)
    print(measure("a million fields in groups", lambda: grouped))
    print(measure("a million fields in groups, 5 folds", lambda: grouped, parting=five_folds))
    print("Keys of HPA v18:", *key_lines(hpa), sep="\n")
    print("HPA v18 by antibody, 5 folds:", *compare(by_antibody(hpa)), sep="\n")
    print("Kaggle 2018, 5 folds of single fields:", *compare(real), sep="\n")


def five_folds(table: LabelTable) -> Folds:
    """Make five folds."""
    return fold(table, folds=FOLDS)


if __name__ == "__main__":
    main()
