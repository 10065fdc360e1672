"""Outlines of cells and nuclei."""

from __future__ import annotations

import numpy as np
import pytest

from protloc.atlas.simulate.outlines import DIRECTIONS, draw_dents, draw_tips, draw_waves, outlines_of


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_an_outline_without_features_is_the_circle() -> None:
    np.testing.assert_allclose(outlines_of(np.zeros((2, DIRECTIONS), np.float32)), 1.0)


def test_waves_hold_the_orders_from_2_on_and_no_others() -> None:
    waves = draw_waves(rng(), np.full((4, 3), 0.1))
    strength = np.abs(np.fft.rfft(waves, axis=1)) / DIRECTIONS
    assert (strength[:, 2:5].max(axis=1) > 0.005).all()
    assert strength[:, [0, 1]].max() < 1e-6
    assert strength[:, 5:].max() < 1e-6


def test_a_tip_is_sharp_and_its_flanks_are_concave() -> None:
    (tip,) = draw_tips(rng(), np.array([1]))
    top = int(tip.argmax())
    flank = np.roll(tip, -top)[: DIRECTIONS // 4]
    assert (np.diff(flank) < 0).all()
    assert (np.diff(flank, n=2) > -1e-5).all()


def test_two_tips_stand_near_the_two_ends() -> None:
    tips = draw_tips(rng(), np.full(200, 2))
    ends = np.abs(np.sin(tips.argmax(axis=1) * 2 * np.pi / DIRECTIONS))
    assert np.median(ends) < 0.4


@pytest.mark.parametrize(("depth", "sign"), [((0.2, 0.4), -1), ((-0.4, -0.2), 1)])
def test_dents_go_in_and_bumps_go_out(depth: tuple[float, float], sign: int) -> None:
    dents = draw_dents(rng(), np.array([1, 0, 2]), depth=depth)
    assert (sign * dents >= 0).all()
    assert np.abs(dents[0]).max() == pytest.approx(0.3, abs=0.101)
    assert (dents[1] == 0).all()


def test_every_outline_has_the_area_of_the_circle_and_keeps_off_its_centre() -> None:
    draw = rng()
    parts = (
        draw_waves(draw, np.full((50, 3), 0.2)),
        draw_tips(draw, draw.integers(0, 4, 50)),
        draw_dents(draw, draw.integers(0, 4, 50), depth=(0.5, 0.9)),
    )
    outlines = outlines_of(*parts)
    np.testing.assert_allclose((outlines**2).mean(axis=1), 1.0, rtol=1e-5)
    assert outlines.min() > 0.15
