"""Lightning with timm and OpenCV, nothing else; ``python -m bench.train_lightning ATLAS SIDE STEPS BATCH``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import lightning as L  # noqa: N812 - as its documentation names it
import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.train_turns import CLASSES, REPEATS, STAINS, Turns, labelled_fields


class Fields(Dataset):
    """Reads four PNGs a field with OpenCV, shrinks, rotates and shifts them together."""

    def __init__(self, folder: Path, *, side: int) -> None:
        fields, targets = labelled_fields(folder)
        self.fields, self.targets = fields * REPEATS, np.tile(targets, (REPEATS, 1))
        self.side = side
        self.rng = np.random.default_rng()

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        size = (self.side, self.side)
        image = cv2.merge([cv2.imread(f"{self.fields[place]}_{stain}.png", cv2.IMREAD_GRAYSCALE) for stain in STAINS])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        middle = (self.side - 1) / 2
        move = cv2.getRotationMatrix2D((middle, middle), self.rng.uniform(-15, 15), 1)
        move[:, 2] += self.rng.uniform(-0.1, 0.1, 2) * self.side
        image = cv2.warpAffine(image, move, size, borderMode=cv2.BORDER_REPLICATE)
        return torch.from_numpy(image).permute(2, 0, 1).float() / 255, torch.from_numpy(self.targets[place])


class Model(L.LightningModule):
    """A timm network with its loss and optimiser."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.model = timm.create_model("resnet50", pretrained=False, in_chans=len(STAINS), num_classes=CLASSES)
        self.turns = turns

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch."""
        images, targets = batch
        return nn.functional.binary_cross_entropy_with_logits(self.model(images), targets)

    def on_train_batch_end(self, outputs: object, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Wait for the next turn."""
        self.turns.end_step(len(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=3e-4)


def main() -> None:
    """Train as Lightning's first tutorial does."""
    folder, side, steps, batch = Path(sys.argv[1]), *map(int, sys.argv[2:])
    loader = DataLoader(
        Fields(folder, side=side),
        batch_size=batch,
        shuffle=True,
        num_workers=os.cpu_count() or 1,
        persistent_workers=True,
    )
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(Turns(steps)), loader)


if __name__ == "__main__":
    main()
