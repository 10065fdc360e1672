"""Losses against cases worked by hand and reference code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from protloc.learn.losses import asymmetric_loss, binary_cross_entropy, focal_loss, make_loss, positive_weights
from protloc.learn.recipes import TrainSettings

# logits of probability 0.8 and 0.4, the first right, the second a false alarm
LOGITS = torch.tensor([[math.log(4), math.log(2 / 3)]], dtype=torch.float64)
TARGETS = torch.tensor([[1.0, 0.0]], dtype=torch.float64)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20, 7, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(20, 7, generator=generator) < 0.3).double()


def test_binary_cross_entropy_of_a_hand_worked_case() -> None:
    expected = -(math.log(0.8) + math.log(0.6)) / 2
    assert binary_cross_entropy(LOGITS, TARGETS).item() == pytest.approx(expected)
    weighted = -(3 * math.log(0.8) + math.log(0.6)) / 2
    weights = torch.tensor([3.0, 9.0], dtype=torch.float64)
    assert binary_cross_entropy(LOGITS, TARGETS, positive_weights=weights).item() == pytest.approx(weighted)


def test_focal_loss_of_a_hand_worked_case() -> None:
    expected = -(0.25 * 0.2**2 * math.log(0.8) + 0.75 * 0.4**2 * math.log(0.6)) / 2
    assert focal_loss(LOGITS, TARGETS, gamma=2, alpha=0.25).item() == pytest.approx(expected)


def test_asymmetric_loss_of_a_hand_worked_case() -> None:
    # the negative is judged at 0.4 - 0.1 = 0.3
    expected = -(0.2**1 * math.log(0.8) + 0.3**3 * math.log(0.7)) / 2
    assert asymmetric_loss(LOGITS, TARGETS, negative_gamma=3, positive_gamma=1, clip=0.1).item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, 0.5), (2.0, 0.25), (1.5, 0.9)])
def test_focal_loss_equals_torchvision(batch: tuple[torch.Tensor, torch.Tensor], gamma: float, alpha: float) -> None:
    expected = sigmoid_focal_loss(*batch, gamma=gamma, alpha=alpha, reduction="mean")
    torch.testing.assert_close(focal_loss(*batch, gamma=gamma, alpha=alpha), expected)


def test_asymmetric_loss_without_asymmetry_is_the_cross_entropy(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    plain = asymmetric_loss(*batch, negative_gamma=0, positive_gamma=0, clip=0)
    torch.testing.assert_close(plain, functional.binary_cross_entropy_with_logits(*batch))


def test_asymmetric_loss_with_equal_gammas_is_twice_an_even_focal_loss(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    even = sigmoid_focal_loss(*batch, gamma=2.0, alpha=0.5, reduction="mean")
    torch.testing.assert_close(asymmetric_loss(*batch, negative_gamma=2, positive_gamma=2, clip=0), 2 * even)


def test_easy_negatives_cost_the_asymmetric_loss_nothing() -> None:
    easy = torch.full((3, 2), -4.0, requires_grad=True)
    loss = asymmetric_loss(easy, torch.zeros(3, 2), negative_gamma=4, positive_gamma=0, clip=0.05)
    loss.backward()
    assert loss.item() == 0
    assert easy.grad is not None
    assert torch.equal(easy.grad, torch.zeros(3, 2))


@pytest.mark.parametrize("name", ["bce", "weighted", "focal", "asymmetric"])
@pytest.mark.parametrize("extreme", [-200.0, 0.0, 200.0])
def test_every_loss_and_its_gradient_stay_finite(name: str, extreme: float) -> None:
    targets = np.array([[1, 0], [0, 1], [0, 0]], np.uint8)
    loss = make_loss(TrainSettings.from_mapping({"loss": name}, place="test"), targets=targets)
    logits = torch.full((3, 2), extreme, requires_grad=True)
    value = loss(logits, torch.from_numpy(targets).float())
    value.backward()
    assert math.isfinite(value.item())
    assert value.item() >= 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", ["focal", "asymmetric"])
def test_an_exponent_below_one_gives_no_infinite_slope(name: str) -> None:
    gammas = {"focal_gamma": 0.5, "asymmetric_negative_gamma": 0.5, "asymmetric_positive_gamma": 0.5}
    loss = make_loss(TrainSettings(loss=name, **gammas), targets=np.eye(2, dtype=np.uint8))  # type: ignore[arg-type]
    logits = torch.tensor([[-200.0, 200.0], [200.0, -200.0]], requires_grad=True)
    loss(logits, torch.tensor([[0.0, 1.0], [1.0, 0.0]])).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_settings_reach_the_loss(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = batch
    training = targets.to(torch.uint8).numpy()
    told = {
        "bce": ({}, binary_cross_entropy(logits, targets)),
        "focal": ({"focal_gamma": 1.0, "focal_alpha": 0.4}, focal_loss(logits, targets, gamma=1, alpha=0.4)),
        "asymmetric": (
            {"asymmetric_negative_gamma": 2.0, "asymmetric_positive_gamma": 1.0, "asymmetric_clip": 0.2},
            asymmetric_loss(logits, targets, negative_gamma=2, positive_gamma=1, clip=0.2),
        ),
        "weighted": (
            {"positive_weight_cap": 2.0},
            binary_cross_entropy(
                logits, targets, positive_weights=torch.from_numpy(positive_weights(training, cap=2.0))
            ),
        ),
    }
    for name, (values, expected) in told.items():
        settings = TrainSettings.from_mapping({"loss": name, **values}, place="test")
        torch.testing.assert_close(make_loss(settings, targets=training)(logits, targets), expected)


def test_positive_weights_worked_by_hand() -> None:
    # of four fields: one, two, none and all have the class
    targets = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]], np.uint8)
    np.testing.assert_array_equal(positive_weights(targets, cap=2.5), np.array([2.5, 1.0, 2.5, 0.4], np.float32))
    assert positive_weights(targets, cap=10)[0] == 3
