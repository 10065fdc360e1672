"""The maps every pattern is drawn on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.atlas.simulate.cells import CELL_LINES, Layout, Phase
from protloc.atlas.simulate.geometry import FAR, Frame, build_frame

SIDE = 128


def frame_of(*, seed: int = 0, line: int = 0, order: str = "sheet", zoom: float = 1.0, side: int = SIDE) -> Frame:
    layout = Layout(CELL_LINES[line], 164 / zoom / side, side, order, dividing=0.0, dying=0.0)
    return build_frame(layout, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def frame() -> Frame:
    return frame_of()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    line=st.integers(0, len(CELL_LINES) - 1),
    order=st.sampled_from(["sheet", "islands", "lone"]),
    zoom=st.floats(0.8, 2.1),
)
def test_any_layout_gives_sound_maps(seed: int, line: int, order: str, zoom: float) -> None:
    frame = frame_of(seed=seed, line=line, order=order, zoom=zoom, side=64)
    assert frame.label.min() >= 0
    assert frame.label.max() <= len(frame.cells)
    for image in (frame.radius, frame.nuclear, frame.edge, frame.contact, frame.room, frame.nucleoli):
        assert image.shape == (64, 64)
        assert np.isfinite(image).all()
    assert (frame.edge[frame.label == 0] == 0).all()
    assert (frame.edge[frame.label > 0] > 0).all()


def test_neighbours_hardly_ever_cut_a_nucleus() -> None:
    kept: list[float] = []
    for seed in range(6):
        frame = frame_of(seed=seed, zoom=1.5)
        for cell in frame.cells.resting():
            middle, axes = frame.cells.nucleus[cell], frame.cells.nucleus_axes[cell]
            at_border = min(middle.real, middle.imag, SIDE - middle.real, SIDE - middle.imag) < 1.3 * axes.max()
            if not at_border and not frame.cells.second[cell]:
                kept.append(((frame.label == cell + 1) & (frame.nuclear < 0)).sum() / (np.pi * axes.prod()))
    assert len(kept) > 20
    assert np.mean(np.array(kept) < 0.85) < 0.05


def test_the_middle_of_each_nucleus_lies_in_its_own_cell(frame: Frame) -> None:
    centres = frame.cells.nucleus
    inside = (np.minimum(centres.real, centres.imag) > 1) & (np.maximum(centres.real, centres.imag) < SIDE - 2)
    rows = np.flatnonzero(inside)
    column, row = np.rint(centres[rows].real).astype(int), np.rint(centres[rows].imag).astype(int)
    own = frame.label[row, column] == rows + 1
    assert rows.size > 5
    assert own.mean() > 0.95
    assert (frame.nuclear[row, column][own] < -2).all()


def test_nuclei_cover_the_area_they_were_drawn_with() -> None:
    frame = frame_of(order="lone", seed=3, side=256)
    centres, reach = frame.cells.nucleus, frame.cells.nucleus_axes[:, 0] * 1.3
    whole = (np.minimum(centres.real, centres.imag) > reach) & (np.maximum(centres.real, centres.imag) < 256 - reach)
    whole &= frame.cells.second == 0
    drawn = np.bincount(frame.label[frame.nuclear < 0], minlength=len(frame.cells) + 1)[1:]
    expected = np.pi * frame.cells.nucleus_axes.prod(axis=1)
    assert whole.sum() >= 3
    np.testing.assert_allclose(drawn[whole], expected[whole], rtol=0.2)


def test_nucleoli_lie_in_nuclei_and_nuclei_in_cells(frame: Frame) -> None:
    assert frame.nucleoli.max() > 0.9
    assert (frame.nuclear[frame.nucleoli > 0] < 0).all()
    assert (frame.label[frame.nucleoli > 0] > 0).all()
    nuclear = (frame.nuclear < -0.5) & (frame.radius < 1)
    assert (frame.label[nuclear] > 0).mean() > 0.99


def test_a_sheet_covers_more_of_the_field_than_lone_cells() -> None:
    def covered(order: str) -> float:
        return float(np.mean([(frame_of(seed=seed, order=order).label > 0).mean() for seed in range(4)]))

    assert covered("sheet") > 0.75
    assert covered("lone") < covered("sheet") - 0.2


def test_contacts_are_near_pixels_of_two_cells(frame: Frame) -> None:
    row, column = np.nonzero((frame.contact == 0)[1:-1, 1:-1])
    assert row.size > 50
    for y, x in zip(row[:200] + 1, column[:200] + 1, strict=True):
        neighbours = {*frame.label[y - 1 : y + 2, x], *frame.label[y, x - 1 : x + 2]} - {0}
        assert len(neighbours) >= 2


def test_a_field_without_contacts_says_that_they_are_far() -> None:
    for seed in range(20):
        frame = frame_of(seed=seed, order="lone", zoom=2.0)
        if not (frame.contact == 0).any():
            assert (frame.contact == FAR).all()
            return
    pytest.fail("each of 20 fields of lone cells has a contact")


def test_the_distance_to_the_edge_of_a_cell_is_the_one_measured_by_hand(frame: Frame) -> None:
    deep = np.unravel_index(frame.edge.argmax(), frame.edge.shape)
    rows, columns = np.indices(frame.label.shape)
    others = frame.label != frame.label[deep]
    nearest = np.hypot(rows - deep[0], columns - deep[1])[others].min() * frame.pixel
    assert frame.edge[deep] == pytest.approx(nearest, abs=1.5 * frame.pixel)


def test_distances_to_places_are_in_micrometres_and_to_the_own_cell(frame: Frame) -> None:
    away = frame.from_places(frame.cells.nucleus)
    row, column = np.argwhere(frame.label > 0)[777]
    cell = frame.label[row, column] - 1
    by_hand = abs(frame.cells.nucleus[cell] - (column + 1j * row)) * frame.pixel
    assert away[row, column] == pytest.approx(by_hand, rel=1e-4)
    assert away[frame.label == 0].min() > FAR / 2


def test_values_are_painted_on_their_cells(frame: Frame) -> None:
    painted = frame.per_cell(np.arange(1.0, len(frame.cells) + 1))
    np.testing.assert_array_equal(painted, frame.label)


def test_nucleus_and_cytoplasm_share_the_cell_between_them(frame: Frame) -> None:
    total = frame.nucleus() * frame.inside + frame.cytoplasm()
    np.testing.assert_allclose(total, frame.inside, atol=1e-5)
    assert (total[frame.label == 0] == 0).all()
    assert frame.height().max() <= 1
    assert (frame.height()[frame.label == 0] == 0).all()


def test_the_inside_is_soft_at_the_edge_and_whole_in_the_depth(frame: Frame) -> None:
    assert ((frame.inside > 0) == (frame.label > 0)).all()
    assert (frame.inside[frame.edge > 1.5] == 1).all()
    assert frame.inside[(frame.edge > 0) & (frame.edge < 1.0)].mean() < 1


def test_cells_are_thinner_far_from_their_nuclei_than_beside_them() -> None:
    frames = [frame_of(seed=seed, order="lone", side=SIDE) for seed in range(6)]
    near, far = (
        np.concatenate([frame.lamella[(frame.label > 0) & chosen(frame)] for frame in frames])
        for chosen in (lambda frame: abs(frame.nuclear - 1) < 1, lambda frame: frame.nuclear > 10)
    )
    assert near.mean() > 0.8
    assert far.mean() < near.mean() - 0.1


def test_ruffles_stand_at_free_edges_and_creases_lie_in_nuclei() -> None:
    frames = [frame_of(seed=seed, line=seed % 4, order="islands") for seed in range(12)]
    assert max(frame.ruffles.max() for frame in frames) > 0.3
    assert max(frame.creases.max() for frame in frames) > 0.3
    for frame in frames:
        assert frame.ruffles.max() <= 1
        assert (frame.label[frame.ruffles > 0] > 0).all()
        assert (frame.edge[frame.ruffles > 0.2] < 4).all()
        assert (frame.nuclear[frame.creases > 0] < 0).all()


def test_centrosomes_lie_in_their_cells() -> None:
    inside, own = 0, 0
    for seed in range(10):
        frame = frame_of(seed=seed, line=seed, order="lone")
        places = frame.cells.centrosome
        column, row = np.rint(places.real).astype(int), np.rint(places.imag).astype(int)
        seen = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < SIDE)
        inside += int(seen.sum())
        own += int((frame.label[row[seen], column[seen]] == np.flatnonzero(seen) + 1).sum())
    assert own > 0.97 * inside


def test_arms_reach_out_of_the_cells() -> None:
    # SH-SY5Y has 1.2 processes a cell; their pixels lie beyond the outline, at radius 1 and more
    frame = frame_of(line=6, order="lone", seed=1)
    beyond = (frame.label > 0) & (frame.radius > 1.3) & (frame.nuclear > 5)
    assert frame.cells.arms.sum() > 0
    assert beyond.sum() > 20
    assert (frame.nuclear[beyond] < FAR).all()


def test_a_dividing_cell_has_no_nucleus_worth_the_name() -> None:
    layout = Layout(CELL_LINES[0], 164 / SIDE, SIDE, "lone", dividing=0.0, dying=0.0, must_divide=True)
    frame = build_frame(layout, np.random.default_rng(2))
    (cell, *_) = np.flatnonzero(frame.cells.phase == Phase.METAPHASE)
    assert (frame.nuclear[frame.label == cell + 1] < 0).mean() < 0.05
