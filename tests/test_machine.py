"""Device and precision: what is asked for, what the machine has."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from protloc.errors import SettingsError
from protloc.learn.machine import device_of, keep_memory, precision_of
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


FAULTS = """
import resource, sys, threading, torch
from protloc.learn.machine import keep_memory
how = sys.argv[1]
if how != "leave" and not keep_memory(in_threads=how == "keep in threads"):
    sys.exit("not glibc")
def count():
    for _ in range(5):
        torch.ones(2**24)  # 64 MiB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
if how == "keep in threads":
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
else:
    count()
"""


def page_faults(how: str) -> int:
    """Count those of ten large blocks, in a process of its own: what is told to malloc lasts."""
    told = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(told, check=True, capture_output=True, text=True).stdout)  # noqa: S603


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is not glibc")
def test_memory_that_is_kept_is_not_asked_for_again() -> None:
    leave = page_faults("leave")
    assert leave > 100  # of 4 KiB or 2 MiB
    assert page_faults("keep") < leave / 2  # a block may still move once, where a small one took its head
    assert page_faults("keep in threads") < leave / 2


@pytest.mark.parametrize("library", [SimpleNamespace(), None])
def test_a_library_without_that_option_is_left_alone(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> object:
        if library is None:
            raise OSError("no such library")
        return library

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert not keep_memory()


@pytest.mark.parametrize("name", ["", "musl"])
def test_other_c_libraries_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (name, ""))
    assert not keep_memory()
