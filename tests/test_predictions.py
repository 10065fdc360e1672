"""Predictions of a part on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
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


@pytest.mark.parametrize(("content", "told"), [(None, r"\(no such file\)"), (b"not parquet", r"\(.*arquet.*\)")])
def test_what_is_no_table_of_predictions_is_refused(tmp_path, content, told):
    file = tmp_path / "run" / "predictions" / "test.parquet"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RunError, match=rf"test\.parquet: no predictions {told}\. .* protloc evaluate {tmp_path}/run$"):
        PartPredictions.read(file)


@pytest.mark.parametrize(
    ("name", "rows", "told"),
    [
        ("logits", [[0.5, 1.0, 2.0], [0.5]], "logits: rows of unequal length, or no numbers"),
        ("truth", [["a", "b", "c"], ["d", "e", "f"]], "truth: rows of unequal length, or no numbers"),
        ("verdicts", [[0, 0, 300], [0, 0, 0]], "verdicts: rows of unequal length, or no numbers"),
        ("truth", [[0, 1, None], [0, 0, 0]], "truth: rows of unequal length, or no numbers"),
        ("probabilities", [[0.5, 0.5, float("nan")], [0.1, 0.2, 0.3]], "probabilities: not all are numbers"),
        ("logits", [[0.5], [1.5]], r"logits: shape \(2, 1\), expected \(2, 3\), a row a field and a column a class"),
        ("called", [True, False], r"called: shape \(2,\), expected \(2, 3\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, name, rows, told):
    file = tmp_path / "predictions" / "test.parquet"
    SAID.write(file)
    table = pd.read_parquet(file)
    table[name] = pd.Series(rows, dtype=object)
    table.to_parquet(file)
    with pytest.raises(RunError, match=rf"no predictions \({told}.*protloc evaluate {tmp_path}$"):
        PartPredictions.read(file)


def test_truth_that_is_no_table_is_refused(tmp_path):
    file = tmp_path / "test.parquet"
    flat = {name: getattr(SAID, name)[:, 0] for name in TYPES}
    replace(SAID, **flat).write(file)
    with pytest.raises(RunError, match=r"truth: shape \(2,\), expected \(2,\), a row a field and a column a class"):
        PartPredictions.read(file)
