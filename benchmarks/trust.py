"""Prints a line a figure that can be trusted: its value, its target, pass or FAIL.

    python benchmarks/trust.py [--quick] [--tables DIR] [--baselines DIR] [--noise RUN TRUTH.csv]

Everything is simulated but the label tables: ``--tables`` names a folder with ``kaggle2018_train.csv`` and
``hpa_v18.csv``. ``--baselines`` is a folder that ``protloc baselines --beside`` made, ``--noise`` a run of folds on an
atlas with flipped labels (``python benchmarks/label_noise_study.py flip``) beside the table of the right ones. Needs
the extra ``test``. Ends with exit code 1 if a figure misses its target.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import calibration_study
import duplicates_study
import intervals_study
import label_noise_study
import numpy as np
import split as split_study
import thresholds as thresholds_study

from protloc.atlas.prepare import prepare
from protloc.atlas.simulate import simulate
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.split import split
from protloc.judge.answering import fit_rule
from protloc.judge.compare import UNRESOLVED, compare
from protloc.judge.evaluation import METRICS
from protloc.judge.predictions import PartPredictions
from protloc.verbs.flattery import METRICS as FLATTERED
from protloc.verbs.flattery import flattery

ATLAS_FIELDS, ATLAS_SEED = 2_000, 1  # another seed than the constants of the search were chosen on
KAGGLE_FIELDS = 31_072
MILLION = 1_000_000


@dataclass(frozen=True)
class Figure:
    """A figure with what is promised of it.

    Attributes:
        name: What it is.
        value: The figure.
        target: Least and most that keep the promise; None where nothing is promised.
        unit: Of the value.
    """

    name: str
    value: float
    target: tuple[float, float] | None
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Tell whether the promise is kept."""
        return self.target is None or self.target[0] <= self.value <= self.target[1]

    def __str__(self) -> str:
        """Return the line that is printed."""
        value = f"{self.value:.4g} {self.unit}".strip()
        if self.target is None:
            return f"told  {self.name:100} {value:>10}"
        least, most = self.target
        promised = f"{least:.3g} to {most:.3g}" if least else f"<= {most:.3g}"
        promised = f">= {least:g}" if math.isinf(most) else promised
        verdict = "pass" if self.kept else "FAIL"
        return f"{verdict}  {self.name:100} {value:>10}   target {promised} {self.unit}".rstrip()


def at_least(least: float) -> tuple[float, float]:
    """Return the target of a figure that must not be lower."""
    return least, math.inf


def at_most(most: float) -> tuple[float, float]:
    """Return the target of a figure that must not be higher."""
    return 0.0, most


def duplicates(store: Store, truth: Path) -> Iterator[Figure]:
    """Measure the audit: planted near-duplicates, the size of Kaggle's table, a million hashes."""
    recall, precision = duplicates_study.planted(store, truth)
    planted = f"near-duplicates planted in {len(store):,} simulated fields (seed {ATLAS_SEED})"
    yield Figure(f"{planted}: recall", recall, at_least(0.95))
    yield Figure(f"{planted}: precision", precision, at_least(0.99))
    seconds, gib = duplicates_study.speed(KAGGLE_FIELDS, store)
    yield Figure(f"near-duplicates of {KAGGLE_FIELDS:,} fields of 128 px", seconds, at_most(60), "s")
    yield Figure("the same, peak memory", gib, at_most(1), "GiB")
    searched = {number: duplicates_study.hashes(number) for number in duplicates_study.HASHES}
    seconds, gib, recall = searched[MILLION]
    yield Figure(f"search of {MILLION:,} hashes, recall", recall, at_least(0.95))
    yield Figure("the same, seconds", seconds, at_most(120), "s")
    yield Figure("the same, peak memory", gib, at_most(1), "GiB")
    times = [found[0] for found in searched.values()]
    exponent = np.polyfit(np.log(list(searched)), np.log(times), 1)[0]
    yield Figure(
        f"the same, growth exponent from {min(searched):,} on", float(exponent), at_most(1.1)
    )  # of all pairs: 2


