"""Embeddings: what a network makes of fields before it answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from protloc.apply.given import Fields
from protloc.apply.see import see
from protloc.learn.export import Export
from protloc.learn.model import Model


def embeddings(model: Model, batches: Iterable[Fields]) -> NDArray[np.float32]:
    """Compute the embeddings of fields.

    An embedding is what the last layer of the network takes: features of the whole field, pooled over its pixels (of
    the baseline CNN, which pools none, the last hidden layer). Those of an ensemble's members stand one after another.

    Args:
        model: The trained model.
        batches: Arrays of shape (fields, stains of the model, side, side), uint8.

    Returns:
        Array of shape (fields of all batches, dimensions).
    """
    return see(model, batches, tta=False).embeddings


def model_hash(model: Model) -> str:
    """Return the SHA-256 of all that decides a model's embeddings: its weights and what brightness is usual.

    It is the same wherever the model lies and however it answers by its logits. An export in full precision has that
    of its bundle, as both see alike; one that rounds has its own.
    """
    if isinstance(model, Export):
        return model.hash
    from protloc.learn.bundle import as_bundle, bundle_hash

    return bundle_hash(as_bundle(model))
