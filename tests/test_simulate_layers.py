"""Cells over cells, cells out of focus, stray light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protloc.atlas.simulate.cells import CELL_LINES, Layout
from protloc.atlas.simulate.geometry import build_frame
from protloc.atlas.simulate.layers import Layers, draw_layers

SIDE = 64
NONE = np.zeros((SIDE, SIDE), bool)
FLAT = Layers(NONE, 2.0, 1.0, NONE, 0.0, 1.0, 0, 0.0, 9.0)


@pytest.fixture
def light() -> np.ndarray:
    image = np.zeros((SIDE, SIDE), np.float32)
    image[20:30, 8:18] = 1.0
    return image


def test_a_field_in_one_plane_is_seen_as_it_is(light: np.ndarray) -> None:
    np.testing.assert_array_equal(FLAT.seen(light), light)


def test_a_sunk_cell_is_blurred_and_keeps_its_light(light: np.ndarray) -> None:
    seen = replace(FLAT, sunk=light > 0).seen(light)
    assert seen.sum() == pytest.approx(light.sum(), rel=0.02)
    assert 0 < seen[18, 12] < seen[25, 12] < 1
    dimmed = replace(FLAT, sunk=light > 0, sunk_gain=0.5).seen(light)
    np.testing.assert_allclose(dimmed, 0.5 * seen, atol=1e-6)


def test_a_cell_laid_over_the_field_is_its_mirror_image(light: np.ndarray) -> None:
    over = replace(FLAT, over=light > 0, over_gain=0.5)
    np.testing.assert_allclose(over.seen(light), light + 0.5 * light[:, ::-1], atol=1e-6)
    turned = replace(over, quarters=2).seen(light)
    np.testing.assert_allclose(turned, light + 0.5 * light[::-1], atol=1e-6)


def test_stray_light_takes_from_the_focus_what_it_spreads(light: np.ndarray) -> None:
    seen = replace(FLAT, stray=0.4).seen(light)
    assert seen.sum() == pytest.approx(light.sum(), rel=0.05)
    assert seen[25, 12] < 0.9
    assert seen[25, 30] > 0.005


def test_layers_are_linear_in_the_light(light: np.ndarray) -> None:
    layout = Layout(CELL_LINES[0], 164 / SIDE, SIDE, "sheet")
    frame = build_frame(layout, np.random.default_rng(0))
    other = np.random.default_rng(1).random((SIDE, SIDE)).astype(np.float32)
    for seed in range(8):
        layers = draw_layers(frame, np.random.default_rng(seed))
        both = layers.seen(light + other)
        np.testing.assert_allclose(both, layers.seen(light) + layers.seen(other), atol=1e-5)


def test_some_fields_have_depth_and_some_do_not() -> None:
    frame = build_frame(Layout(CELL_LINES[0], 164 / SIDE, SIDE, "sheet"), np.random.default_rng(0))
    drawn = [draw_layers(frame, np.random.default_rng(seed)) for seed in range(60)]
    for has in (
        [each.sunk.any() for each in drawn],
        [each.over.any() for each in drawn],
        [each.stray > 0 for each in drawn],
    ):
        assert 0.05 < np.mean(has) < 0.9
