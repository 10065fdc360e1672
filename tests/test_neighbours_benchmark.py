"""The benchmark of neighbours, on a few vectors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from protloc.apply.embedded import Embedded
from protloc.apply.embedded_files import write_embedded
from protloc.apply.maps import field_map
from protloc.atlas.vocabulary import load_vocabulary

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "neighbours.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("neighbours_benchmark", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_what_the_nearest_have_in_common_worked_by_hand(script, tmp_path, capsys):
    # a and b are of one antibody and alike; c is next to b, and shares a compartment with a alone
    directions = np.deg2rad([0, 10, 40])
    embeddings = np.stack([np.cos(directions), np.sin(directions)], axis=1).astype(np.float32)
    labels = (("Nucleoplasm", "Cytosol"), ("Nucleoli",), ("Cytosol",))
    made = Embedded(("a", "b", "c"), embeddings, labels, load_vocabulary("kaggle2018"), "model", ("green",))
    write_embedded(made, field_map(embeddings), tmp_path / "atlas.parquet")
    known = {"id": ["c", "a", "b"], "antibody": ["Z", "Y", "Y"], "cell_line": ["W", "U", "V"], "plate": [1, 2, 2]}
    pd.DataFrame(known).to_csv(tmp_path / "fields.csv", index=False)
    script.print_in_common(tmp_path / "atlas.parquet", tmp_path / "fields.csv")
    rows = {line.split(" | ")[0]: line for line in capsys.readouterr().out.splitlines()}
    means = [cell[: len("0.667")] for cell in rows["| of all other fields"].strip("| ").split(" | ")[1:]]
    assert means == ["0.000", "0.000", "0.667", "0.000", "0.667"]  # a to b, b to a, c to b
    assert [cell.split(", ")[-1] for cell in rows["| of all other fields"].strip("| ").split(" | ")[1:]] == [
        "0.333", "0.000", "0.333", "0.000", "0.333",
    ]  # fmt: skip
    assert rows["| of other antibodies"].startswith("| of other antibodies | 0.333")  # c to b, but a to c


def test_a_quick_run_prints_both_tables(script, monkeypatch, capsys):
    sizes = ["--vectors", "90", "--dimensions", "16", "--stored", "140"]
    monkeypatch.setattr(script, "ROW_GROUP", 40)
    monkeypatch.setattr(sys, "argv", ["neighbours.py", *sizes])
    script.main()
    printed = capsys.readouterr().out
    assert "90 vectors of 16, float32" in printed
    for told in ("| exact search |", "| product alone |", "| held |", "| streamed |"):
        assert printed.count(told) == 1
