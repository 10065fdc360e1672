"""Bundles: the same network back, and no half or damaged one taken for whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import BundleError
from protloc.learn.backbones import BASELINE_CNN, build_network
from protloc.learn.bundle import Bundle, portable_state
from protloc.learn.network import FieldNetwork, Normalisation

USUAL = Normalisation(means=(12.5, 33.1), deviations=(20.0, 41.7))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    network = build_network(BASELINE_CNN, stains=2, classes=3, side=16, dropout=0.5, seed=7)
    return Bundle(
        backbone=BASELINE_CNN,
        vocabulary=Vocabulary("shapes", tuple(Compartment(number, f"shape {number}") for number in range(3))),
        stains=(Stain("green", "_green"), Stain("dapi", "_ch00")),
        side=16,
        normalisation=USUAL,
        thresholds=(0.5, 0.25, 0.75),
        settings={"backbone": BASELINE_CNN, "epochs": 3},
        metrics={"epoch": 2, "macro_f1": 0.5, "mean_average_precision": None},
        protloc_version="0.1.0",
        state=portable_state(network.state_dict()),
    )


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_is_saved_is_loaded(bundle: Bundle, folder: Path) -> None:
    loaded = Bundle.load(folder)
    for name in ("backbone", "vocabulary", "stains", "side", "normalisation", "thresholds", "settings", "metrics"):
        assert getattr(loaded, name) == getattr(bundle, name), name
    assert loaded.protloc_version == "0.1.0"
    assert loaded.state.keys() == bundle.state.keys()
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in bundle.state.items())


def test_the_network_takes_stored_fields_and_is_ready_to_predict(bundle: Bundle, folder: Path) -> None:
    fields = torch.randint(0, 256, (5, 2, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    trained = build_network(BASELINE_CNN, stains=2, classes=3, side=16)
    trained.load_state_dict(dict(bundle.state))
    expected = FieldNetwork(trained, USUAL).eval()(fields)
    network = Bundle.load(folder).network()
    assert not network.training
    logits = network(fields)
    assert logits.dtype == torch.float32
    assert logits.shape == (5, 3)
    assert torch.equal(logits, expected)


def test_saving_twice_gives_the_same_bytes_and_no_other_file(bundle: Bundle, folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    Bundle.load(folder).save(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert before.keys() == {"model.safetensors", "model.json"}
    assert bundle.state["head.1.weight"].dtype == torch.float32


def test_what_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere/model.json: cannot be read .* such as RUN/bundle"):
        Bundle.load(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model.safetensors: cannot be read"):
        Bundle.load(folder)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:-1] + b"\x7f", lambda _: b""])
def test_damaged_weights_are_refused(folder: Path, damage) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(BundleError, match=r"model.safetensors: not the weights that model.json describes .*--resume"):
        Bundle.load(folder)


def test_new_weights_with_an_old_description_are_refused(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    # what a kill between the two files leaves
    changed = {name: tensor + 1 for name, tensor in bundle.state.items()}
    replace(bundle, state=changed).save(tmp_path / "new")
    (tmp_path / "new/model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(BundleError, match=r"not the weights that model.json describes"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "model.json: damaged"),
        ("[]", "model.json: format None, expected 1"),
        ('{"format": 2}', "model.json: format 2, expected 1. Use the protloc version that wrote"),
    ],
)
def test_a_damaged_description_is_refused(folder: Path, written: str, words: str) -> None:
    (folder / "model.json").write_text(written)
    with pytest.raises(BundleError, match=words):
        Bundle.load(folder)


def test_a_description_without_a_part_is_refused(folder: Path) -> None:
    file = folder / "model.json"
    described = json.loads(file.read_text())
    del described["normalisation"]
    file.write_text(json.dumps(described))
    with pytest.raises(BundleError, match=r"not a bundle of this version \(KeyError\('normalisation'\)\)"):
        Bundle.load(folder)


@pytest.mark.parametrize("other", [{"side": 32}, {"backbone": "resnet10t"}, {"backbone": "no-such-net"}, {"side": 8}])
def test_weights_of_another_network_are_refused(bundle: Bundle, other: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="its weights are not those of"):
        replace(bundle, **other).network()


def test_the_state_of_a_bundle_stays_as_it_was_while_training_goes_on() -> None:
    network = build_network(BASELINE_CNN, stains=1, classes=2, side=16).to(torch.bfloat16)
    state = portable_state(network.state_dict())
    before = state["head.7.bias"].clone()
    with torch.no_grad():
        network.get_parameter("head.7.bias").add_(1)
    assert torch.equal(state["head.7.bias"], before)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
