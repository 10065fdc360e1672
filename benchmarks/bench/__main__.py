"""Measure protloc beside its peers and the limits of this machine: ``make bench``.

    python -m bench [--rounds 5] [--sections prepare train predict growth startup] [--out docs/performance.md]

Prints a table a section and the figures that miss their target, and writes both into the part of ``--out`` that is
marked for it, which needs all sections. Run it in ``benchmarks``, on a machine that does nothing else. Ends with 1 if a
section breaks, not if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from statistics import median

from bench.contest import ROUNDS, Check, Row

SECTIONS = ("prepare", "train", "predict", "growth", "startup")
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"


def main() -> None:
    """Run the sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="alternating runs of every contender")
    parser.add_argument("--sections", nargs="+", default=SECTIONS, choices=SECTIONS)
    parser.add_argument("--out", type=Path, help="Markdown file with a marked part")
    told = parser.parse_args()
    if told.out is not None and set(told.sections) != set(SECTIONS):
        parser.error("--out: a page of some sections would stand for all. Leave --sections out, or --out.")
    if told.out is not None and not (told.out.is_file() and is_marked(told.out.read_text("utf-8"))):
        parser.error(f"--out: {told.out} is no file with {BEGIN} and {END} in it, once each.")
    began, rows = time.perf_counter(), list[Row]()
    with tempfile.TemporaryDirectory() as scratch:
        for section in told.sections:
            rows += import_module(f"bench.{section}").rows(Path(scratch), rounds=told.rounds)
            page = as_markdown(rows, rounds=told.rounds, seconds=time.perf_counter() - began)
            if told.out is not None:
                write_between(told.out, page)  # what is done stays if a later section breaks
            print(f"{section} done after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(as_markdown(rows, rounds=told.rounds, seconds=time.perf_counter() - began))


def as_markdown(rows: Sequence[Row], *, rounds: int, seconds: float) -> str:
    """Return the tables: what was measured, and what misses its target."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    spread = f"medians of {rounds} alternating runs, least to most in brackets (growth, memory: one to three runs)"
    lines = [f"{machine}, torch {metadata.version('torch')}; {spread}; {seconds / 60:.0f} min in all.", ""]
    for row in rows:
        lines += [f"**{row.work}**" + (f" ({row.unit}): {_rates(row)}" if row.rates else ""), ""]
        lines += ["| figure | value | target | |", "|---|--:|--:|---|", *map(_line, row.checks), ""]
    missed = [
        f"- {row.work}: {check.what} {_number(check.value, check)}{_because(check)}"
        for row in rows
        for check in row.checks
        if not check.met
    ]
    return "\n".join(
        [*lines, f"{len(missed)} figures miss their target:" if missed else "No figure misses its target.", *missed]
    )


def is_marked(text: str) -> bool:
    """Tell whether a text has a part for the tables."""
    return text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END)


def write_between(file: Path, page: str) -> None:
    """Put a page between the marks of a file."""
    text = file.read_text("utf-8")
    before, rest = text.split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n{page}\n{END}{rest.split(END)[1]}", "utf-8")


def _rates(row: Row) -> str:
    return " · ".join(f"{name} {median(rates):,.4g}" for name, rates in row.rates.items())


def _line(check: Check) -> str:
    spread = f" ({_bare(min(check.values))} to {_bare(max(check.values))})" if len(check.values) > 1 else ""
    target = "" if check.target is None else f"{'≤' if check.at_most else '≥'} {check.target:g}"
    verdict = "" if check.target is None else "met" if check.met else "**missed**"
    return f"| {check.what} | {_number(check.value, check)}{spread} | {target} | {verdict} |"


def _because(check: Check) -> str:
    return f" ({check.reason})" if check.reason else ""


def _number(value: float, check: Check) -> str:
    return f"{_bare(value)} {check.unit}".strip()


def _bare(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
