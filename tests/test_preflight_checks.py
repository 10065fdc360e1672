"""Checks of single fields: each fault is found, none where there is none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from protloc.apply.checks.finding import Fault, Severity
from protloc.apply.checks.focus import sharpness
from protloc.apply.checks.light import blockiness, finest, levels, likeness, saturated_share, wrapped_share
from protloc.apply.checks.look import autocovariances, counts_of, is_empty, look_at
from protloc.apply.checks.nuclei import NOT_NUCLEAR, OFFSET, WEIGHTS, Nuclei, nuclei_in
from protloc.apply.checks.order import check_order
from protloc.apply.checks.planes import check_planes
from protloc.atlas.images import FieldPlanes
from protloc.atlas.simulate import expose, plan_fields, render_clean
from protloc.atlas.stains import HPA_STAINS, Stain

SIDE = 256
RED, GREEN, BLUE, YELLOW = range(4)


@pytest.fixture(scope="module")
def field():
    """Return a simulated field: its plan, and its light before the camera."""
    plan = next(plan for plan in plan_fields(40, side=SIDE, seed=2) if is_plain(plan))
    return plan, render_clean(plan, seed=2).stains


def is_plain(plan) -> bool:
    """Tell whether a planned field is not overexposed, and its protein not nuclear."""
    return max(plan.camera.level) < 255 and min(plan.antibody.labels) > 6


@pytest.fixture
def pictures(field):
    plan, light = field
    return expose(light, plan.camera, rng=np.random.default_rng(0))


def found(planes, *, bit_depth: int = 8, stains=HPA_STAINS, pixel_size=None, tile=None, any_width=False):
    return check_planes(
        FieldPlanes(tuple(planes), bit_depth), stains, pixel_size=pixel_size, tile=tile, any_width=any_width
    )


def faults(planes, *, bit_depth: int = 8, stains=HPA_STAINS):
    return {finding.fault for finding in found(planes, bit_depth=bit_depth, stains=stains)}


def test_of_a_sound_field_nothing_is_found(field, pictures):
    assert found(pictures) == ()
    assert found(pictures, pixel_size=field[0].layout.pixel) == ()


@pytest.mark.parametrize(("one", "other"), [(RED, BLUE), (BLUE, YELLOW), (RED, YELLOW)])
def test_exchanged_stains_are_found(pictures, one, other):
    order = list(range(4))
    order[one], order[other] = other, one
    (finding,) = found(pictures[order])
    assert finding.fault is Fault.ORDER
    assert finding.severity is Severity.SERIOUS
    assert set(finding.stains) == {HPA_STAINS[one].name, HPA_STAINS[other].name}
    first, second = (HPA_STAINS[number].name for number in sorted((one, other), key=[BLUE, RED, YELLOW].index))
    assert f"{first}=_{second},{second}=_{first}" in finding.remedy


def test_blue_that_is_no_nuclei_is_told_without_a_better_guess(pictures):
    planes = [pictures[RED], pictures[YELLOW]]
    (finding,) = found(planes, stains=(HPA_STAINS[BLUE], HPA_STAINS[GREEN]))
    assert finding.sentence == "The blue image does not look like nuclei."


def looking(look: float) -> Nuclei:
    """Return nuclei that look so much like some."""
    traits = dict.fromkeys(WEIGHTS, 0.0) | {"solidity": (look - OFFSET) / WEIGHTS["solidity"]}
    return Nuclei(np.zeros((4, 4), np.uint8), traits, 0.1, 0.1)


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ({"blue": 8, "green": 20}, None),  # a nuclear protein
        ({"blue": -1, "green": 2}, None),
        ({"blue": -1, "green": 4}, "but the green image does"),
        ({"blue": -7, "green": 12, "red": 8}, "but the red image does"),  # a nuclear protein beside exchanged stains
        ({"blue": 3, "red": 3.5}, None),
        ({"blue": 3, "yellow": 4.5}, "but the yellow image does"),
        ({"blue": -3, "red": -8}, "does not look like nuclei."),
        ({"blue": -2, "red": -8}, None),
        ({"red": 9, "yellow": 9}, None),  # nobody knows where the nuclei are
    ],
)
def test_which_stain_is_said_to_show_the_nuclei(pictures, looks, told):
    nuclei = {name: looking(look) for name, look in looks.items()}
    sentences = [
        finding.sentence for finding in check_order(look_at(FieldPlanes(tuple(pictures), 8), HPA_STAINS), nuclei)
    ]
    assert (sentences == []) if told is None else sentences[0].endswith(told if told[-1] == "." else f"{told}.")


def test_stains_of_other_names_are_not_taken_for_hpas(pictures):
    stains = [Stain(name, f"_{name}") for name in ("actin", "lamin", "tubulin", "membrane")]
    assert found(pictures[[BLUE, RED, GREEN, YELLOW]], stains=stains) == ()


def test_a_stain_twice_is_found_however_bright(pictures):
    pictures[YELLOW] = pictures[GREEN] * 0.8
    twice = [finding for finding in found(pictures) if finding.fault is Fault.DUPLICATED]
    assert [finding.stains for finding in twice] == [("green", "yellow")]


@pytest.mark.parametrize("light", ["black", "even", "noise", "lamp"])
def test_an_empty_stain_is_found(pictures, light):
    rng = np.random.default_rng(1)
    slope = np.linspace(20, 60, SIDE)[:, None]
    pictures[GREEN] = {
        "black": np.zeros((SIDE, SIDE)),
        "even": np.full((SIDE, SIDE), 40),
        "noise": rng.poisson(5, (SIDE, SIDE)),
        "lamp": rng.poisson(slope, (SIDE, SIDE)),
    }[light]
    (finding,) = found(pictures)
    assert (finding.fault, finding.stains) == (Fault.EMPTY, ("green",))


def test_two_black_stains_are_empty_and_not_one_image_twice(pictures):
    pictures[[GREEN, YELLOW]] = 0
    assert [finding.fault for finding in found(pictures)] == [Fault.EMPTY, Fault.EMPTY]


def test_hot_pixels_that_hide_the_bit_depth_are_found_and_the_depth_is_told(pictures):
    deep = pictures.astype(np.uint16) * 16
    assert faults(deep, bit_depth=12) == set()
    told = found(deep, bit_depth=16)
    assert {finding.fault for finding in told} == {Fault.DARK}
    assert all("say --bit-depth 1" in finding.remedy for finding in told)
    deep[:, 5, 7] = 65535
    told = found(deep, bit_depth=16)
    assert {finding.fault for finding in told} == {Fault.DARK}
    assert all("hot pixels are brighter: clip it at " in finding.remedy for finding in told)


def test_a_dark_8_bit_stain_wants_more_light(pictures):
    pictures[GREEN] = pictures[GREEN].astype(float) * 8 / np.percentile(pictures[GREEN], 99.9)
    (finding,) = [finding for finding in found(pictures) if finding.fault is Fault.DARK]
    assert (finding.stains, finding.remedy[:16]) == (("green",), "Expose it longer")


def test_a_saturated_stain_is_found(field):
    plan, light = field
    levels_ = (170.0, 110.0, 3000.0, 150.0)
    planes = expose(light, replace(plan.camera, level=levels_), rng=np.random.default_rng(0))
    told = [finding for finding in found(planes) if finding.fault is Fault.SATURATED]
    assert [finding.stains for finding in told] == [("blue",)]


@pytest.mark.parametrize("step", [8, 24])
def test_few_grey_levels_are_found(pictures, step):
    pictures[YELLOW] = pictures[YELLOW] // step * step
    told = [finding for finding in found(pictures) if finding.fault is Fault.LEVELS]
    assert [finding.stains for finding in told] == [("yellow",)]


def test_values_that_ran_over_are_found(pictures):
    bright = np.random.default_rng(0).uniform(pictures[BLUE], pictures[BLUE] + 1.0) * 600 / pictures[BLUE].max()
    pictures[BLUE] = bright.astype(np.uint16) % 256
    assert Fault.WRAPPED in faults(pictures)


@pytest.mark.parametrize(("side", "severity"), [(SIDE, Severity.WARNING), (5 * SIDE, Severity.NOTE)])
def test_strong_compression_is_found_and_matters_where_its_squares_are_seen(pictures, side, severity):
    large = [cv2.resize(picture, (side, side)) for picture in pictures]
    coded = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 8])[1] for picture in large]
    told = found([cv2.imdecode(code, cv2.IMREAD_GRAYSCALE) for code in coded])
    assert {finding.severity for finding in told if finding.fault is Fault.COMPRESSED} == {severity}


def test_a_field_out_of_focus_is_found(field):
    plan, light = field
    planes = expose(light, replace(plan.camera, focus=2.5), rng=np.random.default_rng(0))
    assert Fault.FOCUS in faults(planes)


def test_the_protein_alone_is_judged_for_focus_by_itself(pictures):
    green = (HPA_STAINS[GREEN],)
    assert faults(pictures[[GREEN]], stains=green) == set()
    blurred = cv2.GaussianBlur(pictures[GREEN].astype(np.float32), (0, 0), 8)
    assert faults([(blurred * (200 / blurred.max())).astype(np.uint8)], stains=green) == {Fault.FOCUS}


@pytest.mark.parametrize(
    ("factor", "told"), [(4, "nuclei would be"), (0.25, "nuclei would be"), (1, None), (None, None)]
)
def test_a_pixel_size_that_nuclei_belie_is_found(field, pictures, factor, told):
    pixel = None if factor is None else factor * field[0].layout.pixel
    sentences = [finding.sentence for finding in found(pictures, pixel_size=pixel)]
    assert (told in sentences[0]) if told else (sentences == [])


def test_small_nuclei_are_found_and_the_right_tile_is_told():
    plan = next(plan for plan in plan_fields(40, side=2 * SIDE, seed=2) if is_plain(plan))
    small = [
        cv2.resize(stain, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
        for stain in render_clean(plan, seed=2).stains
    ]
    rim = (SIDE * 3 // 4, SIDE * 3 // 4)
    around = np.stack([np.pad(stain, (rim, rim), mode="symmetric") for stain in small])
    planes = expose(around, plan.camera, rng=np.random.default_rng(0))
    (finding,) = [finding for finding in found(planes) if finding.fault is Fault.SCALE]
    assert "smaller than in the fields the model knows" in finding.sentence
    assert "--tile" in finding.remedy


def test_a_field_too_wide_by_its_pixel_size_is_cut_into_tiles_and_then_is_right():
    rng = np.random.default_rng(0)
    spots = cv2.GaussianBlur((rng.random((700, 700)) > 0.995).astype(np.float32), (0, 0), 2)
    green = [(spots / spots.max() * 255).astype(np.uint8)]
    (finding,) = found(green, stains=(HPA_STAINS[GREEN],), pixel_size=1.0)
    assert finding.sentence.startswith("The field is 700 µm wide (700 px of 1 µm)")
    assert "--tile 164" in finding.remedy
    assert found(green, stains=(HPA_STAINS[GREEN],), pixel_size=1.0, tile=164) == ()
    assert found(green, stains=(HPA_STAINS[GREEN],), pixel_size=1.0, any_width=True) == ()


def test_of_a_field_too_small_shapes_and_focus_are_not_judged(pictures):
    small = [cv2.resize(picture, (40, 40)) for picture in pictures]
    assert faults(small[::-1]) == set()


def test_oblong_fields_are_judged_by_their_middle(pictures):
    wide = np.concatenate([pictures, pictures], axis=2)
    assert faults(wide[[BLUE, GREEN, RED, YELLOW]]) == {Fault.ORDER}


def test_likeness_of_noise_to_itself_and_to_other_noise():
    one, other = np.random.default_rng(0).integers(0, 255, (2, 64, 64)).astype(np.uint8)
    first, half, negative, another, black = (
        finest(plane, end=255) for plane in (one, one // 2, 255 - one, other, np.zeros_like(one))
    )
    assert likeness(first, half) == pytest.approx(1, abs=0.01)
    assert likeness(first, negative) == pytest.approx(-1)
    assert likeness(first, another) == pytest.approx(0, abs=0.05)
    assert likeness(first, black) == 0


def test_levels_saturation_and_wrapping_worked_by_hand():
    plane = np.repeat(np.arange(0, 80, 20, dtype=np.uint8), 4).reshape(4, 4)
    counts = counts_of(plane)
    assert counts[[0, 20, 40, 60]].tolist() == [4, 4, 4, 4]
    assert levels(counts) == (4, 4 / 61)  # 0, 20, 40, 60 of 0 to 60
    assert saturated_share(counts) == (4 / 16, 4 / 8)  # 60 is the end, 40 and 60 are over half of it
    rows = np.repeat(np.array([[0, 0, 0, 255, 255, 255]], np.uint8), 6, axis=0)
    assert wrapped_share(rows, white=255) == pytest.approx(1 / 5)


def test_blocks_are_told_from_texture():
    texture = np.random.default_rng(0).integers(100, 120, (128, 128)).astype(np.uint8)
    blocks = np.kron(np.random.default_rng(1).integers(0, 60, (16, 16)), np.ones((8, 8))).astype(np.uint8)
    assert abs(blockiness(texture)) < 0.1
    assert blockiness(texture + blocks) > 1


def test_noise_shows_at_lag_0_alone():
    noise = np.random.default_rng(0).normal(50, 10, (256, 256)).astype(np.float32)
    at = autocovariances(noise)
    assert at[0] == pytest.approx(100, rel=0.05)
    assert max(abs(at[lag]) for lag in (2, 4, 8)) < 2
    assert is_empty(at)


def test_sharpness_of_a_straight_edge_falls_to_a_fifth_when_blurred():
    edges = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((32, 32))).astype(np.float32) * 100
    assert sharpness(autocovariances(edges)) == pytest.approx(1 / 3, abs=0.03)
    assert sharpness(autocovariances(cv2.GaussianBlur(edges, (0, 0), 8))) == pytest.approx(1 / 5, abs=0.02)


def test_nuclei_are_measured():
    view = np.zeros((256, 256), np.float32)
    for row, column in np.ndindex(4, 4):
        cv2.circle(view, (32 + 64 * column, 32 + 64 * row), 12, 200, -1)
    nuclei = nuclei_in(cv2.GaussianBlur(view, (0, 0), 1.5))
    assert nuclei.look > NOT_NUCLEAR
    assert nuclei.diameter * 256 == pytest.approx(24, abs=2)


def test_values_of_16_bits_are_seen_as_grey_levels_of_their_depth(pictures):
    eight, twelve = (
        look_at(FieldPlanes(tuple(planes), depth), HPA_STAINS)
        for planes, depth in ((pictures, 8), (np.round(pictures * (4095 / 255)).astype(np.uint16), 12))
    )
    np.testing.assert_allclose(eight.views["red"], twelve.views["red"], atol=0.1)
