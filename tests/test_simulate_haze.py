"""Light that nobody labels."""

from __future__ import annotations

import numpy as np
import pytest

from protloc.atlas.simulate.cells import CELL_LINES, Layout
from protloc.atlas.simulate.geometry import Frame, build_frame
from protloc.atlas.simulate.haze import draw_debris, draw_haze
from protloc.atlas.simulate.textures import FloatImage

SIDE = 96


@pytest.fixture(scope="module")
def frame() -> Frame:
    return build_frame(Layout(CELL_LINES[0], 164 / SIDE, SIDE, "lone", dying=0.0), np.random.default_rng(0))


def haze_of(frame: Frame, style: int, *, strength: tuple[float, float] = (0.5, 0.2)) -> FloatImage:
    return draw_haze(frame, strength, np.random.default_rng(1), np.random.default_rng(style))


def test_no_strength_is_no_light(frame: Frame) -> None:
    assert not haze_of(frame, 0, strength=(0.0, 0.0)).any()


def test_haze_lies_where_it_is_strong(frame: Frame) -> None:
    nucleus, around = (frame.nuclear < -2) & (frame.label > 0), (frame.nuclear > 2) & (frame.edge > 2)
    for style in range(12):
        only_around, only_nucleus = (haze_of(frame, style, strength=each) for each in ((0.5, 0.0), (0.0, 0.5)))
        assert np.median(only_around[around]) > 5 * np.median(only_around[nucleus])
        assert np.median(only_nucleus[nucleus]) > 5 * np.median(only_nucleus[around])


def test_antibodies_differ_in_the_grain_of_their_haze(frame: Frame) -> None:
    deep = frame.edge > 2
    grain = [haze_of(frame, style)[deep].std() / haze_of(frame, style)[deep].mean() for style in range(20)]
    assert max(grain) > 1.5 * min(grain)


def test_some_antibodies_leave_specks_between_the_cells_and_most_do_not(frame: Frame) -> None:
    speckled = np.array([haze_of(frame, style)[frame.label == 0].max() > 0.02 for style in range(80)])
    assert 0.05 < speckled.mean() < 0.5


def test_few_fields_have_debris(frame: Frame) -> None:
    dirty = np.array([draw_debris(frame, np.random.default_rng(seed)).max() > 0.02 for seed in range(200)])
    assert 0.03 < dirty.mean() < 0.25
