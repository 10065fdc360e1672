"""The camera for whole batches: clean stains photographed when they are loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from protloc.atlas.simulate.camera import BRIGHTEST, HOT_SHARE, LEAST_COUNT, STAINS, WHITE, Camera

BLEEDING = {"red": 0, "yellow": 1}  # stains that show in green, by their place in Camera.bleed
REACH = 4.0  # of a blur, in standard deviations; as far as OpenCV goes
NOISE = 2**20  # normal numbers drawn a batch; every stain reads them from a place of its own
BLOCK = 2**20  # pixels photographed at once on the CPU: they stay in its cache (32 fields of 256 px: 4 times as fast)


def decode_clean(coded: Tensor) -> Tensor:
    """Return the light, float32, of coded clean stains in 0..255, uint8 or moved and no longer whole; as a new tensor.

    1 is the bright end; see ``protloc.atlas.simulate.code_clean``.
    """
    return coded.to(torch.float32, copy=True).square_().mul_(BRIGHTEST / WHITE**2)


def photograph(
    coded: Tensor, cameras: Sequence[Camera], *, generator: torch.Generator, stains: Sequence[str] = STAINS
) -> Tensor:
    """Photograph clean stains, every field by its own camera, as ``protloc.atlas.simulate.expose`` does one.

    Stains read their noise from one pool of normal numbers, each from a place drawn at random: new noise for every
    batch at a fifth of the cost, though two fields of a batch may share it, shifted. All random numbers come from the
    processor, so a batch is photographed alike on every device.

    Args:
        coded: (fields, stains, side, side), uint8 or float32 in 0..255, see :func:`decode_clean`.
        cameras: The settings, one a field.
        generator: Draws the noise, on the CPU.
        stains: Names of the stains, in channel order; some of red, green, blue, yellow.

    Returns:
        New float32 tensor of the same shape, whole grey levels in 0..255.

    Raises:
        ValueError: if there are not as many cameras as fields, or names as stains, or a name is none of the four.
    """
    _check(coded, cameras, stains)
    side = coded.shape[-1]
    pool = torch.randn(max(NOISE, 2 * side**2), generator=generator).to(coded.device)
    places = torch.randint(len(pool) - side**2, (2, *coded.shape[:2]), generator=generator).to(coded.device)
    light = torch.empty(coded.shape, dtype=torch.float32, device=coded.device)
    blocks = _blocks(coded)
    for block in blocks:
        noise = pool.unfold(0, side**2, 1)[places[:, block]].unflatten(-1, (side, side))
        light[block] = _grey(coded[block], cameras[block], stains, noise)
    _add_hot_pixels(light, cameras, stains, generator)
    for block in blocks:
        light[block] = _eight_bits(light[block], cameras[block])
    return light


def _check(coded: Tensor, cameras: Sequence[Camera], stains: Sequence[str]) -> None:
    if len(cameras) != coded.shape[0]:
        raise ValueError(f"cameras: {len(cameras)} given, expected one for each of {coded.shape[0]} fields.")
    if len(stains) != coded.shape[1] or not set(stains) <= set(STAINS):
        raise ValueError(
            f"stains: {', '.join(stains)} given, expected {coded.shape[1]} of {', '.join(STAINS)}, in channel order."
        )


def _blocks(coded: Tensor) -> list[slice]:
    """Return which fields are photographed at once: on the CPU a few, elsewhere all."""
    fields = len(coded)
    size = max(BLOCK // max(coded[:1].numel(), 1), 1) if coded.device.type == "cpu" else max(fields, 1)
    return [slice(start, start + size) for start in range(0, fields, size)]


def _grey(coded: Tensor, cameras: Sequence[Camera], stains: Sequence[str], noise: Tensor) -> Tensor:
    """Return the grey levels of fields, before hot pixels, smoothing and 8 bits.

    All is reckoned in grey levels, of which a photon is ``gain``: so few passes over the pixels do.

    Args:
        coded: (fields, stains, side, side) in 0..255.
        cameras: One a field.
        stains: Names of the stains.
        noise: (2, fields, stains, side, side) normal numbers, for photons and electronics.
    """
    level, background, full, floor = (
        _of_stains(cameras, name, stains).to(coded.device) for name in ("level", "background", "full", "floor")
    )
    gain = level / full
    read = gain * _of_fields(cameras, "read_noise").to(coded.device)
    light = decode_clean(coded)
    _bleed(light, cameras, stains)
    light *= _shading(light.shape[-1], cameras).to(light.device)
    mean = _blurred(light, _of_fields(cameras, "blur")).mul_(level).add_(level * background)
    third = (mean / gain).clamp_(min=LEAST_COUNT).rsqrt_().div_(3)
    counted = torch.sub(noise[0], third).mul_(third).add_(1).clamp_(min=0).pow_(3).mul_(mean)
    return torch.addcmul(-gain * floor, noise[1], read).add_(counted)


def _bleed(light: Tensor, cameras: Sequence[Camera], stains: Sequence[str]) -> None:
    """Add the share of red and yellow that green sees, in place."""
    if "green" not in stains:
        return
    for name, place in BLEEDING.items():
        if name in stains:
            share = torch.tensor([camera.bleed[place] for camera in cameras], device=light.device)[:, None, None]
            light[:, stains.index("green")].addcmul_(light[:, stains.index(name)], share)


def _shading(side: int, cameras: Sequence[Camera]) -> Tensor:
    """Return the light of the lamp over every field, mean 1, (fields, 1, side, side)."""
    ramp = torch.linspace(-0.5, 0.5, side)
    fall, angle = _of_fields(cameras, "shading"), _of_fields(cameras, "shading_angle")
    across = fall * (ramp * angle.cos() - ramp**2 + 1 / 6)
    down = fall * (ramp * angle.sin() - ramp**2)
    return 1 + across + down.mT


def _blurred(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur every field by its own Gaussian, mirrored at the border without repeating it, as OpenCV does.

    Args:
        images: (fields, stains, side, side) float32.
        sigmas: (fields, 1, 1, 1) standard deviations in px; 0 leaves a field as it is.

    Returns:
        New tensor of the same shape.
    """
    fields, stains, side, _ = images.shape
    reach = min(math.ceil(REACH * float(sigmas.max())), side - 1)
    distances = torch.arange(-reach, reach + 1)
    kernels = torch.exp(-0.5 * (distances / sigmas.clamp(min=1e-3)) ** 2)
    kernels = (kernels / kernels.sum(-1, keepdim=True)).to(images.device).repeat_interleave(stains, 0)
    planes = functional.pad(images, (reach,) * 4, mode="reflect").view(1, fields * stains, side + 2 * reach, -1)
    with torch.autocast(images.device.type, enabled=False):  # half precision would show in the grey levels
        planes = functional.conv2d(planes, kernels, groups=fields * stains)
        planes = functional.conv2d(planes, kernels.mT.contiguous(), groups=fields * stains)
    return planes.view(images.shape)


