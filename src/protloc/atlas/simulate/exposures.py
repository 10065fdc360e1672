"""Which exposures occur: how the settings of the camera vary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.camera import Camera

FIELD_WIDTH = 164.0  # µm; 2048 px of 0.08 µm
DIM_SHARE = 0.10  # of antibodies with a signal near the noise
ZOOMS = ((1.02, 1.6), (0.65, 1.02), (1.6, 2.25))
ZOOM_SHARES = (0.66, 0.25, 0.09)
SHRUNK = 0.5  # of fields come from larger originals, their noise averaged


@dataclass(frozen=True)
class Habits:
    """What the exposures of one antibody have in common.

    Attributes:
        level: Median grey value of the bright end of green.
        photons: Photons at the bright end of green in a pixel of 0.64 µm.
        dim: Whether it is one of the antibodies with a signal near the noise.
    """

    level: float
    photons: float
    dim: bool


def draw_habits(rng: np.random.Generator) -> Habits:
    """Draw what the exposures of one antibody have in common."""
    dim = bool(rng.random() < DIM_SHARE)
    low, high = (8.0, 25.0) if dim else (14.0, 320.0)
    level = float(np.clip(np.exp(rng.normal(np.log(140), 0.5)), 30, 400))
    return Habits(level * (0.4 if dim else 1.0), float(np.exp(rng.uniform(np.log(low), np.log(high)))), dim)


def draw_zoom(rng: np.random.Generator) -> float:
    """Draw the enlargement of a field against one of 164 µm, 1.02 to 1.6 in two thirds of the fields."""
    return float(rng.uniform(*ZOOMS[rng.choice(len(ZOOMS), p=ZOOM_SHARES)]))


def draw_any_camera(rng: np.random.Generator, *, side: int) -> Camera:
    """Draw the exposure of any antibody at any enlargement, for a field of ``side`` pixels."""
    habits = draw_habits(rng)
    return draw_camera(rng, pixel=FIELD_WIDTH / draw_zoom(rng) / side, level=habits.level, photons=habits.photons)


def draw_camera(rng: np.random.Generator, *, pixel: float, level: float, photons: float) -> Camera:
    """Draw the settings of one exposure.

    Args:
        rng: Decides.
        pixel: Micrometres a pixel.
        level: Median grey value of the bright end of green, a habit of the antibody.
        photons: Photons at the bright end of green.
    """
    levels = np.exp(rng.normal(np.log([225, level, 215, 175]), [0.45, 0.15, 0.45, 0.4]))
    if rng.random() < 0.04:
        levels[rng.integers(4)] *= 2.5
    counts = np.exp(rng.uniform(np.log([70, 1, 90, 35]), np.log([2000, 2, 1200, 900])))
    counts[1] = photons
    return Camera(
        pixel=pixel,
        focus=float(np.hypot(0.1, rng.uniform(0, 0.4) * (rng.random() < 0.15))),
        photons=four(counts),
        level=four(np.clip(levels, 15, 600)),
        background=four(
            np.exp(rng.uniform(np.log([0.0005, 0.0005, 0.0005, 0.0005]), np.log([0.012, 0.03, 0.006, 0.012])))
        ),
        offset=four(rng.uniform([0.5, 0.0, 3.0, 0.5], [5.0, 2.0, 11.0, 5.0])),
        read_noise=float(rng.uniform(0.05, 0.5)),
        shading=float(rng.uniform(-0.15, 0.15)),
        shading_angle=float(rng.uniform(0, 2 * np.pi)),
        bleed=(float(rng.uniform(0, 0.05)), float(rng.uniform(0, 0.05))),
        hot=float(np.exp(rng.uniform(np.log(1e-5), np.log(3e-4)))),
        smooth=float(rng.uniform(0.3, 0.6)) if rng.random() < SHRUNK else 0.0,
    )


def four(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return an array of four numbers as the tuple that a camera takes, one a stain."""
    red, green, blue, yellow = (float(value) for value in values)
    return red, green, blue, yellow
