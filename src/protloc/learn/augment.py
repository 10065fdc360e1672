"""Augmentation of a batch, on the device it lies on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

WHITE = 255.0


@dataclass(frozen=True)
class Augmentation:
    """How far fields are changed at random while training.

    Attributes:
        rotation_degrees: Rotation about the centre, up to this far either way.
        width_shift: Shift sideways, up to this share of the width either way.
        height_shift: Shift up or down, up to this share of the height either way.
        zoom: Enlarge by a factor within 1 / (1 + this) and 1 + this, log-evenly.
        crop: Side in px of the part that is shown, from a random place inside the field; 0 shows all of it.
        flips: Mirror left and right in half of the fields.
        quarter_turns: Turn by 0, 90, 180 or 270 degrees.
        intensity_jitter: Multiply each stain by a factor within 1 ± this.
        stain_dropout: Chance that a stain is black.
        kept_stain: Channel that is never dropped; None keeps another one at random in each field.
    """

    rotation_degrees: float = 0.0
    width_shift: float = 0.0
    height_shift: float = 0.0
    zoom: float = 0.0
    crop: int = 0
    flips: bool = False
    quarter_turns: bool = False
    intensity_jitter: float = 0.0
    stain_dropout: float = 0.0
    kept_stain: int | None = None

    @property
    def moves(self) -> bool:
        """Tell whether any pixel can move."""
        shifts = self.rotation_degrees or self.width_shift or self.height_shift
        return bool(shifts) or self.reframes or self.flips or self.quarter_turns

    @property
    def reframes(self) -> bool:
        """Tell whether another part of the field can be shown than all of it."""
        return bool(self.zoom or self.crop)


def augment(
    images: Tensor,
    *,
    augmentation: Augmentation,
    generator: torch.Generator,
    photograph: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Change every field of a batch at random.

    All random numbers come from the processor, so a batch is changed alike on every device.

    Args:
        images: (fields, stains, side, side), uint8 or float32, in grey levels 0..255.
        augmentation: What may be changed, and how far.
        generator: Source of the random numbers, on the CPU.
        photograph: Turns clean stains into grey levels after they were moved, so that no noise is smoothed by moving,
            and before brightness changes, so that a stain that is dropped is black.

    Returns:
        New float32 tensor (fields, stains, crop, crop), side for crop where there is none, still in 0..255.
    """
    changed = images.to(torch.float32, copy=True)
    if augmentation.moves:
        side = images.shape[-1]
        maps = draw_moves(len(changed), augmentation=augmentation, side=side, generator=generator)
        changed = move(changed, maps, side=augmentation.crop or side)
    if photograph is not None:
        changed = photograph(changed)
    strengths = _draw_strengths(*changed.shape[:2], augmentation=augmentation, generator=generator)
    if strengths is not None:
        changed = (changed * strengths.to(changed.device)).clamp_(0, WHITE)
    return changed


def draw_moves(fields: int, *, augmentation: Augmentation, side: int, generator: torch.Generator) -> Tensor:
    """Draw the affine maps of a batch; rotation and shifts as Keras' ``ImageDataGenerator`` draws them.

    Args:
        fields: How many maps.
        augmentation: How far fields may move.
        side: Height and width of the fields in px.
        generator: Source of the random numbers, on the CPU.

    Returns:
        (fields, 2, 3) float32, see :func:`move`.
    """
    shifts = torch.stack(
        [reach * _within_one(fields, generator) for reach in (augmentation.height_shift, augmentation.width_shift)]
    )
    rotation = _rotations(math.radians(augmentation.rotation_degrees) * _within_one(fields, generator))
    turns = torch.randint(4, (fields,), generator=generator) * int(augmentation.quarter_turns)
    mirror = torch.randint(2, (fields,), generator=generator) * int(augmentation.flips)
    pose = _rotations(turns * (math.pi / 2)).round()
    pose[:, :, 1] *= 1 - 2 * mirror[:, None]
    matrix, shift = rotation @ pose, rotation @ shifts.T[:, :, None]
    if augmentation.reframes:
        share = (augmentation.crop or side) / side
        matrix = matrix * _draw_zooms(fields, augmentation.zoom, generator)[:, None, None]
        shift = shift + _draw_places(matrix, share=share, generator=generator)
    return torch.cat([matrix, shift], dim=2)


def _draw_zooms(fields: int, zoom: float, generator: torch.Generator) -> Tensor:
    """Draw px of the old image a px of the new one, (fields,): below 1 enlarges."""
    return torch.exp(math.log1p(zoom) * _within_one(fields, generator))


def _draw_places(matrix: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """Draw centres (fields, 2, 1) of what is shown, so that as much of it as can be lies inside the field.

    Args:
        matrix: (fields, 2, 2) of the maps.
        share: Side of the new image in sides of the old one.
        generator: Source of the random numbers.
    """
    reach = matrix.abs().sum(dim=2, keepdim=True) * (share / 2)  # of the corners from the centre
    return (0.5 - reach).clamp(min=0) * _within_one(len(matrix), generator, 2, 1)


def move(images: Tensor, maps: Tensor, *, side: int | None = None) -> Tensor:
    """Resample every field by its own affine map, repeating the border.

    Within 0.01 grey levels of ``scipy.ndimage.affine_transform(order=1, mode="nearest")``, on which Keras'
    ``ImageDataGenerator`` rests. The centre of the image is (side - 1) / 2, as in newer Keras (older: side / 2 + 0.5).

    Args:
        images: (fields, stains, old side, old side) float32.
        maps: (fields, 2, 3): a matrix and a shift. They lead from a place in the new image, (down, right) from its
            centre in shares of the old side, to the place in the old image it is taken from.
        side: Height and width of the new image in px; None keeps the old side.

    Returns:
        New float32 tensor (fields, stains, side, side).
    """
    old = images.shape[-1]
    new = old if side is None else side
    matrix, shift = maps[:, :, :2] * (new / old), 2 * maps[:, :, 2:]  # grid_sample measures in half sides
    across_first = torch.cat([matrix.flip(1, 2), shift.flip(1)], dim=2).to(images.device, torch.float32)
    grid = functional.affine_grid(across_first, [len(images), 1, new, new], align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _draw_strengths(
    fields: int, stains: int, *, augmentation: Augmentation, generator: torch.Generator
) -> Tensor | None:
    """Draw the factor of every stain, (fields, stains, 1, 1); None where nothing changes."""
    if not augmentation.intensity_jitter and not augmentation.stain_dropout:
        return None
    factors = 1 + augmentation.intensity_jitter * _within_one(fields, generator, stains)
    dropped = torch.rand(fields, stains, generator=generator) < augmentation.stain_dropout
    kept = torch.randint(stains, (fields,), generator=generator)
    if augmentation.kept_stain is not None:
        kept = torch.full_like(kept, augmentation.kept_stain)
    dropped[torch.arange(fields), kept] = False
    return factors.masked_fill(dropped, 0.0)[:, :, None, None]


def _within_one(fields: int, generator: torch.Generator, *more: int) -> Tensor:
    """Draw evenly from -1 to 1."""
    return 2 * torch.rand(fields, *more, generator=generator) - 1


def _rotations(angles: Tensor) -> Tensor:
    """Turn angles in radians of shape (fields,) into matrices of shape (fields, 2, 2)."""
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(-1, 2, 2)
