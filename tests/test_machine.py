"""Device and precision: what is asked for, what the machine has."""

from __future__ import annotations

import pytest
import torch

from protloc.errors import SettingsError
from protloc.learn.machine import device_of, precision_of
from protloc.learn.recipes import TrainSettings


@pytest.mark.parametrize(
    ("asked", "there", "given"), [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu")]
)
def test_the_device_is_cuda_where_there_is_one(
    asked: str, given: str, *, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device_of(TrainSettings().with_overrides([f"device={asked}"])) == given


def test_cuda_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        SettingsError, match=r"device: 'cuda' asked for, but torch finds no CUDA device here. --set device=cpu"
    ):
        device_of(TrainSettings(device="cuda"))


@pytest.mark.parametrize(
    ("asked", "native", "given"),
    [
        ("auto", True, "bf16-mixed"),
        ("auto", False, "32-true"),
        ("float32", True, "32-true"),
        ("bf16", False, "bf16-mixed"),
    ],
)
def test_bf16_is_taken_where_the_processor_has_it(
    asked: str, given: str, *, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: native)
    settings = TrainSettings().with_overrides([f"precision={asked}"])
    assert precision_of(settings, device="cpu") == given
    assert precision_of(settings, device="cuda") == given
