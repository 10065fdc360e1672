"""Networks as everybody uses them: stored fields in, logits out."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from protloc.learn.model import Normalisation


class FieldNetwork(nn.Module):
    """A network that takes fields as stored and normalises them itself.

    Args:
        network: From normalised float32 (fields, stains, side, side) to logits (fields, classes).
        normalisation: Mean 0 and deviation 1 are made of these.
    """

    means: Tensor
    deviations: Tensor

    def __init__(self, network: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        # not in the state: model.json has them, where people can read them
        self.register_buffer("means", _a_stain(normalisation.means), persistent=False)
        self.register_buffer("deviations", _a_stain(normalisation.deviations), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits (fields, classes) of uint8 or float32 fields (fields, stains, side, side) in 0..255."""
        normalised = (images.to(torch.float32) - self.means) / self.deviations
        return self.network(normalised.contiguous(memory_format=torch.channels_last)).float()


class Ensemble(nn.Module):
    """Networks of one architecture that answer together; one alone answers for itself.

    Args:
        members: The networks, one at least.
    """

    def __init__(self, members: Iterable[FieldNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def each(self, images: Tensor) -> Tensor:
        """Return every member's float32 logits (members, fields, classes) of fields as one member takes them."""
        return torch.stack([member(images) for member in self.members])

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean of the members' logits, float32 (fields, classes)."""
        return self.each(images).mean(dim=0)


def _a_stain(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
