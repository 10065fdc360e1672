"""Training on folds: a run a fold, then the ensemble of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from protloc.atlas.store import Store
from protloc.curate.split import Folds
from protloc.errors import NothingKeptError
from protloc.judge.answering import AnswerRule
from protloc.learn.bundle import ensemble
from protloc.learn.data import FieldData
from protloc.learn.machine import device_of
from protloc.learn.model import DESCRIPTION_FILE
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import SETTINGS_FILE, Run, existing_run, read_run, write_run
from protloc.learn.train import TrainResult, make_classifier, train


@dataclass(frozen=True)
class FoldsResult:
    """What training on folds gave.

    Attributes:
        run: Its folder.
        results: What each fold gave, in their order; the last may have been interrupted. A fold in which no epoch ended
            gave nothing.
        count: How many folds there are.
    """

    run: Path
    results: tuple[TrainResult, ...]
    count: int

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C ended it."""
        return self.results[-1].interrupted or len(self.results) < self.count

    @property
    def trained(self) -> tuple[TrainResult, ...]:
        """Return what the folds gave that are trained to their end."""
        return tuple(result for result in self.results if not result.interrupted)

    @property
    def epochs(self) -> int:
        """Return the epochs trained, of all folds together."""
        return sum(result.epochs for result in self.results)

    @property
    def seconds(self) -> float:
        """Return the time of training and validation, of all folds together."""
        return sum(result.seconds for result in self.results)

    @property
    def images_per_second(self) -> float:
        """Return the training fields a second, mean over the folds."""
        return fmean(result.images_per_second for result in self.results)

    @property
    def macro_f1(self) -> float:
        """Return the macro-F1 of each fold's best epoch on its validation part, mean over the trained folds."""
        return _mean(result.macro_f1 for result in self.trained)

    @property
    def samples_f1(self) -> float:
        """Return the samples-F1 of each fold's best epoch on its validation part, mean over the trained folds."""
        return _mean(result.samples_f1 for result in self.trained)

    @property
    def summary(self) -> str:
        """Return in words where the run is, what it reached, and how to go on if it was interrupted."""
        done = f"{len(self.trained)} of {self.count} folds are trained" if self.interrupted else f"{self.count} folds"
        speed = f"{self.seconds:.0f} s, {self.images_per_second:.0f} images/s"
        told = f"{self.run}: {done}, {self.epochs} epochs in {speed}."
        if self.trained:
            told += (
                f" Mean over the {'trained ' * self.interrupted}folds of the best epoch on the validation part: "
                f"macro-F1 {self.macro_f1:.4f}, samples-F1 {self.samples_f1:.4f}."
            )
        if self.interrupted:
            return f"{told}\nInterrupted; the same command with --resume goes on."
        return f"{told} The bundle averages the logits of their networks."


def train_folds(
    store: Store,
    *,
    settings: TrainSettings,
    run: Path,
    folds: Folds,
    split_name: str,
    resume: bool = False,
    say: Callable[[str], None] | None = None,
    show_progress: bool = False,
) -> FoldsResult:
    """Train a network for every fold, which it never sees, and join them into one bundle.

    Each fold is an ordinary run in ``folds/<number>``, as if trained on the split ``<split_name>:<number>`` with its
    number added to the seed: networks that differ in their chance too err less alike, and gain more from being averaged
    (Lakshminarayanan 2017, section 2.4). Their fields out of fold may be judged; those of the bundle may not, since
    every field was learnt by most of its networks.

    Args:
        store: A labelled store.
        settings: What to train, and how.
        run: Folder to write: settings, a run a fold, and the bundle when all are trained.
        folds: Which field is in which fold.
        split_name: What the folds are called in the store.
        resume: Go on with a run that was interrupted; folds that are trained are left as they are.
        say: Takes a line of text a fold and an epoch.
        show_progress: Draw a bar for each epoch.

    Raises:
        RunError: as :func:`protloc.learn.train.train` does, or if Ctrl-C came before the first epoch of all ended.
        SettingsError, SplitError, StoreError, WeightsError, MissingExtraError: if a setting cannot be met.
    """
    begun = existing_run(run, settings=settings, store=store, split=folds, split_name=split_name, resume=resume)
    if begun is None:
        _refuse_early(store, folds, settings)
        begun = write_run(run, settings=settings, store=store, split=folds, split_name=split_name)
    results: list[TrainResult] = []
    for fold in range(folds.count):
        try:
            if say is not None:
                state = "is trained already" if _is_trained(begun.fold_folder(fold)) else f"of {folds.count}"
                say(f"fold {fold} {state} ({split_name}:{fold})")
            result = train(
                store,
                settings=settings.model_copy(update={"seed": settings.seed + fold}),
                run=begun.fold_folder(fold),
                split=folds.split(fold),
                split_name=f"{split_name}:{fold}",
                resume=True,
                say=say,
                show_progress=show_progress,
            )
        except (NothingKeptError, KeyboardInterrupt):  # Ctrl-C before its first epoch ended
            if results:
                break
            raise
        results.append(result)
        if result.interrupted:
            break
    else:
        _join(read_run(run), classes=len(store.vocabulary))
    return FoldsResult(run, tuple(results), folds.count)


def _refuse_early(store: Store, folds: Folds, settings: TrainSettings) -> None:
    """Meet the mistakes that any fold could stumble over before the first is trained or anything is written."""
    device_of(settings)
    prepared = [FieldData(store, split=folds.split(fold), settings=settings) for fold in range(folds.count)]
    make_classifier(prepared[0], settings, weights=settings.weights)


def _is_trained(run: Path) -> bool:
    return (run / SETTINGS_FILE).is_file() and read_run(run).finished


def _mean(figures: Iterable[float]) -> float:
    numbers = list(figures)
    return fmean(numbers) if numbers else math.nan


def _join(run: Run, *, classes: int) -> None:
    if not (run.bundle_folder / DESCRIPTION_FILE).is_file():  # written last; it may have been given a fitted rule since
        bundles = [fold.bundle() for fold in run.folds]
        ensemble(bundles, rule=AnswerRule.plain(classes)).save(run.bundle_folder)