def splits(tables: Path | None) -> Iterator[Figure]:
    """Measure grouped splits: speed, memory, balance beside other tools."""
    if tables is None:
        print("skip  splits of real label tables: --tables was not said")
    else:
        hpa = split_study.measure("hpa", lambda: split_study.by_antibody(tables / "hpa_v18.csv"))
        yield Figure(
            f"split of hpa_v18.csv ({hpa.fields:,} rows) by antibody, reading included", hpa.seconds, at_most(5), "s"
        )
        yield from _balance("hpa_v18.csv by antibody", split_study.by_antibody(tables / "hpa_v18.csv"))
        yield from _balance("kaggle2018_train.csv, single fields", split_study.read(tables / "kaggle2018_train.csv"))
        like = str(tables / "kaggle2018_train.csv")
        seconds, gib, _ = duplicates_study.in_new_process(_million, like)
        yield Figure(f"split of {MILLION:,} rows in groups of about 6", seconds, at_most(60), "s")
        yield Figure("the same, peak memory", gib, at_most(2), "GiB")


def _balance(name: str, table: LabelTable) -> Iterator[Figure]:
    ours, *theirs = split_study.compare(table)
    for other in theirs:
        against = f"{name}, 5 folds: label distance over that of {other.tool.removeprefix('scikit-learn ')}"
        # better than what knows groups or labels alone, as good as what knows labels of single fields
        yield Figure(against, ours.distance / other.distance, at_most(1 if table.groups == table.ids else 0.9))


def _million(like: str) -> tuple[float, float]:
    table = split_study.synthetic(split_study.read(Path(like)), fields=MILLION, fields_a_group=6)
    began = time.perf_counter()
    split(table)
    return time.perf_counter() - began, math.nan


def intervals(*, quick: bool) -> Iterator[Figure]:
    """Measure the bootstrap: speed, and how often its intervals hold the truth."""
    yield Figure("1,000 resamples of 31,072 x 28, all metrics", intervals_study.speed(), at_most(10), "s")
    whole = intervals_study.population(groups=30_000 if quick else 100_000, seed=99)
    for fields in (300, 1_000):
        found = intervals_study.coverage(fields, simulations=100 if quick else 400, whole=whole, seed=fields)
        for metric in METRICS:
            chance = 200 * math.sqrt(0.05 * 0.95 / found[metric].intervals)  # two standard errors of the count
            name = f"coverage of 95 % intervals, {fields:,} fields, {metric} (93 to 97, ± {chance:.1f} for the count)"
            yield Figure(name, 100 * found[metric].share, (93 - chance, 97 + chance), "%")

    for groups, rate in ((30, 0.01), (100, 0.002)):
        found = intervals_study.rare_coverage(groups, rate=rate, alike=True, simulations=100 if quick else 300)
        least = 100 * min(covered.share for covered in found.values())
        name = f"coverage of shares nearly 0 or 1, {groups} groups of alike fields, {rate:.1%} wrong (at least 93)"
        yield Figure(name, least, at_least(93), "%")


def answers(*, quick: bool) -> Iterator[Figure]:
    """Measure calibration and certain answers."""
    found = calibration_study.over_sampling_undone()
    name = "calibration error left of what over-sampling did, 4,661 fields"
    yield Figure(name, (found.after - found.true) / (found.before - found.true), at_most(0.1))
    for rate in (0.05, 0.10, 0.20):
        held = calibration_study.rates_held(rate, draws=20 if quick else 100)
        for side, share, error in (
            ("labels told absent", held.missed, held.missed_error),
            ("'present' answers wrong", held.wrong, held.wrong_error),
        ):
            yield Figure(
                f"{side} at an error rate of {rate:.0%} (target + 2 standard errors)", share, at_most(rate + 2 * error)
            )
    population = intervals_study.population(groups=7_000, seed=3)
    said = population.rows(np.arange(KAGGLE_FIELDS))
    began = time.perf_counter()
    fit_rule(said.truth, said.logits, groups=said.groups)
    yield Figure("fitting calibration, thresholds, cuts to 31,072 x 28", time.perf_counter() - began, at_most(30), "s")


def thresholds(*, quick: bool) -> Iterator[Figure]:
    """Measure how far `auto` falls behind the best rule, worst case over all situations, unadapted."""
    drawn = thresholds_study.run_study(draws=2 if quick else 6)
    situations = {situation for situation, how, _ in drawn[0] if how == "off"}
    rules = {name for _, _, name in drawn[0]}
    for metric, name in enumerate(("macro-F1", "samples-F1")):
        losses = {
            rule: max(
                max(thresholds_study.mean_score(drawn, each, of=("off", other), metric=metric) for other in rules)
                - thresholds_study.mean_score(drawn, each, of=("off", rule), metric=metric)
                for each in situations
            )
            for rule in ("auto", "fixed")
        }
        yield Figure(
            f"thresholds: worst {name} loss of `auto` over that of 0.5", losses["auto"] / losses["fixed"], at_most(0.5)
        )


