"""Networks: the baseline CNN, any timm backbone, for any stains."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import timm
import torch
from torch import nn

from protloc.errors import SettingsError
from protloc.learn.chance import NETWORK, seeded
from protloc.learn.weights import fit_weights, read_weights, size_option

BASELINE_CNN = "baseline-cnn"
CNN_CHANNELS = (16, 32, 64, 128)
CNN_HIDDEN = (512, 128)


def build_network(
    backbone: str,
    *,
    stains: int,
    classes: int,
    weights: str = "none",
    dropout: float = 0.0,
    side: int = 128,
    seed: int = 0,
    stain_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
) -> nn.Module:
    """Build a network that takes normalised fields and returns logits.

    Args:
        backbone: ``baseline-cnn``, or any name timm knows.
        stains: Channels of the input; the first layer is adapted (see :func:`protloc.learn.weights.fit_weights`).
        classes: Number of logits.
        weights: ``none``, ``imagenet``, ``efficientnet-lite0``, ``starter``, a ``.safetensors`` file or a bundle
            folder.
        dropout: Share in 0..1 of the values dropped before the head, and after every block of the baseline CNN.
        side: Height and width of the input in px.
        seed: Decides the initial weights that ``weights`` does not give.
        stain_names: Names of the channels in order, by which the weights of a bundle are fitted.
        class_names: Names of the logits in order, likewise.

    Returns:
        Module from float32 (fields, stains, side, side) to float32 (fields, classes).

    Raises:
        SettingsError: if the backbone is unknown or cannot take such an image.
        WeightsError, BundleError: if the weights cannot be had or do not fit.
        MissingExtraError: if the weights come in a package that is not installed.
    """
    with seeded(seed, NETWORK):
        if backbone == BASELINE_CNN:
            network: nn.Module = BaselineCnn(stains=stains, classes=classes, dropout=dropout, side=side)
        else:
            network = _timm_network(backbone, stains=stains, classes=classes, dropout=dropout, side=side)
    if weights != "none":
        initial = read_weights(weights, backbone=backbone, side=side)
        fit_weights(network, initial, place=f"weights {weights}", stains=stain_names, classes=class_names)
    return network


class BaselineCnn(nn.Sequential):
    """The CNN of the baseline recipe: four convolutions, then three linear layers.

    Every block is a 3×3 convolution, batch norm, ReLU, a halving of the side and dropout.

    Raises:
        SettingsError: if the side is too small to be halved four times.
    """

    def __init__(self, *, stains: int, classes: int, dropout: float, side: int) -> None:
        left = side // 2 ** len(CNN_CHANNELS)
        if not left:
            raise SettingsError(
                f"backbone {BASELINE_CNN}: fields of {side} px, expected at least 16. Prepare a larger side."
            )
        widths = (stains, *CNN_CHANNELS)
        blocks = [_block(before, after, dropout) for before, after in pairwise(widths)]
        flat, (first, second) = CNN_CHANNELS[-1] * left**2, CNN_HIDDEN
        head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(flat, first),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(second, classes),
        )
        super().__init__(OrderedDict([("blocks", nn.Sequential(*blocks)), ("head", head)]))


def _block(before: int, after: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(dropout)
    )


def _timm_network(backbone: str, *, stains: int, classes: int, dropout: float, side: int) -> nn.Module:
    if not timm.is_model(backbone):
        alike = difflib.get_close_matches(backbone, [BASELINE_CNN, *timm.list_models()], n=3)
        meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
        raise SettingsError(
            f"backbone {backbone!r}: there is none of this name.{meant} Name {BASELINE_CNN} or one of timm's models."
        )
    try:
        network = timm.create_model(
            backbone, in_chans=stains, num_classes=classes, drop_rate=dropout, **size_option(backbone, side=side)
        )
        with torch.inference_mode():  # most networks say only now that a field is too small for them
            network.eval()(torch.zeros(1, stains, side, side))
        return network.train()
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"backbone {backbone}: cannot be built for fields of {side} px and {stains} stains ({error}). "
            "Choose another backbone or prepare another side."
        ) from error
