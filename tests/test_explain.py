"""Explaining a folder: what is written, what stains add, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from protloc.apply.explain import (
    columns_to_explain,
    explain_fields,
    heat_in_hottest,
    hottest_place,
    network_of,
    protein_channel,
)
from protloc.apply.given import fields_given
from protloc.apply.heat import VIEWS, heat_maps
from protloc.apply.predict import predict
from protloc.atlas.stains import HPA_STAINS, parse_stains
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import ProtlocError, SettingsError
from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.model import Normalisation
from protloc.verbs.explain import explain

SIDE = 32
CLASSES = ("Rods & rings", "Ring", "Bars")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Return a network with random weights that may go without all stains but green."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = LiteNetwork(stains=4, classes=3)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(layer.weight, 1.0, 3.0)
                torch.nn.init.uniform_(layer.bias, -0.5, 1.0)
    plain = AnswerRule.plain(3)
    without_red = replace(plain, calibration=Calibration((0.5, 1.0, 2.0), (0.1, 0.2, 0.3)))
    return Bundle(
        backbone=LITE_BACKBONE,
        vocabulary=Vocabulary("tiny", tuple(Compartment(place, name) for place, name in enumerate(CLASSES))),
        stains=HPA_STAINS,
        side=SIDE,
        rule=plain,
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"},
        protloc_version="0",
        rules={"blue+green+yellow": without_red},
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of three fields of noise around a disc, one of them oddly named."""
    folder, generator = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for name in ("f1", "f2", "a&b c"):
        for stain in HPA_STAINS:
            plane = generator.integers(0, 60, (SIDE, SIDE), dtype=np.uint8)
            cv2.circle(plane, (16, 12), 6, 220, -1)
            cv2.imwrite(str(folder / f"{name}{stain.suffix}.png"), plane)
    return folder


def test_what_was_called_is_explained_with_pictures(bundle: Bundle, images: Path, tmp_path: Path):
    made = explain(bundle, images, out=tmp_path / "out", jobs=1)
    answered = predict(bundle, images)
    table = pd.read_csv(made.out / "explanations.csv")
    assert list(table.columns) == [
        "id", "class", "probability", "called", "answer", "contribution_red", "contribution_green",
        "contribution_blue", "contribution_yellow", "hottest_x", "hottest_y", "heat_in_hottest_tenth", "overlay",
        "figure",
    ]  # fmt: skip
    for row, field in enumerate(answered.ids):
        own = table[table["id"] == field]
        called = {CLASSES[column] for column in np.flatnonzero(answered.answers.called[row])}
        likeliest = {CLASSES[int(answered.answers.probabilities[row].argmax())]}
        assert set(own["class"]) == (called or likeliest)
        assert (own["called"] == ("yes" if called else "no")).all()
        for _, line in own.iterrows():
            column = CLASSES.index(line["class"])
            assert line["probability"] == pytest.approx(answered.answers.probabilities[row, column], abs=1e-6)
            assert cv2.imread(str(made.out / line["overlay"])).shape == (SIDE, SIDE, 3)
            assert cv2.imread(str(made.out / line["figure"])).ndim == 3
    assert made.fields == 3
    assert f"{len(table)} answers on 3 fields explained" in made.summary
    assert "What green adds cannot be told by leaving it out" in made.summary


def test_names_of_files_are_safe(bundle: Bundle, images: Path, tmp_path: Path):
    made = explain(bundle, images, out=tmp_path / "out", classes=["Rods & rings"], jobs=1)
    assert list(made.table["class"]) == ["Rods & rings"] * 3
    written = {path.relative_to(made.out).as_posix() for path in made.out.rglob("*.png")}
    assert written == set(made.table["overlay"]) | set(made.table["figure"])
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzR0123456789_-./") for name in written)


def test_a_contribution_is_what_the_answer_loses_without_the_stain(bundle: Bundle, images: Path, tmp_path: Path):
    made = explain(bundle, images, out=tmp_path / "out", classes=CLASSES, jobs=1).table
    whole = bundle.rule.calibration.logits(predict(bundle, images).logits)
    for stain in ("red", "blue"):
        left = [other.name for other in HPA_STAINS if other.name != stain]
        without = predict(bundle, images, stains=parse_stains(left)).logits
        drop = whole - bundle.rule_for(left).calibration.logits(without)
        np.testing.assert_allclose(made[f"contribution_{stain}"], drop.ravel(), atol=1e-4)
    assert made["contribution_green"].isna().all()


def test_of_a_model_that_needs_all_stains_no_contribution_is_told(bundle: Bundle, images: Path, tmp_path: Path):
    strict = replace(bundle, settings={}, rules={})
    made = explain(strict, images, out=tmp_path / "out", jobs=1)
    assert made.table.filter(like="contribution_").isna().all(axis=None)
    assert "What red and green and blue and yellow add cannot be told by leaving them out" in made.summary


