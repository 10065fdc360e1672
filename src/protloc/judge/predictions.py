"""Predictions of a part, kept on disk to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.atlas.files import write_parquet
from protloc.errors import RunError


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The truth and the logits of the fields of a part.

    Attributes:
        ids: Field ids.
        truth: Multi-hot array of shape (fields, classes), uint8.
        logits: Array of shape (fields, classes), float32.
    """

    ids: tuple[str, ...]
    truth: NDArray[np.uint8]
    logits: NDArray[np.float32]

    def write(self, file: Path) -> None:
        """Write the columns ``id``, ``truth`` and ``logits``, lists in column order of the vocabulary, as parquet."""
        columns = {"id": list(self.ids), "truth": list(self.truth), "logits": list(self.logits)}
        write_parquet(file, pd.DataFrame(columns))

    @classmethod
    def read(cls, file: Path) -> PartPredictions:
        """Read what :meth:`write` wrote.

        Raises:
            RunError: if the file is missing or is no table of predictions.
        """
        try:
            columns = pq.read_table(file, columns=["id", "truth", "logits"]).to_pydict()
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{file}: no predictions ({error}). Make them with: protloc evaluate RUN") from error
        return cls(tuple(columns["id"]), np.array(columns["truth"], np.uint8), np.array(columns["logits"], np.float32))
