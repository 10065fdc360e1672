"""What happens between epochs: keep the best, log, stop, checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from protloc.atlas.files import atomic_file
from protloc.errors import RunError
from protloc.learn.bundle import Bundle
from protloc.learn.classifier import Classifier
from protloc.learn.epochs import Epoch, best_epoch, has_stalled, write_history
from protloc.learn.runs import LOG_FILE, Run

MakeBundle = Callable[[Classifier, dict[str, Any]], Bundle]


class Keeper(Callback):
    """Keeps what an epoch gave: bundle, log, checkpoint, in this order.

    Killed between any two of them, a run resumes from the checkpoint of the epoch before and writes the same again.

    Args:
        run: Where to keep it.
        make_bundle: Packs the network with the figures of its epoch.
        say: Takes a line of text an epoch.

    Attributes:
        history: The epochs so far.
        best: The bundle of the best epoch of this process, None before there is one.
    """

    def __init__(self, run: Run, *, make_bundle: MakeBundle, say: Callable[[str], None] | None) -> None:
        self.run = run
        self.history: tuple[Epoch, ...] = ()
        self.best: Bundle | None = None
        self._make_bundle = make_bundle
        self._say = say
        self._began = self._trained = 0.0
        self._images = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the history, to be kept in the checkpoint."""
        return {"history": [asdict(row) for row in self.history]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the history of a checkpoint."""
        self.history = tuple(Epoch(**row) for row in state_dict["history"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._began, self._images = time.perf_counter(), 0

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Count the images and stop the clock, which only the last batch leaves stopped."""
        self._images += len(batch.images)
        self._trained = time.perf_counter() - self._began

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what the epoch gave.

        Raises:
            RunError: if the loss or an answer is no number any more.
        """
        classifier = _classifier(pl_module)
        row = self._row(trainer, classifier)
        self.history = (*self.history, row)
        if best_epoch(self.history) is row:
            self.best = self._make_bundle(classifier, _finite(asdict(row)))
            self.best.save(self.run.bundle_folder)
        write_history(self.run.folder / LOG_FILE, self.history)
        trainer.should_stop = has_stalled(self.history, patience=self.run.settings.patience)
        trainer.save_checkpoint(self.run.checkpoint)
        if self._say is not None:
            self._say(row.line(self.run.settings.epochs))

    def _row(self, trainer: Trainer, classifier: Classifier) -> Epoch:
        loss = classifier.train_loss
        if classifier.figures is None or not math.isfinite(loss):
            raise RunError(
                f"{self.run.folder}: in epoch {trainer.current_epoch + 1} the training loss is {loss:.3g} and the "
                "network answers with what is no number. Lower learning_rate, or train with precision=float32."
            )
        return Epoch(
            epoch=trainer.current_epoch + 1,
            seconds=round(time.perf_counter() - self._began, 3),
            train_loss=loss,
            **asdict(classifier.figures),
            learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
            images_per_second=round(self._images / self._trained, 2),
        )


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints whole or not at all; Lightning's own go through the system's temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401, ARG002
        """Write a checkpoint to a file."""
        with atomic_file(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class EpochBar(Callback):
    """A progress bar for each epoch, gone when the epoch is."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Show an empty bar."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar.add_task(f"epoch {trainer.current_epoch + 1}", total=trainer.num_training_batches)
        self._bar.start()

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        """Fill the bar by a batch."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Take the bar away."""
        self._take_away()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Take the bar away before the error is shown."""
        self._take_away()

    def _take_away(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _classifier(module: LightningModule) -> Classifier:
    if not isinstance(module, Classifier):
        raise TypeError(f"expected a Classifier, but got {type(module).__name__}")
    return module


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """Replace nan, which JSON does not have, by None; leave out the clock, so that equal runs give equal bundles."""
    kept = {name: value for name, value in figures.items() if name not in {"seconds", "images_per_second"}}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in kept.items()}
