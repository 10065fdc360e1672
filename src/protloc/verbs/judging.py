"""Answers that may be judged: by rules not fitted on the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.apply.predict import predict_rows
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.groups import Leaks, leaks
from protloc.curate.split import Folds, Split, rows_of
from protloc.errors import SplitError
from protloc.judge.answering import AnswerRule, Answers, answer, cross_fitted, fit_rule
from protloc.judge.predictions import PartPredictions
from protloc.learn.runs import Run
from protloc.progress import Progress
from protloc.show.report_content import OUT_OF_FOLD
from protloc.verbs.split import audited_groups, grouped_table


@dataclass(frozen=True)
class How:
    """How the rule is fitted: the arguments of :func:`protloc.judge.answering.fit_rule`."""

    error_rate: float
    threshold_rule: str
    poses: int


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged.

    Attributes:
        parts: The answers of each part; the last one is what the report is about.
        rule: What the bundle shall answer by.
        sizes: Fields of each part, or fold.
        learnt: Rows of the training fields.
        leaks: What the judged fields share with training and validation fields, None where groups are unknown.
        fitted: Answers that the deferral curve's cuts are fitted to.
        tested: Answers that they are judged on.
    """

    parts: Mapping[str, PartPredictions]
    rule: AnswerRule
    sizes: Mapping[str, int]
    learnt: NDArray[np.intp]
    leaks: Leaks | None
    fitted: PartPredictions
    tested: PartPredictions


def judge_run(
    run: Run, store: Store, partition: Split | Folds, how: How, *, progress: Progress | None = None
) -> Judged:
    """Predict the judged parts of a run, fit the rule, and answer every field by a rule that was not fitted on it.

    Raises:
        BundleError, RunError: if the network is missing or damaged, or a fold is still to be trained.
        SplitError: if a part is empty.
    """
    if isinstance(partition, Folds):
        return _judge_folds(run, store, partition, how, progress)
    return _judge_parts(run, store, partition, how, progress)


def _judge_parts(run: Run, store: Store, split: Split, how: How, progress: Progress | None) -> Judged:
    """Fit the rule to the validation part, and answer both parts."""
    table, rows = grouped_table(store), rows_of(split, store.ids)
    for part, members in rows.items():
        if not len(members):
            raise SplitError(f"{store.folder}: the {part} part of the split is empty. Split more fields.")
    validation, test = rows["validation"], rows["test"]
    both = np.concatenate([validation, test])
    logits = predict_rows(run.bundle(), store, both, tta=how.poses > 1, progress=progress)
    own, new = logits[: len(validation)], logits[len(validation) :]
    known = {"truth": store.targets[validation], "logits": own, "groups": [table.groups[row] for row in validation]}
    rule = fit_rule(**known, **asdict(how))
    parts = {
        "validation": _predictions(table, validation, own, cross_fitted(**known, **asdict(how))),
        "test": _predictions(table, test, new, answer(rule, new)),
    }
    groups = audited_groups(store)
    return Judged(
        parts,
        rule,
        sizes={part: len(members) for part, members in rows.items()},
        learnt=rows["train"],
        leaks=leaks(groups, learnt=_learnt_from(rows), judged=test) if groups else None,
        fitted=parts["validation"],
        tested=parts["test"],
    )


def _judge_folds(run: Run, store: Store, folds: Folds, how: How, progress: Progress | None) -> Judged:
    """Answer every field by the network that did not learn from it; the rule fitted to all goes to the ensemble."""
    table, groups = grouped_table(store), audited_groups(store)
    run.bundle()  # refuses where folds are still to be trained
    logits = np.empty(store.targets.shape, np.float32)
    fold_of = np.empty(len(store), np.intp)
    found = Leaks(0, 0, 0)
    for fold, member in enumerate(run.folds):
        rows = rows_of(folds.split(fold), store.ids)
        told = _from(found.judged, len(store), progress)
        test = rows["test"]
        logits[test] = predict_rows(member.bundle(), store, test, tta=how.poses > 1, progress=told)
        fold_of[test] = fold
        here = leaks(groups, learnt=_learnt_from(rows), judged=test) if groups else Leaks(len(test), 0, 0)
        found = Leaks(*(a + b for a, b in zip(astuple(found), astuple(here), strict=True)))
    known = {"truth": store.targets, "logits": logits, "groups": table.groups}
    everything = np.arange(len(store))
    said = _predictions(table, everything, logits, cross_fitted(**known, **asdict(how), blocks=fold_of))
    return Judged(
        {OUT_OF_FOLD: said},
        rule=fit_rule(**known, **asdict(how)),
        sizes={f"fold {fold}": int((fold_of == fold).sum()) for fold in range(folds.count)},
        learnt=everything,
        leaks=found if groups else None,
        fitted=said.rows(np.flatnonzero(fold_of % 2 == 0)),
        tested=said.rows(np.flatnonzero(fold_of % 2 == 1)),
    )


def _learnt_from(rows: Mapping[str, NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return the rows that had a say: validation chose the epoch and fitted the rule."""
    return np.concatenate([rows["train"], rows["validation"]])


def _from(done: int, total: int, progress: Progress | None) -> Progress | None:
    """Tell the progress of one fold as that of all fields."""
    return None if progress is None else lambda more, _of: progress(done + more, total)


def _predictions(
    table: LabelTable, rows: NDArray[np.intp], logits: NDArray[np.float32], answers: Answers
) -> PartPredictions:
    return PartPredictions(
        ids=tuple(table.ids[row] for row in rows),
        groups=tuple(table.groups[row] for row in rows),
        truth=table.targets[rows],
        logits=logits,
        probabilities=answers.probabilities.astype(np.float32),
        called=answers.called,
        verdicts=answers.verdicts,
    )
