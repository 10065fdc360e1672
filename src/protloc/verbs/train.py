"""Training a recipe on a split of a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from protloc.atlas.files import StrPath
from protloc.atlas.store import Store
from protloc.curate.split import Folds
from protloc.learn.recipes import load_recipe
from protloc.learn.train import TrainResult, train
from protloc.learn.train_folds import FoldsResult, train_folds
from protloc.verbs.split import parting_in_words, read_split


def train_recipe(
    store: Store,
    *,
    recipe: StrPath,
    run: StrPath,
    split_name: str = "default",
    overrides: Sequence[str] = (),
    resume: bool = False,
    say: Callable[[str], None] | None = None,
    show_progress: bool = False,
) -> TrainResult | FoldsResult:
    """Train a recipe on a store and write the run; on folds, a run a fold and the ensemble of them.

    Args:
        store: A labelled store.
        recipe: Name of a recipe, or a TOML file of settings.
        run: Folder to write.
        split_name: Split or folds of the store; ``default`` is made where it is missing, and ``NAME:2`` is the split
            whose test part is the fold 2 of ``NAME``.
        overrides: Settings other than the recipe's, ``name=value`` each.
        resume: Go on with an interrupted run.
        say: Takes a line of text for each epoch.
        show_progress: Draw a bar.

    Raises:
        SettingsError: if the recipe or an override is wrong.
        SplitError: if there is no such split.
        WeightsError: if the initial weights cannot be had.
        RunError: if ``run`` exists, or cannot be resumed with these settings.
    """
    settings, folder = load_recipe(os.fspath(recipe)).with_overrides(overrides), Path(run)
    partition = read_split(store, split_name)
    parting = parting_in_words(store, split_name, partition)
    if say is not None and parting:
        say(parting)
    if isinstance(partition, Folds):
        return train_folds(
            store, settings=settings, run=folder, folds=partition, split_name=split_name,
            resume=resume, say=say, show_progress=show_progress,
        )  # fmt: skip
    return train(
        store, settings=settings, run=folder, split=partition, split_name=split_name,
        resume=resume, say=say, show_progress=show_progress,
    )  # fmt: skip
