"""The machine that trains: device and precision."""

from __future__ import annotations

from typing import Literal

import torch

from protloc.errors import SettingsError
from protloc.learn.recipes import TrainSettings

Device = Literal["cpu", "cuda"]
Precision = Literal["32-true", "bf16-mixed"]


def device_of(settings: TrainSettings) -> Device:
    """Return the device that the settings ask for; ``auto`` is CUDA where there is one.

    Raises:
        SettingsError: if CUDA is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise SettingsError("device: 'cuda' asked for, but torch finds no CUDA device here. --set device=cpu")
    return "cuda" if there and settings.device != "cpu" else "cpu"


def precision_of(settings: TrainSettings, *, device: Device) -> Precision:
    """Return the precision that the settings ask for, as Lightning names it; ``auto`` is bf16 where it is native."""
    wanted = settings.precision == "bf16" or (settings.precision == "auto" and _computes_in_bf16(device))
    return "bf16-mixed" if wanted else "32-true"


def _computes_in_bf16(device: Device) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch names these with an underscore, and has no public way to ask from 2.11 on through to 2.14
    native = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return any(supported() for supported in native)
