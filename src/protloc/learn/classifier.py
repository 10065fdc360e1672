"""Fitting of a network, as Lightning wants it told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from protloc.judge import metrics
from protloc.learn.augment import Augmentation, augment
from protloc.learn.chance import AUGMENTATION, CAMERA, DROPOUT, generator_of, number_of, seeded
from protloc.learn.data import Batch
from protloc.learn.losses import Loss
from protloc.learn.network import FieldNetwork
from protloc.learn.recipes import TrainSettings

THRESHOLD = 0.5
Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class Figures:
    """Figures of the whole validation part; see :class:`protloc.learn.epochs.Epoch`."""

    validation_loss: float
    macro_f1: float
    samples_f1: float
    micro_f1: float
    mean_average_precision: float


class Classifier(LightningModule):
    """A network with its loss, optimiser and validation.

    Args:
        network: What is trained.
        loss: Function from logits and targets to their mean loss.
        settings: Of the run.
        augmentation: What is done to training fields.
        steps: Batches of the whole run.
        photograph: Photographs clean stains at every step, by cameras that a number decides; None for fields that are
            photographs.

    Attributes:
        figures: Those of the last validation; None if a logit was no number.
        train_loss: Mean training loss of the last epoch.
    """

    def __init__(
        self,
        network: FieldNetwork,
        *,
        loss: Loss,
        settings: TrainSettings,
        augmentation: Augmentation,
        steps: int,
        photograph: Callable[[Tensor, int], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.figures: Figures | None = None
        self._loss = loss
        self._augmentation = augmentation
        self._steps = steps
        self._photograph = photograph
        self._averaged: AveragedModel | None = (
            averaged_copy(network, settings.averaging) if settings.averaging else None
        )
        self._losses: list[tuple[Tensor, int]] = []
        self._seen: list[tuple[Tensor, Tensor]] = []

    @property
    def answering(self) -> FieldNetwork:
        """Return the network that is validated and kept: of averaged weights where the settings ask for it."""
        return self.network if self._averaged is None else cast("FieldNetwork", self._averaged.module)

    def on_train_epoch_start(self) -> None:
        """Forget the losses of the epoch before."""
        self._losses.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch; chance depends on seed, epoch and step alone."""
        place = (self.current_epoch, batch_idx)
        generator = generator_of(self.settings.seed, AUGMENTATION, *place)
        images = augment(
            batch.images, augmentation=self._augmentation, generator=generator, photograph=self._photographer(*place)
        )
        with seeded(self.settings.seed, DROPOUT, *place, device=self.device):
            loss = self._loss(self.network(images), batch.targets)
        self._losses.append((loss.detach(), len(images)))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002 - Lightning's signature
        """Shorten a gradient that is too long; Lightning itself refuses to, for fused optimisers in bf16."""
        longest, parameters = self.settings.gradient_clip, list(self.network.parameters())
        if not longest:
            return
        length = nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])
        # torch's clip_grad_norm_ would multiply short ones by 1; a GPU does so sooner than it tells the length
        if self.device.type != "cpu" or not length <= longest:  # nor is what is no number short
            nn.utils.clip_grads_with_norm_(parameters, longest, length)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, ARG002 - Lightning's
        """Take the weights of the step into the average."""
        if self._averaged is not None:
            self._averaged.update_parameters(self.network)

    @property
    def train_loss(self) -> float:
        """Return the mean training loss over the fields of the epoch."""
        counts = torch.tensor([count for _, count in self._losses], dtype=torch.float64)
        return float(torch.stack([loss for loss, _ in self._losses]).cpu().double() @ counts / counts.sum())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Keep the logits of a batch: figures are made of the whole part, never averaged over batches."""
        self._seen.append((self.answering(batch.images), batch.targets))

    def on_validation_epoch_end(self) -> None:
        """Judge the whole validation part."""
        logits, targets = (torch.cat(parts).cpu().numpy() for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        self.figures = figures_of(logits, targets.astype(np.uint8)) if np.isfinite(logits).all() else None

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW and the course of its learning rate."""
        optimizer = torch.optim.AdamW(
            _groups(self.network, self.settings.weight_decay), lr=self.settings.learning_rate, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, steps=self._steps, settings=self.settings)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _photographer(self, *place: int) -> Callable[[Tensor], Tensor] | None:
        """Return what photographs the fields of a step; its cameras depend on seed, epoch and step alone."""
        take, number = self._photograph, number_of(self.settings.seed, CAMERA, *place)
        return None if take is None else lambda moved: take(moved, number)


def averaged_copy(network: nn.Module, decay: float) -> AveragedModel:
    """Copy a network, to be kept at the moving average of its weights.

    The statistics of batch norm are averaged like the weights: they describe what these weights made of the fields, so
    those of averaged weights lie nearest to their average. Its counts of batches are copied.

    Args:
        network: What is trained.
        decay: Share of the old average that a step keeps, once :func:`decay_after` has risen to it.
    """

    @torch.no_grad()
    def follow(averages: Tensors, weights: Tensors, steps: Tensor | int) -> None:
        if averages[0].is_floating_point():
            get_ema_multi_avg_fn(decay_after(int(steps), decay=decay))(averages, weights, steps)
            return
        for average, weight in zip(averages, weights, strict=True):
            average.copy_(weight)

    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True).requires_grad_(requires_grad=False)


def decay_after(steps: int, *, decay: float) -> float:
    """Return the decay after some steps: it rises, so that a short run too forgets its first weights.

    The rise is that of TensorFlow's ``ExponentialMovingAverage`` with ``num_updates``.
    """
    return min(decay, (1 + steps) / (10 + steps))


def figures_of(logits: NDArray[np.float32], targets: NDArray[np.uint8]) -> Figures:
    """Judge logits of a whole part, both arrays of shape (fields, classes), at threshold 0.5."""
    answers = metrics.answers_of(logits, thresholds=[THRESHOLD] * targets.shape[1])
    return Figures(
        validation_loss=metrics.bce_loss(targets, logits),
        macro_f1=metrics.macro_f1(targets, answers),
        samples_f1=metrics.samples_f1(targets, answers),
        micro_f1=metrics.micro_f1(targets, answers),
        mean_average_precision=metrics.mean_average_precision(targets, logits),
    )


def rate_factor(step: int, *, steps: int, settings: TrainSettings) -> float:
    """Return what the learning rate is multiplied with at a step, counted from 0: a rise, then the schedule.

    Args:
        step: Batches trained so far.
        steps: Batches of the whole run.
        settings: Names schedule and share of warm-up.
    """
    rising = math.ceil(settings.warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min((step - rising) / max(steps - rising, 1), 1.0)))


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Spare norms and biases from decay: they scale, they do not fit."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
