"""Predictions of a part on disk."""

from __future__ import annotations

import numpy as np
import pytest

from protloc.errors import RunError
from protloc.judge.predictions import TYPES, PartPredictions

SAID = PartPredictions(
    ids=("b", "a"),
    groups=("b", "twins"),
    truth=np.array([[1, 0, 1], [0, 0, 0]], np.uint8),
    logits=np.array([[0.25, -1.5, 3.0], [1e-7, -80.0, 12.5]], np.float32),
    probabilities=np.array([[0.56, 0.18, 0.95], [0.5, 0.0, 1.0]], np.float32),
    called=np.array([[True, False, True], [True, False, True]]),
    verdicts=np.array([[0, 0, 1], [0, -1, 1]], np.int8),
)


def test_what_is_written_is_read(tmp_path):
    SAID.write(tmp_path / "test.parquet")
    read = PartPredictions.read(tmp_path / "test.parquet")
    assert (read.ids, read.groups) == (SAID.ids, SAID.groups)
    for name, dtype in TYPES.items():
        np.testing.assert_array_equal(getattr(read, name), getattr(SAID, name))
        assert getattr(read, name).dtype == dtype


def test_rows_are_taken_in_their_order():
    taken = SAID.rows(np.array([1, 0, 1]))
    assert len(taken) == 3
    assert (taken.ids, taken.groups) == (("a", "b", "a"), ("twins", "b", "twins"))
    assert taken.verdicts.tolist() == [[0, -1, 1], [0, 0, 1], [0, -1, 1]]
    assert taken.truth.tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_what_is_no_table_of_predictions_is_refused(tmp_path, content):
    file = tmp_path / "test.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RunError, match=r"test\.parquet: no predictions .* protloc evaluate RUN"):
        PartPredictions.read(file)
