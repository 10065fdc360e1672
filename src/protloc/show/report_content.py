"""Everything a report shows, as plain arrays with tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.judge.evaluate import Evaluation


@dataclass(frozen=True)
class StoreFacts:
    """What the run learnt from.

    Attributes:
        name: Name of the store.
        simulated: Whether its fields are known to be simulated.
        side: Height and width of a field in px.
        stains: What each channel shows, in channel order.
        parts: Number of fields of each part: ``train``, ``validation``, ``test``.
    """

    name: str
    simulated: bool
    side: int
    stains: tuple[Stain, ...]
    parts: Mapping[str, int]


@dataclass(frozen=True)
class PartAnswers:
    """What is true of the fields of a part, and what the network said.

    Attributes:
        truth: Multi-hot array of shape (fields, classes), uint8.
        logits: Floats of the same shape.
    """

    truth: NDArray[np.uint8]
    logits: NDArray[np.floating]


@dataclass(frozen=True)
class ShownFields:
    """A few fields to look at.

    Attributes:
        ids: Their ids.
        images: uint8 of shape (fields, stains, side, side).
        answers: Their truth and logits.
    """

    ids: tuple[str, ...]
    images: NDArray[np.uint8]
    answers: PartAnswers


@dataclass(frozen=True)
class ReportContent:
    """Everything a report shows.

    Attributes:
        run: Name of the run.
        recipe: Name of its recipe.
        vocabulary: What the columns of every array mean.
        store: What it learnt from.
        evaluation: Every metric of the parts ``validation`` and ``test``.
        test: Truth and logits of the test part.
        log: A row an epoch, columns as in ``log.csv``.
        best_epoch: The epoch whose weights were kept, or None if unknown.
        best: Test fields answered best, best first.
        worst: Test fields answered worst, worst first.
        settings: Every setting of the run.
        provenance: What else must be known to repeat it: versions, seed, commit.
        command: Command line that repeats it.
    """

    run: str
    recipe: str
    vocabulary: Vocabulary
    store: StoreFacts
    evaluation: Evaluation
    test: PartAnswers
    log: pd.DataFrame
    best_epoch: int | None
    best: ShownFields
    worst: ShownFields
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    command: str
