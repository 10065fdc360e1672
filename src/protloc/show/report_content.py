"""Everything a report shows, as plain arrays with tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.curate.groups import Leaks
from protloc.judge.answering import AnswerRule
from protloc.judge.evaluation import Estimate, Evaluation, PartEvaluation
from protloc.judge.predictions import PartPredictions
from protloc.judge.resample import difference, resample_metrics
from protloc.judge.three_way import Deferral

FLOORED = ("macro_f1", "samples_f1", "micro_f1")  # scores that are held against answers that look at no image
OUT_OF_FOLD = "out-of-fold"  # the part of all fields, each answered by the network that did not learn from it


@dataclass(frozen=True)
class StoreFacts:
    """What the run learnt from.

    Attributes:
        name: Name of the store.
        simulated: Whether its fields are known to be simulated.
        side: Height and width of a field in px.
        stains: What each channel shows, in channel order.
        parts: Number of fields of each part: ``train``, ``validation``, ``test``; or of each fold.
        clean: Whether it holds clean stains, which a simulated camera photographed.
    """

    name: str
    simulated: bool
    side: int
    stains: tuple[Stain, ...]
    parts: Mapping[str, int]
    clean: bool = False

    @property
    def fields(self) -> int:
        """Return the number of fields in all."""
        return sum(self.parts.values())


@dataclass(frozen=True, eq=False)
class Course:
    """How one network learnt.

    Attributes:
        log: A row an epoch, columns as in ``log.csv``.
        best_epoch: The epoch whose weights were kept, or None if unknown.
    """

    log: pd.DataFrame
    best_epoch: int | None


@dataclass(frozen=True, eq=False)
class ShownFields:
    """A few fields to look at.

    Attributes:
        predictions: Their truth and answers.
        images: uint8 of shape (fields, stains, side, side).
    """

    predictions: PartPredictions
    images: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything a report shows.

    Attributes:
        run: Name of the run.
        recipe: Name of its recipe.
        vocabulary: What the columns of every array mean.
        store: What it learnt from.
        evaluation: Every metric of every part.
        predictions: Truth and answers of the part that is judged, ``evaluation.judged``.
        rule: How the bundle answers.
        leaks: What the judged fields share with the training fields, or None if the store was never audited.
        deferral: Errors against the share that is asked, or None where it cannot be told.
        courses: How the network learnt; of folds, each of the networks.
        best: Judged fields answered best, best first.
        worst: Judged fields answered worst, worst first.
        settings: Every setting of the run.
        provenance: What else must be known to repeat it: versions, seed, commit.
        command: Command line that repeats it.
    """

    run: str
    recipe: str
    vocabulary: Vocabulary
    store: StoreFacts
    evaluation: Evaluation
    predictions: PartPredictions
    rule: AnswerRule
    leaks: Leaks | None
    deferral: Deferral | None
    courses: tuple[Course, ...]
    best: ShownFields
    worst: ShownFields
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    command: str

    @property
    def judged(self) -> PartEvaluation:
        """Return the metrics of the part that the report is about."""
        return self.evaluation.parts[self.evaluation.judged]

    @cached_property
    def margins(self) -> Mapping[str, Estimate]:
        """Return how far each F1 score is above the better of the two blind answers, paired over the same resamples."""
        resampled = partial(resample_metrics, resamples=self.judged.resamples, metrics=FLOORED)
        own = resampled(self.predictions)
        floors = [resampled(self._always(floor.classes)) for floor in self.judged.floors]
        better = {key: int(np.argmax([getattr(floor, key).value for floor in self.judged.floors])) for key in FLOORED}
        return {key: difference(own, floors[place], key) for key, place in better.items()}

    def _always(self, classes: Sequence[int]) -> PartPredictions:
        """Return the judged fields as if these classes, by their ids, had been called for all of them."""
        called = np.zeros_like(self.predictions.called)
        called[:, [self.vocabulary.columns[class_id] for class_id in classes]] = True
        return replace(self.predictions, called=called)

    @property
    def folds(self) -> int:
        """Return the number of networks, each judged on the fold that it did not learn from; 0 of one network."""
        return len(self.courses) if self.evaluation.judged == OUT_OF_FOLD else 0
