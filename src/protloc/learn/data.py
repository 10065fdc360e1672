"""Batches of fields, straight from a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from protloc.atlas.store import Store
from protloc.curate.imbalance import minority_classes, repeats
from protloc.curate.split import Split, rows_of
from protloc.errors import SettingsError, SplitError
from protloc.learn.chance import ORDER, number_of
from protloc.learn.network import Normalisation
from protloc.learn.recipes import TrainSettings

LEAST_DEVIATION = 1.0  # grey levels; an empty stain must not blow up its noise


class Batch(NamedTuple):
    """Some fields with their label sets.

    Attributes:
        images: (fields, stains, side, side) uint8.
        targets: (fields, classes) float32, multi-hot.
    """

    images: Tensor
    targets: Tensor


class Batches:
    """Fields of a store, in batches of nearly equal size, in a given order.

    No worker processes: a batch is one read from a memory map, which takes less than a hundredth of a training step.

    Args:
        store: Where the fields are.
        rows: Rows of the store in the order wanted.
        size: Most fields of a batch. Batches differ by one field at most, so that none is too small for batch norm.
    """

    def __init__(self, store: Store, rows: NDArray[np.intp], *, size: int) -> None:
        self.store = store
        self.rows = rows
        self.count = -(-len(rows) // size)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        targets = self.store.targets
        for rows in np.array_split(self.rows, max(self.count, 1)):
            yield Batch(torch.from_numpy(self.store.images(rows)), torch.from_numpy(targets[rows].astype(np.float32)))


class FieldData(LightningDataModule):
    """The training and validation part of a store, as Lightning wants them.

    The order of an epoch depends on the seed and the epoch alone, so a resumed run sees the same batches.

    Args:
        store: A labelled store.
        split: Which field is in which part.
        settings: Batch size, seed, over-sampling.

    Attributes:
        train_rows: Rows of the training part, each as often as over-sampling draws it.
        train_targets: Multi-hot array of the training part, each field once.
        validation_rows: Rows of the validation part.
        normalisation: Brightness of the stains in the training part.

    Raises:
        SplitError: if the split is not one of this store's fields, or a part is empty.
        StoreError: if the store is unlabelled.
        SettingsError: if a minority class is named that the vocabulary does not have.
    """

    def __init__(self, store: Store, *, split: Split, settings: TrainSettings) -> None:
        super().__init__()
        self.store = store
        self.settings = settings
        parts = rows_of(split, store.ids)
        for part in ("train", "validation"):
            if not len(parts[part]):
                raise SplitError(f"{store.folder}: the {part} part is empty. Make a split that gives it fields.")
        self.train_rows = np.repeat(parts["train"], _draws(store, parts["train"], settings))
        self.train_targets = store.targets[parts["train"]]
        self.validation_rows = parts["validation"]
        self.normalisation = _normalisation(store, parts["train"])

    def epoch(self, number: int) -> Batches:
        """Return the training batches of an epoch, counted from 0."""
        generator = np.random.default_rng(number_of(self.settings.seed, ORDER, number))
        return Batches(self.store, generator.permutation(self.train_rows), size=self.settings.batch_size)

    def train_dataloader(self) -> Batches:
        """Return the training batches of the epoch that the trainer is in."""
        return self.epoch(self.trainer.current_epoch if self.trainer else 0)

    def val_dataloader(self) -> Batches:
        """Return the validation part in the order of the store."""
        return Batches(self.store, self.validation_rows, size=self.settings.batch_size)


def _draws(store: Store, rows: NDArray[np.intp], settings: TrainSettings) -> NDArray[np.int64]:
    """Tell how often an epoch draws each training field."""
    targets = store.targets[rows]
    minority = minority_classes(targets, below=settings.minority_below)
    if settings.minority_classes:
        minority = _columns_of(settings.minority_classes, store.vocabulary.names)
    return repeats(targets, minority=minority, factor=settings.oversampling_factor, cap=settings.oversampling_cap)


def _columns_of(classes: Sequence[str], names: Sequence[str]) -> NDArray[np.intp]:
    for name in classes:
        if name not in names:
            raise SettingsError(
                f"minority_classes: {name!r} is no class of the store. Its classes are {', '.join(names)}."
            )
    return np.array([names.index(name) for name in classes], np.intp)


def _normalisation(store: Store, rows: NDArray[np.intp]) -> Normalisation:
    """Pool the mean and standard deviation of each stain over the training part."""
    fields = store.fields.iloc[rows]
    names = [stain.name for stain in store.stains]
    means = np.stack([fields[f"mean_{name}"] for name in names]).astype(np.float64)
    within = np.stack([fields[f"sd_{name}"] for name in names]).astype(np.float64)
    deviations = np.sqrt((within**2).mean(axis=1) + means.var(axis=1))
    return Normalisation(
        means=tuple(means.mean(axis=1).tolist()),
        deviations=tuple(np.maximum(deviations, LEAST_DEVIATION).tolist()),
    )
