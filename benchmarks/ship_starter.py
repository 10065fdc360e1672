"""Make the bundle of a run the starter model that comes with protloc.

    python benchmarks/ship_starter.py runs/starter

The prior it states is that of the Kaggle 2018 table, its caution says what it
learnt from; the weights are halved. Its model card and the log of its training
come with it. It is refused where half precision changes the logits, or the file
is too large.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from protloc.atlas.simulate.draw import real_label_sets
from protloc.atlas.vocabulary import load_vocabulary
from protloc.judge.prior import Prior
from protloc.learn.bundle import WEIGHTS_FILE, Bundle
from protloc.learn.runs import LOG_FILE
from protloc.learn.starter import SHIPPED
from protloc.options import bundle_folder

LARGEST = 10e6  # bytes: what a wheel may carry without anybody noticing
TOLERANCE = 0.05  # of a logit; calls change from about this on
PROBES = 4  # fields of random pixels
CAUTION = (
    "The starter model learnt from simulated fields only: that its probabilities are calibrated and its certain "
    "answers as sure as they say holds for those alone. Fine-tune it on labelled fields of yours before you trust it: "
    "protloc train --weights starter."
)
CARD_FILE = "README.md"
REAL = "What it is worth on real fields, and by which stains are given, stands in `docs/starter.md`."


def main() -> None:
    """Check the bundle of a run, write it, print its size."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("run", type=Path, help="run, judged by protloc evaluate")
    options.add_argument("--out", type=Path, default=SHIPPED, help="folder to write; protloc's own if not said")
    told = options.parse_args()
    bundle = Bundle.load(bundle_folder(told.run))
    size, change = ship(bundle, told.out)
    document(bundle.folder, told.out)
    print(f"{told.out}: {size / 1e6:.2f} MB; half precision changes a logit by {change:.4f} at most")


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


def document(judged: Path, out: Path) -> None:
    """Add the model card that ``evaluate`` wrote, under the starter's name, and the log of the training."""
    _, _, card = (judged / CARD_FILE).read_text(encoding="utf-8").partition("\n")
    (out / CARD_FILE).write_text(f"# The starter model\n\n{CAUTION}\n\n{REAL}\n{card}", encoding="utf-8")
    shutil.copyfile(judged.parent / LOG_FILE, out / LOG_FILE)


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
