"""The measures of explanations, worked by hand, and the whole benchmark on a few fields."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import load_vocabulary
from protloc.judge.answering import AnswerRule
from protloc.judge.thresholds import Thresholds
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.model import Normalisation

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "explanations.py"
SIDE = 64


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("explanations", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["explanations"] = module  # its dataclasses look themselves up there
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Return a bundle like the starter model, with random weights, that calls every class."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        state = portable_state(LiteNetwork(stains=4, classes=28).state_dict())
    return Bundle(
        backbone=LITE_BACKBONE,
        vocabulary=load_vocabulary("kaggle2018"),
        stains=HPA_STAINS,
        side=SIDE,
        rule=replace(AnswerRule.plain(28), thresholds=Thresholds((0.0,) * 28, "fixed", {})),
        members=(Member(Normalisation((9.0,) * 4, (20.0,) * 4), {}, state),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"},
        protloc_version="0",
    )


def test_pointing_mass_and_rank_worked_by_hand(script: ModuleType):
    heat, mask = np.zeros((4, 4), np.float32), np.zeros((4, 4), bool)
    mask[0, :2] = True
    assert script.inside(heat, mask) == (0, 0, 0)  # a map of nothing points nowhere
    heat[0, 0], heat[1, 1], heat[2, 2] = 2, 1, 0.5
    # the hottest is inside, as are 2 of 3.5; of the two hottest one is
    assert script.inside(heat, mask) == pytest.approx((1, 2 / 3.5, 1 / 2))
    heat[1, 1] = 2
    assert script.inside(heat, mask)[0] == pytest.approx(1 / 2)  # of two equally hot


def test_own_light_asks_which_of_two_maps_prefers_it(script: ModuleType):
    left, right = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    left[:, :3], right[:, 1:] = True, True
    toward_left = np.tile(np.array([4, 1, 1, 1], np.float32), (2, 1))
    masks = {5: left, 9: right}
    assert script.own_light({5: toward_left, 9: toward_left[:, ::-1]}, masks) == [1, 1]
    assert script.own_light({9: toward_left, 5: toward_left[:, ::-1]}, masks) == [0, 0]
    assert script.own_light({5: toward_left, 9: toward_left}, masks) == [0.5, 0.5]  # as green would
    assert script.own_light({5: toward_left, 9: toward_left}, {5: left, 9: left}) == []  # nothing is its own


def test_squares_go_black_in_order_and_come_back(script: ModuleType):
    image = np.full((2, SIDE, SIDE), 100, np.uint8)
    order = np.zeros((SIDE, SIDE), np.float32)
    order[-4:, -4:] = 1  # the last of 16 x 16 squares
    stack = script.covered(image, order)
    assert stack.shape == (2 * (script.STEPS + 1), 2, SIDE, SIDE)
    shares = (stack > 0).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shares[: script.STEPS + 1], np.linspace(1, 0, script.STEPS + 1))
    np.testing.assert_allclose(shares[script.STEPS + 1 :], np.linspace(0, 1, script.STEPS + 1))
    assert not stack[1, :, -4:, -4:].any()
    assert stack[script.STEPS + 2, :, -4:, -4:].all()


def test_an_interval_is_over_antibodies(script: ModuleType):
    # ten fields of one antibody tell as little as one
    values = np.array([1.0] * 10 + [0.0])
    scores = script.Scores(values, np.array([0] * 10 + [1]))
    assert scores.interval == (0, 1)
    assert scores.words == "0.909 (0.000 to 1.000)"


def test_layers_are_randomised_from_the_last_on(script: ModuleType, bundle: Bundle):
    parts = script.parts_from_the_end(bundle.network().members[0].network)
    assert parts == ["classifier", "bn2", "conv_head", *(f"blocks.{n}" for n in range(6, -1, -1)), "bn1", "conv_stem"]
    images = np.random.default_rng(0).integers(0, 255, (2, 4, SIDE, SIDE), dtype=np.uint8)
    state = bundle.members[0].state
    steps = script.randomised(bundle, images, seed=0)
    _, network = next(steps)
    now = network.members[0].network.state_dict()
    assert not torch.equal(now["classifier.weight"], state["classifier.weight"])
    assert torch.equal(now["conv_stem.weight"], state["conv_stem.weight"])
    *_, (part, network) = steps
    assert part == "conv_stem"
    now = network.members[0].network.state_dict()
    assert not any(torch.equal(now[name], tensor) for name, tensor in state.items() if "conv" in name)


def test_it_prints_all_tables(
    script: ModuleType,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    bundle.save(tmp_path)
    monkeypatch.setattr(script, "SEEDS", (0,))
    asked = ["--fields", "3", "--parts", "1", "--curves", "1", "--sanity", "1", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", ["explanations.py", str(tmp_path), *asked])
    script.main()
    printed = capsys.readouterr().out
    assert printed.count("\n# 3 simulated fields from red, green, blue, yellow\n") == 1
    assert printed.count("\n# 3 simulated fields from green\n") == 1
    for told in (
        "every true class", "those called, in fields of several", "| heat map − green squared |", "own light: ",
        "above both baselines: pointing game in", "| deep factor alone |", "| one view |",
        "| order | deletion, less is better | insertion, more is better |", "| random from conv_stem on |",
        "| trained, fields mirrored |",
    ):  # fmt: skip
        assert printed.count(told) >= 2
    assert "nan" not in printed
