"""What the command line shows: lines, bars, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

OUT = Console(emoji=False, highlight=False, soft_wrap=True)
ERR = Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print a line as it is."""
    OUT.print(line, markup=False)


def complain(message: str) -> None:
    """Print an error on standard error."""
    ERR.print(f"error: {message}", markup=False, style="red" if ERR.is_terminal else None)


@contextmanager
def bar(work: str) -> Generator[Callable[[int, int], None]]:
    """Yield a function that moves a progress bar on standard error; nothing is drawn where that is no terminal."""
    columns = (TextColumn(work), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(work, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
