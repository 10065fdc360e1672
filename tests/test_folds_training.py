"""Training on folds: a run a fold, gone on with where it was, joined when all are trained."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from protloc.apply.rows import see_rows
from protloc.apply.see import see
from protloc.atlas.store import Store
from protloc.curate.split import Folds, fold, rows_of
from protloc.errors import RunError, SettingsError, SplitError
from protloc.judge.answering import AnswerRule
from protloc.learn import train_folds as module
from protloc.learn.bundle import Bundle, write_rule
from protloc.learn.epochs import best_epoch
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import read_run
from protloc.learn.train import train
from protloc.learn.train_folds import FoldsResult, train_folds
from protloc.verbs.train import train_recipe

SETTINGS = TrainSettings(
    backbone="baseline-cnn", epochs=2, batch_size=16, learning_rate=3e-3, flips=True, precision="float32", device="cpu",
    seed=5,
)  # fmt: skip
WRITTEN = ("bundle/model.json", "bundle/model.safetensors")


@pytest.fixture(scope="module")
def store(tiny_world) -> Store:
    return tiny_world.store


@pytest.fixture(scope="module")
def folds(store: Store) -> Folds:
    """Three folds with all seven label sets four times each."""
    return Folds(store.ids, tuple(place // 7 % 3 for place in range(len(store))))


@pytest.fixture(scope="module")
def whole(store: Store, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> FoldsResult:
    """A run that nothing interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return train_folds(store, settings=SETTINGS, run=run, folds=folds, split_name="cv")


@pytest.fixture
def fresh(whole: FoldsResult, tmp_path: Path) -> Path:
    """A copy of that run, to be changed."""
    return shutil.copytree(whole.run, tmp_path / "run")


def bytes_of(run: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for folder in (run, *sorted((run / "folds").iterdir())) for name in WRITTEN]


def test_each_fold_is_the_ordinary_run_of_its_split(
    store: Store, folds: Folds, whole: FoldsResult, tmp_path: Path
) -> None:
    alone = SETTINGS.with_overrides(["seed=6"])
    result = train(store, settings=alone, run=tmp_path / "run", split=folds.split(1), split_name="cv:1")
    assert replace(whole.results[1], run=result.run, seconds=0, images_per_second=0) == replace(
        result, seconds=0, images_per_second=0
    )
    for name in WRITTEN:
        assert (tmp_path / "run" / name).read_bytes() == (whole.run / "folds/1" / name).read_bytes()
    one = read_run(whole.run).folds[1]
    assert (one.settings, one.split_name) == (alone, "cv:1")


def test_the_run_tells_of_its_folds(store: Store, folds: Folds, whole: FoldsResult) -> None:
    run = read_run(whole.run)
    assert run.settings == SETTINGS
    assert run.finished
    assert [fold.settings.seed for fold in run.folds] == [5, 6, 7]
    assert all(fold.finished for fold in run.folds)
    run.check_fields(store, folds)
    losses = [[row.train_loss for row in fold.history] for fold in run.folds]
    assert [row.epoch for row in run.history] == [1, 2]
    assert [row.train_loss for row in run.history] == pytest.approx(np.mean(losses, axis=0))
    assert run.history[0].seconds == pytest.approx(sum(fold.history[0].seconds for fold in run.folds))
    files = {str(file.relative_to(whole.run)) for file in whole.run.rglob("*") if file.is_file()}
    an_ordinary_run = {"settings.toml", "log.csv", "checkpoints/last.ckpt", *WRITTEN}
    assert files == {"settings.toml", *WRITTEN} | {
        f"folds/{fold}/{name}" for fold in range(3) for name in an_ordinary_run
    }


