"""What a pattern is drawn on: frame, landmarks, chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protloc.atlas.simulate.cells import Cells, Numbers
from protloc.atlas.simulate.geometry import Frame
from protloc.atlas.simulate.marks import Threads
from protloc.atlas.simulate.textures import FloatImage, ridges, texture


@dataclass(frozen=True)
class Scene:
    """One field as a pattern sees it.

    Attributes:
        frame: The geometry.
        microtubules: The clean network of the red stain.
        reticulum: The clean net of the yellow stain.
        rng: Chance of this field: where each dot falls.
        style: Chance of the antibody, equal for all its fields: which variant of the pattern, how many dots.
    """

    frame: Frame
    microtubules: Threads
    reticulum: FloatImage
    rng: np.random.Generator
    style: np.random.Generator

    @property
    def cells(self) -> Cells:
        """Return the cells of the field."""
        return self.frame.cells

    def px(self, micrometres: float) -> float:
        """Turn micrometres into pixels."""
        return micrometres / self.frame.pixel

    def noise(self, grain: float) -> FloatImage:
        """Return smooth noise of mean 0 and deviation 1; ``grain`` in µm."""
        return texture(self.rng, side=self.frame.side, grain=self.px(grain))

    def net(self, grain: float) -> FloatImage:
        """Return a net of bright lines in 0..1 about ``grain`` µm apart."""
        return ridges(self.rng, side=self.frame.side, grain=self.px(grain))

    def mottle(self, grain: float, *, depth: float) -> FloatImage:
        """Return a positive texture around 1; ``grain`` in µm, ``depth`` its relative deviation."""
        return np.exp(depth * self.noise(grain) - 0.5 * depth**2)

    def counts(self, low: float, high: float) -> Numbers:
        """Draw a number for every cell: one level for the antibody in low..high, the cells log-normal around it."""
        level = np.exp(self.style.uniform(np.log(low), np.log(high)))
        return level * np.exp(self.rng.normal(0, 0.35, len(self.cells)))


Pattern = Callable[[Scene], FloatImage]
PATTERNS: dict[str, Pattern] = {}


def pattern(compartment: str) -> Callable[[Pattern], Pattern]:
    """Register a function as the pattern of the compartment of that name in the vocabulary."""

    def register(draw: Pattern) -> Pattern:
        PATTERNS[compartment] = draw
        return draw

    return register
