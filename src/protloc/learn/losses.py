"""Losses: what a network is told to make small."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from protloc.learn.recipes import TrainSettings

LEAST = 1e-8  # a base of 0 has no finite slope under an exponent below 1
Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(settings: TrainSettings, *, targets: NDArray[np.uint8]) -> Loss:
    """Make the loss that the settings name.

    Args:
        settings: Name and parameters of the loss.
        targets: Multi-hot array of shape (fields, classes) of the training part, from which the weights of the
            weighted loss come.

    Returns:
        Function from logits and targets, both (fields, classes) float32, to their mean loss.
    """
    if settings.loss == "weighted":
        weights = torch.from_numpy(positive_weights(targets, cap=settings.positive_weight_cap))
        return lambda logits, truth: binary_cross_entropy(logits, truth, positive_weights=weights.to(logits.device))
    if settings.loss == "focal":
        return lambda logits, truth: focal_loss(logits, truth, gamma=settings.focal_gamma, alpha=settings.focal_alpha)
    if settings.loss == "asymmetric":
        return lambda logits, truth: asymmetric_loss(
            logits,
            truth,
            negative_gamma=settings.asymmetric_negative_gamma,
            positive_gamma=settings.asymmetric_positive_gamma,
            clip=settings.asymmetric_clip,
        )
    return binary_cross_entropy


def positive_weights(targets: NDArray[np.uint8], *, cap: float) -> NDArray[np.float32]:
    """Weigh positives so that those of a class count as much as its negatives together.

    Args:
        targets: Multi-hot array of shape (fields, classes).
        cap: Highest weight, which a class without a positive has too; one over it is the lowest.

    Returns:
        (classes,) float32, negatives per positive, within ``1 / cap`` and ``cap``.
    """
    positives = targets.sum(axis=0, dtype=np.int64)
    return np.clip((len(targets) - positives) / np.maximum(positives, 1), 1 / cap, cap).astype(np.float32)


def binary_cross_entropy(logits: Tensor, targets: Tensor, *, positive_weights: Tensor | None = None) -> Tensor:
    """Return the mean binary cross-entropy in nats, positives weighted by class if so wished.

    Args:
        logits: (fields, classes).
        targets: (fields, classes) in 0..1.
        positive_weights: (classes,).
    """
    return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=positive_weights)


def focal_loss(logits: Tensor, targets: Tensor, *, gamma: float, alpha: float) -> Tensor:
    """Return the mean focal loss: what is right already counts less (Lin et al., ICCV 2017, equation 5).

    Args:
        logits: (fields, classes).
        targets: (fields, classes) in 0..1.
        gamma: How much less; 0 is the binary cross-entropy.
        alpha: Weight of positives in 0..1; negatives weigh 1 - alpha.
    """
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = torch.sigmoid(logits)
    missing = targets * (1 - probability) + (1 - targets) * probability
    weight = targets * alpha + (1 - targets) * (1 - alpha)
    return (weight * missing.clamp(min=LEAST) ** gamma * losses).mean()


def asymmetric_loss(
    logits: Tensor, targets: Tensor, *, negative_gamma: float, positive_gamma: float, clip: float
) -> Tensor:
    """Return the mean asymmetric loss: easy negatives count little or nothing (Ridnik et al., ICCV 2021, equation 7).

    Args:
        logits: (fields, classes).
        targets: (fields, classes) in 0..1.
        negative_gamma: Focusing of the negatives.
        positive_gamma: Focusing of the positives.
        clip: Probability below which a negative costs nothing.
    """
    probability = torch.sigmoid(logits)
    shifted = (probability - clip).clamp(min=0)
    positive = targets * (1 - probability).clamp(min=LEAST) ** positive_gamma * functional.logsigmoid(logits)
    negative = (1 - targets) * shifted.clamp(min=LEAST) ** negative_gamma * torch.log1p(-shifted.clamp(max=1 - 1e-7))
    return -(positive + negative).mean()
