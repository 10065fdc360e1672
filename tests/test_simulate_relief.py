"""Ragged edges, processes, lamellae of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protloc.atlas.simulate.cells import CELL_LINES, Layout, draw_cells
from protloc.atlas.simulate.geometry import FAR
from protloc.atlas.simulate.relief import draw_arms, draw_relief, raggedness

SIDE = 128
LINES = {line.name: line for line in CELL_LINES}


def layout_of(name: str) -> Layout:
    return Layout(LINES[name], 164 / SIDE, SIDE, "lone", dying=0.0)


def test_round_cells_have_smoother_edges_than_spread_ones() -> None:
    depths = {
        name: np.mean([raggedness(layout_of(name), np.random.default_rng(seed)).std() for seed in range(10)])
        for name in ("K-562", "U-2 OS")
    }
    assert depths["K-562"] < 0.5 * depths["U-2 OS"]


def test_processes_grow_into_empty_space_alone() -> None:
    layout = layout_of("SH-SY5Y")
    cells = draw_cells(layout, np.random.default_rng(0))
    cells = replace(cells, arms=np.ones_like(cells.arms))
    label, nuclear = np.zeros((SIDE, SIDE), np.int32), np.full((SIDE, SIDE), FAR, np.float32)
    label[: SIDE // 2] = len(cells) + 1  # taken
    draw_arms(label, nuclear, cells, layout, np.random.default_rng(1))
    assert (label[: SIDE // 2] == len(cells) + 1).all()
    grown = label[SIDE // 2 :] > 0
    assert 0.005 < grown.mean() < 0.5
    assert ((nuclear[SIDE // 2 :] < FAR) == grown).all()


def test_a_process_becomes_thinner_with_its_length() -> None:
    layout = replace(layout_of("SH-SY5Y"), pixel=0.2, side=512)
    cells = draw_cells(layout, np.random.default_rng(2))
    (cell,) = np.flatnonzero(np.arange(len(cells)) == np.abs(cells.nucleus - 256 * (1 + 1j)).argmin())
    cells = replace(cells, arms=(np.arange(len(cells)) == cell).astype(np.int64))
    label, nuclear = np.zeros((512, 512), np.int32), np.full((512, 512), FAR, np.float32)
    draw_arms(label, nuclear, cells, layout, np.random.default_rng(3))
    row, column = np.nonzero(label)
    away = np.abs(column + 1j * row - cells.body[cell])
    areas = np.histogram(away, bins=4, range=(0, away.max()))[0]
    assert areas[0] > 1.5 * areas[-1]


def test_a_dark_seam_or_none_lies_between_touching_cells() -> None:
    layout = replace(layout_of("HaCaT"), order="sheet")
    cells = draw_cells(layout, np.random.default_rng(4))
    edge, label = np.full((SIDE, SIDE), 0.3, np.float32), np.ones((SIDE, SIDE), np.int32)
    touching, flat = np.zeros((SIDE, SIDE), np.float32), np.ones((SIDE, SIDE), np.float32)
    seams = [
        float(draw_relief(cells, layout, label, flat, edge, touching, np.random.default_rng(seed)).joined.mean())
        for seed in range(30)
    ]
    assert min(seams) < 0.25
    assert max(seams) > 0.75
