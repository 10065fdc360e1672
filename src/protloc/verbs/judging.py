"""Answers that may be judged: by rules not fitted on the field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, astuple, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from protloc.apply.rows import see_rows
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.groups import Leaks, leaks
from protloc.curate.split import Folds, Split, rows_of
from protloc.errors import SplitError
from protloc.judge.answering import AnswerRule, Answers, answer, cross_fitted, fit_rule
from protloc.judge.predictions import PartPredictions
from protloc.learn.bundle import Bundle
from protloc.learn.bundle_checks import subset_name
from protloc.learn.reference import MOST_DISTANCES, spread
from protloc.learn.runs import Run
from protloc.progress import Progress, going_on
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
        rules: What by where some stains are missing, see :attr:`protloc.learn.bundle.Bundle.rules`.
        sizes: Fields of each part, or fold.
        learnt: Rows of the training fields.
        leaks: What the judged fields share with training and validation fields, None where groups are unknown.
        fitted: Answers that the deferral curve's cuts are fitted to.
        tested: Answers that they are judged on.
        held_out: By the names of the stains given, joined as for ``rules``, and by network: embeddings of fields that
            share no group with any it learnt from, (fields, dimensions), some of them where they are many.
    """

    parts: Mapping[str, PartPredictions]
    rule: AnswerRule
    rules: Mapping[str, AnswerRule]
    sizes: Mapping[str, int]
    learnt: NDArray[np.intp]
    leaks: Leaks | None
    fitted: PartPredictions
    tested: PartPredictions
    held_out: Mapping[str, tuple[NDArray[np.float32], ...]]


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
    both, bundle = np.concatenate([validation, test]), run.bundle()
    partial, tta = _partial_stains(bundle), how.poses > 1
    fields = len(both) + len(partial) * len(validation)
    seen = see_rows(bundle, store, both, tta=tta, progress=going_on(progress, 0, fields))
    own, new = seen.mean_logits[: len(validation)], seen.mean_logits[len(validation) :]
    apart = _apart(table, both, rows["train"])
    held_out = {subset_name(_names(store)): (_some(seen.embeddings[apart], 1),)}
    known = {"truth": store.targets[validation], "logits": own, "groups": [table.groups[row] for row in validation]}
    rule, rules = fit_rule(**known, **asdict(how)), dict[str, AnswerRule]()
    for number, stains in enumerate(partial):
        told = going_on(progress, len(both) + number * len(validation), fields)
        seen = see_rows(bundle, store, validation, stains=stains, tta=tta, progress=told)
        rules[subset_name(stains)] = fit_rule(**known | {"logits": seen.mean_logits}, **asdict(how))
        held_out[subset_name(stains)] = (_some(seen.embeddings[apart[: len(validation)]], 1),)
    parts = {
        "validation": _predictions(table, validation, own, cross_fitted(**known, **asdict(how))),
        "test": _predictions(table, test, new, answer(rule, new)),
    }
    groups = audited_groups(store)
    return Judged(
        parts,
        rule,
        rules,
        sizes={part: len(members) for part, members in rows.items()},
        learnt=rows["train"],
        leaks=leaks(groups, learnt=_learnt_from(rows), judged=test) if groups else None,
        fitted=parts["validation"],
        tested=parts["test"],
        held_out=held_out,
    )


def _judge_folds(run: Run, store: Store, folds: Folds, how: How, progress: Progress | None) -> Judged:
    """Answer every field by the network that did not learn from it; the rule fitted to all goes to the ensemble."""
    table, groups = grouped_table(store), audited_groups(store)
    partial = _partial_stains(run.bundle())  # which refuses where folds are still to be trained
    fields = len(store) * (1 + len(partial))
    logits, far = _out_of_fold(run, store, folds, how, progress=going_on(progress, 0, fields))
    held_out = {subset_name(_names(store)): far}
    fold_of = np.empty(len(store), np.intp)
    found = Leaks(0, 0, 0)
    for fold in range(folds.count):
        rows = rows_of(folds.split(fold), store.ids)
        test = rows["test"]
        fold_of[test] = fold
        here = leaks(groups, learnt=_learnt_from(rows), judged=test) if groups else Leaks(len(test), 0, 0)
        found = Leaks(*(a + b for a, b in zip(astuple(found), astuple(here), strict=True)))
    known = {"truth": store.targets, "logits": logits, "groups": table.groups}
    rules: dict[str, AnswerRule] = {}
    for number, stains in enumerate(partial, start=1):
        told = going_on(progress, number * len(store), fields)
        seen, held_out[subset_name(stains)] = _out_of_fold(run, store, folds, how, stains=stains, progress=told)
        rules[subset_name(stains)] = fit_rule(**known | {"logits": seen}, **asdict(how))
    everything = np.arange(len(store))
    said = _predictions(table, everything, logits, cross_fitted(**known, **asdict(how), blocks=fold_of))
    return Judged(
        {OUT_OF_FOLD: said},
        rule=fit_rule(**known, **asdict(how)),
        rules=rules,
        sizes={f"fold {fold}": int((fold_of == fold).sum()) for fold in range(folds.count)},
        learnt=everything,
        leaks=found if groups else None,
        fitted=said.rows(np.flatnonzero(fold_of % 2 == 0)),
        tested=said.rows(np.flatnonzero(fold_of % 2 == 1)),
        held_out=held_out,
    )


def _partial_stains(bundle: Bundle) -> list[tuple[str, ...]]:
    """Return the sets of stains that a network may be given instead of all, by name; none if it needs them all."""
    others = [stain.name for stain in bundle.stains if stain.name not in bundle.needed]
    return [(*bundle.needed, *some) for count in range(len(others)) for some in combinations(others, count)]


def _out_of_fold(
    run: Run,
    store: Store,
    folds: Folds,
    how: How,
    *,
    stains: Collection[str] | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
    """Look at each field, all stains or these, with the network that did not learn it.

    Returns:
        The logits (fields, classes), and for each network the embeddings of what it is held out from.
    """
    table, logits = grouped_table(store), np.empty(store.targets.shape, np.float32)
    held_out: list[NDArray[np.float32]] = []
    done = 0
    for fold, member in enumerate(run.folds):
        rows = rows_of(folds.split(fold), store.ids)
        told = going_on(progress, done, len(store))
        seen = see_rows(member.bundle(), store, rows["test"], stains=stains, tta=how.poses > 1, progress=told)
        logits[rows["test"]] = seen.mean_logits
        held_out.append(_some(seen.embeddings[_apart(table, rows["test"], rows["train"])], folds.count))
        done += len(rows["test"])
    return logits, tuple(held_out)


def _names(store: Store) -> list[str]:
    return [stain.name for stain in store.stains]


def _apart(table: LabelTable, rows: NDArray[np.intp], learnt: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell of each row whether none of its group was learnt from."""
    groups = {table.groups[row] for row in learnt}
    return np.array([table.groups[row] not in groups for row in rows], bool)


def _some(embeddings: NDArray[np.float32], networks: int) -> NDArray[np.float32]:
    """Return as many embeddings, evenly spread, as one of several networks may keep."""
    return embeddings[spread(len(embeddings), MOST_DISTANCES // networks)]


def _learnt_from(rows: Mapping[str, NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return the rows that had a say: validation chose the epoch and fitted the rule."""
    return np.concatenate([rows["train"], rows["validation"]])


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
