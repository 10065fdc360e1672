"""The networks of a bundle, looking at fields by PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from protloc.apply.given import Fields
from protloc.apply.see import Seen
from protloc.learn.bundle import Bundle
from protloc.learn.lite import LiteNetwork
from protloc.learn.machine import keep_memory
from protloc.learn.network import Ensemble, FieldNetwork


class NetworkEye:
    """The networks of a bundle, on a GPU where there is one.

    Args:
        bundle: The trained model.
        in_threads: Whether it will be asked in another thread than this one.
    """

    def __init__(self, bundle: Bundle, *, in_threads: bool = False) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        if self._device == "cpu":
            keep_memory(in_threads=in_threads)
        self._network = bundle.network().to(self._device)

    def __call__(self, batches: Iterable[Fields]) -> Iterator[Seen]:
        """Yield what is made of each batch, uint8 (fields, stains of the model, side, side), in their order."""
        for batch in batches:
            with torch.inference_mode():
                logits, embeddings = look(self._network, torch.from_numpy(batch).to(self._device))
                seen = Seen(logits.cpu().numpy(), embeddings.cpu().numpy())
            yield seen


def look(network: Ensemble, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :class:`protloc.apply.see.Seen` holds, as tensors, in the time of the logits alone.

    Args:
        network: The members.
        images: As a member takes them.
    """
    each = [_look(cast("FieldNetwork", member), images) for member in network.members]
    return torch.stack([logits for logits, _ in each]), torch.cat([embedded for _, embedded in each], dim=1)


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
