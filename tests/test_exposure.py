"""The camera for whole batches: it takes the pictures that ``expose`` takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protloc.atlas.simulate import Camera, code_clean, decode_clean, expose
from protloc.atlas.simulate.camera import STAINS
from protloc.learn import exposure
from protloc.learn.exposure import photograph

SIDE = 48
STILL = Camera(pixel=0.64, photons=(1e11,) * 4, read_noise=0.0, hot=0.0)


def coded_fields(fields: int, *, side: int = SIDE, seed: int = 0) -> Tensor:
    """Return coded stains with light from dark to far above the bright end, (fields, 4, side, side) uint8."""
    light = np.random.default_rng(seed).gamma(0.4, 0.8, (fields, 4, side, side))
    return torch.from_numpy(code_clean(light.astype(np.float32)))


def shot(coded: Tensor, cameras: list[Camera], seed: int = 0, **options: object) -> Tensor:
    return photograph(coded, cameras, generator=torch.Generator().manual_seed(seed), **options)


def exposed(coded: Tensor, cameras: list[Camera], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack(
        [expose(decode_clean(field), camera, rng=rng) for field, camera in zip(coded.numpy(), cameras, strict=True)]
    )


four = st.tuples(*[st.floats(0, 0.2)] * 4)
still_cameras = st.builds(
    replace,
    st.just(STILL),
    pixel=st.floats(0.2, 1.2),
    focus=st.floats(0, 1.0),
    level=st.tuples(*[st.floats(15, 600)] * 4),
    background=four,
    offset=st.tuples(*[st.floats(-1, 3)] * 4),
    shading=st.floats(-0.15, 0.15),
    shading_angle=st.floats(0, 6.28),
    bleed=st.tuples(*[st.floats(0, 0.05)] * 2),
    smooth=st.sampled_from([0.0, 0.4, 0.9]),
)


@settings(max_examples=25, deadline=None)
@given(cameras=st.lists(still_cameras, min_size=1, max_size=4))
def test_without_noise_a_batch_is_what_expose_gives_field_by_field(cameras: list[Camera]) -> None:
    coded = coded_fields(len(cameras))
    difference = shot(coded, cameras).numpy() - exposed(coded, cameras)
    assert np.abs(difference).max() <= 1  # where both stand beside the middle between two grey levels
    assert (difference != 0).mean() < 0.03


@pytest.mark.parametrize("smooth", [0.0, 0.8])
def test_with_noise_mean_and_deviation_are_those_of_expose(smooth: float) -> None:
    dim = Camera(pixel=0.64, photons=(4.0, 8.0, 30.0, 200.0), background=(0.1, 0.1, 0.05, 0.05), smooth=smooth)
    dim = replace(dim, offset=(0.5, -0.5, 0.0, 1.0))
    light = torch.linspace(0, 140, 6).repeat_interleave(SIDE // 6).expand(24, 4, SIDE, SIDE).to(torch.uint8)
    ours, theirs = (
        np.asarray(take(light, [dim] * 24), np.float64).transpose(1, 3, 0, 2).reshape(4, 6, -1)
        for take in (shot, exposed)
    )
    alike = 1 + 4 * np.pi * smooth**2  # pixels that smoothing makes alike
    error = theirs.std(axis=2) * np.sqrt(alike / theirs.shape[2])
    assert np.abs(ours.mean(axis=2) - theirs.mean(axis=2)).max() < 5 * error.max() + 0.05
    np.testing.assert_allclose(ours.std(axis=2), theirs.std(axis=2), rtol=0.08, atol=0.2)
    np.testing.assert_allclose((ours == 0).mean(axis=2), (theirs == 0).mean(axis=2), atol=0.05)


def test_the_noise_of_neighbours_stains_and_fields_is_not_alike() -> None:
    flat = torch.full((3, 4, SIDE, SIDE), 90, dtype=torch.uint8)
    noise = shot(flat, [replace(STILL, photons=(30.0,) * 4, shading=0.0)] * 3).flatten(2).flatten(0, 1)
    alike = torch.corrcoef(noise) - torch.eye(12)
    assert alike.abs().max() < 0.12
    assert abs(float(torch.corrcoef(torch.stack([noise[0, 1:], noise[0, :-1]]))[0, 1])) < 0.3  # the blur's share


def test_hot_pixels_are_as_many_and_as_bright_as_told() -> None:
    dark = torch.zeros(16, 4, SIDE, SIDE, dtype=torch.uint8)
    camera = replace(STILL, hot=0.01, level=(200.0,) * 4, background=(0.0,) * 4)
    hot = shot(dark, [camera] * 8 + [replace(camera, hot=0.0)] * 8)
    assert (hot[:8] > 0).float().mean().item() == pytest.approx(0.01, rel=0.15)
    assert hot[:8][hot[:8] > 0].median().item() == pytest.approx(0.4 * 200 * np.log(2), rel=0.2)
    assert not hot[8:].any()


def test_the_answer_is_whole_grey_levels_and_the_stains_are_left_alone() -> None:
    coded = coded_fields(2)
    moved = coded.float() * 0.7
    before = moved.clone()
    grey = shot(moved, [Camera(pixel=0.64, level=(600.0,) * 4)] * 2)
    assert grey.dtype == torch.float32
    assert torch.equal(grey, grey.round())
    assert (grey.min(), grey.max()) == (0, 255)
    assert torch.equal(moved, before)


def test_whole_codes_are_photographed_alike_as_numbers_of_either_kind() -> None:
    coded, cameras = coded_fields(2), [Camera(pixel=0.64)] * 2
    assert torch.equal(shot(coded, cameras), shot(coded.float(), cameras))


def test_equal_generators_take_equal_pictures() -> None:
    coded, cameras = coded_fields(3), [Camera(pixel=0.64, hot=1e-3, smooth=0.5)] * 3
    assert torch.equal(shot(coded, cameras, 5), shot(coded, cameras, 5))
    assert (shot(coded, cameras, 5) != shot(coded, cameras, 6)).float().mean() > 0.5


def test_fields_are_photographed_alike_in_blocks_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    coded, cameras = coded_fields(5), [Camera(pixel=0.3 + 0.1 * n, hot=1e-3, smooth=0.2 * n) for n in range(5)]
    at_once = shot(coded, cameras)
    monkeypatch.setattr(exposure, "BLOCK", 2 * 4 * SIDE**2)
    assert (shot(coded, cameras) - at_once).abs().max() <= 1
    assert (shot(coded, cameras) != at_once).float().mean() < 0.01


@pytest.mark.parametrize("stains", [("green",), ("blue", "green"), ("yellow", "green", "red"), ("red", "blue")])
def test_fewer_stains_are_photographed_as_if_the_others_were_dark(stains: tuple[str, ...]) -> None:
    channels = [STAINS.index(stain) for stain in stains]
    coded = coded_fields(2)
    others_dark = torch.zeros_like(coded)
    others_dark[:, channels] = coded[:, channels]
    camera = replace(STILL, level=(90.0, 120.0, 200.0, 300.0), bleed=(0.05, 0.03), background=(0.1, 0.0, 0.2, 0.3))
    grey = shot(coded[:, channels], [camera] * 2, stains=stains)
    assert np.abs(grey.numpy() - exposed(others_dark, [camera] * 2)[:, channels]).max() <= 1


def test_a_batch_without_fields_stays_empty() -> None:
    assert shot(coded_fields(0), []).shape == (0, 4, SIDE, SIDE)


@pytest.mark.parametrize(
    ("cameras", "stains", "message"),
    [
        (1, STAINS, "cameras: 1 given, expected one for each of 2 fields"),
        (2, ("green",), "stains: green given, expected 4 of red, green, blue, yellow"),
        (2, ("red", "green", "dapi", "yellow"), "stains: red, green, dapi, yellow given, expected 4 of red"),
    ],
)
def test_what_does_not_fit_is_named(cameras: int, stains: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shot(coded_fields(2), [STILL] * cameras, stains=stains)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_is_photographed_alike_on_every_device() -> None:
    coded, cameras = coded_fields(3), [Camera(pixel=0.64, hot=1e-3)] * 3
    assert (shot(coded.cuda(), cameras).cpu() - shot(coded, cameras)).abs().max() <= 1
