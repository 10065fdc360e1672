"""The microscope: blur, photons, uneven light, bleed-through, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.textures import FloatImage

STAINS = ("red", "green", "blue", "yellow")
REFERENCE = 164 / 256  # µm; photons are counted for a pixel of this size, and fall with its area
PIXEL_BLUR = 0.3  # px; a pixel itself blurs by about 0.3 of its side
LEAST_PHOTONS = 0.5  # at the bright end of a pixel, however small
LEAST_COUNT = 1e-4  # photons; fewer never show
HOT_SHARE = 0.4  # mean brightness of a hot pixel, as a share of the level
BRIGHTEST = 4.0  # bright ends; the most light that coded clean stains can hold
WHITE = 255


@dataclass(frozen=True)
class Camera:
    """Settings of one exposure; tuples hold one value a stain, red, green, blue, yellow.

    Attributes:
        pixel: Micrometres a pixel.
        focus: Gaussian blur of the optics in µm (standard deviation).
        photons: Photons at the bright end of each stain in a pixel of 0.64 µm.
        level: Grey value of the bright end (99.9th percentile); over 255 is saturated.
        background: Even light from everywhere, as a share of the bright end.
        offset: What is subtracted, in standard deviations of the noise above the background.
        read_noise: Standard deviation of the electronics, in photons.
        shading: Relative fall of the light from one side of the field to the other.
        shading_angle: Where it is brightest, in radians.
        bleed: Share of red and of yellow that shows in green.
        hot: Share of pixels that are bright for no reason.
        smooth: Gaussian blur in px of the light with its noise (standard deviation), before it becomes 8 bits:
            fields shrunk from larger originals have smooth noise.
    """

    pixel: float
    focus: float = 0.12
    photons: tuple[float, float, float, float] = (60.0, 60.0, 60.0, 60.0)
    level: tuple[float, float, float, float] = (170.0, 110.0, 180.0, 150.0)
    background: tuple[float, float, float, float] = (0.03, 0.03, 0.02, 0.03)
    offset: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    read_noise: float = 1.0
    shading: float = 0.05
    shading_angle: float = 0.0
    bleed: tuple[float, float] = (0.01, 0.01)
    hot: float = 0.0
    smooth: float = 0.0

    @property
    def blur(self) -> float:
        """Return the blur of optics and pixel together, in px (standard deviation)."""
        return float(np.hypot(self.focus / self.pixel, PIXEL_BLUR))

    @property
    def full(self) -> tuple[float, ...]:
        """Return the photons at the bright end of each stain in a pixel of this camera."""
        return tuple(max(photons * (self.pixel / REFERENCE) ** 2, LEAST_PHOTONS) for photons in self.photons)

    @property
    def floor(self) -> tuple[float, ...]:
        """Return what is subtracted of each stain, in photons: the background, and its noise ``offset`` times."""
        dark = [full * share for full, share in zip(self.full, self.background, strict=True)]
        return tuple(
            light + times * float(np.sqrt(light + self.read_noise**2))
            for light, times in zip(dark, self.offset, strict=True)
        )


def expose(clean: FloatImage, camera: Camera, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photograph clean stains.

    Args:
        clean: Array of shape (4, side, side), float, 0 or more, 1 the bright end of each stain.
        camera: The settings.
        rng: Draws the noise.

    Returns:
        Array of shape (4, side, side), uint8. The background is subtracted and clipped, so that much of it is
        exactly 0. Counted light is gamma distributed with its mean as variance: few photons are seen as lone bright
        pixels on black, as a photomultiplier shows them. It has the form of Wilson and Hilferty (PNAS 17, 1931),
        m (1 - 1/(9 m) + n/(3 sqrt(m)))^3, n standard normal, cut at 0: many times cheaper than drawing it.
    """
    light = bleed_through(clean, camera)
    shade = shading(light.shape[-1], camera)
    return np.stack([_expose_stain(stain * shade, row, camera, rng) for row, stain in enumerate(light)])


def bleed_through(clean: FloatImage, camera: Camera) -> FloatImage:
    """Add the share of red and yellow that green sees; shape (4, side, side)."""
    light = clean.astype(np.float32, copy=True)
    light[1] += np.float32(camera.bleed[0]) * clean[0] + np.float32(camera.bleed[1]) * clean[3]
    return light


def shading(side: int, camera: Camera) -> FloatImage:
    """Return the light of the lamp over the field, mean 1, shape (side, side)."""
    ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    across = ramp[None, :] * np.cos(camera.shading_angle) + ramp[:, None] * np.sin(camera.shading_angle)
    bowl = ramp[None, :] ** 2 + ramp[:, None] ** 2 - np.float32(1 / 6)
    return (1 + np.float32(camera.shading) * (across - bowl)).astype(np.float32)


def code_clean(light: FloatImage) -> NDArray[np.uint8]:
    """Code clean stains in 8 bits, by their square root: faint light keeps its steps; above ``BRIGHTEST`` is cut.

    Args:
        light: Any shape, float, 0 or more, 1 the bright end.
    """
    return np.rint(WHITE * np.sqrt(np.minimum(light, BRIGHTEST) / BRIGHTEST)).astype(np.uint8)


def decode_clean(coded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the light, float32 in 0..4, of clean stains coded by :func:`code_clean`."""
    return np.square(coded, dtype=np.float32) * np.float32(BRIGHTEST / WHITE**2)


def _expose_stain(stain: FloatImage, row: int, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    sharp = cv2.GaussianBlur(stain, (0, 0), camera.blur)
    full, level = camera.full[row], camera.level[row]
    mean = full * (np.maximum(sharp, 0) + camera.background[row])
    third = 1 / (3 * np.sqrt(np.maximum(mean, LEAST_COUNT)))
    counted = mean * np.maximum(1 + third * (rng.standard_normal(stain.shape, np.float32) - third), 0) ** 3
    counted += np.float32(camera.read_noise) * rng.standard_normal(stain.shape, np.float32)
    grey = (counted - np.float32(camera.floor[row])) * np.float32(level / full)
    if camera.hot > 0:
        spots = rng.integers(0, grey.size, rng.poisson(camera.hot * grey.size))
        grey.ravel()[spots] += rng.exponential(HOT_SHARE * level, spots.size).astype(np.float32)
    if camera.smooth > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), camera.smooth)
    return np.clip(np.rint(grey), 0, WHITE).astype(np.uint8)
