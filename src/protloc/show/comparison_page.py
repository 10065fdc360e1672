"""The page that sets runs beside the first of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protloc.judge.compare import BETTER, CLASS_HEADLINES, UNRESOLVED, WORSE, Comparison, Difference
from protloc.judge.evaluation import HEADLINES, STABLE_GROUPS
from protloc.show.figures_compare import class_differences_figure, differences_figure
from protloc.show.page import Picture, Table, number, picture_of, plural, render

NO_NUMBER = "no number would"
NUMBERS = ("difference", "reference", "this run", "fields to resolve it")


def comparison_page(comparison: Comparison, *, classes: Sequence[str], part: str, note: str = "") -> str:
    """Return the page as HTML that needs no other file.

    Args:
        comparison: What was found.
        classes: Name of each class, in column order.
        part: The part whose fields were judged, as in "360 test fields".
        note: What must stand beside scores that may rest on leaks; empty if nothing must.
    """
    return render(
        "comparison",
        reference=comparison.reference,
        part=part,
        fields=plural(comparison.fields, f"{part} field"),
        note=note,
        stable=STABLE_GROUPS,
        comparison=comparison,
        verdicts=tuple(verdict_in_words(comparison, run) for run in comparison.runs),
        picture=_headline_picture(comparison),
        headline=_headline_table(comparison),
        runs=tuple(
            (run, _class_words(comparison, run), _class_picture(comparison, run, place, classes), tables)
            for place, run in enumerate(comparison.runs, start=1)
            for tables in [tuple(_class_table(comparison, run, metric, classes) for metric in CLASS_HEADLINES)]
        ),
    )


def difference_in_words(entry: Difference, *, digits: int = 3) -> str:
    """Write a difference with its sign, its interval behind it; a dash for what is not defined."""
    value = signed(entry.difference, digits=digits)
    if math.isnan(entry.low):
        return value
    return f"{value} ({signed(entry.low, digits=digits)} to {signed(entry.high, digits=digits)})"


def signed(value: float, *, digits: int = 3) -> str:
    """Write a number with its sign, with a true minus; none for what is rounded to 0, a dash for nan."""
    written = number(abs(value), digits=digits)
    if not math.isfinite(value) or float(written) == 0:
        return written
    return f"{'−' if value < 0 else '+'}{written}"


def needed_in_words(entry: Difference) -> str:
    """Say with how many fields the difference would be resolved, to two digits; a dash where it is or none can tell."""
    if entry.verdict != UNRESOLVED or math.isnan(entry.needed):
        return "–"
    if math.isinf(entry.needed):
        return NO_NUMBER
    step = 10 ** max(math.floor(math.log10(entry.needed)) - 1, 0)
    return f"about {math.ceil(entry.needed / step) * step:,}"


def verdict_in_words(comparison: Comparison, run: str) -> str:
    """Say in a sentence where a run is better, where worse, where it cannot be told."""
    entries = [entry for entry in comparison.headlines if entry.run == run]
    parts = [
        f"{verdict} in {_listed([HEADLINES[entry.metric] for entry in entries if entry.verdict == verdict])}"
        for verdict in (BETTER, WORSE)
        if any(entry.verdict == verdict for entry in entries)
    ]
    unresolved = [HEADLINES[entry.metric] for entry in entries if entry.verdict == UNRESOLVED]
    if not parts:
        same = all(entry.reason.startswith("the answers") for entry in entries)
        why = "the answers are the same" if same else "in no metric does its interval leave 0 out"
        return f"{run} against {comparison.reference}: {UNRESOLVED}, {why}."
    rest = f"; {UNRESOLVED} in {_listed(unresolved)}" if unresolved else ""
    return f"{run} is {'; '.join(parts)} than {comparison.reference}{rest}."


def _listed(words: Sequence[str]) -> str:
    return " and ".join(word for word in (", ".join(words[:-1]), words[-1]) if word)


def _headline_table(comparison: Comparison) -> Table:
    rows = tuple(
        (
            entry.run,
            _verdict(entry),
            HEADLINES[entry.metric],
            *_numbers(entry),
        )
        for metric in HEADLINES
        for entry in comparison.headlines
        if entry.metric == metric
    )
    header = ("run", "verdict", "metric", *NUMBERS)
    caption = (
        f"Each run minus {comparison.reference}, with 95 % intervals that hold all together. Loss is better when low, "
        "all else when high; rows with a verdict of better or worse are shaded."
    )
    return Table(caption, header, rows, marked=_resolved(rows), text=frozenset({1, 2}))


def _class_table(comparison: Comparison, run: str, metric: str, classes: Sequence[str]) -> Table:
    entries = zip(classes, _of(comparison, run, metric), strict=True)
    rows = tuple((name, _verdict(entry), *_numbers(entry)) for name, entry in entries)
    caption = (
        f"Class by class, {CLASS_HEADLINES[metric]}: {run} minus {comparison.reference}. The 95 % intervals hold all "
        "together, for every class and for F1 and average precision alike; resolved differences are shaded."
    )
    return Table(caption, ("class", "verdict", *NUMBERS), rows, marked=_resolved(rows), text=frozenset({1}))


def _numbers(entry: Difference) -> tuple[str, ...]:
    return difference_in_words(entry), number(entry.reference), number(entry.value), needed_in_words(entry)


def _resolved(rows: Sequence[tuple[str, ...]]) -> frozenset[int]:
    return frozenset(place for place, row in enumerate(rows) if row[1] in {BETTER, WORSE})


def _of(comparison: Comparison, run: str, metric: str) -> list[Difference]:
    return [entry for entry in comparison.classes if entry.run == run and entry.metric == metric]


def _verdict(entry: Difference) -> str:
    return f"{entry.verdict}: {entry.reason}" if entry.reason else entry.verdict


def _class_words(comparison: Comparison, run: str) -> str:
    found = [
        f"{words}: {counts[BETTER]} better, {counts[WORSE]} worse, {counts[UNRESOLVED]} {UNRESOLVED}"
        for metric, words in CLASS_HEADLINES.items()
        for counts in [_counts(_of(comparison, run, metric))]
    ]
    return f"Of {plural(len(_of(comparison, run, 'f1')), 'class')} by {'; by '.join(found)}."


def _counts(entries: Sequence[Difference]) -> dict[str, int]:
    return {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in (BETTER, WORSE, UNRESOLVED)}


def _headline_picture(comparison: Comparison) -> Picture:
    return picture_of(
        differences_figure(comparison),
        "differences",
        alt="Difference of each run to the reference in each metric; the table below has the numbers.",
        caption=f"What is right of the line is better than {comparison.reference}. Triangles: the interval leaves the "
        "line out. Circles: it does not, so the difference cannot be told from none.",
    )


def _class_picture(comparison: Comparison, run: str, place: int, classes: Sequence[str]) -> Picture:
    return picture_of(
        class_differences_figure(comparison, run=run, classes=classes),
        f"classes_{place}",
        alt=f"Difference of {run} to the reference in each class; the table below has the numbers.",
        caption=f"Every class, {run} minus {comparison.reference}. Marks as above; a hollow one has no interval, for "
        "too few groups of fields have the class.",
    )
