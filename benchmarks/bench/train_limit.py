"""protloc's network on a batch that never leaves memory; ``python -m bench.train_limit STORE STEPS BATCH``."""

from __future__ import annotations

import sys

import numpy as np
import torch

from bench.contest import take_turns
from bench.train_protloc import RECIPE
from protloc.atlas.store import Store
from protloc.learn.backbones import build_network
from protloc.learn.losses import binary_cross_entropy
from protloc.learn.machine import keep_memory, precision_of
from protloc.learn.model import Normalisation
from protloc.learn.network import FieldNetwork
from protloc.learn.recipes import load_recipe


def main() -> None:
    """Take steps with nothing around them: no reading, augmentation, clipping, schedule or trainer."""
    store, steps, batch = Store.open(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    settings = load_recipe(RECIPE)
    keep_memory()
    rows = np.arange(batch)
    images, targets = torch.from_numpy(store.images(rows)), torch.from_numpy(store.targets[rows].astype(np.float32))
    stains, classes = images.shape[1], targets.shape[1]
    inner = build_network(settings.backbone, stains=stains, classes=classes, side=store.side)
    usual = Normalisation(means=(32.0,) * stains, deviations=(32.0,) * stains)
    network = FieldNetwork(inner, usual).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, fused=True)
    bf16 = precision_of(settings, device="cpu") == "bf16-mixed"

    def run() -> int:
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = binary_cross_entropy(network(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return steps * batch

    take_turns(run)


if __name__ == "__main__":
    main()
