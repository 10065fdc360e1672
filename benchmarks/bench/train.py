"""Training ResNet50 beside those who would be used instead, and at the limit of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench import material, train_protloc
from bench.contest import Check, Contender, Row, contest, rates

STEPS = 30  # a turn, which is an epoch of protloc: the first two after validation and checkpoint are slower
STEPS_OF_PEERS = 6  # their rates are per image too, and they are slow
BATCH = 32
FIELDS = STEPS * BATCH + 2 * train_protloc.VALIDATION
KAGGLE_SIDE, KAGGLE_FIELDS = 512, 128


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Train on simulated fields at 128 px, batches of 32; who reads images reads PNGs of 512 px, as Kaggle's are."""
    store = material.store(scratch, fields=FIELDS).folder
    run = scratch / "train-run"
    shutil.rmtree(run, ignore_errors=True)
    given = (material.atlas(scratch, side=KAGGLE_SIDE, fields=KAGGLE_FIELDS), material.SIDE, STEPS_OF_PEERS, BATCH)
    told = contest(
        {
            "protloc": Contender("train_protloc", store, run, STEPS, BATCH),
            "limit": Contender("train_limit", store, STEPS, BATCH),  # beside protloc, so that the same meets both
            "notebook": Contender("train_notebook", *given),
            "fastai": Contender("train_fastai", *given),
            "Lightning + timm": Contender("train_lightning", *given),
        },
        rounds=rounds,
    )
    shutil.rmtree(run)
    row = Row(f"train resnet50, {material.SIDE} px, batch {BATCH}", "images/s", rates(told))
    own = {name: [each[name] for each in told["protloc"]] for name in ("wait", "augment", "clip")}
    waiting = Check("waiting for data, of the step", own["wait"], 3.0, at_most=True, unit="%")
    augmenting, clipping = (Check(f"{name}, of the step", own[name], unit="%") for name in ("augment", "clip"))
    on_top = (
        f"of the step augmentation takes {augmenting.value:.2f} %, clipping {clipping.value:.2f}, waiting "
        f"{waiting.value:.2f}; the rest is Lightning's loop, or chance"
    )
    network = f"the network alone, in memory, is {row.ratio('notebook', of='limit').value:.2f} times the notebook"
    return [
        row.with_checks(
            row.ratio("limit", what="of the limit", target=0.97, reason=on_top),
            row.ratio("notebook", target=3.7, reason=network),
            row.ratio("fastai"),
            row.ratio("Lightning + timm"),
            waiting,
            augmenting,
            clipping,
        )
    ]
