"""Training: from a store, a split and settings to a run."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from torch import nn

from protloc.atlas.store import Store
from protloc.curate.split import Split
from protloc.errors import NothingKeptError, SettingsError
from protloc.judge.answering import AnswerRule
from protloc.learn.augment import Augmentation
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.classifier import Classifier
from protloc.learn.data import FieldData
from protloc.learn.epochs import best_epoch
from protloc.learn.keeper import EpochBar, Keeper, WholeCheckpoints
from protloc.learn.losses import make_loss
from protloc.learn.machine import device_of, keep_memory, precision_of
from protloc.learn.network import FieldNetwork
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import Run, existing_run, read_run, write_run


@dataclass(frozen=True)
class TrainResult:
    """What a training run gave.

    Attributes:
        run: Its folder.
        best_epoch: Epoch that the bundle holds, from 1.
        epochs: Epochs trained.
        macro_f1: Of the best epoch, on the validation part.
        samples_f1: Of the best epoch, on the validation part.
        seconds: Training and validation, resumed parts included.
        images_per_second: Training fields a second, mean over the epochs.
        interrupted: Whether Ctrl-C ended it.
    """

    run: Path
    best_epoch: int
    epochs: int
    macro_f1: float
    samples_f1: float
    seconds: float
    images_per_second: float
    interrupted: bool

    @property
    def summary(self) -> str:
        """Return in words where the run is, what it reached, and how to go on if it was interrupted."""
        told = (
            f"{self.run}: {self.epochs} epochs in {self.seconds:.0f} s, {self.images_per_second:.0f} images/s. "
            f"The bundle holds epoch {self.best_epoch}: macro-F1 {self.macro_f1:.4f}, samples-F1 {self.samples_f1:.4f} "
            "on the validation part."
        )
        return f"{told}\nInterrupted; the same command with --resume goes on." if self.interrupted else told


def train(
    store: Store,
    *,
    settings: TrainSettings,
    run: Path,
    split: Split,
    split_name: str,
    resume: bool = False,
    say: Callable[[str], None] | None = None,
    show_progress: bool = False,
) -> TrainResult:
    """Train a network on the training part of a store, keeping the epoch of the best validation macro-F1.

    Stops early when neither macro-F1 nor samples-F1 has improved for ``patience`` epochs, and cleanly on Ctrl-C.

    Args:
        store: A labelled store.
        settings: What to train, and how.
        run: Folder to write: settings, bundle, checkpoints, log.
        split: Which field is in which part.
        split_name: What the split is called in the store.
        resume: Go on with a run that was interrupted; the result is that of an uninterrupted one. One that is
            finished is left as it is, one that does not exist is begun.
        say: Takes a line of text an epoch.
        show_progress: Draw a bar for each epoch.

    Raises:
        RunError: if the run exists and is not to be resumed, was begun with other settings, or its loss is no number.
        SettingsError, SplitError, StoreError, WeightsError, MissingExtraError: if a setting cannot be met.
    """
    begun = existing_run(run, settings=settings, store=store, split=split, split_name=split_name, resume=resume)
    if begun is not None and begun.finished:
        return _result(begun, interrupted=False)
    fields = FieldData(store, split=split, settings=settings)
    device_of(settings)  # before anything is written
    started = begun is not None and begun.checkpoint.is_file()
    classifier = make_classifier(fields, settings, weights="none" if started else settings.weights)
    begun = begun or write_run(run, settings=settings, store=store, split=split, split_name=split_name)
    keeper = Keeper(begun, make_bundle=_packer(store, settings), say=say)
    callbacks: list[Callback] = [EpochBar(), keeper] if show_progress else [keeper]
    checkpoint = begun.checkpoint if begun.checkpoint.is_file() else None
    interrupted = _fit(classifier, fields, settings=settings, callbacks=callbacks, checkpoint=checkpoint, run=run)
    if interrupted and keeper.best is not None:
        keeper.best.save(begun.bundle_folder)  # Ctrl-C may have come between its two files
    return _result(read_run(run), interrupted=interrupted)


def make_classifier(fields: FieldData, settings: TrainSettings, *, weights: str) -> Classifier:
    """Build what is trained, with initial weights of the given name.

    Raises:
        SettingsError, WeightsError, MissingExtraError: if a setting cannot be met.
    """
    store = fields.store
    network = build_network(
        settings.backbone,
        stains=len(store.stains),
        classes=len(store.vocabulary),
        weights=weights,
        dropout=settings.dropout,
        side=store.side,
        seed=settings.seed,
        stain_names=[stain.name for stain in store.stains],
        class_names=store.vocabulary.names,
    )
    _check_crop(network, settings, store)
    return Classifier(
        FieldNetwork(network, fields.normalisation),
        loss=make_loss(settings, targets=fields.train_targets),
        settings=settings,
        augmentation=_augmentation(settings, [stain.name for stain in store.stains]),
        steps=settings.epochs * len(fields.epoch(0)),
        photograph=fields.photograph if store.clean else None,
    )


def _check_crop(network: nn.Module, settings: TrainSettings, store: Store) -> None:
    """Refuse a crop that is larger than the fields, or that the network cannot take beside whole fields."""
    if not settings.crop:
        return
    if settings.crop > store.side:
        raise SettingsError(
            f"crop: {settings.crop} px asked for, but the fields of {store.folder} are {store.side} px wide. "
            f"--set crop={store.side} or less, or prepare a larger side."
        )
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, len(store.stains), settings.crop, settings.crop))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"crop: {settings.backbone} takes fields of {store.side} px, but no crops of {settings.crop} px ({error}). "
            "--set crop=0, or choose another backbone."
        ) from error
    network.train()


def _augmentation(settings: TrainSettings, stains: list[str]) -> Augmentation:
    return Augmentation(
        rotation_degrees=settings.rotation_degrees,
        width_shift=settings.width_shift,
        height_shift=settings.height_shift,
        zoom=settings.zoom,
        crop=settings.crop,
        flips=settings.flips,
        quarter_turns=settings.quarter_turns,
        intensity_jitter=settings.intensity_jitter,
        stain_dropout=settings.stain_dropout,
        kept_stain=stains.index(settings.protein_stain) if settings.protein_stain in stains else None,
    )


def _packer(store: Store, settings: TrainSettings) -> Callable[[Classifier, dict[str, Any]], Bundle]:
    def pack(classifier: Classifier, figures: dict[str, Any]) -> Bundle:
        answering = classifier.answering
        return Bundle(
            backbone=settings.backbone,
            vocabulary=store.vocabulary,
            stains=store.stains,
            side=store.side,
            rule=AnswerRule.plain(len(store.vocabulary)),
            members=(Member(answering.normalisation, figures, portable_state(answering.network.state_dict())),),
            settings=settings.model_dump(mode="json"),
            protloc_version=metadata.version("protloc"),
            tile=store.tile,
            bit_depth=store.bit_depth,
        )

    return pack


def _fit(
    classifier: Classifier,
    fields: FieldData,
    *,
    settings: TrainSettings,
    callbacks: list[Callback],
    checkpoint: Path | None,
    run: Path,
) -> bool:
    """Run Lightning; tell whether Ctrl-C ended it."""
    device = device_of(settings)
    if device == "cpu":
        keep_memory()
    with _quiet(), _interruptible():
        trainer = Trainer(
            accelerator=device,
            devices=1,
            precision=precision_of(settings, device=device),
            max_epochs=settings.epochs,
            callbacks=callbacks,
            plugins=[WholeCheckpoints(), LightningEnvironment()],  # one process, whatever cluster it runs on
            default_root_dir=run,
            reload_dataloaders_every_n_epochs=1,  # each epoch has its own order
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            trainer.fit(classifier, datamodule=fields, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            if not trainer.interrupted:
                raise
        return trainer.interrupted


def _result(run: Run, *, interrupted: bool) -> TrainResult:
    if not run.history:
        raise NothingKeptError(
            f"{run.folder}: stopped before the first epoch ended, so nothing is kept. Begin again with --resume."
        )
    best = best_epoch(run.history)
    return TrainResult(
        run=run.folder,
        best_epoch=best.epoch,
        epochs=len(run.history),
        macro_f1=best.macro_f1,
        samples_f1=best.samples_f1,
        seconds=sum(row.seconds for row in run.history),
        images_per_second=mean(row.images_per_second for row in run.history),
        interrupted=interrupted,
    )


@contextmanager
def _quiet() -> Generator[None]:
    """Keep Lightning's tips and hints from the user, to whom they say nothing."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            warnings.filterwarnings("ignore", message=".*LeafSpec")  # torch's, of what Lightning does
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _interruptible() -> Generator[None]:
    """Give Ctrl-C back its meaning, which Lightning takes away when it is used."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
