"""The course of a run: its epochs, the best, when to stop."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean

import pandas as pd

from protloc.atlas.files import write_csv
from protloc.errors import RunError


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave; validation figures are those of the whole part.

    Attributes:
        epoch: Number of the epoch, from 1.
        seconds: Time of training and validation together.
        train_loss: Mean of the loss that is trained.
        validation_loss: Binary cross-entropy in nats, whatever loss is trained, so that runs compare.
        macro_f1: Mean F1 over the classes present, at threshold 0.5.
        samples_f1: Mean F1 over the fields.
        micro_f1: F1 over all answers.
        mean_average_precision: Mean over the classes present.
        learning_rate: At the end of the epoch.
        images_per_second: Training fields a second, validation left out.
    """

    epoch: int
    seconds: float
    train_loss: float
    validation_loss: float
    macro_f1: float
    samples_f1: float
    micro_f1: float
    mean_average_precision: float
    learning_rate: float
    images_per_second: float

    def line(self, of: int) -> str:
        """Return the epoch as one line of text; ``of`` is the number of epochs planned."""
        return (
            f"epoch {self.epoch:>{len(str(of))}}/{of}  train loss {self.train_loss:.4f}  "
            f"validation loss {self.validation_loss:.4f}  macro-F1 {self.macro_f1:.4f}  "
            f"samples-F1 {self.samples_f1:.4f}  mAP {self.mean_average_precision:.4f}  "
            f"{self.images_per_second:.0f} images/s  {self.seconds:.1f} s"
        )


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch of the highest macro-F1; of equal ones of the highest samples-F1, then average precision."""
    return max(history, key=lambda row: tuple(map(_rank, (row.macro_f1, row.samples_f1, row.mean_average_precision))))


def has_stalled(history: Sequence[Epoch], *, patience: int) -> bool:
    """Tell whether neither macro-F1 nor samples-F1 has reached a new high in the last ``patience`` epochs."""
    if len(history) <= patience:
        return False
    before, since = history[:-patience], history[-patience:]
    return all(
        max(_rank(getattr(row, figure)) for row in since) <= max(_rank(getattr(row, figure)) for row in before)
        for figure in ("macro_f1", "samples_f1")
    )


def mean_history(histories: Sequence[Sequence[Epoch]]) -> tuple[Epoch, ...]:
    """Average the courses of several runs, each epoch over the runs that came so far; seconds are summed.

    The last epochs may be those of the few runs that were stopped late.
    """
    longest = max(map(len, histories), default=0)
    return tuple(_mean([history[place] for history in histories if place < len(history)]) for place in range(longest))


def write_history(file: Path, history: Sequence[Epoch]) -> None:
    """Write ``log.csv``, whole or not at all."""
    write_csv(file, pd.DataFrame([asdict(row) for row in history]))


def read_history(file: Path) -> tuple[Epoch, ...]:
    """Read ``log.csv``; empty if there is none yet.

    Raises:
        RunError: if the file is damaged.
    """
    if not file.is_file():
        return ()
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            return tuple(_row(cells) for cells in csv.DictReader(stream, strict=True))
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: not the log of a run ({error}). Delete the run's folder and train again.") from error


def _row(cells: Mapping[str, str]) -> Epoch:
    figures = {name: float(cell or "nan") for name, cell in cells.items() if name != "epoch"}
    return Epoch(epoch=int(cells["epoch"]), **figures)


def _mean(rows: Sequence[Epoch]) -> Epoch:
    averaged = [field.name for field in fields(Epoch) if field.name not in {"epoch", "seconds"}]
    figures = {name: _mean_of_numbers(getattr(row, name) for row in rows) for name in averaged}
    return Epoch(epoch=rows[0].epoch, seconds=sum(row.seconds for row in rows), **figures)


def _mean_of_numbers(figures: Iterable[float]) -> float:
    """Leave out nan, the figure of a part without positives."""
    numbers = [figure for figure in figures if not math.isnan(figure)]
    return fmean(numbers) if numbers else math.nan


def _rank(figure: float) -> float:
    """Put nan, the figure of a part without positives, below everything."""
    return -1.0 if math.isnan(figure) else figure
