"""Whether the starter is worth starting from: 100 labelled fields of another microscope, three initial weights.

    python benchmarks/fine_tuning.py WORK [--fields 700] [--seeds 3] [--epochs 30]

Simulates a *shifted* atlas: cell lines that HPA uses little, larger pictures of fewer cells, more blur, a grey
background that nobody subtracted, few photons, uneven light, bleed-through. 100 of its fields, whole antibodies, are
labelled: 70 to learn from, 30 to choose the epoch and the answers by; the rest is for the test. From the starter's
weights, from ImageNet's and from random ones a network is trained alike, with each seed; `protloc compare` then sets
the runs of one seed against each other. Finished runs in WORK are not trained again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

import protloc
from protloc.atlas.simulate import Camera, FieldPlan, expose, plan_fields, render_clean
from protloc.atlas.simulate.camera import STAINS
from protloc.atlas.simulate.cells import CELL_LINES
from protloc.atlas.simulate.exposures import four
from protloc.curate.split import Split
from protloc.judge.evaluation import Evaluation
from protloc.judge.metrics import macro_f1, mean_average_precision, micro_f1, samples_f1

LINES = ("SH-SY5Y", "BJ", "PC-3")
LABELLED, LEARNT = 100, 70
SIDE, SEED = 256, 2026
WEIGHTS = {"starter": "starter", "ImageNet": "efficientnet-lite0", "random": "none"}
SETTINGS = ("crop=192", "patience=100", "batch_size=16", "oversampling_factor=1")
METRICS = ("macro_f1", "samples_f1", "micro_f1", "mean_average_precision")


def moved_plan(plan: FieldPlan) -> FieldPlan:
    """Plan the same antibody on another microscope, with other cells."""
    rng = np.random.default_rng([SEED, plan.index])
    pixel = plan.layout.pixel / rng.uniform(1.2, 1.6)
    line = next(line for line in CELL_LINES if line.name == LINES[plan.antibody.index % len(LINES)])
    camera = Camera(
        pixel=pixel,
        focus=rng.uniform(0.4, 0.8),
        photons=four(rng.uniform(8, 60, 4)),
        level=four(rng.uniform(90, 220, 4)),
        background=four(rng.uniform(0.05, 0.2, 4)),
        offset=four(rng.uniform(-2.5, -1.0, 4)),
        read_noise=1.5,
        shading=rng.uniform(0.1, 0.4),
        shading_angle=rng.uniform(0, 2 * np.pi),
        bleed=(0.08, 0.1),
    )
    return replace(plan, camera=camera, layout=replace(plan.layout, line=line, pixel=pixel))


def shifted_store(work: Path, fields: int, *, side: int = SIDE, balanced: bool = True) -> protloc.Store:
    """Simulate and prepare the shifted atlas, with a split that gives whole antibodies to each part."""
    folder = work / "store"
    if folder.exists():
        return protloc.Store.open(folder)
    images = work / "images"
    images.mkdir(parents=True, exist_ok=True)
    plans = [moved_plan(plan) for plan in plan_fields(fields, side=side, seed=SEED, balanced=balanced)]
    for plan in plans:
        clean = render_clean(plan, seed=SEED).stains
        photographs = expose(clean, plan.camera, rng=np.random.default_rng([SEED, 4, plan.index]))
        for stain, picture in zip(STAINS, photographs, strict=True):
            cv2.imwrite(str(images / f"{plan.id}_{stain}.png"), picture)
    labels = [{"Id": plan.id, "Target": " ".join(map(str, plan.antibody.labels))} for plan in plans]
    keys = [{"id": plan.id, "antibody": plan.antibody.name} for plan in plans]
    pd.DataFrame(labels).to_csv(work / "labels.csv", index=False)
    pd.DataFrame(keys).to_csv(work / "keys.csv", index=False)
    store = protloc.prepare(images, folder, labels=work / "labels.csv", reading=protloc.Reading(side=side)).store
    protloc.audit(store, keys=work / "keys.csv")
    shares = (LEARNT / fields, (LABELLED - LEARNT) / fields, 1 - LABELLED / fields)
    protloc.split(store, fractions=shares, seed=0)
    return store


def as_shipped(work: Path, store: protloc.Store) -> str:
    """Judge the starter as it comes on the same test fields, from their images; not matched to any prior."""
    part = Split.read(store.folder / "splits" / "default.parquet")
    said = protloc.predict(protloc.starter(), work / "images", adapt=False)
    labels = protloc.read_labels(work / "labels.csv", said.vocabulary)
    test = {field for field, name in zip(part.ids, part.parts, strict=True) if name == "test"}
    rows = [row for row, field in enumerate(said.ids) if field in test]
    truth = labels.targets[[labels.ids.index(said.ids[row]) for row in rows]]
    called, found = said.answers.called[rows], said.answers.probabilities[rows]
    values = [judge(truth, called) for judge in (macro_f1, samples_f1, micro_f1)]
    return " | ".join(f"{value:.3f}" for value in (*values, mean_average_precision(truth, found)))


def main() -> None:
    """Train what is not trained yet, print every figure, compare the runs of each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--fields", type=int, default=700)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    store = shifted_store(arguments.work, arguments.fields)
    print("| initial weights | seed | " + " | ".join(METRICS) + " |\n|---|--:" + "|--:" * len(METRICS) + "|")
    print(f"| starter as it comes | | {as_shipped(arguments.work, store)} |", flush=True)
    for seed in range(arguments.seeds):
        runs = []
        for name, weights in WEIGHTS.items():
            run = arguments.work / f"{name}-{seed}"
            settings = (f"weights={weights}", f"seed={seed}", f"epochs={arguments.epochs}", *SETTINGS)
            protloc.train(store, recipe="standard", run=run, overrides=settings, resume=run.exists())
            judged = protloc.evaluate(run).evaluation
            told = " | ".join(_told(judged, metric) for metric in METRICS)
            print(f"| {name} | {seed} | {told} |", flush=True)
            runs.append(run)
        print(protloc.compare(runs, out=arguments.work / f"compare-{seed}").summary, flush=True)


def _told(judged: Evaluation, metric: str) -> str:
    estimate = getattr(judged.parts["test"], metric)
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


if __name__ == "__main__":
    main()