def _add_hot_pixels(
    light: Tensor, cameras: Sequence[Camera], stains: Sequence[str], generator: torch.Generator
) -> None:
    """Let pixels flash that are bright for no reason, in place: as many as Poisson says, exponential in brightness."""
    fields, _, side, _ = light.shape
    expected = (side**2 * _of_fields(cameras, "hot")).expand(fields, len(stains), 1, 1).flatten()
    planes = torch.arange(len(expected)).repeat_interleave(torch.poisson(expected, generator=generator).long())
    pixels = planes * side**2 + torch.randint(side**2, planes.shape, generator=generator)
    brightness = HOT_SHARE * _of_stains(cameras, "level", stains).flatten()[planes]
    flashes = brightness * torch.empty(planes.shape).exponential_(generator=generator)
    light.view(-1).index_add_(0, pixels.to(light.device), flashes.to(light.device))


def _eight_bits(grey: Tensor, cameras: Sequence[Camera]) -> Tensor:
    """Smooth the fields whose cameras do, round and clip."""
    smooth = _of_fields(cameras, "smooth")
    if bool(smooth.any()):
        grey = _blurred(grey, smooth)
    return grey.round_().clamp_(0, WHITE)


def _of_fields(cameras: Sequence[Camera], name: str) -> Tensor:
    """Return a setting of every camera, (fields, 1, 1, 1) float32."""
    return torch.tensor([getattr(camera, name) for camera in cameras], dtype=torch.float32)[:, None, None, None]


def _of_stains(cameras: Sequence[Camera], name: str, stains: Sequence[str]) -> Tensor:
    """Return a setting of every camera and stain, (fields, stains, 1, 1) float32."""
    values = torch.tensor([getattr(camera, name) for camera in cameras], dtype=torch.float32).view(-1, len(STAINS))
    return values[:, [STAINS.index(stain) for stain in stains], None, None]
