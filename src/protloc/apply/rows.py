"""What a model makes of rows of a store, in one look."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protloc.apply.embed import Seen, look
from protloc.apply.given import other_store, stored_batches
from protloc.atlas.store import Store
from protloc.learn.augment import POSES, poses
from protloc.learn.bundle import Bundle
from protloc.learn.machine import keep_memory
from protloc.learn.network import Ensemble
from protloc.progress import Progress


@dataclass(frozen=True, eq=False)
class SeenRows:
    """What a model makes of rows.

    Attributes:
        logits: Mean of its members', float32 (rows, classes).
        embeddings: Its members' one after another, of the fields as they are, float32 (rows, dimensions).
    """

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]


def look_at_rows(
    bundle: Bundle,
    store: Store,
    rows: NDArray[np.intp],
    *,
    stains: Collection[str] | None = None,
    tta: bool = False,
    progress: Progress | None = None,
) -> SeenRows:
    """Return the logits of rows of a store and their embeddings, in the time of the logits alone.

    Args:
        bundle: The trained model.
        store: Where the fields are; a clean one is photographed, each field always alike.
        rows: Rows of the store in the order wanted, one at least.
        stains: Names of the store's stains to look at; all if not given.
        tta: Average the logits of the eight poses of each field.
        progress: Called after each batch.

    Raises:
        BundleError: as :func:`protloc.apply.predict.predict_rows` does.
    """
    batches = stored_batches(bundle, store, rows, stains=stains, progress=progress)
    if store.vocabulary.names != bundle.vocabulary.names:
        raise other_store(store, "classes", store.vocabulary.names, bundle.vocabulary.names)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_memory()
    network = bundle.network().to(device)
    with torch.inference_mode():
        parts = [_seen(network, torch.from_numpy(batch).to(device), tta=tta) for batch in batches]
        logits = torch.cat([part.logits.cpu() for part in parts], dim=1).numpy()
        embeddings = torch.cat([part.embeddings.cpu() for part in parts]).numpy()
    return SeenRows(logits.mean(axis=0), embeddings)


def _seen(network: Ensemble, images: Tensor, *, tta: bool) -> Seen:
    """Look at fields, for their logits in all poses if asked for."""
    straight = look(network, images)
    if not tta:
        return straight
    total = straight.logits
    for pose in islice(poses(images), 1, None):
        total += network.each(pose)
    return Seen(total / POSES, straight.embeddings)