def test_the_result_sums_and_averages_the_folds(whole: FoldsResult) -> None:
    best = [best_epoch(fold.history) for fold in read_run(whole.run).folds]
    assert whole.macro_f1 == pytest.approx(sum(row.macro_f1 for row in best) / 3)
    assert whole.samples_f1 == pytest.approx(sum(row.samples_f1 for row in best) / 3)
    assert (whole.epochs, whole.interrupted) == (6, False)
    assert whole.seconds == pytest.approx(sum(result.seconds for result in whole.results))
    assert f"{whole.run}: 3 folds, 6 epochs" in whole.summary
    assert f"macro-F1 {whole.macro_f1:.4f}" in whole.summary
    assert "The bundle averages the logits of their networks." in whole.summary


TOLERANCE = 5e-3 if torch.cuda.is_available() else 1e-5  # a GPU convolves with 10 bits of mantissa


def test_the_bundle_averages_the_folds(store: Store, whole: FoldsResult) -> None:
    run, rows = read_run(whole.run), np.arange(len(store))
    bundle = run.bundle()
    apart = [see_rows(fold.bundle(), store, rows).mean_logits for fold in run.folds]
    np.testing.assert_allclose(see(bundle, [store.images(rows)]).logits, apart, atol=TOLERANCE)
    np.testing.assert_allclose(see_rows(bundle, store, rows).mean_logits, np.mean(apart, axis=0), atol=TOLERANCE)
    assert np.ptp(apart, axis=0).max() > 1e-3
    assert bundle.rule == AnswerRule.plain(3)
    assert bundle.settings == run.folds[0].bundle().settings == SETTINGS.model_dump(mode="json")
    assert bundle.metrics["macro_f1"] == pytest.approx(whole.macro_f1)


def test_no_fold_learns_from_the_fields_it_is_judged_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = np.arange(len(store)) // 2
    made = fold(replace(store.table, groups=tuple(f"pair{pair:02d}" for pair in pairs)), folds=3)
    seen: list[set[int]] = []
    images = Store.images

    def seeing(own: Store, rows: np.ndarray) -> np.ndarray:
        seen[-1].update(np.asarray(rows).tolist())
        return images(own, rows)

    def begin_fold(line: str) -> None:
        if line.startswith("fold "):
            seen.append(set())

    with monkeypatch.context() as patched:
        patched.setattr(Store, "images", seeing)
        short = SETTINGS.with_overrides(["epochs=1"])
        train_folds(store, settings=short, run=tmp_path / "run", folds=made, split_name="cv", say=begin_fold)
    judged = [rows_of(made.split(number), store.ids)["test"] for number in range(3)]
    assert sorted(np.concatenate(judged)) == list(range(84))
    for learnt, test in zip(seen, judged, strict=True):
        assert len(test) == 28
        assert learnt == set(range(84)) - set(test.tolist())  # training and validation part, all of them and no more
        assert not set(pairs[sorted(learnt)]) & set(pairs[test])


