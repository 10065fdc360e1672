"""What each part of the starter's training is worth: the same short training without it, three seeds each.

    python benchmarks/starter_ablations.py WORK ../shared/realdata [--fields 4000] [--epochs 4] [--seeds 3]
        [--crop 128] [--only NAME] [--store NAME=STORE]

Simulates a clean atlas and, with the camera's noise frozen in, the same atlas; trains every variant of the recipe
`starter` from each seed, on smaller crops than the recipe's, for time; and prints for each the mean over seeds with the
standard deviation between them: mean average precision on simulated validation fields with all stains; the same on 600
fields of the foreign microscope of `fine_tuning.py` from green alone; and on the 26 labelled real fields, from green
alone, mean AUC, mean average precision and samples-F1 with prior matching and without. Finished runs in WORK are not
trained again. `--store` adds a variant trained on another store, such as one simulated by an earlier version. The real
fields are few and were looked at while building: differences under two standard deviations mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fine_tuning import shifted_store
from ship_starter import kaggle_prior
from starter import METRICS, real_answers

import protloc
from protloc.apply.rows import see_rows
from protloc.curate.split import Split, rows_of
from protloc.judge.answering import fit_rule
from protloc.judge.metrics import mean_average_precision
from protloc.learn.bundle import Bundle
from protloc.learn.runs import read_run

SIDE, SEED, FOREIGN = 256, 77, 600
VARIANTS: dict[str, tuple[str, ...]] = {
    "starter": (),
    "without stain dropout": ("stain_dropout=0",),
    "without weight averaging": ("averaging=0",),
    "from random weights": ("weights=none",),
    "without zoom": ("zoom=0",),
    "weighted loss": ("loss=weighted", "positive_weight_cap=5"),
}
FROZEN = "camera frozen"
SHOWN = ("mean AUC", "mean average precision", "samples-F1")


def store_of(work: Path, *, fields: int, clean: bool) -> protloc.Store:
    """Simulate and prepare an atlas, with or without the camera, unless it is there."""
    name = "clean" if clean else "frozen"
    folder = work / f"{name}-store"
    if not folder.exists():
        atlas = protloc.simulate(work / name, fields=fields, side=SIDE, seed=SEED, balanced=True, clean=clean)
        protloc.prepare(atlas.images, folder, labels=atlas.labels, reading=protloc.Reading(side=SIDE))
        protloc.audit(protloc.Store.open(folder), keys=atlas.truth)
    return protloc.Store.open(folder)


def answering(bundle: Bundle, store: protloc.Store) -> Bundle:
    """Give a bundle the prior and the rule to answer from green alone, fitted on the validation part.

    One that never learnt to do without stains is asked all the same, with these black.
    """
    bundle = replace(bundle, settings={**bundle.settings, "stain_dropout": 0.5})
    rows = rows_of(Split.read(store.folder / "splits" / "default.parquet"), store.ids)["validation"]
    logits = see_rows(bundle, store, rows, stains=("green",)).mean_logits
    rule = fit_rule(store.targets[rows], logits, groups=[store.ids[row] for row in rows])
    return replace(bundle, prior=kaggle_prior(), rule=rule, rules={"green": rule})


def figures(
    store: protloc.Store, run: Path, overrides: Sequence[str], *, foreign: protloc.Store, real: Path
) -> list[float]:
    """Train a run unless it is finished; return its figures."""
    protloc.train(store, recipe="starter", run=run, overrides=overrides, resume=run.exists())
    bundle = answering(Bundle.load(run / "bundle"), store)
    said = real_answers(bundle, real)
    plain = real_answers(bundle, real, match=False)
    validation = max(epoch.mean_average_precision for epoch in read_run(run).history)
    rows = np.arange(len(foreign.ids))
    abroad = mean_average_precision(foreign.targets, see_rows(bundle, foreign, rows, stains=("green",)).mean_logits)
    return [validation, abroad, *(METRICS[name](said) for name in SHOWN), METRICS["samples-F1"](plain)]


def main() -> None:
    """Train and print a line a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("real", type=Path)
    parser.add_argument("--fields", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--only", action="append")
    parser.add_argument("--store", action="append", default=[])
    arguments = parser.parse_args()
    others = {name: Path(folder) for name, _, folder in (given.partition("=") for given in arguments.store)}
    foreign = shifted_store(arguments.work / "foreign", FOREIGN)
    print(f"| variant | simulated mAP | foreign mAP | {' | '.join(SHOWN)} | samples-F1 unmatched |")
    print("|---" + "|--:" * 6 + "|", flush=True)
    for name in (*VARIANTS, FROZEN, *others):
        if arguments.only and name not in arguments.only:
            continue
        store = (
            protloc.Store.open(others[name])
            if name in others
            else store_of(arguments.work, fields=arguments.fields, clean=name != FROZEN)
        )
        values = []
        for seed in range(arguments.seeds):
            run = arguments.work / "runs" / f"{name.replace(' ', '-')}-{seed}"
            settings = (f"epochs={arguments.epochs}", f"seed={seed}", f"crop={arguments.crop}", *VARIANTS.get(name, ()))
            values.append(figures(store, run, settings, foreign=foreign, real=arguments.real))
        means, spreads = np.mean(values, axis=0), np.std(values, axis=0, ddof=1 if len(values) > 1 else 0)
        told = " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True))
        print(f"| {name} | {told} |", flush=True)


if __name__ == "__main__":
    main()
