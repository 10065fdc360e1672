"""Setting runs beside the first of them: table, figure, words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from protloc.atlas.files import StrPath, check_folder, write_csv, write_text
from protloc.errors import RunError
from protloc.judge.compare import CLASS_HEADLINES, Comparison, Difference, compare
from protloc.judge.evaluation import HEADLINES, Evaluation
from protloc.judge.predictions import PartPredictions, predictions_file
from protloc.judge.resample import RESAMPLES
from protloc.settings import read_toml
from protloc.show.comparison_page import comparison_page, difference_in_words, needed_in_words
from protloc.show.markdown import markdown_table
from protloc.show.trust_words import leak_note

PARTS = ("out-of-fold", "test")  # what is compared where a run has it, the first before the second
FILE = "comparison"


@dataclass(frozen=True)
class Compared:
    """What ``compare`` found and wrote.

    Attributes:
        comparison: Every difference with its interval.
        part: The part whose fields were judged.
        folder: Holds ``comparison.csv``, ``.md`` and ``.html``.
        note: What the fields share with those learnt from; empty if nothing was found.
    """

    comparison: Comparison
    part: str
    folder: Path
    note: str

    @property
    def page(self) -> Path:
        """Return the page."""
        return self.folder / f"{FILE}.html"

    @property
    def summary(self) -> str:
        """Return a line a run and headline metric with its verdict, and where the page is."""
        found = self.comparison
        rows = [_headline_row(entry) for entry in found.headlines]
        about = (
            f"Against {found.reference}, on {found.fields:,} {self.part} fields of {found.groups:,} groups "
            "(95 % intervals, holding together):"
        )
        told = (about, pd.DataFrame(rows).to_string(index=False), self.note, f"Page: {self.page}")
        return "\n".join(line for line in told if line)


def compare_runs(
    folders: Sequence[StrPath],
    *,
    out: StrPath | None = None,
    part: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Compared:
    """Set evaluated runs against the first of them, on the fields that all of them judge.

    Args:
        folders: Runs that ``evaluate`` has judged, two or more; a run may be set against itself.
        out: Folder for table and page; ``compare`` beside the first run if not said.
        part: Part whose answers are compared; of runs with folds all fields, else the test part, if not said.
        resamples: How often the groups of fields are drawn.
        seed: Of the draws.

    Raises:
        RunError: if fewer than two are named, a run was not evaluated, or the runs judge other fields, classes, labels
            or groups.
    """
    runs = [Path(folder) for folder in folders]
    if len(runs) < 2:
        raise RunError(f"compare: {len(runs)} runs named, expected two or more. Name another, or the same one again.")
    folder = Path(out) if out is not None else runs[0].parent / "compare"
    check_folder(folder)
    part = part or _common_part(runs)
    names = run_names(runs)
    said = {name: PartPredictions.read(predictions_file(run, part)) for name, run in zip(names, runs, strict=True)}
    evaluations = [Evaluation.read(run / "evaluation.json") for run in runs]
    classes = _class_names(runs, evaluations, part)
    _check_one_split(runs)
    note = leak_note(evaluations[0].leaks, part)
    comparison = compare(said, resamples=resamples, seed=seed)
    rows = pd.DataFrame([_row(entry, classes) for entry in (*comparison.headlines, *comparison.classes)])
    write_csv(folder / f"{FILE}.csv", rows)
    write_text(folder / f"{FILE}.md", _markdown(comparison, part))
    write_text(folder / f"{FILE}.html", comparison_page(comparison, classes=classes, part=part, note=note))
    return Compared(comparison, part, folder, note)


def run_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Name runs by their folders, with as many parents as tell them apart; the same folder again gets a number."""
    parts = [folder.resolve().parts for folder in folders]
    different = len(set(parts))
    deep = next(deep for deep in range(1, max(map(len, parts)) + 1) if len({p[-deep:] for p in parts}) == different)
    names = ["/".join(each[-deep:]) for each in parts]
    again = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return tuple(name if time == 1 else f"{name} ({time})" for name, time in zip(names, again, strict=True))


