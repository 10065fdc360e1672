"""The figure of the map: every compartment that occurs, nothing clipped, the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from protloc.atlas.vocabulary import Compartment, Vocabulary, load_vocabulary
from protloc.show.figures import BLUE, RULE, png_bytes
from protloc.show.figures_map import GREY, map_figure

HPA = load_vocabulary("kaggle2018")
PLACES = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
HAIR = 0.01  # inches


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def targets_of(*labels: tuple[int, ...], classes: int = 28):
    targets = np.zeros((40, classes), bool)
    for row, columns in enumerate(labels):
        targets[row, list(columns)] = True
    return targets


def test_all_fields_are_coloured_by_part_and_each_compartment_has_a_map() -> None:
    targets = targets_of((0,), (2, 4), (0, 23), (23,))  # nucleus, nucleus, several, mitochondria, then none
    known = np.arange(40) < 10
    figure = map_figure(PLACES, targets, known, HPA, by="UMAP")
    told = words(figure)
    assert "40 fields by part of the cell (UMAP)" in told
    for legend in ("nucleus (2)", "mitochondria (1)", "several (1)", "none (6)", "not labelled (30)"):
        assert legend in told
    for title in ("Nucleoplasm (2)", "Nucleoli (1)", "Nuclear speckles (1)", "Mitochondria (2)"):
        assert title in told
    whole, *panels = [axes for axes in figure.findobj(type(figure.axes[0])) if axes.axison]
    assert len(panels) == 4
    (drawn,) = whole.collections
    pairs = zip(drawn.get_offsets().tolist(), drawn.get_facecolors(), strict=True)
    drawn_as = {tuple(place): to_hex(colour) for place, colour in pairs}
    colours = [drawn_as[tuple(place)] for place in PLACES.tolist()]
    assert list(drawn_as.values())[-1] not in (GREY.lower(), RULE.lower())  # colours lie over what has none
    assert colours[0] == colours[1] == BLUE.lower()
    assert colours[2] == GREY.lower()
    assert colours[3] not in (BLUE.lower(), GREY.lower(), RULE.lower())
    assert set(colours[4:]) == {RULE.lower()}
    _others, having = panels[0].collections
    np.testing.assert_allclose(having.get_offsets(), PLACES[[0, 2]])


def test_compartments_without_groups_are_parts_themselves_and_too_many_are_grey() -> None:
    names = tuple(Compartment(number, f"class {number}") for number in range(9))
    targets = targets_of(*((row % 9,) for row in range(40)), classes=9)
    figure = map_figure(PLACES, targets, np.ones(40, bool), Vocabulary("own", names), by="PCA")
    assert "class 8 (4)" in words(figure)
    (drawn,) = figure.findobj(type(figure.axes[0]))[0].collections
    assert len({to_hex(colour) for colour in drawn.get_facecolors()}) == 8  # seven colours and grey


@pytest.mark.parametrize("fields", [0, 1, 40])
def test_without_a_label_there_is_one_map(fields: int) -> None:
    figure = map_figure(PLACES[:fields], np.zeros((fields, 28), bool), np.zeros(fields, bool), HPA, by="PCA")
    assert len(figure.axes) == 1
    assert png_bytes(figure)[:4] == b"\x89PNG"


def test_nothing_is_clipped_and_the_bytes_are_the_same() -> None:
    targets = targets_of(*((row % 28,) for row in range(40)))
    made = [map_figure(PLACES, targets, np.ones(40, bool), HPA, by="UMAP") for _ in range(3)]
    made[0].draw_without_rendering()
    box, (width, height) = made[0].get_tightbbox(), made[0].get_size_inches()
    assert max(-box.x0, -box.y0, box.x1 - width, box.y1 - height) <= HAIR
    assert png_bytes(made[1]) == png_bytes(made[2])
