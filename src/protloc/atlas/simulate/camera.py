"""The microscope: blur, photons, uneven light, bleed-through, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.textures import FloatImage

STAINS = ("red", "green", "blue", "yellow")
REFERENCE = 164 / 256  # µm; photons are counted for a pixel of this size, and fall with its area


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


def expose(clean: FloatImage, camera: Camera, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photograph clean stains.

    Args:
        clean: Array of shape (4, side, side), float, 0 or more, 1 the bright end of each stain.
        camera: The settings.
        rng: Draws the noise.

    Returns:
        Array of shape (4, side, side), uint8. The background is subtracted and clipped, so that much of it is
        exactly 0. Poisson noise has the Anscombe form ((sqrt(m + 3/8) + n/2)^2 - 3/8, n standard normal), which
        is many times cheaper than drawing it (Anscombe, Biometrika 35, 1948).
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


def _expose_stain(stain: FloatImage, row: int, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    sigma = np.hypot(camera.focus / camera.pixel, 0.3)  # a pixel itself blurs by about 0.3 of its side
    sharp = cv2.GaussianBlur(stain, (0, 0), float(sigma))
    area = (camera.pixel / REFERENCE) ** 2
    full = max(camera.photons[row] * area, 0.5)
    mean = full * (np.maximum(sharp, 0) + camera.background[row])
    noise = rng.standard_normal(stain.shape, np.float32)
    counted = (np.sqrt(mean + np.float32(0.375)) + 0.5 * noise) ** 2 - np.float32(0.375)
    counted += np.float32(camera.read_noise) * rng.standard_normal(stain.shape, np.float32)
    floor = full * camera.background[row]
    floor += camera.offset[row] * np.sqrt(floor + camera.read_noise**2)
    grey = (counted - np.float32(floor)) * np.float32(camera.level[row] / full)
    if camera.hot > 0:
        spots = rng.integers(0, grey.size, rng.poisson(camera.hot * grey.size))
        grey.ravel()[spots] += rng.exponential(0.4 * camera.level[row], spots.size).astype(np.float32)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
