"""Colour pictures of fields from their stains."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protloc.atlas.stains import COLOURS, Stain

# per stain: everything up to the first percentile is black, the brightest 0.3 % are clipped, as HPA's pages look
DARKEST_PERCENT, BRIGHTEST_PERCENT = 1.0, 99.7
LEAST_RANGE = 8  # grey levels: contrast is not stretched beyond this, so that an empty stain stays dark, not noise

MIXED_SHARE = 0.55  # of a colour that lights several planes, so that yellow does not bury green and red

QUALITY = 82  # of JPEG: a quarter of the bytes of PNG, and no difference to be seen; all colours at full resolution

STAND_IN_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue", "gray")  # for stains named after no colour


def screen_colours(stains: Sequence[Stain]) -> tuple[tuple[int, int, int], ...]:
    """Return a colour for each stain, (R, G, B) in 0..255: the one it is named after, else one still free.

    A single stain named after no colour is white.
    """
    free = [name for name in STAND_IN_COLOURS if name not in {stain.name for stain in stains}]
    if len(stains) == 1:
        return (stains[0].colour,)
    return tuple(COLOURS[stain.name if stain.name in COLOURS else free.pop(0) if free else "gray"] for stain in stains)


def composite(image: NDArray[np.uint8], stains: Sequence[Stain]) -> NDArray[np.uint8]:
    """Add up the stains of a field in their colours, each stretched to its own contrast.

    Args:
        image: One field, shape (stains, h, w).
        stains: What each channel shows, in channel order.

    Returns:
        RGB picture of shape (h, w, 3), uint8.
    """
    picture = np.zeros((*image.shape[1:], 3), np.float32)
    for channel, colour in zip(image, screen_colours(stains), strict=True):
        mixed = len(stains) > 1 and sum(part > 0 for part in colour) > 1
        picture += _stretched(channel)[:, :, None] * np.array(colour, np.float32) * (MIXED_SHARE if mixed else 1)
    return np.clip(picture, 0, 255).round().astype(np.uint8)


def _stretched(channel: NDArray[np.uint8]) -> NDArray[np.float32]:
    dark, bright = np.percentile(channel, (DARKEST_PERCENT, BRIGHTEST_PERCENT))
    return np.clip((channel.astype(np.float32) - dark) / max(float(bright - dark), LEAST_RANGE), 0, 1)


def thumbnail_bytes(picture: NDArray[np.uint8], *, most: int = 160) -> bytes:
    """Encode a picture as JPEG, shrunk by area averaging where it is larger than ``most`` px a side.

    Args:
        picture: RGB, shape (h, w, 3).
        most: Longest side in px of what comes out.
    """
    shown = Image.fromarray(picture)
    scale = most / max(shown.size)
    if scale < 1:
        shown = shown.resize((round(shown.width * scale), round(shown.height * scale)), Image.Resampling.BOX)
    encoded = io.BytesIO()
    shown.save(encoded, format="JPEG", quality=QUALITY, subsampling=0)
    return encoded.getvalue()
