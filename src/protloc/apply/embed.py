"""Embeddings: what a network makes of fields before it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from protloc.apply.given import Fields
from protloc.learn.bundle import Bundle
from protloc.learn.lite import LiteNetwork
from protloc.learn.machine import keep_memory
from protloc.learn.network import Ensemble, FieldNetwork


@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks of a bundle make of fields, from one look.

    Attributes:
        logits: Every member's, float32 (members, fields, classes).
        embeddings: The members' pooled features before their last layer, one member's after another's, float32
            (fields, dimensions of all members).
    """

    logits: Tensor
    embeddings: Tensor


def look(network: Ensemble, images: Tensor) -> Seen:
    """Return both the logits and the embeddings of fields as a member takes them, in the time of the logits alone."""
    each = [_look(cast("FieldNetwork", member), images) for member in network.members]
    return Seen(torch.stack([logits for logits, _ in each]), torch.cat([embedded for _, embedded in each], dim=1))


def embeddings(bundle: Bundle, batches: Iterable[Fields]) -> NDArray[np.float32]:
    """Compute the embeddings of fields.

    An embedding is what the last layer of the network takes: features of the whole field, pooled over its pixels (of
    the baseline CNN, which pools none, the last hidden layer). Those of an ensemble's members stand one after another.

    Args:
        bundle: The trained model.
        batches: Arrays of shape (fields, stains of the model, side, side), uint8.

    Returns:
        Array of shape (fields of all batches, dimensions).
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_memory()
    network = bundle.network().to(device)
    with torch.inference_mode():
        none = torch.zeros((0, len(bundle.stains), bundle.side, bundle.side), dtype=torch.uint8)  # of no field, to join
        parts = [look(network, none.to(device)).embeddings.cpu().numpy()]
        parts += [look(network, torch.from_numpy(batch).to(device)).embeddings.cpu().numpy() for batch in batches]
    return np.concatenate(parts)


def model_hash(bundle: Bundle) -> str:
    """Return the SHA-256 of all that decides a bundle's embeddings: its weights and what brightness is usual.

    It is the same wherever the bundle lies and however it answers by its logits.
    """
    digest = hashlib.sha256(f"{bundle.backbone} {bundle.side} {[stain.name for stain in bundle.stains]}".encode())
    for member in bundle.members:
        digest.update(repr(member.normalisation).encode())
        for name, tensor in sorted(member.state.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _look(member: FieldNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    taken: list[Tensor] = []

    def take(_layer: nn.Module, given: tuple[Any, ...]) -> None:
        taken.append(given[0])

    listening = [layer.register_forward_pre_hook(take) for layer in _last_layers(member.network)]
    try:
        logits = member(images)
    finally:
        for each in listening:
            each.remove()
    return logits, torch.stack(taken).mean(dim=0).float().flatten(1)


def _last_layers(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return what makes logits of features: one layer, in distilled networks two, whose logits are averaged."""
    if isinstance(network, LiteNetwork):
        return (network.classifier,)
    named = getattr(network, "get_classifier", None)  # timm's networks name it differently, but can be asked
    if named is None:  # the baseline CNN, whose head ends with it
        return (list(network.modules())[-1],)
    found = named()
    return tuple(found) if isinstance(found, tuple) else (found,)
