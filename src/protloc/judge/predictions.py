"""Predictions of a part, kept on disk to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.atlas.files import write_parquet
from protloc.errors import RunError

TYPES = {
    "truth": np.uint8,
    "logits": np.float32,
    "probabilities": np.float32,
    "called": np.bool_,
    "verdicts": np.int8,
}


def predictions_file(run: Path, part: str) -> Path:
    """Return where the answers of a part of a run lie."""
    return run / "predictions" / f"{part}.parquet"


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The fields of a part: what is true of them, what the network said, and what was made of it.

    All that was made of the logits was made by a rule that was not fitted on the field itself, so it may be judged.

    Attributes:
        ids: Field ids.
        groups: Group of each field; a field that is like no other is a group of its own.
        truth: Multi-hot array of shape (fields, classes), uint8.
        logits: Raw logits, (fields, classes) float32.
        probabilities: Calibrated, (fields, classes) float32 in 0..1.
        called: Which classes are called, (fields, classes) bool.
        verdicts: 1 present, 0 ask an expert, -1 absent, (fields, classes) int8.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    truth: NDArray[np.uint8]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    called: NDArray[np.bool_]
    verdicts: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, places: NDArray[np.intp]) -> PartPredictions:
        """Return the fields at ``places``, in that order."""
        return PartPredictions(
            tuple(self.ids[place] for place in places),
            tuple(self.groups[place] for place in places),
            **{name: getattr(self, name)[places] for name in TYPES},
        )

    def write(self, file: Path) -> None:
        """Write ``id``, ``group``, and as lists in column order of the vocabulary all else, as parquet."""
        arrays: dict[str, Any] = {name: list(getattr(self, name)) for name in TYPES}
        write_parquet(file, pd.DataFrame({"id": list(self.ids), "group": list(self.groups), **arrays}))

    @classmethod
    def read(cls, file: Path) -> PartPredictions:
        """Read what :meth:`write` wrote.

        Raises:
            RunError: if the file is missing, damaged or no table of predictions.
        """
        try:
            columns = pq.read_table(file, columns=["id", "group", *TYPES]).to_pydict()
            arrays: dict[str, Any] = {name: _array(columns[name], name) for name in TYPES}
            _check_shapes(arrays, fields=len(columns["id"]))
        except (OSError, ValueError, KeyError) as error:
            what = error if file.is_file() else "no such file"
            run = file.parent.parent
            raise RunError(f"{file}: no predictions ({what}). Make them with: protloc evaluate {run}") from error
        return cls(tuple(columns["id"]), tuple(columns["group"]), **arrays)


def _array(rows: list[Any], name: str) -> NDArray[Any]:
    try:
        array = np.array(rows, TYPES[name])
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name}: rows of unequal length, or no numbers") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: not all are numbers")
    return array


def _check_shapes(arrays: dict[str, NDArray[Any]], *, fields: int) -> None:
    shape = (fields, *arrays["truth"].shape[1:])
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape != shape:
            raise ValueError(f"{name}: shape {array.shape}, expected {shape}, a row a field and a column a class")
