"""Outlines of cells and nuclei, as radii over the directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Outlines = NDArray[np.float32]  # shape (shapes, DIRECTIONS): radius in each direction against an ellipse

DIRECTIONS = 512
LEAST = 0.35  # no outline comes nearer to its centre
ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)


def draw_waves(rng: np.random.Generator, depths: NDArray[np.float64]) -> Outlines:
    """Draw bays of the orders 2, 3 ...; higher orders than 4 make flowers.

    Args:
        rng: Decides.
        depths: Typical depth of each order for every shape, as a share of the radius, shape (shapes, orders).
    """
    drawn = rng.normal(size=(2, *depths.shape)) * depths / np.sqrt(2)
    turns = np.exp(1j * np.outer(np.arange(2, 2 + depths.shape[1]), ANGLES))
    return ((drawn[0] + 1j * drawn[1]) @ turns).real.astype(np.float32)


def draw_tips(rng: np.random.Generator, counts: NDArray[np.int64]) -> Outlines:
    """Pull each outline out into ``counts`` pointed tips with concave flanks, the first two near the ends."""
    owners = np.repeat(np.arange(counts.size), counts)
    number = np.arange(owners.size) - np.repeat(np.cumsum(counts) - counts, counts)
    first = rng.integers(2, size=counts.size)[owners]
    ends = np.pi * (number + first) + rng.normal(0, 0.3, owners.size)
    where = np.where(number < 2, ends, rng.uniform(0, 2 * np.pi, owners.size))
    chord = 2 * np.abs(np.sin(0.5 * (ANGLES[None, :] - where[:, None])))
    length = 0.6 * np.exp(rng.normal(0, 0.55, owners.size))
    width = rng.uniform(0.18, 0.5, owners.size)
    return _sums(owners, length[:, None] * np.exp(-chord / width[:, None]), counts.size)


def draw_dents(rng: np.random.Generator, counts: NDArray[np.int64], *, depth: tuple[float, float]) -> Outlines:
    """Press ``counts`` round dents into each outline, as deep as ``depth`` of the radius; negative ones are bumps."""
    owners = np.repeat(np.arange(counts.size), counts)
    where = rng.uniform(0, 2 * np.pi, (owners.size, 1))
    chord = 2 * np.sin(0.5 * (ANGLES[None, :] - where)) / rng.uniform(0.4, 0.9, (owners.size, 1))
    return _sums(owners, -rng.uniform(*depth, (owners.size, 1)) * np.exp(-(chord**2)), counts.size)


def outlines_of(*parts: Outlines) -> Outlines:
    """Add the parts to a circle, keep them off the centre, and give each the area of the circle."""
    radii = np.maximum(1 + sum(parts[1:], parts[0]), np.float32(LEAST))
    return (radii / np.sqrt((radii**2).mean(axis=1, keepdims=True))).astype(np.float32)


def _sums(owners: NDArray[np.intp], rows: NDArray[np.float64], count: int) -> Outlines:
    total = np.zeros((count, DIRECTIONS), np.float32)
    np.add.at(total, owners, rows.astype(np.float32))
    return total
