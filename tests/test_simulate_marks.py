"""Dots, threads and circles."""

from __future__ import annotations

import numpy as np
import pytest

from protloc.atlas.simulate.marks import LEAST_SPREAD, arcs, blur, circles, dots, lit, splat, spread_over, threads

SIDE = 64


def two_halves() -> np.ndarray:
    """Cell 1 on the left, cell 2 on the right, nothing in the lowest rows."""
    label = np.ones((SIDE, SIDE), np.int32)
    label[:, SIDE // 2 :] = 2
    label[-8:] = 0
    return label


def test_splat_adds_the_light_of_equal_places_and_drops_what_is_outside() -> None:
    places = np.array([3 + 5j, 3.2 + 4.9j, -2 + 1j, 10 + 200j])
    image = splat(places, np.array([1.0, 2.0, 4.0, 8.0]), side=16)
    assert image[5, 3] == 3.0
    assert image.sum() == 3.0


def test_a_dot_has_the_light_of_a_gaussian() -> None:
    image = dots(np.array([32 + 32j]), sizes=np.array([3.0]), heights=np.array([2.0]), side=SIDE)
    assert image.sum() == pytest.approx(2.0 * 2 * np.pi * 9, rel=0.01)
    assert image.max() == pytest.approx(2.0, rel=0.02)
    # one standard deviation away a Gaussian has exp(-1/2) of its height
    assert image[32, 35] == pytest.approx(2.0 * np.exp(-0.5), rel=0.03)


def test_a_dot_finer_than_a_pixel_is_fainter_and_not_smaller() -> None:
    fine, large = (
        dots(np.array([32 + 32j]), sizes=np.array([size]), heights=np.array([1.0]), side=SIDE)
        for size in (0.1, LEAST_SPREAD)
    )
    assert fine.sum() == pytest.approx(large.sum() * (0.1 / LEAST_SPREAD) ** 2, rel=0.01)
    np.testing.assert_allclose(fine / fine.max(), large / large.max(), atol=1e-4)


def test_no_dots_give_no_light() -> None:
    empty = np.zeros(0)
    assert not dots(np.zeros(0, np.complex128), sizes=empty, heights=empty, side=8).any()


def test_a_blur_keeps_the_light_and_a_tiny_one_the_image() -> None:
    image = np.zeros((SIDE, SIDE), np.float32)
    image[32, 32] = 5.0
    assert blur(image, 2.0).sum() == pytest.approx(5.0, rel=1e-3)
    np.testing.assert_array_equal(blur(image, 0.1), image)


def test_places_fall_in_proportion_to_the_weight() -> None:
    weight = np.ones((SIDE, SIDE), np.float32)
    weight[: SIDE // 2] = 3.0
    label = np.ones((SIDE, SIDE), np.int32)
    places, owners = spread_over(weight, label, np.array([4000.0]), np.random.default_rng(0))
    assert set(owners) == {0}
    assert places.size == pytest.approx(4000, rel=0.06)
    assert (places.imag < SIDE / 2 - 0.5).mean() == pytest.approx(0.75, abs=0.03)


def test_each_cell_gets_its_own_number_of_places() -> None:
    label = two_halves()
    places, owners = spread_over(
        (label > 0).astype(np.float32), label, np.array([50.0, 500.0]), np.random.default_rng(1)
    )
    counts = np.bincount(owners, minlength=2)
    assert counts[0] == pytest.approx(50, rel=0.5)
    assert counts[1] == pytest.approx(500, rel=0.2)
    np.testing.assert_array_equal(label[np.rint(places.imag).astype(int), np.rint(places.real).astype(int)], owners + 1)


def test_no_weight_gives_no_place() -> None:
    places, owners = spread_over(
        np.zeros((8, 8), np.float32), np.ones((8, 8), np.int32), np.array([9.0]), np.random.default_rng(0)
    )
    assert places.size == owners.size == 0


def test_a_thread_without_bend_runs_straight_for_its_length() -> None:
    label = np.ones((SIDE, SIDE), np.int32)
    drawn = threads(
        np.array([10 + 20j]),
        np.array([0.0]),
        label=label,
        length=np.array([30.0]),
        bend=0.0,
        rng=np.random.default_rng(0),
    )
    assert drawn.tips[0] == pytest.approx(40 + 20j, abs=1.0)
    assert drawn.headings[0] == pytest.approx(1.0)
    assert drawn.lengths[0] == pytest.approx(30, abs=1.0)
    assert drawn.image[20, 12:38].min() > 0.5
    assert drawn.image[:15].max() == drawn.image[26:].max() == 0


def test_threads_never_leave_their_own_cell() -> None:
    label = two_halves()
    starts = np.full(60, 16 + 30j)
    headings = np.random.default_rng(2).uniform(0, 2 * np.pi, 60)
    drawn = threads(starts, headings, label=label, length=np.full(60, 200.0), bend=0.05, rng=np.random.default_rng(3))
    assert drawn.image[:, SIDE // 2 + 2 :].max() == 0
    assert drawn.image[-5:].max() == 0
    assert (drawn.tips.real < SIDE / 2).all()


def test_threads_bend_more_the_more_they_are_told_to() -> None:
    label = np.ones((400, 400), np.int32)

    def reach(bend: float) -> float:
        starts, length = np.full(80, 200 + 200j), np.full(80, 120.0)
        drawn = threads(starts, np.zeros(80), label=label, length=length, bend=bend, rng=np.random.default_rng(4))
        return float(np.abs(drawn.tips - starts).mean())

    assert 120 > reach(0.005) > reach(0.03) > reach(0.1)


def test_the_weight_dims_a_thread_on_its_way() -> None:
    label, weight = np.ones((SIDE, SIDE), np.int32), np.ones((SIDE, SIDE), np.float32)
    weight[:, 32:] = 0.0
    drawn = threads(
        np.array([4 + 20j]),
        np.zeros(1),
        label=label,
        length=np.array([50.0]),
        bend=0.0,
        rng=np.random.default_rng(0),
        weight=weight,
    )
    assert drawn.image[20, 10:28].min() > 0.5
    assert drawn.image[:, 36:].max() == 0


def test_threads_that_start_outside_all_cells_do_not_start() -> None:
    label = np.zeros((SIDE, SIDE), np.int32)
    drawn = threads(
        np.array([4 + 20j]), np.zeros(1), label=label, length=np.array([9.0]), bend=0.0, rng=np.random.default_rng(0)
    )
    assert not drawn.image.any()
    assert drawn.lengths[0] == 0


def test_circles_are_hollow_unless_filled() -> None:
    places, radii = np.array([30 + 30j]), np.array([10.0])
    ring, disc = (circles(places, radii, thickness=thickness, side=SIDE) for thickness in (1.0, 0.0))
    assert ring[30, 30] == 0
    assert ring[30, 40] > 0.7
    assert disc[30, 30] == 1
    assert disc.sum() == pytest.approx(np.pi * 100, rel=0.15)  # cv2 adds half a pixel of soft edge
    assert ring.max() <= 1


def test_threads_turn_into_the_flow_whichever_way_they_run() -> None:
    label, rng = np.ones((200, 200), np.int32), np.random.default_rng(5)
    starts, headings = np.full(60, 100 + 100j), rng.uniform(0, 2 * np.pi, 60)
    upright = np.full((200, 200), np.pi / 2, np.float32)
    drawn = threads(starts, headings, label=label, length=np.full(60, 60.0), bend=0.01, rng=rng, flow=upright, pull=0.3)
    assert np.mean(np.abs(drawn.headings.imag) > 0.95) > 0.9
    assert (drawn.headings.imag > 0).any()
    assert (drawn.headings.imag < 0).any()


def arc(curve: float, *, label: np.ndarray, bounded: bool = True) -> np.ndarray:
    return arcs(
        np.array([10 + 20j]),
        np.array([0.0]),
        length=np.array([40.0]),
        curve=curve,
        light=1.0,
        width=0.0,
        label=label,
        bounded=bounded,
    )


def test_an_arc_without_curve_runs_straight_for_its_length() -> None:
    image = arc(0.0, label=np.ones((SIDE, SIDE), np.int32))
    assert image[20, 12:48].min() > 0.5
    assert image[20, 55:].max() == image[:15].max() == 0
    assert image.sum() == pytest.approx(40, rel=0.03)


def test_an_arc_of_a_quarter_turn_ends_where_geometry_says() -> None:
    # a quarter of a circle of radius r = length / (pi / 2) ends r further along and r further across
    radius = 40 / (np.pi / 2)
    image = arc(1 / radius, label=np.ones((SIDE, SIDE), np.int32))
    row, column = round(20 + radius), round(10 + radius)
    assert image[row - 2 : row + 2, column - 1 : column + 2].max() > 0.3
    assert image.sum() == pytest.approx(40, rel=0.03)


def test_an_arc_shows_in_its_own_cell_only_unless_unbounded() -> None:
    label = two_halves()
    assert arc(0.0, label=label)[:, SIDE // 2 + 2 :].max() == 0
    assert arc(0.0, label=label, bounded=False)[20, SIDE // 2 + 2 : 46].min() > 0.5
    none = np.zeros(0)
    assert not arcs(none + 0j, none, length=none, curve=none, light=none, width=1.0, label=label).any()


def test_lit_sets_the_bright_end_to_one_and_spares_a_few_spots_from_burning_out() -> None:
    image = np.random.default_rng(6).random((SIDE, SIDE)).astype(np.float32)
    assert np.quantile(lit(7 * image), 0.999) == pytest.approx(1.0, rel=0.05)
    lone = np.zeros((SIDE, SIDE), np.float32)
    lone[3, 3] = 9.0
    assert lit(lone).max() <= 2.6
    assert not lit(np.zeros_like(lone)).any()
