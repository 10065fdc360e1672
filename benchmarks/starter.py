"""What the starter model is worth: on real fields, and on simulated ones by which stains are given.

    python benchmarks/starter.py real ../shared/realdata [--bundle starter] [--side PX]
    python benchmarks/starter.py stains STORE [--bundle starter]
    python benchmarks/starter.py prior WORK [--bundle starter]
    python benchmarks/starter.py sides ATLAS [--bundle starter]

``real`` answers the 26 labelled real fields from their green stain alone, and prints each metric with a 95 %
percentile bootstrap over fields beside three floors: always {Nucleoplasm, Cytosol}; all classes ranked by the stated
prior; and the model's own answers dealt to the fields at random. ``stains`` answers the test part of a simulated store,
which neither the model nor its rule saw, with all stains and with some, by the rule of the bundle for these, and prints
every metric for each. ``prior`` simulates, in WORK, the foreign microscope of ``fine_tuning.py`` with compartments as
frequent as the stated prior has them, and tells by batch size what matching to that prior does to answers from green
alone. ``sides`` answers the images of a simulated atlas read at several sides, from green alone and from all stains.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from fine_tuning import shifted_store
from numpy.typing import NDArray

from protloc.apply.predict import predict
from protloc.apply.rows import see_rows
from protloc.atlas.stains import parse_stains
from protloc.atlas.store import Store
from protloc.atlas.table import read_labels
from protloc.curate.split import Split, rows_of
from protloc.judge import metrics
from protloc.judge.answering import answer
from protloc.judge.prior import matched
from protloc.judge.ranking import label_ranking_average_precision, mean_area_under_roc
from protloc.learn.bundle import Bundle
from protloc.options import bundle_folder

DRAWS = 2_000
FOREIGN = 500  # fields of the foreign microscope
SIDES = (224, 256, 320, 384, 448)
BATCHES, BATCH_SIZES = 200, (3, 10, 30, 100, 300)
ALWAYS = (0, 25)  # Nucleoplasm, Cytosol: the commonest two
TABLES = {"fields": "fields_train.csv", "green": "green.csv"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Said:
    """Fields with what is true and what was answered, arrays of shape (fields, classes)."""

    truth: NDArray[np.uint8]
    called: NDArray[np.bool_]
    scores: Floats

    def taken(self, rows: NDArray[np.intp], *, of_answers: NDArray[np.intp] | None = None) -> Said:
        """Return some rows of the truth, with the same rows of the answers or others."""
        answers = rows if of_answers is None else of_answers
        return Said(self.truth[rows], self.called[answers], self.scores[answers])


METRICS: Mapping[str, Callable[[Said], float]] = {
    "samples-F1": lambda said: metrics.samples_f1(said.truth, said.called),
    "micro-F1": lambda said: metrics.micro_f1(said.truth, said.called),
    "macro-F1, present classes": lambda said: metrics.macro_f1(said.truth, said.called),
    "mean average precision": lambda said: metrics.mean_average_precision(said.truth, said.scores),
    "label-ranking average precision": lambda said: label_ranking_average_precision(said.truth, said.scores),
    "mean AUC": lambda said: mean_area_under_roc(said.truth, said.scores),
}


def real_answers(bundle: Bundle, real: Path, *, match: bool = True) -> Said:
    """Answer the 26 labelled real fields from green alone, matched to the stated prior as one batch."""
    truth, logits = [], []
    for folder, table in TABLES.items():
        labels = read_labels(real / table, bundle.vocabulary)
        said = predict(bundle, real / folder, stains=parse_stains(["green"]), adapt=False)
        order = [labels.ids.index(field) for field in said.ids]
        truth.append(labels.targets[order])
        logits.append(said.logits)
    rule = bundle.rule_for(("green",))
    found = np.concatenate(logits)
    if match and bundle.prior is not None:
        rule = matched(rule, found, bundle.prior).rule
    answers = answer(rule, found)
    return Said(np.concatenate(truth), answers.called, answers.probabilities)


def always(said: Said) -> Said:
    """Return the same fields all answered with the two commonest classes."""
    called = np.zeros_like(said.called)
    called[:, list(ALWAYS)] = True
    return Said(said.truth, called, called.astype(np.float64))


def by_prior(said: Said, prevalences: tuple[float, ...]) -> Said:
    """Return the same fields all answered with the stated prior."""
    scores = np.broadcast_to(np.array(prevalences), said.scores.shape)
    return Said(said.truth, scores >= 0.5, scores)


def resampled(said: Said, metric: Callable[[Said], float], rng: np.random.Generator) -> Floats:
    """Compute a metric in bootstrap resamples of the fields; classes absent from one are left out of it."""
    count = len(said.truth)
    return np.array([metric(said.taken(rng.integers(0, count, count))) for _ in range(DRAWS)])


def shuffled(said: Said, metric: Callable[[Said], float], rng: np.random.Generator) -> float:
    """Compute the mean of a metric when answers are dealt to fields at random."""
    count = len(said.truth)
    rows = np.arange(count)
    return float(np.mean([metric(said.taken(rows, of_answers=rng.permutation(count))) for _ in range(DRAWS)]))


def print_real(bundle: Bundle, real: Path) -> None:
    """Print every metric of the real fields beside its floors."""
    said = real_answers(bundle, real)
    prior = (0.5,) * len(bundle.vocabulary) if bundle.prior is None else bundle.prior.prevalences
    print(f"{len(said.truth)} real fields, green only; {int((said.truth.sum(axis=0) > 0).sum())} classes are present")
    print("| metric | value (95 % interval) | always two | prior | shuffled | above every floor |")
    print("|---|--:|--:|--:|--:|---|")
    for name, metric in METRICS.items():
        low, high = np.quantile(resampled(said, metric, np.random.default_rng(0)), (0.025, 0.975))
        floors = (metric(always(said)), metric(by_prior(said, prior)), shuffled(said, metric, np.random.default_rng(1)))
        clear = "yes" if low > max(floors) else "no"
        told = " | ".join(f"{floor:.2f}" for floor in floors)
        print(f"| {name} | {metric(said):.2f} ({low:.2f} to {high:.2f}) | {told} | {clear} |")


def print_stains(bundle: Bundle, store: Store) -> None:
    """Print macro-F1 of a store for every subset of the stains that holds the needed ones."""
    names = [stain.name for stain in bundle.stains]
    free = [name for name in names if name not in bundle.needed]
    subsets = [{*bundle.needed, *more} for count in range(len(free) + 1) for more in combinations(free, count)]
    rows = rows_of(Split.read(store.folder / "splits" / "default.parquet"), store.ids)["test"]
    truth, scores = store.targets[rows], {}
    for given in sorted(subsets, key=len, reverse=True):
        answers = answer(bundle.rule_for(given), see_rows(bundle, store, rows, stains=given).mean_logits)
        said = Said(truth, answers.called, answers.probabilities)
        scores[tuple(name for name in names if name in given)] = [metric(said) for metric in METRICS.values()]
    everything = scores[tuple(names)][2]
    print(f"{len(rows)} simulated fields\n| stains | {' | '.join(METRICS)} | of all stains' macro-F1 |")
    print("|---" + "|--:" * (len(METRICS) + 1) + "|")
    for given, values in scores.items():
        told = " | ".join(f"{value:.3f}" for value in values)
        print(f"| {', '.join(given)} | {told} | {values[2] / everything:.2f} |")


def print_prior(bundle: Bundle, store: Store) -> None:
    """Print what prior matching does to random batches of a store's fields, from green alone."""
    logits = see_rows(bundle, store, np.arange(len(store.ids)), stains=("green",)).mean_logits
    rule, rng = bundle.rule_for(("green",)), np.random.default_rng(0)
    if bundle.prior is None:
        raise SystemExit(f"{bundle.folder}: states no prior.")
    print(
        "| fields a batch | samples-F1 as fitted | matched | difference (middle 95 % of batches) |\n|--:|--:|--:|--:|"
    )
    for size in BATCH_SIZES:
        plain, changed = np.zeros(BATCHES), np.zeros(BATCHES)
        for place in range(BATCHES):
            rows = rng.choice(len(logits), size, replace=False)
            new = matched(rule, logits[rows], bundle.prior).rule
            plain[place], changed[place] = (
                metrics.samples_f1(store.targets[rows], answer(each, logits[rows]).called) for each in (rule, new)
            )
        low, high = np.quantile(changed - plain, (0.025, 0.975))
        gain = (changed - plain).mean()
        print(f"| {size} | {plain.mean():.3f} | {changed.mean():.3f} | {gain:+.3f} ({low:+.3f} to {high:+.3f}) |")