def _common_part(runs: Iterable[Path]) -> str:
    """Return the part all runs have answers for.

    Raises:
        RunError: if there is none.
    """
    runs = list(runs)
    for part in PARTS:
        if all(predictions_file(run, part).is_file() for run in runs):
            return part
    without = next((run for run in runs if not any(predictions_file(run, part).is_file() for part in PARTS)), None)
    if without is not None:
        raise RunError(f"{without}: not an evaluated run, it has no predictions. Say protloc evaluate {without} first.")
    raise RunError(
        f"compare: {' and '.join(map(str, runs))} judge no part in common: some all fields by folds, others a test "
        "part. Compare runs of one split."
    )


def _class_names(runs: Sequence[Path], evaluations: Sequence[Evaluation], part: str) -> tuple[str, ...]:
    """Return the class names in column order, the same in all runs.

    Raises:
        RunError: if they differ, or a run was not evaluated on the part.
    """
    names = [_names_in(run, evaluation, part) for run, evaluation in zip(runs, evaluations, strict=True)]
    for run, other in zip(runs, names, strict=True):
        if other != names[0]:
            raise RunError(
                f"compare: {run} and {runs[0]} name other classes, expected the same. Compare runs of one vocabulary."
            )
    return names[0]


def _names_in(run: Path, evaluation: Evaluation, part: str) -> tuple[str, ...]:
    if part not in evaluation.parts:
        raise RunError(
            f"{run / 'evaluation.json'}: judges {', '.join(evaluation.parts)}, expected {part}. Name one of them, "
            f"or say protloc evaluate {run} again."
        )
    return tuple(entry.name for entry in evaluation.parts[part].per_class)


def _check_one_split(runs: Sequence[Path]) -> None:
    """Refuse runs that judge the same fields but learnt from others: a leak would look like a better recipe."""
    records = [read_toml(run / "settings.toml").get("run", {}) for run in runs]
    for run, record in zip(runs, records, strict=True):
        if record.get("split_digest") != records[0].get("split_digest"):
            raise RunError(
                f"compare: {run} was trained on the split {record.get('split')}, {runs[0]} on "
                f"{records[0].get('split')}, expected one split: what one learnt from, the other is judged on. Train "
                "both on one; what another split is worth, protloc baselines --beside tells."
            )


def _headline_row(entry: Difference) -> dict[str, str]:
    return {
        "run": entry.run,
        "metric": HEADLINES[entry.metric],
        "difference": difference_in_words(entry),
        "verdict": entry.verdict,
        "fields to resolve it": needed_in_words(entry),
    }


def _row(entry: Difference, classes: Sequence[str]) -> dict[str, Any]:
    metrics = HEADLINES if entry.column is None else CLASS_HEADLINES
    return {
        "run": entry.run,
        "metric": metrics[entry.metric],
        "class": "" if entry.column is None else classes[entry.column],
        "reference": entry.reference,
        "value": entry.value,
        "difference": entry.difference,
        "low": entry.low,
        "high": entry.high,
        "standard_error": entry.error,
        "verdict": entry.verdict,
        "reason": entry.reason,
        "fields": entry.fields,
        "fields_to_resolve": math.ceil(entry.needed) if math.isfinite(entry.needed) else math.inf,
    }


def _markdown(comparison: Comparison, part: str) -> str:
    rows = [_headline_row(entry) for entry in comparison.headlines]
    where = f"On {comparison.fields:,} {part} fields of {comparison.groups:,} groups"
    lines = [
        f"# Runs against {comparison.reference}",
        "",
        f"{where}. In brackets 95 % intervals that hold all together.",
        "",
        *markdown_table(rows[0], (row.values() for row in rows)),
    ]
    return "\n".join([*lines, ""])
