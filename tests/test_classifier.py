"""How a network is fitted: learning rate, decay, figures of the whole part."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from protloc.learn.augment import Augmentation
from protloc.learn.backbones import BASELINE_CNN, build_network
from protloc.learn.classifier import Classifier, averaged_copy, decay_after, figures_of, rate_factor
from protloc.learn.data import Batch
from protloc.learn.losses import binary_cross_entropy
from protloc.learn.model import Normalisation
from protloc.learn.network import FieldNetwork
from protloc.learn.recipes import TrainSettings


@pytest.fixture
def classifier() -> Classifier:
    network = build_network(BASELINE_CNN, stains=1, classes=2, side=16, dropout=0.5)
    usual = Normalisation((0.0,), (1.0,))
    settings = TrainSettings(weight_decay=0.3, learning_rate=0.01)
    return Classifier(
        FieldNetwork(network, usual),
        loss=binary_cross_entropy,
        settings=settings,
        augmentation=Augmentation(),
        steps=10,
    )


def test_cosine_rises_then_falls_to_nothing() -> None:
    settings = TrainSettings(schedule="cosine", warmup=0.2)
    factors = [rate_factor(step, steps=10, settings=settings) for step in range(11)]
    # two steps of rise, then the half cosine over the eight that are left
    np.testing.assert_allclose(factors[:3], [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(factors[6], 0.5)
    np.testing.assert_allclose(factors[10], 0, atol=1e-12)
    assert all(later < earlier for earlier, later in pairwise(factors[2:]))


def test_a_constant_rate_stays_after_its_rise() -> None:
    settings = TrainSettings(schedule="constant", warmup=0.1)
    assert [rate_factor(step, steps=20, settings=settings) for step in range(2, 20)] == [1.0] * 18
    unwarmed = TrainSettings(schedule="constant", warmup=0)
    assert rate_factor(0, steps=20, settings=unwarmed) == 1.0


def test_decay_spares_norms_and_biases(classifier: Classifier) -> None:
    groups = classifier.configure_optimizers()["optimizer"].param_groups
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert {parameter.ndim for parameter in groups[0]["params"]} == {2, 4}
    assert {parameter.ndim for parameter in groups[1]["params"]} == {1}
    assert sum(len(group["params"]) for group in groups) == len(list(classifier.parameters()))


def test_figures_are_those_of_the_whole_part_not_means_of_batches(classifier: Classifier) -> None:
    network = nn.Linear(1, 2)  # stands in for the network: its logits are chosen by hand
    classifier.network = network  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network.bias.zero_()
    # class 0 is called where the number is positive, class 1 where it is negative
    first = Batch(torch.tensor([[2.0], [3.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    second = Batch(torch.tensor([[-1.0]]), torch.tensor([[1.0, 1.0]]))
    with torch.inference_mode():
        classifier.validation_step(first, 0)
        classifier.validation_step(second, 1)
    classifier.on_validation_epoch_end()
    figures = classifier.figures
    assert figures is not None
    # class 0: one right of two calls, two positives: 1/2; class 1: 1. The mean of the two batches' values is 5/6
    assert figures.macro_f1 == pytest.approx(0.75)
    # fields: 1, 0, 2/3
    assert figures.samples_f1 == pytest.approx(5 / 9)
    # two right of three calls, three labels
    assert figures.micro_f1 == pytest.approx(2 / 3)


def test_a_logit_that_is_no_number_leaves_no_figures(classifier: Classifier) -> None:
    classifier.network = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    classifier.validation_step(Batch(torch.tensor([[float("nan"), 0.0]]), torch.zeros(1, 2)), 0)
    classifier.on_validation_epoch_end()
    assert classifier.figures is None


def test_a_probability_of_one_half_is_a_call() -> None:
    figures = figures_of(np.zeros((1, 1), np.float32), np.ones((1, 1), np.uint8))
    assert figures.macro_f1 == 1
    assert figures.validation_loss == pytest.approx(np.log(2))


def test_a_step_repeats_itself_and_leaves_torchs_own_chance_alone(classifier: Classifier) -> None:
    batch = Batch(torch.full((4, 1, 16, 16), 9, dtype=torch.uint8), torch.zeros(4, 2))
    before = torch.get_rng_state()
    first, second, later = (classifier.training_step(batch, step).item() for step in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == second
    assert first != later  # dropout drew other numbers
    assert classifier.train_loss == pytest.approx((first + second + later) / 3)


def test_long_gradients_are_shortened(classifier: Classifier) -> None:
    for parameter in classifier.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    classifier.on_before_optimizer_step(classifier.configure_optimizers()["optimizer"])
    norms = torch.stack([parameter.grad.norm() for parameter in classifier.parameters() if parameter.grad is not None])
    assert norms.norm().item() == pytest.approx(classifier.settings.gradient_clip, rel=1e-3)


def test_short_gradients_are_left_as_they_are(classifier: Classifier) -> None:
    for parameter in classifier.parameters():
        parameter.grad = torch.full_like(parameter, 1e-6)
    classifier.on_before_optimizer_step(classifier.configure_optimizers()["optimizer"])
    assert all(torch.all(parameter.grad == 1e-6) for parameter in classifier.parameters() if parameter.grad is not None)


def test_one_gradient_that_is_no_number_spoils_the_step_so_that_the_run_stops(classifier: Classifier) -> None:
    for parameter in classifier.parameters():
        parameter.grad = torch.zeros_like(parameter)
    next(classifier.parameters()).grad.fill_(float("nan"))  # pyright: ignore[reportOptionalMemberAccess]
    classifier.on_before_optimizer_step(classifier.configure_optimizers()["optimizer"])
    assert all(torch.isnan(parameter.grad).all() for parameter in classifier.parameters() if parameter.grad is not None)


def test_averaged_weights_of_a_hand_worked_case() -> None:
    network = nn.BatchNorm1d(1)
    averaged = averaged_copy(network, 0.25)
    for step, weight in enumerate((0.0, 11.0, 20.0, 40.0)):
        with torch.no_grad():
            network.weight.fill_(weight)
            network.running_mean.fill_(2 * weight)  # pyright: ignore[reportOptionalMemberAccess]
        network.num_batches_tracked.fill_(step)  # pyright: ignore[reportOptionalMemberAccess]
        averaged.update_parameters(network)
    # the first is copied; then the decay is 2/11, 3/12, and 4/13 held at 1/4:
    # 9/11 * 11 = 9; 1/4 * 9 + 3/4 * 20 = 17.25; 1/4 * 17.25 + 3/4 * 40 = 34.3125
    assert averaged.module.weight.item() == pytest.approx(34.3125)
    assert averaged.module.running_mean.item() == pytest.approx(68.625)
    assert averaged.module.num_batches_tracked.item() == 3
    assert network.weight.item() == 40


def test_the_decay_rises_to_its_end() -> None:
    decays = [decay_after(steps, decay=0.999) for steps in (0, 1, 10, 90, 10_000)]
    np.testing.assert_allclose(decays, [1 / 10, 2 / 11, 11 / 20, 91 / 100, 0.999])


def test_the_averaged_network_is_the_one_validated() -> None:
    network = FieldNetwork(build_network(BASELINE_CNN, stains=1, classes=2, side=16), Normalisation((0.0,), (1.0,)))
    averaging = Classifier(
        network,
        loss=binary_cross_entropy,
        settings=TrainSettings(averaging=0.9),
        augmentation=Augmentation(),
        steps=10,
    ).eval()
    batch = Batch(torch.full((2, 1, 16, 16), 9, dtype=torch.uint8), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    with torch.no_grad():
        averaging.on_train_batch_end(None, batch, 0)
        before = network(batch.images)
        for parameter in network.parameters():
            parameter.add_(1.0)
        assert not torch.allclose(network(batch.images), before)
        averaging.validation_step(batch, 0)
        torch.testing.assert_close(averaging.answering(batch.images), before)
    averaging.on_validation_epoch_end()
    assert averaging.figures == figures_of(before.numpy(), batch.targets.numpy().astype(np.uint8))
    trained = sum(len(group["params"]) for group in averaging.configure_optimizers()["optimizer"].param_groups)
    assert trained == len(list(network.parameters()))  # the average is followed, not trained
