"""A submission for Kaggle's own list of test fields, answered from simulated ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from protloc.apply.predict import predict
from protloc.apply.predictions import write_predictions
from protloc.atlas.simulate import simulate
from protloc.atlas.stains import parse_stains
from protloc.atlas.vocabulary import load_vocabulary
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation

SIDE = 32


def problems_of(file: Path, ids: list[str]) -> list[str]:
    """Return what Kaggle would object to: other columns or Ids, labels that are no class ids, or repeated ones."""
    submission = pd.read_csv(file, dtype=str, keep_default_na=False)
    if list(submission.columns) != ["Id", "Predicted"]:
        return [f"columns {list(submission.columns)}"]
    if list(submission["Id"]) != ids:
        return ["the Ids differ from the sample's"]
    known = {str(number) for number in range(28)}
    cells = {cell: cell.split(" ") if cell else [] for cell in submission["Predicted"].unique()}
    return [cell for cell, words in cells.items() if set(words) - known or len(set(words)) < len(words)]


@pytest.fixture
def green_bundle() -> Bundle:
    """Return a network of the protein stain alone, with random weights."""
    vocabulary = load_vocabulary("kaggle2018")
    network = build_network("baseline-cnn", stains=1, classes=28, side=SIDE, seed=5)
    return Bundle(
        backbone="baseline-cnn",
        vocabulary=vocabulary,
        stains=parse_stains(["green"]),
        side=SIDE,
        rule=AnswerRule.plain(28),
        members=(Member(Normalisation((10.0,), (20.0,)), {}, portable_state(network.state_dict())),),
        settings={},
        protloc_version="0",
    )


def test_every_field_of_the_sample_is_answered_in_its_place(real_data, green_bundle, tmp_path):
    sample = pd.read_csv(real_data / "tables" / "kaggle2018_sample_submission.csv", dtype=str)
    atlas = simulate(tmp_path / "atlas", fields=4, side=64).folder
    greens = sorted((atlas / "train").glob("*_green.png"))
    images = tmp_path / "test"
    images.mkdir()
    for number, field in enumerate(sample["Id"]):
        (images / f"{field}_green.png").symlink_to(greens[number % len(greens)])
    out = tmp_path / "submission.csv"
    answered = predict(green_bundle, images)
    write_predictions(answered, out, style="kaggle")
    assert len(answered.ids) == 11_702
    assert answered.answers.called.any()
    assert problems_of(out, list(sample["Id"])) == []


@pytest.mark.parametrize(
    "text",
    ["Id,Label\na,1\n", "Id,Predicted\nb,1\n", "Id,Predicted\na,28\n", "Id,Predicted\na,1 1\n", "Id,Predicted\na,x\n"],
)
def test_the_check_objects_to_what_kaggle_would(text, tmp_path):
    file = tmp_path / "submission.csv"
    file.write_text(text)
    assert problems_of(file, ["a"])
