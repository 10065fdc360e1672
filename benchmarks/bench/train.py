"""Training ResNet50 beside those who would be used instead, and at the limit of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench import material
from bench.contest import Check, Contender, Row, contest, rates

STEPS = 10
STEPS_OF_PEERS = 6  # their rates are per image too, and they are slow
BATCH = 32
TRAIN = "the network alone is no faster: convolutions take four fifths of the step"
KAGGLE_SIDE, KAGGLE_FIELDS = 512, 128


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Train on simulated fields at 128 px, batches of 32; who reads images reads PNGs of 512 px, as Kaggle's are."""
    store = material.store(scratch).folder
    run = scratch / "train-run"
    shutil.rmtree(run, ignore_errors=True)
    given = (material.atlas(scratch, side=KAGGLE_SIDE, fields=KAGGLE_FIELDS), material.SIDE, STEPS_OF_PEERS, BATCH)
    told = contest(
        {
            "protloc": Contender("train_protloc", store, run, STEPS, BATCH),
            "notebook": Contender("train_notebook", *given),
            "fastai": Contender("train_fastai", *given),
            "Lightning + timm": Contender("train_lightning", *given),
            "limit": Contender("train_limit", store, STEPS, BATCH),
        },
        rounds=rounds,
    )
    shutil.rmtree(run)
    row = Row(f"train resnet50, {material.SIDE} px, batch {BATCH}", "images/s", rates(told))
    own = {name: [each[name] for each in told["protloc"]] for name in ("wait", "augment")}
    return [
        row.with_checks(
            row.ratio("limit", what="of the limit", target=0.97),
            row.ratio("notebook", target=3.7, reason=TRAIN),
            row.ratio("fastai"),
            row.ratio("Lightning + timm"),
            Check("waiting for data, of the step", own["wait"], 3.0, at_most=True, unit="%"),
            Check("augmentation, of the step", own["augment"], unit="%"),
        )
    ]