def noise(run: Path | None, truth: Path | None) -> Iterator[Figure]:
    """Measure how many of the top 5 % of suspects have a flipped label."""
    if run is not None and truth is not None:
        found = label_noise_study.of_run(run, truth)
        name = (
            f"truly flipped among the top 5 % of {found.fields:,} simulated fields, 5 networks (mAP {found.score:.2f})"
        )
    else:
        found = label_noise_study.simulated()
        name = f"truly flipped among the top 5 % of {found.fields:,} simulated label sets (mAP {found.score:.2f})"
    yield Figure(f"{name}, group mates used", found.with_mates, at_least(0.5))
    yield Figure("the same by the networks alone", found.by_image, None)
    yield Figure("the same by cleanlab's best of three rankings", found.by_cleanlab, None)


def leaking(folder: Path) -> Iterator[Figure]:
    """Measure by how much a naive split flatters, from the two sets of runs that `baselines --beside` left."""
    (beside,) = folder.glob("runs-*")
    pairs = {
        file.parts[-3]: (file, beside / file.relative_to(folder / "runs"))
        for part in ("test", "out-of-fold")
        for file in sorted((folder / "runs").glob(f"*/predictions/{part}.parquet"))
        if (beside / file.relative_to(folder / "runs")).is_file()
    }
    groups = sorted({group for pair in pairs.values() for file in pair for group in PartPredictions.read(file).groups})
    for found in flattery(pairs, groups=groups):
        for metric in FLATTERED:
            low = found.scores[metric][2].low
            name = f"{beside.name.removeprefix('runs-')} flatters {found.recipe}, {metric}: lower end of the interval"
            yield Figure(name, math.nan if low is None else low, at_least(1e-6))
    runs = {file.parts[-3]: PartPredictions.read(file) for file, _ in pairs.values()}
    if {"baseline-cnn", "standard"} <= set(runs):
        (found,) = (
            entry
            for entry in compare({name: runs[name] for name in ("baseline-cnn", "standard")}).headlines
            if entry.metric == "macro_f1"
        )
        yield Figure("compare: lower end of standard over baseline-cnn, macro-F1", found.low, at_least(1e-6))
    itself = compare(dict(zip(("run", "itself"), [next(iter(runs.values()))] * 2, strict=True)))
    resolved = sum(entry.verdict != UNRESOLVED for entry in (*itself.headlines, *itself.classes))
    yield Figure("compare: differences resolved between a run and itself", resolved, at_most(0))
    written = [json.loads(file.read_text("utf-8")) for file in folder.rglob("evaluation.json")]
    numbers = [number for each in written for number in _numbers(each)]
    wrong = sum(
        not number.get("low", math.inf) <= number["value"] <= number.get("high", -math.inf) for number in numbers
    )
    yield Figure(f"evaluation.json: of {len(numbers):,} numbers, without low <= value <= high", wrong, at_most(0))


def _numbers(written: object) -> list[dict[str, float]]:
    """Return every number with an interval that stands anywhere in ``evaluation.json``."""
    if isinstance(written, dict):
        return ([written] if "value" in written else []) + [
            each for part in written.values() for each in _numbers(part)
        ]
    return [each for part in written for each in _numbers(part)] if isinstance(written, list) else []


def figures(options: argparse.Namespace, scratch: Path) -> Iterator[Figure]:
    """Measure everything."""
    atlas = simulate(scratch / "atlas", fields=ATLAS_FIELDS, side=256, seed=ATLAS_SEED, balanced=True)
    store = prepare(atlas.images, scratch / "store", labels=atlas.labels).store
    yield from duplicates(store, atlas.truth)
    yield from splits(options.tables)
    yield from intervals(quick=options.quick)
    yield from answers(quick=options.quick)
    yield from thresholds(quick=options.quick)
    yield from noise(*(options.noise or (None, None)))
    if options.baselines is None:
        print("skip  what a leak is worth, comparisons, evaluation.json: --baselines was not said")
    else:
        yield from leaking(options.baselines)


def main() -> None:
    """Print a line a figure as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer simulations")
    parser.add_argument("--tables", type=Path, help="folder of real label tables")
    parser.add_argument("--baselines", type=Path, help="what protloc baselines --beside wrote")
    parser.add_argument("--noise", type=Path, nargs=2, metavar=("RUN", "TRUTH"), help="run of folds on flipped labels")
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for figure in figures(options, Path(scratch)):
            print(figure, flush=True)
            missed += not figure.kept
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
