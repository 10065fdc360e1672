"""How long work tells how far it is."""

from collections.abc import Callable

# Takes how many items of how many are done; called from the thread that asked for the work.
Progress = Callable[[int, int], None]
