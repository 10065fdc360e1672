"""Make the bundle of a run the starter model that comes with protloc.

    python benchmarks/ship_starter.py runs/starter --judge STORE

Fields are read at the side of STORE, another one than in training: a network trained on crops sees too little of a
field to be used to whole ones, and does better where they are larger (Touvron et al., "Fixing the train-test resolution
discrepancy", 2019). STORE holds simulated fields that had no part in training; on its validation part the answers are
fitted, on its test part they are judged, in the run RUN-judged. The prior that is stated is that of the Kaggle 2018
table, the caution says what it learnt from; the weights are halved. The model card, the log of the training and what
embeddings of STORE's fields are like (for preflight, bound to the halved weights) come with it. It is refused where
half precision changes the logits, or the file is too large.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

import protloc
from protloc.apply.embed import embeddings
from protloc.apply.given import stored_batches
from protloc.atlas.simulate.draw import real_label_sets
from protloc.atlas.store import Store
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.split import rows_of
from protloc.judge.prior import Prior
from protloc.learn.bundle import Bundle
from protloc.learn.bundle_checks import subset_name
from protloc.learn.model import WEIGHTS_FILE
from protloc.learn.reference import (
    REFERENCE_FILE,
    Reference,
    components_for,
    fit_reference,
    spread,
    write_references,
)
from protloc.learn.runs import LOG_FILE, Run, read_run, write_run
from protloc.learn.starter import SHIPPED
from protloc.verbs.split import read_split

LARGEST = 10e6  # bytes: what a wheel may carry without anybody noticing
TOLERANCE = 0.05  # of a logit; calls change from about this on
FIELDS = 600  # of each part for what is usual, with each set of stains
PROBES = 4  # fields of random pixels
CAUTION = (
    "The starter model learnt from simulated fields only: that its probabilities are calibrated and its certain "
    "answers as sure as they say holds for those alone. Fine-tune it on labelled fields of yours before you trust it: "
    "protloc train --weights starter."
)
CARD_FILE = "README.md"
TRAINED_ON = "## Trained on\n"
REAL = "What it is worth on real fields, and by which stains are given, stands in `docs/starter.md`."


def main() -> None:
    """Check the bundle of a run, write it, print its size."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("run", type=Path, help="finished run of the recipe starter")
    options.add_argument("--judge", type=Path, required=True, help="store to fit and judge its answers on")
    options.add_argument("--out", type=Path, default=SHIPPED, help="folder to write; protloc's own if not said")
    told = options.parse_args()
    run = read_run(told.run)
    judged = judged_at(run, Store.open(told.judge))
    size, change = ship(judged.bundle(), told.out)
    write_references(told.out, usual(Bundle.load(told.out), Store.open(told.judge)))
    document(run, judged, told.out)
    extra = (told.out / REFERENCE_FILE).stat().st_size
    print(f"{told.out}: weights {size / 1e6:.2f} MB, reference {extra / 1e6:.2f} MB")
    print(f"half precision changes a logit by {change:.4f} at most")


def ship(bundle: Bundle, out: Path) -> tuple[int, float]:
    """Write a bundle with its prior and caution in half precision; return its bytes and the largest change of a logit.

    Raises:
        SystemExit: if it cannot be the starter model.
    """
    if bundle.vocabulary != load_vocabulary("kaggle2018"):
        raise SystemExit(f"{bundle.folder}: its classes are {bundle.vocabulary.name}, expected kaggle2018.")
    if not bundle.rule.fields:
        raise SystemExit(f"{bundle.folder}: it was never judged. Run protloc evaluate first.")
    with tempfile.TemporaryDirectory() as folder:
        replace(bundle, prior=kaggle_prior(), caution=CAUTION).save(Path(folder), half=True)
        shipped = Bundle.load(folder)
        size, change = (Path(folder) / WEIGHTS_FILE).stat().st_size, largest_change(bundle, shipped)
    if size > LARGEST:
        raise SystemExit(f"{bundle.folder}: {size / 1e6:.1f} MB, expected {LARGEST / 1e6:.0f} at most.")
    if change > TOLERANCE:
        raise SystemExit(f"{bundle.folder}: half precision changes a logit by {change:.3f}, expected {TOLERANCE}.")
    shipped.save(out, half=True)
    return size, change


