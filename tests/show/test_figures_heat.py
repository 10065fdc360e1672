"""Pictures of where a model looks."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from protloc.atlas.stains import HPA_STAINS
from protloc.show.figures import png_bytes
from protloc.show.figures_heat import PANEL, ShownClass, explanation_figure, overlay

SIDE = 24


def shown(name: str, contributions: tuple[float, ...]) -> ShownClass:
    return ShownClass(name, "0.93, present", np.eye(SIDE, dtype=np.float32), np.array(contributions))


def test_without_heat_the_protein_is_grey_and_heat_is_not():
    protein = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    cold = overlay(protein, np.zeros((SIDE, SIDE), np.float32))
    assert (cold == cold[:, :, :1]).all()
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[3, 5] = 1
    hot = overlay(protein, heat)
    assert hot.dtype == np.uint8
    assert (hot != cold).any(axis=2).nonzero() == (np.array([3]), np.array([5]))
    assert np.ptp(hot[3, 5].astype(int)) > 50


def test_a_figure_has_a_picture_a_class_and_bars_where_there_are_contributions():
    image = np.random.default_rng(0).integers(0, 255, (4, SIDE, SIDE), dtype=np.uint8)
    classes = [shown(f"class {number}", (0.5, np.nan, -0.2, 0.0)) for number in range(3)]
    figure = explanation_figure(image, HPA_STAINS, protein=1, classes=classes, title="f1 $x$")
    pictures = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left").splitlines()[0] for axes in pictures] == [
        "all stains given", "class 0", "class 1", "class 2",
    ]  # fmt: skip
    assert r"f1 \$x\$" in [text.get_text() for text in figure.findobj(Text)]
    (bars,) = [axes for axes in figure.axes if axes.patches]
    assert [bar.get_width() for bar in bars.patches] == [0.5, -0.2, 0.0] * 3
    assert {text.get_text() for text in bars.texts} == {" red +0.5 ", " blue −0.2 ", " yellow +0.0 "}
    assert "hottest place of this map" in [text.get_text() for text in figure.findobj(Text)]
    unknown = explanation_figure(image, HPA_STAINS, protein=1, classes=[shown("one", (np.nan,) * 4)], title="f1")
    assert not any(axes.patches for axes in unknown.axes)
    assert png_bytes(unknown, photographs=True).startswith(b"\x89PNG")


@pytest.mark.parametrize(("classes", "wide"), [(1, 2), (2, 3), (5, 3)])
def test_a_figure_is_as_wide_as_its_pictures_and_nothing_is_clipped(classes: int, wide: int):
    image = np.random.default_rng(0).integers(0, 255, (4, SIDE, SIDE), dtype=np.uint8)
    given = [shown("Nucleoli fibrillar center", (0.5, np.nan, -2.0, 0.0))] * classes
    figure = explanation_figure(image, HPA_STAINS, protein=1, classes=given, title="a" * 36)
    assert figure.get_size_inches()[0] == pytest.approx(wide * PANEL)
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert max(-box.x0, -box.y0, box.x1 - width, box.y1 - height) <= 0.01
