"""Training: it learns, stops, resumes to the bit, and leaves nothing half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from protloc.atlas.photographs import photographs_of
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.simulate import simulate
from protloc.atlas.store import Store
from protloc.curate.split import Split, split
from protloc.errors import MissingExtraError, RunError, SettingsError, SplitError, StoreError
from protloc.judge.answering import AnswerRule
from protloc.learn import classifier as classifier_module
from protloc.learn import keeper as keeper_module
from protloc.learn import weights as weights_module
from protloc.learn.bundle import Bundle
from protloc.learn.epochs import best_epoch, read_history
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import read_run
from protloc.learn.train import TrainResult, train

# every source of chance is on, so that resuming has something to get wrong
SETTINGS = TrainSettings(
    backbone="baseline-cnn",
    epochs=5,
    batch_size=16,
    learning_rate=3e-3,
    dropout=0.1,
    flips=True,
    rotation_degrees=10,
    width_shift=0.05,
    intensity_jitter=0.1,
    stain_dropout=0.05,
    zoom=0.1,
    averaging=0.9,
    oversampling_factor=2,
    minority_classes=("Ring",),
    precision="float32",
    device="cpu",
)
CHILD = """
import sys
from pathlib import Path
import torch
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.simulate import simulate
from protloc.atlas.store import Store
from protloc.curate.split import Split
from protloc.learn.recipes import load_recipe
from protloc.learn.train import train

def say(line):
    print(line, flush=True)
    if line.startswith("epoch 4/"):
        sys.stdin.read()  # never returns: the kill comes before the run can end

