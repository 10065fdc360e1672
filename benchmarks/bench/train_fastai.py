"""A fastai learner with an item transform of four stains; ``python -m bench.train_fastai ATLAS SIDE STEPS BATCH``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from fastai.vision.all import (
    BCEWithLogitsLossFlat,
    Callback,
    Datasets,
    IntToFloatTensor,
    TensorImage,
    Transform,
    aug_transforms,
    tensor,
    vision_learner,
)
from PIL import Image
from torchvision.models import resnet50

from bench.train_turns import CLASSES, REPEATS, STAINS, Turns, labelled_fields


class OpenStains(Transform):
    """Reads the four PNGs of a field, shrunk."""

    def __init__(self, side: int) -> None:
        self.size = (side, side)

    def encodes(self, field: Path) -> TensorImage:
        """Return (stains, side, side) uint8."""
        files = [Image.open(f"{field}_{stain}.png") for stain in STAINS]
        return TensorImage(np.stack([file.resize(self.size, Image.Resampling.BILINEAR) for file in files]))


class Pause(Callback):
    """Waits for the next turn after each batch."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def after_batch(self) -> None:
        """Tell the images of the batch."""
        self.turns.end_step(len(self.x))


def main() -> None:
    """Train with fastai's defaults, validating never."""
    folder, side, steps, batch = Path(sys.argv[1]), *map(int, sys.argv[2:])
    fields, targets = labelled_fields(folder)
    labels = dict(zip(fields, targets, strict=True))
    every = fields * REPEATS
    datasets = Datasets(
        every,
        tfms=[[OpenStains(side)], [labels.get, tensor]],
        splits=[range(len(every) - batch), range(len(every) - batch, len(every))],
    )
    rotate_and_shift = aug_transforms(
        do_flip=False, max_rotate=15, max_zoom=1.1, max_lighting=0, max_warp=0, p_affine=1
    )
    loaders = datasets.dataloaders(
        bs=batch, num_workers=os.cpu_count() or 1, after_batch=[IntToFloatTensor(), *rotate_and_shift]
    )
    learner = vision_learner(
        loaders,
        resnet50,
        n_in=len(STAINS),
        n_out=CLASSES,
        pretrained=False,
        normalize=False,
        loss_func=BCEWithLogitsLossFlat(),
        cbs=Pause(Turns(steps)),
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)


if __name__ == "__main__":
    main()
