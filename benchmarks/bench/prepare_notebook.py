"""Contender: a notebook reads its fields with PIL in a DataLoader, epoch by epoch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from bench.contest import take_turns

STAINS = ("red", "green", "blue", "yellow")
SIDE, BATCH = 128, 32


class Fields(Dataset):
    """Fields of a folder, read when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids = sorted({file.name.rpartition("_")[0] for file in folder.iterdir()})

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> torch.Tensor:
        stains = [
            Image.open(self.folder / f"{self.ids[row]}_{stain}.png").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            for stain in STAINS
        ]
        return torch.from_numpy(np.stack([np.asarray(stain) for stain in stains]))


def main() -> None:
    """Read one epoch at each go; ``python -m bench.prepare_notebook FOLDER``."""
    fields = Fields(Path(sys.argv[1]))
    loader = DataLoader(fields, BATCH, shuffle=True, num_workers=os.cpu_count() or 1, persistent_workers=True)

    def run() -> int:
        return sum(len(batch) for batch in loader)

    take_turns(run)


if __name__ == "__main__":
    main()