torch.set_num_threads(1)
store, settings, split, run = map(Path, sys.argv[1:])
store, settings, split = Store.open(store), load_recipe(settings), Split.read(split)
train(store, settings=settings, run=run, split=split, split_name="default", say=say)
"""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny networks lose more by waiting for a second thread than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def store(tiny_world) -> Store:
    return tiny_world.store


@pytest.fixture(scope="module")
def parts(store: Store) -> Split:
    return split(store.table)


@pytest.fixture(scope="module")
def whole(store: Store, parts: Split, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A run that nothing interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return train(store, settings=SETTINGS, run=run, split=parts, split_name="default")


def weights_of(run: Path) -> bytes:
    return (run / "bundle/model.safetensors").read_bytes()


def assert_same_run(run: Path, whole: Path) -> None:
    assert weights_of(run) == weights_of(whole)
    assert (run / "bundle/model.json").read_bytes() == (whole / "bundle/model.json").read_bytes()
    ours, theirs = read_history(run / "log.csv"), read_history(whole / "log.csv")
    assert [row.train_loss for row in ours] == [row.train_loss for row in theirs]
    assert [row.macro_f1 for row in ours] == [row.macro_f1 for row in theirs]


def test_it_learns_shapes_and_tells_so(store: Store, parts: Split, tmp_path: Path) -> None:
    lines: list[str] = []
    settings = SETTINGS.with_overrides(
        [
            *("epochs=20", "patience=20", "batch_size=8", "learning_rate=2e-3", "dropout=0", "stain_dropout=0"),
            *("quarter_turns=true", "rotation_degrees=0", "width_shift=0.1", "height_shift=0.1"),
        ]
    )
    result = train(store, settings=settings, run=tmp_path / "run", split=parts, split_name="default", say=lines.append)
    assert result.macro_f1 > 0.85
    assert result.samples_f1 > 0.85
    assert not result.interrupted
    assert len(lines) == result.epochs == 20
    assert lines[0].startswith("epoch  1/20  train loss")
    history = read_history(tmp_path / "run/log.csv")
    assert best_epoch(history).epoch == result.best_epoch
    assert history[-1].train_loss < history[0].train_loss / 2


def test_the_bundle_answers_as_the_best_epoch_did(store: Store, parts: Split, whole: TrainResult) -> None:
    bundle = read_run(whole.run).bundle()
    rows = parts.rows("validation")
    with torch.inference_mode():
        logits = bundle.network()(torch.from_numpy(store.images(rows))).numpy()
    figures = classifier_module.figures_of(logits, store.targets[rows])
    assert figures.macro_f1 == pytest.approx(whole.macro_f1)
    assert figures.validation_loss == pytest.approx(bundle.metrics["validation_loss"], abs=1e-5)
    assert bundle.metrics["epoch"] == whole.best_epoch
    assert (bundle.side, bundle.stains, len(bundle.members)) == (32, store.stains, 1)
    assert bundle.rule == AnswerRule.plain(3)


def test_a_run_holds_these_files_and_no_others(whole: TrainResult, capfd: pytest.CaptureFixture[str]) -> None:
    files = {str(file.relative_to(whole.run)) for file in whole.run.rglob("*") if file.is_file()}
    assert files == {
        "settings.toml", "log.csv", "bundle/model.json", "bundle/model.safetensors", "checkpoints/last.ckpt"
    }  # fmt: skip
    assert capfd.readouterr() == ("", "")


def test_the_run_says_what_it_was_told(store: Store, whole: TrainResult) -> None:
    run = read_run(whole.run)
    assert run.settings == SETTINGS
    assert run.store == store.folder.resolve()
    assert run.split_name == "default"
    assert run.record.versions["torch"] == torch.__version__.split("+")[0]
    assert run.finished


def test_killed_and_resumed_it_ends_as_if_nothing_had_been(
    store: Store, parts: Split, whole: TrainResult, tmp_path: Path
) -> None:
    parts.write(tmp_path / "split.parquet")
    SETTINGS.to_toml(tmp_path / "own.toml")
    told = [store.folder, tmp_path / "own.toml", tmp_path / "split.parquet", tmp_path / "run"]
    child = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", CHILD, *map(str, told)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        lines = [next(child.stdout) for _ in range(2)]
        os.kill(child.pid, signal.SIGKILL)
    assert lines[-1].startswith("epoch 2/")
    assert child.returncode == -signal.SIGKILL
    assert not read_run(tmp_path / "run").finished
    (tmp_path / "run/bundle/.model.safetensors.1.partial").write_bytes(b"half")
    result = train(store, settings=SETTINGS, run=tmp_path / "run", split=parts, split_name="default", resume=True)
    assert result.epochs == SETTINGS.epochs
    assert_same_run(tmp_path / "run", whole.run)
    assert {file.name for file in (tmp_path / "run").rglob("*")} == {file.name for file in whole.run.rglob("*")}


@pytest.mark.parametrize(
    ("owner", "step"),
    [(Bundle, "save"), (keeper_module, "write_history"), (keeper_module.WholeCheckpoints, "save_checkpoint")],
)
def test_broken_off_between_any_two_files_it_resumes_to_the_same(
    store: Store,
    parts: Split,
    whole: TrainResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    step: str,
) -> None:
    done, calls = getattr(owner, step), []

    def break_off(*given: object, **named: object) -> None:
        calls.append(step)
        if len(calls) == 2:
            raise OSError("the disk is full")
        done(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, break_off)
        with pytest.raises(OSError, match="the disk is full"):
            train(store, settings=SETTINGS, run=tmp_path / "run", split=parts, split_name="default")
    assert not read_run(tmp_path / "run").finished
    train(store, settings=SETTINGS, run=tmp_path / "run", split=parts, split_name="default", resume=True)
    assert_same_run(tmp_path / "run", whole.run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_signal_ends_it_cleanly_and_it_can_be_resumed(
    number: signal.Signals, store: Store, parts: Split, whole: TrainResult, tmp_path: Path
) -> None:
    def press_ctrl_c(line: str) -> None:
        if line.startswith("epoch 2/"):
            os.kill(os.getpid(), number)

    handler = signal.getsignal(signal.SIGINT)
    run = tmp_path / "run"
    stopped = train(store, settings=SETTINGS, run=run, split=parts, split_name="default", say=press_ctrl_c)
    assert (stopped.interrupted, stopped.epochs) == (True, 2)
    assert signal.getsignal(signal.SIGINT) is handler
    assert Bundle.load(run / "bundle").metrics["epoch"] == stopped.best_epoch
    with pytest.raises(RunError, match="there is an unfinished run already; go on with --resume"):
        train(store, settings=SETTINGS, run=run, split=parts, split_name="default")
    resumed = train(store, settings=SETTINGS, run=run, split=parts, split_name="default", resume=True)
    assert not resumed.interrupted
    assert_same_run(run, whole.run)


def test_ctrl_c_before_the_first_epoch_ends_is_told(
    store: Store, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(classifier_module, "augment", press_ctrl_c)
        patched.setattr(classifier_module.Classifier, "training_step", press_ctrl_c)
        with pytest.raises(RunError, match="stopped before the first epoch ended, so nothing is kept"):
            train(store, settings=SETTINGS, run=tmp_path / "run", split=parts, split_name="default")
    short = tmp_path / "run"
    assert not (short / "log.csv").exists()
    begun = train(store, settings=SETTINGS, run=short, split=parts, split_name="default", resume=True)
    assert begun.epochs == SETTINGS.epochs


def test_a_finished_run_is_neither_overwritten_nor_trained_again(
    store: Store, parts: Split, whole: TrainResult
) -> None:
    before = (whole.run / "log.csv").read_bytes()
    with pytest.raises(RunError, match="there is a finished run already; name another --out, or delete it"):
        train(store, settings=SETTINGS, run=whole.run, split=parts, split_name="default")
    again = train(store, settings=SETTINGS, run=whole.run, split=parts, split_name="default", resume=True)
    assert again == whole
    assert (whole.run / "log.csv").read_bytes() == before


def test_resuming_needs_no_initial_weights(store: Store, parts: Split, whole: TrainResult, tmp_path: Path) -> None:
    weights = tmp_path / "initial.safetensors"
    shutil.copy(whole.run / "bundle" / "model.safetensors", weights)
    settings = SETTINGS.with_overrides([f"weights='{weights}'"])

    def stop(_line: str) -> None:
        raise KeyboardInterrupt

    train(store, settings=settings, run=tmp_path / "run", split=parts, split_name="default", say=stop)
    weights.unlink()
    resumed = train(store, settings=settings, run=tmp_path / "run", split=parts, split_name="default", resume=True)
    assert resumed.epochs == SETTINGS.epochs


def test_resuming_refuses_other_settings_and_another_split(store: Store, parts: Split, whole: TrainResult) -> None:
    other = SETTINGS.with_overrides(["learning_rate=0.1"])
    with pytest.raises(RunError, match=r"begun with learning_rate = 0.003, to be resumed with 0.1"):
        train(store, settings=other, run=whole.run, split=parts, split_name="default", resume=True)
    with pytest.raises(RunError, match="begun with split = 'default', to be resumed with 'other'"):
        train(store, settings=SETTINGS, run=whole.run, split=parts, split_name="other", resume=True)
    relabelled = replace(store, seal="0")
    with pytest.raises(RunError, match="is another than at the training"):
        train(relabelled, settings=SETTINGS, run=whole.run, split=parts, split_name="default", resume=True)
    anew = split(store.table, seed=1)
    with pytest.raises(RunError, match="the split default has been made anew since the training"):
        train(store, settings=SETTINGS, run=whole.run, split=anew, split_name="default", resume=True)


def test_it_stops_when_neither_figure_improves(store: Store, parts: Split, tmp_path: Path) -> None:
    # a learning rate that changes nothing: every epoch is as good as the first
    still = SETTINGS.with_overrides(["learning_rate=1e-30", "patience=2", "epochs=9", "dropout=0"])
    settings = still.with_overrides(["stain_dropout=0", "intensity_jitter=0", "rotation_degrees=0", "width_shift=0"])
    result = train(store, settings=settings, run=tmp_path / "run", split=parts, split_name="default")
    figures = [(row.macro_f1, row.samples_f1) for row in read_history(tmp_path / "run/log.csv")]
    assert result.epochs < 9
    assert max(figures[-2:]) <= max(figures[:-2])
    assert read_run(tmp_path / "run").finished


def test_a_loss_that_is_no_number_is_told(store: Store, parts: Split, tmp_path: Path) -> None:
    wild = SETTINGS.with_overrides(["learning_rate=1e30", "gradient_clip=0"])
    with pytest.raises(RunError, match=r"in epoch 1 the training loss is .* no number. Lower learning_rate"):
        train(store, settings=wild, run=tmp_path / "run", split=parts, split_name="default")


def test_what_is_kept_is_the_average_not_the_last_weights(store: Store, parts: Split, tmp_path: Path) -> None:
    once = SETTINGS.with_overrides(["epochs=1"])
    train(store, settings=once, run=tmp_path / "run", split=parts, split_name="default")
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    kept = Bundle.load(tmp_path / "run/bundle").members[0].state
    for name, weights in kept.items():
        torch.testing.assert_close(weights, state[f"_averaged.module.network.{name}"])
    assert any(not torch.equal(weights, state[f"network.network.{name}"]) for name, weights in kept.items())


@pytest.fixture(scope="module")
def clean_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return 24 fields of coded clean stains at 64 px."""
    folder = tmp_path_factory.mktemp("clean")
    atlas = simulate(folder / "atlas", fields=24, side=64, seed=1, jobs=1, clean=True)
    return prepare(atlas.images, folder / "store", labels=atlas.labels, reading=Reading(side=64)).store


