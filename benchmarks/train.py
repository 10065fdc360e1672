"""Print images/s of training for the networks of the recipes, on one batch that stays in memory.

    python benchmarks/train.py --side 128 --batch 32 --steps 5

Each network runs in float32 and in bf16; the best step counts, as other
work on the machine only ever slows one down.
"""

from __future__ import annotations

import argparse
import time

import torch

from protloc.learn.augment import Augmentation, augment
from protloc.learn.backbones import build_network
from protloc.learn.losses import binary_cross_entropy
from protloc.learn.machine import device_of
from protloc.learn.model import Normalisation
from protloc.learn.network import FieldNetwork
from protloc.learn.recipes import RECIPES, TrainSettings, load_recipe

STAINS = 4
CLASSES = 28


def main() -> None:
    """Measure every network and print a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--side", type=int, default=128, help="height and width of the fields in px")
    options.add_argument("--batch", type=int, default=32, help="fields of a batch")
    options.add_argument("--steps", type=int, default=5, help="steps measured, after one that is not")
    options.add_argument("--backbone", action="append", help="these instead of the recipes' networks")
    told = options.parse_args()
    backbones = told.backbone or list(dict.fromkeys(load_recipe(name).backbone for name in RECIPES))
    device = torch.device(device_of(TrainSettings()))
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {told.side} px, batch {told.batch}")
    print(f"{'backbone':<24}{'precision':<12}{'images/s':>9}")
    for backbone in backbones:
        for precision in ("float32", "bf16"):
            step = make_step(backbone, side=told.side, batch=told.batch, bf16=precision == "bf16", device=device)
            print(f"{backbone:<24}{precision:<12}{told.batch / best_time(step, told.steps, device):>9.1f}", flush=True)


def make_step(backbone: str, *, side: int, batch: int, bf16: bool, device: torch.device):  # noqa: ANN201 - a closure
    """Return a function that does one training step, augmentation included."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, STAINS, side, side), dtype=torch.uint8, generator=generator).to(device)
    targets = (torch.rand(batch, CLASSES, generator=generator) < 0.06).float().to(device)
    usual = Normalisation(means=(64.0,) * STAINS, deviations=(64.0,) * STAINS)
    inner = build_network(backbone, stains=STAINS, classes=CLASSES, side=side)
    network = FieldNetwork(inner, usual).to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    augmentation = Augmentation(rotation_degrees=15, width_shift=0.1, height_shift=0.1, flips=True, quarter_turns=True)

    def step() -> None:
        changed = augment(images, augmentation=augmentation, generator=generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(changed)
            loss = binary_cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def best_time(step, steps: int, device: torch.device) -> float:  # noqa: ANN001
    """Return the seconds of the fastest of some steps."""
    step()
    times: list[float] = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
