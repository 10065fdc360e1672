"""Batches of fields, straight from a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from protloc.atlas.photographs import photographs_of
from protloc.atlas.simulate.exposures import draw_any_camera
from protloc.atlas.store import Store
from protloc.curate.imbalance import minority_classes, repeats
from protloc.curate.split import Split, rows_of
from protloc.errors import SettingsError, SplitError
from protloc.learn.chance import ORDER, number_of
from protloc.learn.exposure import photograph
from protloc.learn.model import Normalisation
from protloc.learn.recipes import TrainSettings

LEAST_DEVIATION = 1.0  # grey levels; an empty stain must not blow up its noise
MEASURED = 512  # training fields whose photographs tell the brightness of a clean store
MEASURED_AT_ONCE = 32
KEPT_BYTES = 2**30  # photographs kept for the epochs to come: 4,096 fields of four stains at 256 px

ReadImages = Callable[[NDArray[np.intp]], NDArray[np.uint8]]


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
        read: Reads the images of rows; None reads them as stored.
    """

    def __init__(self, store: Store, rows: NDArray[np.intp], *, size: int, read: ReadImages | None = None) -> None:
        self.store = store
        self.rows = rows
        self.count = -(-len(rows) // size)
        self._read = store.images if read is None else read

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        targets = self.store.targets
        for rows in np.array_split(self.rows, max(self.count, 1)):
            yield Batch(torch.from_numpy(self._read(rows)), torch.from_numpy(targets[rows].astype(np.float32)))


class Photographs:
    """Photographs of the fields of a clean store, each always by the same camera.

    Args:
        store: A clean store.
        seed: Decides the cameras.
        kept_bytes: Most bytes kept in memory; what is beyond is photographed again each time.
    """

    def __init__(self, store: Store, *, seed: int, kept_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._seed = seed
        self._room = kept_bytes // (len(store.stains) * store.side**2)
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __call__(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return (len(rows), stains, side, side), uint8, in the order of ``rows``."""
        new = [row for row in rows.tolist() if row not in self._kept]
        taken: dict[int, NDArray[np.uint8]] = {}
        if new:
            taken = dict(zip(new, photographs_of(self._store, new, seed=self._seed), strict=True))
            free = max(self._room - len(self._kept), 0)
            self._kept |= {row: taken[row].copy() for row in new[:free]}
        return np.stack([taken[row] if row in taken else self._kept[row] for row in rows.tolist()])


class FieldData(LightningDataModule):
    """The training and validation part of a store, as Lightning wants them.

    The order of an epoch depends on the seed and the epoch alone, so a resumed run sees the same batches. Those of a
    clean store are clean stains in training, to be photographed once they are moved, and photographs in validation.

    Args:
        store: A labelled store.
        split: Which field is in which part.
        settings: Batch size, seed, over-sampling.

    Attributes:
        train_rows: Rows of the training part, each as often as over-sampling draws it.
        train_targets: Multi-hot array of the training part, each field once.
        validation_rows: Rows of the validation part.

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
        self._measured_rows = parts["train"]
        self._validation_images = Photographs(store, seed=settings.seed) if store.clean else store.images

    @cached_property
    def normalisation(self) -> Normalisation:
        """Return the brightness of the stains in the training part, as a network is to see them."""
        if self.store.clean:
            return _photographed_normalisation(self.store, self._measured_rows, seed=self.settings.seed)
        return _normalisation(self.store, self._measured_rows)

    def photograph(self, moved: Tensor, number: int) -> Tensor:
        """Photograph coded clean stains (fields, stains, side, side), each by a camera of its own.

        Args:
            moved: As stored, or moved and cropped. Cameras are drawn for whole fields: those that zoomed keep their
                blur in px.
            number: Decides cameras and noise.
        """
        rng, noise = np.random.default_rng(number), torch.Generator().manual_seed(number)
        cameras = [draw_any_camera(rng, side=self.store.side) for _ in moved]
        return photograph(moved, cameras, generator=noise, stains=[stain.name for stain in self.store.stains])

    def epoch(self, number: int) -> Batches:
        """Return the training batches of an epoch, counted from 0."""
        generator = np.random.default_rng(number_of(self.settings.seed, ORDER, number))
        return Batches(self.store, generator.permutation(self.train_rows), size=self.settings.batch_size)

    def train_dataloader(self) -> Batches:
        """Return the training batches of the epoch that the trainer is in."""
        return self.epoch(self.trainer.current_epoch if self.trainer else 0)

    def val_dataloader(self) -> Batches:
        """Return the validation part in the order of the store."""
        return Batches(self.store, self.validation_rows, size=self.settings.batch_size, read=self._validation_images)


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
    """Pool the stored means and deviations of the training part."""
    fields = store.fields.iloc[rows]
    names = [stain.name for stain in store.stains]
    means = np.stack([fields[f"mean_{name}"] for name in names], axis=1).astype(np.float64)
    within = np.stack([fields[f"sd_{name}"] for name in names], axis=1).astype(np.float64)
    return _pooled(means, within)


def _photographed_normalisation(store: Store, rows: NDArray[np.intp], *, seed: int) -> Normalisation:
    """Measure photographs of training fields, evenly spread over the store."""
    chosen = rows[np.linspace(0, len(rows) - 1, min(MEASURED, len(rows))).astype(np.intp)]
    taken = (
        photographs_of(store, some, seed=seed) for some in np.array_split(chosen, -(-len(chosen) // MEASURED_AT_ONCE))
    )
    measured = [(images.mean(axis=(2, 3)), images.std(axis=(2, 3))) for images in taken]
    means, within = (np.concatenate(figures) for figures in zip(*measured, strict=True))
    return _pooled(means, within)


def _pooled(means: NDArray[np.float64], within: NDArray[np.float64]) -> Normalisation:
    """Pool the mean and standard deviation of each stain, both (fields, stains), over all pixels."""
    deviations = np.sqrt((within**2).mean(axis=0) + means.var(axis=0))
    return Normalisation(
        means=tuple(means.mean(axis=0).tolist()),
        deviations=tuple(np.maximum(deviations, LEAST_DEVIATION).tolist()),
    )