def judged_at(run: Run, store: Store) -> Run:
    """Fit and judge the answers of a trained network on a store of another side; return that as a run beside it."""
    folder = run.folder.with_name(f"{run.folder.name}-judged")
    shutil.rmtree(folder, ignore_errors=True)
    split = read_split(store, "default")
    judged = write_run(folder, settings=run.settings, store=store, split=split, split_name="default")
    shutil.copyfile(run.folder / LOG_FILE, folder / LOG_FILE)
    replace(run.bundle(), side=store.side).save(judged.bundle_folder)
    print(protloc.evaluate(folder).summary)
    return judged


def usual(bundle: Bundle, store: Store) -> dict[str, tuple[Reference, ...]]:
    """Tell what embeddings of a store's fields are like, for each set of stains that may be given.

    The network learnt from none of them: some of the validation part tell where they lie, and some of the test part,
    which shares no group with it, how far from there fields usually are.
    """
    rows = rows_of(read_split(store, "default"), store.ids)
    some = [rows[part][spread(len(rows[part]), FIELDS)] for part in ("validation", "test")]
    found: dict[str, tuple[Reference, ...]] = {}
    for name in (subset_name(stain.name for stain in bundle.stains), *bundle.rules):
        seen = [embeddings(bundle, stored_batches(bundle, store, each, stains=name.split("+"))) for each in some]
        kept = components_for(seen[0].shape[1], 1 + len(bundle.rules))
        found[name] = (fit_reference(*seen, components=kept),)
    return found


def document(run: Run, judged: Run, out: Path) -> None:
    """Add the model card that ``evaluate`` wrote, under the starter's name, and the log of the training."""
    card = (judged.bundle_folder / CARD_FILE).read_text(encoding="utf-8")
    before, _, after = card.partition(TRAINED_ON)
    use = before.partition("\n")[2]
    rest = after[after.index("\n## ") :]
    trained = f"{TRAINED_ON}\n{in_words(run, judged.bundle().side)}\n"
    told = f"# The starter model\n\n{CAUTION}\n\n{REAL}\n{use}{trained}{rest}"
    (out / CARD_FILE).write_text(told, encoding="utf-8")
    shutil.copyfile(run.folder / LOG_FILE, out / LOG_FILE)


def in_words(run: Run, side: int) -> str:
    """Tell what a run learnt from, and at which side it reads fields now."""
    bundle, parts = run.bundle(), Counter(read_split(Store.open(run.store), run.split_name).parts)
    return (
        f"The recipe starter was trained on {parts['train']:,} simulated fields of {bundle.side} px a side, in crops "
        f"of {run.settings.crop} px, for {len(run.history)} epochs with the seed {run.settings.seed}, of which epoch "
        f"{bundle.metrics['epoch']} was kept for its macro-F1 on {parts['validation']:,} other simulated fields. It "
        f"reads fields at {side} px a side, as was chosen on simulated fields and the 26 real ones."
    )


def kaggle_prior() -> Prior:
    """Return how often each class occurs in the training table of the Kaggle 2018 competition."""
    sets = real_label_sets()
    fields = sets.fields.sum()
    return Prior(f"Kaggle 2018 training table ({fields:,} fields)", tuple((sets.fields @ sets.has / fields).tolist()))


def largest_change(before: Bundle, after: Bundle) -> float:
    """Return how far apart two networks' logits are at most, on random fields as bright as those they learnt from."""
    usual, generator = before.members[0].normalisation, torch.Generator().manual_seed(0)
    means, deviations = (torch.tensor(each).reshape(1, -1, 1, 1) for each in (usual.means, usual.deviations))
    noise = torch.randn((PROBES, len(before.stains), before.side, before.side), generator=generator)
    fields = (means + deviations * noise).clamp(0, 255).to(torch.uint8)
    with torch.inference_mode():
        return (before.network()(fields) - after.network()(fields)).abs().max().item()


if __name__ == "__main__":
    main()
