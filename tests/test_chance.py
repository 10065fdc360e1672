"""Randomness that depends on seed, epoch and step alone."""

from __future__ import annotations

import itertools

import torch

from protloc.learn.chance import AUGMENTATION, CAMERA, DROPOUT, NETWORK, ORDER, generator_of, number_of, seeded


def test_every_place_has_its_own_number() -> None:
    places = list(itertools.product((0, 1, 2**40), (NETWORK, ORDER, AUGMENTATION, DROPOUT, CAMERA), range(6), range(6)))
    numbers = {number_of(*place) for place in places}
    assert len(numbers) == len(places)
    assert all(0 <= number < 2**63 for number in numbers)


def test_a_generator_depends_on_its_place_alone() -> None:
    first, second, other = (torch.rand(4, generator=generator_of(5, ORDER, step)) for step in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_seeding_lasts_for_the_block_alone() -> None:
    before = torch.get_rng_state()
    with seeded(1, DROPOUT, 2):
        first = torch.rand(3)
    with seeded(1, DROPOUT, 2, device=torch.device("cpu")):
        second = torch.rand(3)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
