"""Random changes of a batch: the geometry of Keras, nothing lost that must stay."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from protloc.learn.augment import Augmentation, augment, draw_moves, move


def noise(fields: int, stains: int, side: int, *, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (fields, stains, side, side), np.uint8)
    return torch.from_numpy(pixels)


def keras_transform(image: np.ndarray, *, degrees: float, down: float, right: float) -> np.ndarray:
    """What newer Keras does to one stain: rotate, shift in px, centre at (side - 1) / 2."""
    theta = math.radians(degrees)
    turn = np.array([[math.cos(theta), -math.sin(theta), 0], [math.sin(theta), math.cos(theta), 0], [0, 0, 1]])
    shift = np.array([[1, 0, down], [0, 1, right], [0, 0, 1]])
    centre = image.shape[0] / 2 - 0.5
    there = np.array([[1, 0, centre], [0, 1, centre], [0, 0, 1]])
    back = np.array([[1, 0, -centre], [0, 1, -centre], [0, 0, 1]])
    matrix = there @ turn @ shift @ back
    return ndimage.affine_transform(image, matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest")


def keras_map(*, degrees: float, down: float, right: float, side: int) -> torch.Tensor:
    theta = math.radians(degrees)
    turn = torch.tensor([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]], dtype=torch.float64)
    shift = turn @ torch.tensor([[down / side], [right / side]], dtype=torch.float64)
    return torch.cat([turn, shift], dim=1)[None]


@pytest.mark.parametrize("side", [1, 2, 31, 32, 63, 128, 129, 256])
@pytest.mark.parametrize(
    ("degrees", "down", "right"), [(0, 0, 0), (17.3, 0, 0), (-30, 0.2, -0.13), (90, 0, 0.31), (3, -0.4, 0.4)]
)
def test_move_equals_scipy_within_a_hundredth_of_a_grey_level(
    side: int, degrees: float, down: float, right: float
) -> None:
    images = noise(1, 2, side).float()
    moved = move(images, keras_map(degrees=degrees, down=down * side, right=right * side, side=side))
    for stain in range(2):
        expected = keras_transform(
            images[0, stain].double().numpy(), degrees=degrees, down=down * side, right=right * side
        )
        assert np.abs(moved[0, stain].numpy() - expected).max() < 0.01


def test_a_shift_of_one_pixel_worked_by_hand() -> None:
    # Keras reads the new pixel at (row + down, column + right): the picture goes up and to the left
    images = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    down_one = keras_map(degrees=0, down=1, right=0, side=3)
    right_one = keras_map(degrees=0, down=0, right=1, side=3)
    torch.testing.assert_close(move(images, down_one)[0, 0], torch.tensor([[4.0, 5, 6], [7, 8, 9], [7, 8, 9]]))
    torch.testing.assert_close(move(images, right_one)[0, 0], torch.tensor([[2.0, 3, 3], [5, 6, 6], [8, 9, 9]]))


@given(
    degrees=st.floats(0, 180),
    height=st.floats(0, 0.9),
    width=st.floats(0, 0.9),
    seed=st.integers(0, 2**31),
    side=st.integers(1, 40),
)
@settings(max_examples=40, deadline=None)
def test_drawn_moves_stay_in_their_ranges_and_equal_scipy(
    degrees: float, height: float, width: float, seed: int, side: int
) -> None:
    augmentation = Augmentation(rotation_degrees=degrees, height_shift=height, width_shift=width)
    maps = draw_moves(3, augmentation=augmentation, side=side, generator=torch.Generator().manual_seed(seed))
    images = noise(3, 1, side, seed=seed).float()
    moved = move(images, maps)
    for field in range(3):
        turn = maps[field, :, :2].double()
        angle = math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
        down, right = (turn.T @ maps[field, :, 2].double()).tolist()
        assert abs(angle) <= degrees + 1e-3
        assert abs(down) <= height + 1e-5
        assert abs(right) <= width + 1e-5
        expected = keras_transform(
            images[field, 0].double().numpy(), degrees=angle, down=down * side, right=right * side
        )
        assert np.abs(moved[field, 0].numpy() - expected).max() < 0.01


def test_moves_reach_both_ends_of_their_range() -> None:
    augmentation = Augmentation(rotation_degrees=20, height_shift=0.1, width_shift=0.3)
    maps = draw_moves(2000, augmentation=augmentation, side=64, generator=torch.Generator().manual_seed(0))
    angles = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0]))
    down, right = (maps[:, :, :2].transpose(1, 2) @ maps[:, :, 2:]).squeeze(2).unbind(1)
    for values, reach in ((angles, 20), (down, 0.1), (right, 0.3)):
        assert -reach <= values.min() < -0.97 * reach
        assert 0.97 * reach < values.max() <= reach + 1e-5


def test_flips_with_quarter_turns_give_the_eight_poses_of_a_field() -> None:
    field = noise(1, 1, 9)
    poses = [torch.rot90(pose, turns, (2, 3)) for pose in (field, field.flip(3)) for turns in range(4)]
    changed = augment(
        field.expand(200, 1, 9, 9),
        augmentation=Augmentation(flips=True, quarter_turns=True),
        generator=torch.Generator().manual_seed(0),
    )
    distances = torch.stack([(changed - pose.float()).abs().amax(dim=(1, 2, 3)) for pose in poses])
    assert (distances.amin(dim=0) < 0.01).all()
    assert set(distances.argmin(dim=0).tolist()) == set(range(8))


def test_flips_alone_mirror_left_and_right_only() -> None:
    field = noise(1, 1, 6)
    changed = augment(
        field.expand(50, 1, 6, 6), augmentation=Augmentation(flips=True), generator=torch.Generator().manual_seed(0)
    )
    kept = ((changed - field).abs() < 0.01).all(dim=(1, 2, 3))
    mirrored = ((changed - field.flip(3)).abs() < 0.01).all(dim=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 10 < kept.sum() < 40


def test_a_crop_is_a_piece_of_the_field_from_every_place() -> None:
    # every pixel is told by its own grey level, so that the piece tells where it was taken from
    side, crop = 9, 6
    field = torch.arange(side**2, dtype=torch.float32).reshape(1, 1, side, side)
    cropped = augment(
        field.expand(400, 1, side, side),
        augmentation=Augmentation(crop=crop),
        generator=torch.Generator().manual_seed(0),
    )
    assert cropped.shape == (400, 1, crop, crop)
    corner = cropped[:, 0, 0, 0]
    down = torch.arange(crop) * side
    expected = corner[:, None, None] + down[:, None] + torch.arange(crop)
    torch.testing.assert_close(cropped[:, 0], expected)  # nothing is scaled, and no border is repeated
    rows, columns = (corner // side).round(), corner % side
    assert 0 <= rows.min() < 0.1
    assert 2.9 < corner.max() / (side + 1) <= side - crop
    assert columns.unique().numel() > 300


def test_a_crop_in_the_middle_equals_slicing() -> None:
    images = noise(2, 3, 10).float()
    straight = torch.eye(2, 3).expand(2, 2, 3)
    torch.testing.assert_close(move(images, straight, side=6), images[:, :, 2:8, 2:8], atol=0.01, rtol=0)


@given(
    degrees=st.floats(0, 180),
    zoom=st.floats(0, 0.9),
    crop=st.integers(1, 32),
    turns=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_what_is_shown_lies_inside_the_field_where_it_can(
    degrees: float, zoom: float, crop: int, seed: int, *, turns: bool
) -> None:
    augmentation = Augmentation(rotation_degrees=degrees, zoom=zoom, crop=crop, flips=turns, quarter_turns=turns)
    maps = draw_moves(20, augmentation=augmentation, side=32, generator=torch.Generator().manual_seed(seed))
    half = crop / 32 / 2
    corners = torch.tensor([[-half, -half, half, half], [-half, half, -half, half]])
    shown = maps[:, :, :2] @ corners
    reached = (shown + maps[:, :, 2:]).abs().amax(dim=(1, 2))
    assert (reached <= torch.clamp(shown.abs().amax(dim=(1, 2)), min=0.5) + 1e-5).all()


def test_zoom_is_log_even_between_its_ends() -> None:
    augmentation = Augmentation(zoom=0.25)
    maps = draw_moves(4000, augmentation=augmentation, side=64, generator=torch.Generator().manual_seed(0))
    logs = maps[:, 0, 0].log() / math.log(1.25)
    assert torch.equal(maps[:, 0, 0], maps[:, 1, 1])
    assert -1 <= logs.min() < -0.99
    assert 0.99 < logs.max() <= 1
    np.testing.assert_allclose(np.quantile(logs, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.05)


def test_what_was_drawn_before_crops_came_is_drawn_still() -> None:
    before = Augmentation(rotation_degrees=10, height_shift=0.1, flips=True)
    plain = draw_moves(5, augmentation=before, side=16, generator=torch.Generator().manual_seed(4))
    whole = draw_moves(5, augmentation=replace(before, crop=16), side=16, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(plain, whole)


def test_a_photograph_is_taken_after_moving_and_before_brightness_changes() -> None:
    seen: list[torch.Tensor] = []

    def photograph(moved: torch.Tensor) -> torch.Tensor:
        seen.append(moved)
        return torch.full_like(moved, 100)

    changed = augment(
        noise(300, 4, 12),
        augmentation=Augmentation(crop=8, intensity_jitter=0.2, stain_dropout=0.5, kept_stain=1),
        generator=torch.Generator().manual_seed(0),
        photograph=photograph,
    )
    assert [moved.shape for moved in seen] == [(300, 4, 8, 8)]
    assert set((changed == 0).flatten().tolist()) == {False, True}  # a dropped stain is black, however it was exposed
    assert (changed[changed > 0] - 100).abs().max() <= 20
    # all eight sets of stains that hold the kept one
    dark = (changed == 0).all(dim=(2, 3))
    assert len({tuple(row) for row in dark.tolist()}) == 8


def test_jitter_scales_each_stain_by_its_own_factor_within_bounds() -> None:
    images = torch.full((300, 3, 2, 2), 100.0)
    changed = augment(
        images, augmentation=Augmentation(intensity_jitter=0.2), generator=torch.Generator().manual_seed(0)
    )
    factors = changed[:, :, 0, 0] / 100
    assert (changed == changed[:, :, :1, :1]).all()
    assert 0.8 <= factors.min() < 0.82
    assert 1.18 < factors.max() <= 1.2
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.2


def test_jitter_never_leaves_the_grey_levels() -> None:
    changed = augment(
        torch.full((20, 2, 2, 2), 250, dtype=torch.uint8),
        augmentation=Augmentation(intensity_jitter=0.5),
        generator=torch.Generator().manual_seed(0),
    )
    assert changed.max() == 255


@pytest.mark.parametrize("kept", [None, 1])
def test_dropout_blackens_stains_but_never_all(kept: int | None) -> None:
    images = torch.full((400, 4, 2, 2), 9, dtype=torch.uint8)
    changed = augment(
        images,
        augmentation=Augmentation(stain_dropout=0.6, kept_stain=kept),
        generator=torch.Generator().manual_seed(0),
    )
    black = (changed == 0).all(dim=(2, 3))
    assert (black | (changed == 9).all(dim=(2, 3))).all()
    assert not black.all(dim=1).any()
    assert (black.sum(dim=0) > 100).tolist() == [kept != stain for stain in range(4)]
    if kept is not None:
        assert 0.55 < black[:, [0, 2, 3]].float().mean() < 0.65


def test_the_same_generator_state_gives_the_same_batch_and_the_input_is_kept() -> None:
    images = noise(4, 2, 16)
    before = images.clone()
    augmentation = Augmentation(rotation_degrees=10, flips=True, intensity_jitter=0.1, stain_dropout=0.2)
    first, second, other = (
        augment(images, augmentation=augmentation, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


def test_nothing_asked_changes_nothing() -> None:
    images = noise(2, 3, 5)
    changed = augment(images, augmentation=Augmentation(), generator=torch.Generator())
    assert changed.dtype == torch.float32
    assert torch.equal(changed, images.float())
