"""The examples run as printed, on tiny worlds."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    """Run an example as ``python examples/NAME.py ARGUMENTS`` would."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_the_simulated_atlas_is_judged(monkeypatch, tmp_path, capsys):
    small = ("--fields", 24, "--side", 64, "--recipe", "baseline-cnn", "--epochs", 1)
    run(monkeypatch, "simulated_atlas", tmp_path, *small)
    told = capsys.readouterr().out
    assert "24 fields, red, green, blue, yellow, 64 px, 0 rejected" in told
    assert "macro-F1 on" in told
    assert (tmp_path / "run" / "report.html").is_file()


def test_own_images_get_answers_in_own_words(monkeypatch, tmp_path, tiny_world, capsys):
    places = (tiny_world.images, tiny_world.labels, tiny_world.classes, tmp_path)
    run(monkeypatch, "own_images", *places, "--stains", "green,blue", "--side", 32, "--epochs", 40)
    answers = pd.read_csv(tmp_path / "answers.csv", keep_default_na=False)
    assert len(answers) == 84
    assert {"Disc", "Ring"} <= {name for answer in answers["answer"] for name in answer.split("; ")}
    assert "green, blue" in capsys.readouterr().out


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(example):
    assert len(example.read_text().splitlines()) <= 60
