"""What a model makes of rows of a store."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from protloc.apply.given import other_store, stored_batches
from protloc.apply.see import Seen, see
from protloc.atlas.store import Store
from protloc.learn.model import Model
from protloc.progress import Progress


def see_rows(
    model: Model,
    store: Store,
    rows: NDArray[np.intp],
    *,
    stains: Collection[str] | None = None,
    tta: bool | None = None,
    progress: Progress | None = None,
) -> Seen:
    """Return the logits of rows of a store and their embeddings, in the time of the logits alone.

    Args:
        model: The trained model.
        store: Where the fields are; with all stains of the model, or those it needs. A clean one is photographed, each
            field always alike.
        rows: Rows of the store in the order wanted.
        stains: Names of the store's stains to look at, those the model needs among them; all if not given.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged.
        progress: Called after each batch.

    Raises:
        BundleError: if the store's side or classes are not those of the model, or the stains not such as it takes.
    """
    batches = stored_batches(model, store, rows, stains=stains, progress=progress)
    if store.vocabulary.names != model.vocabulary.names:
        raise other_store(store, "classes", store.vocabulary.names, model.vocabulary.names)
    return see(model, batches, tta=tta)
