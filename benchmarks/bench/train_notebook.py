"""The notebook baseline: PIL, numpy, scipy, torchvision; ``python -m bench.train_notebook ATLAS SIDE STEPS BATCH``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet50

from bench.train_turns import CLASSES, REPEATS, STAINS, Turns, labelled_fields


class Fields(Dataset):
    """Reads four PNGs a field, stacks, shrinks, rotates and shifts them.

    Args:
        folder: The atlas.
        side: Height and width in px that the fields are shrunk to.
    """

    def __init__(self, folder: Path, *, side: int) -> None:
        fields, targets = labelled_fields(folder)
        self.fields, self.targets = fields * REPEATS, np.tile(targets, (REPEATS, 1))
        self.side = side

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        size = (self.side, self.side)
        stains = [
            np.array(Image.open(f"{self.fields[place]}_{stain}.png").resize(size, Image.Resampling.BILINEAR))
            for stain in STAINS
        ]
        moved = rotate_and_shift(np.stack(stains).astype(np.float32) / 255)
        return torch.from_numpy(moved), torch.from_numpy(self.targets[place])


def rotate_and_shift(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move an image (stains, side, side) as Keras' ``ImageDataGenerator(15, 0.1, 0.1)`` does, stain by stain."""
    side = image.shape[1]
    angle = np.deg2rad(np.random.uniform(-15, 15))  # noqa: NPY002 - as its users draw
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.full(2, (side - 1) / 2)
    offset = centre + matrix @ (np.random.uniform(-0.1, 0.1, 2) * side - centre)  # noqa: NPY002
    return np.stack([ndimage.affine_transform(stain, matrix, offset, order=1, mode="nearest") for stain in image])


def main() -> None:
    """Train as a notebook does."""
    folder, side, steps, batch = Path(sys.argv[1]), *map(int, sys.argv[2:])
    loader = DataLoader(
        Fields(folder, side=side),
        batch_size=batch,
        shuffle=True,
        num_workers=os.cpu_count() or 1,
        persistent_workers=True,
    )
    model = resnet50(num_classes=CLASSES)
    model.conv1 = nn.Conv2d(len(STAINS), 64, kernel_size=7, stride=2, padding=3, bias=False)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    turns = Turns(steps)
    model.train()
    for images, targets in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), targets)
        loss.backward()
        optimizer.step()
        turns.end_step(len(images))


if __name__ == "__main__":
    main()