def print_sides(bundle: Bundle, atlas: Path) -> None:
    """Print mean average precision and mean AUC of the images of an atlas, read at each side."""
    labels = read_labels(atlas / "train.csv", bundle.vocabulary)
    print("| side, px | stains | mean average precision | mean AUC |\n|--:|---|--:|--:|")
    for stains in (("green",), tuple(stain.name for stain in bundle.stains)):
        for side in SIDES:
            said = predict(replace(bundle, side=side), atlas / "train", stains=parse_stains(stains), adapt=False)
            truth = labels.targets[[labels.ids.index(field) for field in said.ids]]
            precision = metrics.mean_average_precision(truth, said.logits)
            area = mean_area_under_roc(truth, said.logits)
            print(f"| {side} | {', '.join(stains)} | {precision:.3f} | {area:.3f} |", flush=True)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("real", "stains", "prior", "sides"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("starter"))
    parser.add_argument("--side", type=int, help="read fields at another side than the bundle's")
    arguments = parser.parse_args()
    bundle = Bundle.load(bundle_folder(arguments.bundle))
    bundle = replace(bundle, side=arguments.side or bundle.side)
    if arguments.what == "real":
        print_real(bundle, arguments.source)
    elif arguments.what == "stains":
        print_stains(bundle, Store.open(arguments.source))
    elif arguments.what == "sides":
        print_sides(bundle, arguments.source)
    else:
        print_prior(bundle, shifted_store(arguments.source, FOREIGN, side=bundle.side, balanced=False))


if __name__ == "__main__":
    main()
