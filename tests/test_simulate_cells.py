"""Where simulated cells lie and how they are shaped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protloc.atlas.simulate.cells import (
    CELL_LINES,
    LINE_WEIGHTS,
    LONGEST,
    NUCLEI_APART,
    CellLine,
    Layout,
    Phase,
    draw_cells,
)

LINES = {line.name: line for line in CELL_LINES}


def layout_of(name: str = "U-2 OS", *, order: str = "sheet", side: int = 256) -> Layout:
    return Layout(LINES[name], pixel=164 / side, side=side, order=order, dividing=0.0, dying=0.0)


def test_every_cell_line_has_a_weight_and_a_name_of_its_own() -> None:
    assert len(LINE_WEIGHTS) == len(CELL_LINES) == len(LINES)
    assert sum(LINE_WEIGHTS) == pytest.approx(1.0)
    assert all(line.sheet + line.islands <= 1 for line in CELL_LINES)


@pytest.mark.parametrize("line", CELL_LINES, ids=lambda line: line.name)
def test_resting_nuclei_stay_apart(line: CellLine) -> None:
    layout = replace(layout_of(), line=line)
    cells = draw_cells(layout, np.random.default_rng(0))
    gaps = np.abs(cells.nucleus[:, None] - cells.nucleus[None, :]) * layout.pixel
    np.fill_diagonal(gaps, np.inf)
    assert len(cells) > 5
    assert gaps.min() >= NUCLEI_APART * line.nucleus


def test_nuclei_have_the_sizes_of_the_textbook() -> None:
    layout = layout_of()
    cells = draw_cells(layout, np.random.default_rng(1))
    areas = np.pi * cells.nucleus_axes.prod(axis=1) * layout.pixel**2
    ratios = cells.nucleus_axes[:, 0] / cells.nucleus_axes[:, 1]
    assert 120 < np.median(areas) < 280  # µm², patterns of human cell lines
    assert ratios.min() >= 1.0
    assert ratios.max() <= LONGEST


def test_a_cell_is_larger_than_its_nucleus() -> None:
    cells = draw_cells(layout_of("HEK 293"), np.random.default_rng(2))
    assert (cells.body_axes.prod(axis=1) > cells.nucleus_axes.prod(axis=1)).all()


def test_a_sheet_has_more_cells_than_lone_cells_do() -> None:
    counts = {
        order: np.mean([len(draw_cells(layout_of(order=order), np.random.default_rng(seed))) for seed in range(8)])
        for order in ("sheet", "islands", "lone")
    }
    assert counts["sheet"] > counts["islands"] > 0
    assert counts["sheet"] > counts["lone"] > 0


def test_cells_of_one_field_are_of_unequal_size() -> None:
    areas = draw_cells(layout_of(), np.random.default_rng(9)).body_axes.prod(axis=1)
    assert np.quantile(areas, 0.9) > 1.8 * np.quantile(areas, 0.1)


def test_no_nucleus_reaches_the_middle_of_another() -> None:
    for name in ("HEK 293", "U-2 OS"):
        cells = draw_cells(layout_of(name), np.random.default_rng(10))
        gaps = np.abs(cells.nucleus[:, None] - cells.nucleus[None, :])
        np.fill_diagonal(gaps, np.inf)
        assert (cells.nucleus_axes[:, 0] < 0.7 * gaps.min(axis=1)).all()


def test_long_cells_lie_side_by_side_in_some_fields() -> None:
    def spread(seed: int) -> float:
        return 1 - abs(np.exp(2j * draw_cells(layout_of("HeLa"), np.random.default_rng(seed)).angle).mean())

    aligned = np.array([spread(seed) < 0.3 for seed in range(40)])
    assert 0.05 < aligned.mean() < 0.5


def test_a_finer_pixel_changes_nothing_in_micrometres() -> None:
    coarse, fine = (layout_of(side=side) for side in (128, 512))
    sizes = [np.median(draw_cells(each, np.random.default_rng(3)).nucleus_axes) * each.pixel for each in (coarse, fine)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_fibroblasts_lie_side_by_side_and_others_do_not() -> None:
    def spread(name: str) -> float:
        angles = draw_cells(layout_of(name), np.random.default_rng(4)).angle
        return 1 - abs(np.exp(2j * angles).mean())

    assert spread("BJ") < 0.2 < spread("U-2 OS")


def test_a_field_that_must_divide_has_a_dividing_cell_near_its_middle() -> None:
    for seed in range(10):
        layout = replace(layout_of("HeLa", order="lone"), must_divide=True)
        cells = draw_cells(layout, np.random.default_rng(seed))
        dividing = cells.nucleus[cells.phase == Phase.METAPHASE]
        assert dividing.size
        assert np.abs(dividing - 128 * (1 + 1j)).min() < 150


def test_without_mitosis_all_cells_rest() -> None:
    cells = draw_cells(layout_of(), np.random.default_rng(5))
    assert set(cells.phase) == {Phase.RESTING}
    assert cells.resting().size == len(cells)
    assert np.isnan(cells.sister.real).all()


def test_daughters_point_at_each_other() -> None:
    cells = draw_cells(replace(layout_of(), must_part=True), np.random.default_rng(6))
    daughters = np.flatnonzero(cells.phase == Phase.DAUGHTER)
    assert daughters.size >= 2
    assert daughters.size % 2 == 0
    for cell in daughters:
        back = daughters[np.abs(cells.nucleus[daughters] - cells.sister[cell]).argmin()]
        assert cells.nucleus[back] == pytest.approx(cells.sister[cell])
        assert cells.sister[back] == pytest.approx(cells.nucleus[cell])


def test_dividing_and_dying_cells_are_round_and_have_no_nucleus() -> None:
    layout = replace(layout_of(), dividing=0.5, dying=0.3)
    cells = draw_cells(layout, np.random.default_rng(7))
    round_ones = ~np.isin(cells.phase, (Phase.RESTING, Phase.DAUGHTER))
    assert 0 < round_ones.sum() < len(cells)
    assert (cells.nucleus_axes[round_ones] * layout.pixel < 1).all()
    np.testing.assert_allclose(cells.body_axes[round_ones, 0], cells.body_axes[round_ones, 1])
    assert not np.isin(cells.resting(), np.flatnonzero(round_ones)).any()


def test_the_centrosome_lies_close_to_the_nucleus() -> None:
    cells = draw_cells(layout_of(), np.random.default_rng(8))
    gap = np.abs(cells.centrosome - cells.nucleus) - cells.nucleus_axes.mean(axis=1)
    assert np.median(gap) * 164 / 256 < 3


@pytest.mark.parametrize("order", ["sheet", "islands", "lone"])
def test_no_field_is_empty(order: str) -> None:
    for seed in range(40):
        layout = replace(layout_of("U-2 OS", order=order), pixel=0.3)
        cells = draw_cells(layout, np.random.default_rng(seed))
        inside = (np.minimum(cells.nucleus.real, cells.nucleus.imag) > 0) & (
            np.maximum(cells.nucleus.real, cells.nucleus.imag) < 256
        )
        assert inside.any()


def test_daughters_crowd_out_no_dividing_cell() -> None:
    for seed in range(20):
        layout = replace(layout_of("HEK 293"), must_divide=True, must_part=True)
        assert Phase.METAPHASE in draw_cells(layout, np.random.default_rng(seed)).phase
