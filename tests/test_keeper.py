"""Between epochs: whole checkpoints, the bar, the history."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from protloc.learn import keeper as keeper_module
from protloc.learn.epochs import Epoch
from protloc.learn.keeper import EpochBar, Keeper, WholeCheckpoints
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import Run, RunRecord

RECORD = RunRecord(store="store", seal="", split="default", split_digest="", python="3", versions={}, commit="")
ROW = Epoch(1, 2.0, 0.3, 0.4, 0.5, 0.6, 0.7, math.nan, 1e-3, 80.0)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints/last.ckpt"
    writer = WholeCheckpoints()
    writer.save_checkpoint({"epoch": 1, "weight": torch.ones(2)}, file)
    before = file.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        writer.save_checkpoint({"epoch": 2, "weight": (number for number in range(3))}, file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["last.ckpt"]
    assert torch.load(file, weights_only=True)["epoch"] == 1


def test_the_history_goes_through_a_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path, TrainSettings(), RECORD)
    before = Keeper(run, make_bundle=pytest.fail, say=None)
    before.history = (ROW, ROW)
    torch.save(before.state_dict(), tmp_path / "state")
    after = Keeper(run, make_bundle=pytest.fail, say=None)
    after.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert str(after.history) == str(before.history)  # as text: nan is not equal to itself


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal would show."""
    shown = io.StringIO()
    monkeypatch.setattr(keeper_module, "Console", lambda **_: Console(file=shown, force_terminal=True, width=80))
    return shown


def test_the_bar_fills_and_goes(screen: io.StringIO) -> None:
    bar, trainer = EpochBar(), SimpleNamespace(current_epoch=2, num_training_batches=2)
    bar.on_train_epoch_start(trainer, None)  # pyright: ignore[reportArgumentType]
    for step in range(2):
        bar.on_train_batch_end(trainer, None, None, None, step)
    bar.on_train_epoch_end(trainer, None)  # pyright: ignore[reportArgumentType]
    assert "epoch 3" in screen.getvalue()
    assert "2/2" in screen.getvalue()
    shown = screen.getvalue()
    bar.on_train_batch_end()
    assert screen.getvalue() == shown


def test_the_bar_goes_before_an_error_is_shown(screen: io.StringIO) -> None:
    bar, trainer = EpochBar(), SimpleNamespace(current_epoch=0, num_training_batches=5)
    bar.on_train_epoch_start(trainer, None)  # pyright: ignore[reportArgumentType]
    bar.on_exception(trainer, None, KeyboardInterrupt())  # pyright: ignore[reportArgumentType]
    assert screen.getvalue().endswith("\x1b[2K")  # the line is cleared


def test_off_a_terminal_there_is_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    bar, trainer = EpochBar(), SimpleNamespace(current_epoch=0, num_training_batches=1)
    bar.on_train_epoch_start(trainer, None)  # pyright: ignore[reportArgumentType]
    bar.on_train_batch_end()
    bar.on_train_epoch_end(trainer, None)  # pyright: ignore[reportArgumentType]
    assert capfd.readouterr() == ("", "")
