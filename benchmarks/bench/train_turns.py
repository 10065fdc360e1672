"""Training loops that never end, let go on by some steps at a time."""

from __future__ import annotations

from pathlib import Path
from threading import Semaphore, Thread

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contest import take_turns

CLASSES = 28
REPEATS = 1_000  # of the fields in an epoch, so that it lasts as long as the contest, as one of a large atlas would
STAINS = ("red", "green", "blue", "yellow")


class Turns:
    """Holds a training loop, in the main thread, after every few steps until the parent says go.

    What the loop reads ahead in other processes is read in its own turn: at the end of each turn as much is waiting as
    there was at its beginning.

    Args:
        steps: Steps of a turn.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._taken = 0
        self._told: dict[str, float] = {}
        self._may, self._done = Semaphore(0), Semaphore(0)
        self._over = False
        Thread(target=self._take_turns, daemon=True).start()
        self._may.acquire()

    def end_step(self, images: int, **figures: float) -> None:
        """Take note of a step that is done, and wait for leave to go on.

        Raises:
            SystemExit: if there are no more turns.
        """
        self._told = {"count": self._told.get("count", 0) + images, **figures}
        self._taken += 1
        if self._taken % self._steps == 0:
            self._done.release()
        self._may.acquire()
        if self._over:
            raise SystemExit

    def _take_turns(self) -> None:
        take_turns(self._turn)
        self._over = True
        self._may.release()

    def _turn(self) -> dict[str, float]:
        self._told = {}
        self._may.release(self._steps)
        self._done.acquire()
        return self._told


def labelled_fields(folder: Path) -> tuple[list[Path], NDArray[np.float32]]:
    """Return the fields of a folder, as paths without ``_<stain>.png``, and their label sets, multi-hot."""
    table = pd.read_csv(folder / "train.csv")
    targets = np.zeros((len(table), CLASSES), np.float32)
    for row, labels in enumerate(table["Target"]):
        targets[row, [int(label) for label in labels.split()]] = 1
    return [folder / "train" / field for field in table["Id"]], targets
