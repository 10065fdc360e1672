"""What is usual to the networks of a judged run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from protloc.apply.embed import embeddings
from protloc.apply.given import stored_batches
from protloc.atlas.store import Store
from protloc.curate.split import Folds, Split, rows_of
from protloc.learn.bundle import Bundle
from protloc.learn.reference import LEAST_FIELDS, Reference, components_for, fit_reference, spread
from protloc.learn.runs import Run
from protloc.progress import Progress, going_on
from protloc.verbs.judging import Judged

SAMPLES = (200, 1000)  # training fields looked at for a set of stains: half as many as validate, within these
Floats = NDArray[np.float32]


def fit_references(
    run: Run, store: Store, partition: Split | Folds, judged: Judged, *, progress: Progress | None = None
) -> dict[str, tuple[Reference, ...]]:
    """Tell what is usual to each network of a run, for each set of stains it may be given.

    Args:
        run: The run; of folds, each network learnt from other fields.
        store: Where the fields are.
        partition: Which of them the networks learnt from.
        judged: The embeddings of the fields that were held out.
        progress: Called after each batch of fields that were learnt from.

    Returns:
        By the names of the stains; nothing of those of which too few fields are there.
    """
    splits = [partition] if isinstance(partition, Split) else [partition.split(fold) for fold in range(partition.count)]
    learnt = [
        (member.bundle(), _sample(split, store)) for member, split in zip(run.folds or (run,), splits, strict=True)
    ]
    found: dict[str, tuple[Reference, ...]] = {}
    seen = _seen(learnt, store, list(judged.held_out), progress)
    for stains, held_out in judged.held_out.items():
        made = [next(seen) for _ in learnt]
        if min(map(len, (*made, *held_out))) >= LEAST_FIELDS:
            kept = components_for(made[0].shape[1], len(learnt) * len(judged.held_out))
            pairs = zip(made, held_out, strict=True)
            found[stains] = tuple(fit_reference(own, other, components=kept) for own, other in pairs)
    return found


def _seen(
    learnt: Sequence[tuple[Bundle, NDArray[np.intp]]], store: Store, sets: Sequence[str], progress: Progress | None
) -> Iterator[Floats]:
    """Yield the embeddings of each network's sample, one set of stains after another."""
    done, total = 0, len(sets) * sum(len(rows) for _, rows in learnt)
    for stains in sets:
        for bundle, rows in learnt:
            told = going_on(progress, done, total)
            yield embeddings(bundle, stored_batches(bundle, store, rows, stains=stains.split("+"), progress=told))
            done += len(rows)


def _sample(split: Split, store: Store) -> NDArray[np.intp]:
    rows = rows_of(split, store.ids)
    least, most = SAMPLES
    wanted = min(max(len(rows["validation"]) // 2, least), most)
    return rows["train"][spread(len(rows["train"]), wanted)]
