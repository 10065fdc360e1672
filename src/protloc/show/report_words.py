"""What a report says of its scores, in words, tiles, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.vocabulary import Vocabulary
from protloc.judge.evaluation import (
    FLOOR_METRICS,
    HEADLINES,
    STABLE_GROUPS,
    Estimate,
    Evaluation,
    Floor,
    PartEvaluation,
)
from protloc.show.page import Table, Tile, number, plural
from protloc.show.report_content import ReportContent


def estimate_in_words(estimate: Estimate, *, digits: int = 3) -> str:
    """Write a number, with its interval behind it where there is one; a dash for what is not defined."""
    if estimate.low is None or estimate.high is None or not np.isfinite(estimate.value):
        return number(estimate.value, digits=digits)
    ends = (number(end, digits=digits) for end in (estimate.low, estimate.high))
    return f"{number(estimate.value, digits=digits)} ({'–'.join(ends)})"


def fields_in_words(part: PartEvaluation, name: str) -> str:
    """Say which fields were judged: ``360 test fields``; with their groups where there are any."""
    groups = f" in {plural(part.groups, 'group')}" if part.groups < part.fields else ""
    return f"{part.fields:,} {name} {'field' if part.fields == 1 else 'fields'}{groups}"


def names_of(row: NDArray[np.uint8] | NDArray[np.bool_], vocabulary: Vocabulary) -> str:
    """Return the names of the classes that are set in one row of shape (classes,), or a dash."""
    return "; ".join(vocabulary.names[column] for column in np.flatnonzero(row)) or "–"


def training_in_words(content: ReportContent) -> str:
    """Say what was trained on what, and which fields had a say in what."""
    store = content.store
    stains = ", ".join(stain.name for stain in store.stains)
    on = f"of the store “{store.name}” ({store.side} × {store.side} px; {stains})"
    if content.folds:
        return (
            f"The recipe {content.recipe} was trained {content.folds} times on the {plural(store.fields, 'field')} "
            f"{on}, each time without one fold, on which that network was then judged, and without the next, which had "
            "a say in the epoch that was kept. So every field is answered by a network that did not learn from it."
        )
    (course,) = content.courses
    kept = f", of which epoch {course.best_epoch} was kept for its macro-F1 on the validation part"
    return (
        f"The recipe {content.recipe} was trained on {plural(store.parts.get('train', 0), 'field')} {on} for "
        f"{plural(len(course.log), 'epoch')}{'' if course.best_epoch is None else kept}. "
        f"The {plural(store.parts.get('validation', 0), 'validation field')} had a say in that choice and in how "
        f"logits become answers; the {plural(store.parts.get('test', 0), 'test field')} had none."
    )


def headline_tiles(part: PartEvaluation) -> tuple[Tile, ...]:
    """Return a tile for each score of a part with its interval and the better floor, where there are any."""
    return tuple(
        Tile(number(_score(part, key).value), _tile_name(part, key), _tile_note(part, key)) for key in HEADLINES
    )


def _tile_name(part: PartEvaluation, key: str) -> str:
    return f"{HEADLINES[key]} ({stable_in_words(part)})" if key == "stable_macro_f1" else HEADLINES[key]


def stable_in_words(part: PartEvaluation) -> str:
    """Say of how many classes stable macro-F1 is the mean: ``2 of 28 classes``."""
    return f"{part.stable_classes} of {plural(len(part.per_class), 'class')}"


def _tile_note(part: PartEvaluation, key: str) -> str:
    estimate = _score(part, key)
    if not np.isfinite(estimate.value):
        return "not defined here"
    interval = "" if estimate.low is None else f"95 % interval {number(estimate.low)}–{number(estimate.high)}"
    floors = [_score(floor, key).value for floor in part.floors if hasattr(floor, key)]
    return "; ".join(words for words in (interval, f"floor {number(max(floors))}" if floors else "") if words)


def _score(scored: PartEvaluation | Floor, key: str) -> Estimate:
    return getattr(scored, key)


def headline_table(evaluation: Evaluation, vocabulary: Vocabulary) -> Table:
    """Set the scores of every part beside its two floors."""
    rows: list[tuple[str, ...]] = []
    marked: set[int] = set()
    for name, part in evaluation.parts.items():
        marked.add(len(rows))
        rows.append((f"{name}: this run", *(estimate_in_words(_score(part, key)) for key in HEADLINES)))
        rows += [(f"{name}: always {_floor_name(floor, vocabulary)}", *_floor_cells(floor)) for floor in part.floors]
    stable = ", ".join(f"{stable_in_words(part)} on the {name} part" for name, part in evaluation.parts.items())
    caption = (
        "Scores of the run beside two answers that look at no image, with 95 % intervals in brackets. "
        f"Loss is better when low, all else when high. Stable macro-F1 is the mean of {stable}: those that at least "
        f"{STABLE_GROUPS} groups have."
    )
    return Table(caption, ("part", *HEADLINES.values()), tuple(rows), marked=frozenset(marked))


def _floor_cells(floor: Floor) -> tuple[str, ...]:
    return tuple(estimate_in_words(_score(floor, key)) if key in FLOOR_METRICS else "–" for key in HEADLINES)


def _floor_name(floor: Floor, vocabulary: Vocabulary) -> str:
    if len(floor.classes) == len(vocabulary):
        return f"all {plural(len(vocabulary), 'class')}"
    return " + ".join(vocabulary.names[vocabulary.columns[class_id]] for class_id in floor.classes) or "nothing"


def class_table(part: PartEvaluation, name: str) -> Table:
    """Set out every class of a part, absent ones with dashes."""
    grouped = part.groups < part.fields
    rows = tuple(
        (
            entry.name,
            f"{entry.positives:,}",
            *((f"{entry.groups:,}",) if grouped else ()),
            f"{entry.called:,}",
            *(
                estimate_in_words(value, digits=2)
                for value in (entry.precision, entry.recall, entry.f1, entry.average_precision)
            ),
        )
        for entry in part.per_class
    )
    counts = ("fields", *(("groups",) if grouped else ()), "called")
    header = ("class", *counts, "precision", "recall", "F1", "average precision")
    undefined = "A dash: not defined, for the class is absent or never called."
    caption = f"Every class on the {fields_in_words(part, name)}, with 95 % intervals in brackets. {undefined}"
    return Table(caption, header, rows)


def thresholds_in_words(thresholds: Sequence[float]) -> str:
    """Say from which probability a class is called."""
    lowest, highest = min(thresholds), max(thresholds)
    if lowest == highest:
        return f"A class is called when its probability is at least {lowest:.3g}, for every class."
    span = f"{lowest:.2f} to {highest:.2f}"
    return f"A class is called when its probability reaches its own threshold, {span}; see the table."


def setting_table(caption: str, values: Mapping[str, Any]) -> Table:
    """List names and values; a list is written with commas."""
    rows = tuple((name, _value_in_words(value)) for name, value in values.items())
    return Table(caption, ("name", "value"), rows, text=frozenset({1}))


def _value_in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_value_in_words(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(str(entry) for entry in value) or "none"
    return str(value) if value not in (None, "") else "–"
