"""The figure of all 28 patterns."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "simulated_sheet.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("simulated_sheet", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_sheet_shows_28_panels_and_is_a_small_png(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["simulated_sheet.py", "--out", str(file), "--side", "64"])
    script.main()
    assert 10_000 < file.stat().st_size < 1_000_000
    picture = cv2.imread(str(file))
    assert picture is not None
    assert picture.shape[1] == 7 * 64
    panels = picture[: 4 * 64].reshape(4, 64, 7, 64, 3).swapaxes(1, 2).reshape(28, 64, 64, 3)
    assert all(panel[20:].max() > 60 for panel in panels)
    assert len({panel.tobytes() for panel in panels}) == 28


def test_a_composite_is_green_where_the_protein_is(script: ModuleType) -> None:
    stains = np.zeros((4, 8, 8), np.uint8)
    stains[1, :4], stains[2, 4:] = 200, 200
    blue, green, red = script.composite(stains).transpose(2, 0, 1)
    assert green[:4].min() == 200
    assert blue[4:].min() > 100
    assert red.max() == green[4:].max() == 0