CLEAN = TrainSettings(
    backbone="tf_efficientnet_lite0",
    epochs=2,
    batch_size=8,
    crop=48,
    zoom=0.15,
    flips=True,
    quarter_turns=True,
    rotation_degrees=45,
    intensity_jitter=0.2,
    stain_dropout=0.35,
    averaging=0.999,
    precision="float32",
    device="cpu",
)


def test_clean_stains_are_photographed_anew_and_resume_to_the_same(clean_store: Store, tmp_path: Path) -> None:
    parts = Split(clean_store.ids, tuple("train" if place % 3 else "validation" for place in range(len(clean_store))))

    def stop(_line: str) -> None:
        raise KeyboardInterrupt

    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(clean_store, settings=CLEAN, run=whole, split=parts, split_name="default")
    train(clean_store, settings=CLEAN, run=resumed, split=parts, split_name="default", say=stop)
    train(clean_store, settings=CLEAN, run=resumed, split=parts, split_name="default", resume=True)
    assert_same_run(resumed, whole)
    usual = read_run(whole).bundle().members[0].normalisation
    pixels = photographs_of(clean_store, parts.rows("train"), seed=CLEAN.seed).astype(np.float64)
    np.testing.assert_allclose(usual.means, pixels.mean(axis=(0, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(usual.deviations, pixels.std(axis=(0, 2, 3)), atol=1e-3)


def test_crops_train_and_whole_fields_are_validated(store: Store, parts: Split, tmp_path: Path) -> None:
    settings = SETTINGS.with_overrides(["backbone=tf_efficientnet_lite0", "crop=24", "epochs=1"])
    result = train(store, settings=settings, run=tmp_path / "run", split=parts, split_name="default")
    assert np.isfinite(result.samples_f1)
    assert read_run(tmp_path / "run").bundle().side == store.side


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("crop=33", "crop: 33 px asked for, but the fields of .* are 32 px wide. --set crop=32 or less"),
        ("crop=16", "crop: baseline-cnn takes fields of 32 px, but no crops of 16 px .* --set crop=0"),
    ],
)
def test_a_crop_that_cannot_be_is_told(store: Store, parts: Split, tmp_path: Path, override: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        train(
            store,
            settings=SETTINGS.with_overrides([override]),
            run=tmp_path / "run",
            split=parts,
            split_name="default",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("loss", ["weighted", "focal", "asymmetric"])
def test_every_loss_trains_with_a_bar_in_bf16(store: Store, parts: Split, tmp_path: Path, loss: str) -> None:
    settings = SETTINGS.with_overrides([f"loss={loss}", "epochs=1", "precision=bf16", "schedule=constant"])
    result = train(
        store, settings=settings, run=tmp_path / "run", split=parts, split_name="default", show_progress=True
    )
    assert result.epochs == 1


def test_bad_input_leaves_no_run(store: Store, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "LITE_PACKAGE", "no_such_package_here")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    mistakes: list[tuple[list[str], type[Exception]]] = [
        (["backbone=resnet_50"], SettingsError),
        (["backbone=tf_efficientnet_lite0", "weights=efficientnet-lite0"], MissingExtraError),
        (['minority_classes=["Square"]'], SettingsError),
        (["device=cuda"], SettingsError),
    ]
    for overrides, error in mistakes:
        with pytest.raises(error):
            train(
                store,
                settings=SETTINGS.with_overrides(overrides),
                run=tmp_path / "run",
                split=parts,
                split_name="default",
            )
    everything = Split(parts.ids, ("train",) * len(parts.ids))
    with pytest.raises(SplitError, match="the validation part is empty"):
        train(store, settings=SETTINGS, run=tmp_path / "run", split=everything, split_name="default")
    assert not (tmp_path / "run").exists()


def test_an_unlabelled_store_is_refused(store: Store, parts: Split, tmp_path: Path) -> None:
    bare = replace(store, labelled=False)
    with pytest.raises(StoreError, match="the store has no labels"):
        train(bare, settings=SETTINGS, run=tmp_path / "run", split=parts, split_name="default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_it_trains_on_cuda(store: Store, parts: Split, tmp_path: Path) -> None:
    settings = SETTINGS.with_overrides(["device=cuda", "epochs=2", "precision=auto"])
    result = train(store, settings=settings, run=tmp_path / "run", split=parts, split_name="default")
    assert np.isfinite(result.macro_f1)
