"""The machine that trains: device, precision, memory."""

from __future__ import annotations

import ctypes
import platform
from typing import Literal

import torch

from protloc.errors import SettingsError
from protloc.learn.recipes import TrainSettings

Device = Literal["cpu", "cuda"]
Precision = Literal["32-true", "bf16-mixed"]

# options of glibc's mallopt, by their numbers in malloc.h, with what they are set to
NEVER_TRIM = (-1, -1)
NEVER_MAP = (-4, 0)
ONE_ARENA = (-8, 1)


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


def keep_memory(*, in_threads: bool = False) -> bool:
    """Tell glibc to keep the memory that each training step frees, instead of handing it back and asking anew.

    The activations of a step are large blocks. By default glibc maps each afresh and the kernel fills it with zeros,
    page by page: half of a step's time on a CPU. Kept, they cost nothing, but the process stays as large as its
    largest step, and in the whole process from here on.

    Args:
        in_threads: Whether steps are taken in other threads than the main one; glibc keeps memory in the main arena
            alone, so that these must allocate there too. To be said before they start.

    Returns:
        Whether it was done; other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a Python that is linked otherwise
        return False
    options = (NEVER_TRIM, NEVER_MAP, ONE_ARENA) if in_threads else (NEVER_TRIM, NEVER_MAP)
    return all(set_option(option, value) == 1 for option, value in options)


def _computes_in_bf16(device: Device) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch names these with an underscore, and has no public way to ask from 2.11 on through to 2.14
    native = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return any(supported() for supported in native)
