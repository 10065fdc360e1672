"""Randomness from seed, epoch and step alone, so that training can resume."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch

# what the random numbers are for: two purposes never share a stream
NETWORK, ORDER, AUGMENTATION, DROPOUT, CAMERA = range(1, 6)


def number_of(seed: int, *place: int) -> int:
    """Derive a 63-bit number from a seed and a place such as (purpose, epoch, step)."""
    words = np.random.SeedSequence((seed, *place)).generate_state(1, np.uint64)
    return int(words[0]) >> 1


def generator_of(seed: int, *place: int) -> torch.Generator:
    """Make a CPU generator that depends on nothing but a seed and a place such as (purpose, epoch, step)."""
    return torch.Generator().manual_seed(number_of(seed, *place))


@contextmanager
def seeded(seed: int, *place: int, device: torch.device | None = None) -> Generator[None]:
    """Seed torch's own random state inside the block, put it back after it.

    Initial weights and dropout draw from that state and take no generator.

    Args:
        seed: The seed of the run.
        place: What the numbers are for, such as (purpose, epoch, step).
        device: A CUDA device whose state is seeded too.
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(number_of(seed, *place))  # not torch.manual_seed: that reaches every GPU
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(number_of(seed, *place))
        yield
