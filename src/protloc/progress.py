"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

# Takes how many items of how many are done; called from the thread that asked for the work.
Progress = Callable[[int, int], None]


def going_on(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Tell what is done in one pass as of all ``total`` items, of which ``done`` were done before."""
    return None if progress is None else lambda more, _of: progress(done + more, total)
