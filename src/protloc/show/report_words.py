"""What a report says in words, tiles, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.vocabulary import Vocabulary
from protloc.judge.evaluate import Estimate, Evaluation, Floor, PartEvaluation
from protloc.judge.evaluation import HEADLINES
from protloc.show.page import Table, Tile, number
from protloc.show.report_content import StoreFacts


def estimate_in_words(estimate: Estimate) -> str:
    """Write a number, with its interval behind it where there is one."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value)
    return f"{number(estimate.value)} ({number(estimate.low)}–{number(estimate.high)})"


def names_of(row: NDArray[np.uint8] | NDArray[np.bool_], vocabulary: Vocabulary) -> str:
    """Return the names of the classes that are set in one row of shape (classes,), or a dash."""
    return "; ".join(vocabulary.names[column] for column in np.flatnonzero(row)) or "–"


def training_in_words(store: StoreFacts, recipe: str, *, epochs: int, best_epoch: int | None) -> str:
    """Say what was trained on what, and which epoch was kept."""
    stains = ", ".join(stain.name for stain in store.stains)
    kept = (
        "" if best_epoch is None else f", of which epoch {best_epoch} was kept for its macro-F1 on the validation part"
    )
    return (
        f"The recipe {recipe} was trained on {store.parts.get('train', 0):,} fields of the store {store.name} "
        f"({store.side} × {store.side} px; {stains}) for {epochs} {'epoch' if epochs == 1 else 'epochs'}{kept}. "
        f"It was judged on {store.parts.get('validation', 0):,} validation fields, which had a say in that choice, "
        f"and on {store.parts.get('test', 0):,} test fields, which had none."
    )


def verdict(part: PartEvaluation) -> str:
    """Say how the F1 scores of a part stand to the better of the two trivial answers."""
    score, floor = part.macro_f1.value, _better_floor(part, "macro_f1")
    if not np.isfinite(score):
        return "No test field has a label, so F1 over classes is not defined."
    blind = f"the better of two answers that look at no image gets {number(floor)}"
    beside = f"macro-F1 on the test part is {number(score)}; {blind}"
    if score <= floor:
        return f"It has learnt nothing that shows: {beside}."
    times = f", {score / floor:.1f} times less" if floor > 0 else ""
    return f"{beside[0].upper()}{beside[1:]}{times}.{_not_beaten(part)}"


def _better_floor(part: PartEvaluation, key: str) -> float:
    return max((_score(floor, key).value for floor in part.floors), default=0.0)


def _not_beaten(part: PartEvaluation) -> str:
    behind = [
        f"{name} ({number(_score(part, key).value)} against {number(_better_floor(part, key))})"
        for key, name in HEADLINES.items()
        if key in {"samples_f1", "micro_f1"} and _score(part, key).value <= _better_floor(part, key)
    ]
    return f" It does not beat the better of them in {' nor in '.join(behind)}." if behind else ""


def headline_tiles(part: PartEvaluation) -> tuple[Tile, ...]:
    """Return a tile for each score of a part, with the better floor where there is one."""
    return tuple(Tile(number(_score(part, key).value), name, _floor_note(part, key)) for key, name in HEADLINES.items())


def _floor_note(part: PartEvaluation, key: str) -> str:
    estimate = _score(part, key)
    interval = "" if estimate.low is None else f"95 % interval {number(estimate.low)}–{number(estimate.high)}"
    floors = [getattr(floor, key).value for floor in part.floors if hasattr(floor, key)]
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
    caption = "Scores of the run beside two answers that look at no image. Loss is better when low, all else when high."
    return Table(caption, ("part", *HEADLINES.values()), tuple(rows), marked=frozenset(marked))


def _floor_cells(floor: Floor) -> tuple[str, ...]:
    return tuple(estimate_in_words(_score(floor, key)) if hasattr(floor, key) else "–" for key in HEADLINES)


def _floor_name(floor: Floor, vocabulary: Vocabulary) -> str:
    if len(floor.classes) == len(vocabulary):
        return f"all {len(vocabulary)} classes"
    return " + ".join(vocabulary.names[vocabulary.columns[class_id]] for class_id in floor.classes) or "nothing"


def class_table(part: PartEvaluation, name: str, thresholds: Sequence[float]) -> Table:
    """Set out every class of a part, absent ones with dashes."""
    rows = tuple(
        (
            entry.name,
            f"{entry.positives:,}",
            f"{entry.called:,}",
            *(estimate_in_words(value) for value in (entry.precision, entry.recall, entry.f1, entry.average_precision)),
            f"{threshold:.2f}",
        )
        for entry, threshold in zip(part.per_class, thresholds, strict=True)
    )
    header = ("class", "fields", "called", "precision", "recall", "F1", "average precision", "threshold")
    undefined = "A dash: not defined, for the class is absent or never called."
    caption = f"Every class on the {part.fields:,} {name} fields. {undefined}"
    return Table(caption, header, rows)


def thresholds_in_words(thresholds: Sequence[float]) -> str:
    """Say from which probability a class is called."""
    lowest, highest = min(thresholds), max(thresholds)
    if lowest == highest:
        return f"A class is called when its probability is at least {lowest:g}, for every class."
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