def test_stains_that_are_not_given_have_no_column(bundle: Bundle, images: Path, tmp_path: Path):
    made = explain(bundle, images, out=tmp_path / "out", stains=parse_stains(["green", "blue"]), jobs=1)
    assert list(made.table.filter(like="contribution_")) == ["contribution_green", "contribution_blue"]
    assert made.table["contribution_blue"].notna().all()


def test_a_field_that_cannot_be_read_is_listed(bundle: Bundle, images: Path, tmp_path: Path):
    (images / "f1_green.png").write_bytes(b"not an image")
    told: list[tuple[int, int]] = []
    made = explain(
        bundle, images, out=tmp_path / "out", jobs=1, progress=lambda done, total: told.append((done, total))
    )
    assert set(made.table["id"]) == {"f2", "a&b c"}
    assert list(pd.read_csv(made.out / "rejected.csv")["id"]) == ["f1"]
    assert "1 field rejected; why is in rejected.csv" in made.summary
    assert told == [(number, 6) for number in range(1, 7)]


def test_fields_in_memory_are_explained_as_those_of_a_folder(bundle: Bundle, images: Path, tmp_path: Path):
    given = fields_given(bundle, images)
    stack = np.stack(list(given.images()))
    found = explain_fields(bundle, stack, [[1], [2, 0], []], given=given.names, network=network_of(bundle))
    assert [each.columns for each in found] == [(1,), (2, 0), ()]
    assert [each.heat.shape for each in found] == [(1, SIDE, SIDE), (2, SIDE, SIDE), (0, SIDE, SIDE)]
    table = explain(bundle, images, out=tmp_path / "out", classes=CLASSES, jobs=1).table
    blue = table.loc[(table["id"] == given.ids[1]) & (table["class"] == "Bars"), "contribution_blue"]
    assert found[1].contributions[0, 2] == pytest.approx(blue.item(), abs=1e-4)
    (quick,) = explain_fields(bundle, stack[:1], [[1]], given=given.names, views=VIEWS[:1])
    np.testing.assert_array_equal(quick.heat, heat_maps(network_of(bundle), stack[:1], [[1]], views=VIEWS[:1])[0])
    assert (quick.heat != found[0].heat).any()


def test_an_earlier_output_is_replaced_and_nothing_else(bundle: Bundle, images: Path, tmp_path: Path):
    out = tmp_path / "out"
    explain(bundle, images, out=out, classes=["Ring", "Bars"], jobs=1)
    shutil.rmtree(out / "fields")
    explain(bundle, images, out=out, classes=["Ring"], jobs=1)
    assert sorted(path.name for path in (out / "overlays" / "f1").iterdir()) == ["Ring.png"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ProtlocError, match=r"not only an output of explain \(it has notes\.txt\), so it is left"):
        explain(bundle, images, out=out)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SettingsError, match="is a file, expected a folder"):
        explain(bundle, images, out=tmp_path / "file")


def test_an_unknown_class_is_told_before_any_work(bundle: Bundle, images: Path, tmp_path: Path):
    with pytest.raises(SettingsError, match=r"--classes: 'Rings' is no class of the model; expected some of Rods"):
        explain(bundle, images, out=tmp_path / "out", classes=["Ring", "Rings"])
    assert not (tmp_path / "out").exists()


def test_what_is_explained_is_asked_for_else_called_else_likeliest():
    called = np.array([[True, False, True], [False, False, False]])
    probabilities = np.array([[0.6, 0.1, 0.9], [0.2, 0.3, 0.1]])
    assert columns_to_explain(called, probabilities) == [(2, 0), (1,)]
    assert columns_to_explain(called, probabilities, asked=[1, 0]) == [(1, 0), (1, 0)]


def test_the_hottest_place_and_tenth_of_a_map_worked_by_hand():
    heat = np.zeros((10, 10), np.float32)
    assert hottest_place(heat) is None
    assert np.isnan(heat_in_hottest(heat))
    heat[2, 7] = 1
    heat[3] = 0.5
    assert hottest_place(heat) == (7, 2)
    # ten of the 100 pixels: the one of 1 and nine of 0.5, of 6 in all
    assert heat_in_hottest(heat) == pytest.approx((1 + 9 * 0.5) / 6)
    assert heat_in_hottest(np.ones((10, 10), np.float32)) == pytest.approx(0.1)


def test_heat_is_laid_over_the_protein(bundle: Bundle):
    assert protein_channel(bundle) == 1
    assert protein_channel(replace(bundle, settings={"protein_stain": "blue"})) == 2
    assert protein_channel(replace(bundle, stains=parse_stains(["dapi", "mine"]), settings={})) == 0