@pytest.mark.parametrize("killed_at", [0, 1, 2])
def test_killed_at_a_fold_it_resumes_to_the_same(
    store: Store, folds: Folds, whole: FoldsResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    trained: list[str] = []

    def training(store: Store, *, run: Path, **how: object) -> object:
        if len(trained) == killed_at:
            raise MemoryError
        trained.append(run.name)
        return train(store, run=run, **how)

    with monkeypatch.context() as patched:
        patched.setattr(module, "train", training)
        with pytest.raises(MemoryError):
            train_folds(store, settings=SETTINGS, run=tmp_path / "run", folds=folds, split_name="cv")
    begun = read_run(tmp_path / "run")
    assert len(begun.folds) == begun.trained_folds == killed_at
    assert not begun.finished
    with pytest.raises(RunError, match=f"{killed_at} of 3 folds are trained, expected all"):
        begun.bundle()
    with pytest.raises(RunError, match="there is an unfinished run already; go on with --resume"):
        train_folds(store, settings=SETTINGS, run=tmp_path / "run", folds=folds, split_name="cv")
    train_folds(store, settings=SETTINGS, run=tmp_path / "run", folds=folds, split_name="cv", resume=True)
    assert bytes_of(tmp_path / "run") == bytes_of(whole.run)


def test_broken_off_while_joining_it_joins_again(
    store: Store, folds: Folds, whole: FoldsResult, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(fresh / "bundle")

    def fill_the_disk(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("protloc.learn.bundle.write_json", fill_the_disk)  # the second of the two files
        with pytest.raises(OSError, match="the disk is full"):
            train_folds(store, settings=SETTINGS, run=fresh, folds=folds, split_name="cv", resume=True)
    assert not read_run(fresh).finished
    with pytest.raises(RunError, match="3 of 3 folds are trained"):
        read_run(fresh).bundle()
    train_folds(store, settings=SETTINGS, run=fresh, folds=folds, split_name="cv", resume=True)
    assert bytes_of(fresh) == bytes_of(whole.run)


def test_ctrl_c_ends_it_cleanly_and_it_can_be_resumed(
    store: Store, folds: Folds, whole: FoldsResult, tmp_path: Path
) -> None:
    lines: list[str] = []

    def press_ctrl_c(line: str) -> None:
        lines.append(line)
        if lines[-2:-1] == ["fold 1 of 3 (cv:1)"]:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    stopped = train_folds(store, settings=SETTINGS, run=run, folds=folds, split_name="cv", say=press_ctrl_c)
    assert stopped.interrupted
    assert [result.epochs for result in stopped.results] == [2, 1]
    assert f"{run}: 1 of 3 folds are trained, 3 epochs" in stopped.summary
    assert stopped.macro_f1 == stopped.results[0].macro_f1
    assert stopped.samples_f1 == stopped.results[0].samples_f1
    assert f"Mean over the trained folds of the best epoch on the validation part: macro-F1 {stopped.macro_f1:.4f}" in (
        stopped.summary
    )
    assert stopped.summary.endswith("Interrupted; the same command with --resume goes on.")
    assert not (run / "folds/2").exists()
    lines.clear()
    resumed = train_folds(
        store, settings=SETTINGS, run=run, folds=folds, split_name="cv", resume=True, say=lines.append
    )
    assert [line for line in lines if line.startswith("fold ")] == [
        "fold 0 is trained already (cv:0)",
        "fold 1 of 3 (cv:1)",
        "fold 2 of 3 (cv:2)",
    ]
    assert [result.epochs for result in resumed.results] == [2, 2, 2]
    assert bytes_of(run) == bytes_of(whole.run)


def test_a_finished_run_keeps_the_rule_it_was_given(store: Store, folds: Folds, fresh: Path) -> None:
    rule = replace(AnswerRule.plain(3), fields=84, poses=8)
    write_rule(fresh / "bundle", rule)
    before = bytes_of(fresh)
    again = train_folds(store, settings=SETTINGS, run=fresh, folds=folds, split_name="cv", resume=True)
    assert not again.interrupted
    assert bytes_of(fresh) == before
    assert Bundle.load(fresh / "bundle").rule == rule
    with pytest.raises(RunError, match="there is a finished run already"):
        train_folds(store, settings=SETTINGS, run=fresh, folds=folds, split_name="cv")


def test_other_settings_and_other_folds_are_not_resumed(store: Store, folds: Folds, whole: FoldsResult) -> None:
    other = SETTINGS.with_overrides(["dropout=0.5"])
    with pytest.raises(RunError, match=r"begun with dropout = 0.2, to be resumed with 0.5"):
        train_folds(store, settings=other, run=whole.run, folds=folds, split_name="cv", resume=True)
    moved = Folds(folds.ids, folds.folds[1:] + folds.folds[:1])
    with pytest.raises(RunError, match="the split cv has been made anew since the training"):
        train_folds(store, settings=SETTINGS, run=whole.run, folds=moved, split_name="cv", resume=True)


def test_what_a_later_fold_cannot_do_is_told_before_the_first_is_trained(
    store: Store, folds: Folds, tmp_path: Path
) -> None:
    gap = Folds(folds.ids, tuple(3 if fold == 2 else fold for fold in folds.folds))  # nobody is in fold 2
    with pytest.raises(SplitError, match="the validation part is empty"):
        train_folds(store, settings=SETTINGS, run=tmp_path / "run", folds=gap, split_name="cv")
    wrong = SETTINGS.with_overrides(["backbone=resnet_50"])
    with pytest.raises(SettingsError, match="resnet_50"):
        train_folds(store, settings=wrong, run=tmp_path / "run", folds=folds, split_name="cv")
    assert not (tmp_path / "run").exists()


def test_the_verb_trains_folds_by_name_and_one_of_them_alone(
    store: Store, folds: Folds, whole: FoldsResult, tmp_path: Path
) -> None:
    shutil.copytree(store.folder, tmp_path / "store")
    own = Store.open(tmp_path / "store")
    folds.write(own.folder / "splits/cv.parquet")
    SETTINGS.to_toml(tmp_path / "own.toml")
    every = train_recipe(own, recipe=tmp_path / "own.toml", run=tmp_path / "run", split_name="cv")
    assert isinstance(every, FoldsResult)
    assert bytes_of(tmp_path / "run") == bytes_of(whole.run)
    alone = train_recipe(
        own, recipe=tmp_path / "own.toml", run=tmp_path / "one", split_name="cv:2", overrides=["seed=7"]
    )
    assert not isinstance(alone, FoldsResult)
    for name in WRITTEN:
        assert (tmp_path / "one" / name).read_bytes() == (whole.run / "folds/2" / name).read_bytes()


@pytest.mark.parametrize(
    "place", ["protloc.learn.classifier.Classifier.training_step", "protloc.learn.train.FieldData"]
)
def test_ctrl_c_before_the_first_epoch_of_a_later_fold_keeps_those_before(
    store: Store, folds: Folds, whole: FoldsResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    run = tmp_path / "run"

    def press_ctrl_c(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:

        def say(line: str) -> None:
            if line == "fold 1 of 3 (cv:1)":
                patched.setattr(place, press_ctrl_c)

        stopped = train_folds(store, settings=SETTINGS, run=run, folds=folds, split_name="cv", say=say)
    assert stopped.interrupted
    assert len(stopped.results) == len(stopped.trained) == 1
    assert f"{run}: 1 of 3 folds are trained, 2 epochs" in stopped.summary
    assert f"macro-F1 {whole.results[0].macro_f1:.4f}" in stopped.summary
    assert stopped.summary.endswith("\nInterrupted; the same command with --resume goes on.")
    train_folds(store, settings=SETTINGS, run=run, folds=folds, split_name="cv", resume=True)
    assert bytes_of(run) == bytes_of(whole.run)


def test_ctrl_c_before_any_epoch_ended_keeps_nothing(
    store: Store, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("protloc.learn.classifier.Classifier.training_step", press_ctrl_c)
    with pytest.raises(RunError, match="stopped before the first epoch ended, so nothing is kept"):
        train_folds(store, settings=SETTINGS, run=tmp_path / "run", folds=folds, split_name="cv")


def test_an_error_of_a_later_fold_is_no_ctrl_c(
    store: Store, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training(*_: object, run: Path, **how: object) -> object:
        if run.name == "1":
            raise RunError("the training loss is nan")
        return train(*_, run=run, **how)

    monkeypatch.setattr(module, "train", training)
    with pytest.raises(RunError, match="the training loss is nan"):
        train_folds(store, settings=SETTINGS, run=tmp_path / "run", folds=folds, split_name="cv")


def test_stopped_in_the_first_fold_there_is_nothing_to_average(whole: FoldsResult) -> None:
    stopped = FoldsResult(whole.run, (replace(whole.results[0], interrupted=True),), 3)
    assert f"{whole.run}: 0 of 3 folds are trained, 2 epochs" in stopped.summary
    assert "Mean" not in stopped.summary
    assert np.isnan([stopped.macro_f1, stopped.samples_f1]).all()
