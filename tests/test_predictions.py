"""Predictions of a part on disk."""

from __future__ import annotations

import numpy as np
import pytest

from protloc.errors import RunError
from protloc.judge.predictions import PartPredictions


def test_what_is_written_is_read(tmp_path):
    truth = np.array([[1, 0, 1], [0, 0, 0]], np.uint8)
    logits = np.array([[0.25, -1.5, 3.0], [1e-7, -80.0, 12.5]], np.float32)
    PartPredictions(("b", "a"), truth, logits).write(tmp_path / "test.parquet")
    read = PartPredictions.read(tmp_path / "test.parquet")
    assert read.ids == ("b", "a")
    np.testing.assert_array_equal(read.truth, truth)
    np.testing.assert_array_equal(read.logits, logits)
    assert (read.truth.dtype, read.logits.dtype) == (np.uint8, np.float32)


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_what_is_no_table_of_predictions_is_refused(tmp_path, content):
    file = tmp_path / "test.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RunError, match=r"test\.parquet: no predictions .* protloc evaluate RUN"):
        PartPredictions.read(file)
