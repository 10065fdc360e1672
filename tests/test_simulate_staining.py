"""Clean stains of planned fields, with their truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protloc.atlas.simulate import FieldPlan, expose, plan_fields, render_clean
from protloc.atlas.simulate.draw import Twin
from protloc.atlas.simulate.textures import bright_end

SIDE = 96


@pytest.fixture(scope="module")
def plans() -> tuple[FieldPlan, ...]:
    return plan_fields(12, side=SIDE, seed=5)


def with_labels(plan: FieldPlan, *labels: int, haze: float = 0.0) -> FieldPlan:
    antibody = replace(plan.antibody, labels=labels, weights=(1.0,) * len(labels), haze=(haze, haze), positive=1.0)
    layout = replace(plan.layout, order="sheet", must_divide=17 in labels, must_part=16 in labels)
    return replace(plan, antibody=antibody, layout=layout, source=plan.index, twin=None)


def test_stains_are_scaled_to_their_bright_ends(plans: tuple[FieldPlan, ...]) -> None:
    for plan in plans:
        stains = render_clean(plan, seed=5).stains
        assert stains.shape == (4, SIDE, SIDE)
        assert stains.dtype == np.float32
        assert stains.min() >= 0
        for stain in stains:
            assert bright_end(stain) == pytest.approx(1.0, abs=0.05)


def test_a_plan_decides_the_stains(plans: tuple[FieldPlan, ...]) -> None:
    one, same, other = (render_clean(plans[1], seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.stains, same.stains)
    assert np.abs(one.stains - other.stains).mean() > 0.01


def test_green_depends_on_the_labels_and_the_landmarks_do_not(plans: tuple[FieldPlan, ...]) -> None:
    one, other = (render_clean(with_labels(plans[0], label), seed=5).stains for label in (0, 23))
    np.testing.assert_array_equal(one[[0, 2, 3]], other[[0, 2, 3]])
    assert np.corrcoef(one[1].ravel(), other[1].ravel())[0, 1] < 0.5


@pytest.mark.parametrize("label", range(28))
def test_the_mask_of_a_lone_label_is_where_green_is_bright(plans: tuple[FieldPlan, ...], label: int) -> None:
    field = render_clean(with_labels(plans[3], label), seed=5)
    (mask,) = field.masks.values()
    assert mask.dtype == bool
    assert 0 < mask.mean() < 0.8
    # without haze green is the label's own light, and the mask holds the pixels above a quarter of its bright end
    np.testing.assert_array_equal(mask, field.stains[1] > 0.25)


def test_a_label_is_seen_even_where_hardly_any_cell_is_positive(plans: tuple[FieldPlan, ...]) -> None:
    for plan in plans[:6]:
        lone = with_labels(plan, 0, haze=0.3)
        none_positive = replace(lone, antibody=replace(lone.antibody, positive=0.0))
        field = render_clean(none_positive, seed=5)
        (mask,) = field.masks.values()
        assert field.stains[1][mask].mean() > 2 * field.stains[1][~mask].mean()


def test_every_label_of_a_set_has_its_own_mask(plans: tuple[FieldPlan, ...]) -> None:
    field = render_clean(with_labels(plans[2], 0, 19, 25), seed=5)
    assert set(field.masks) == {0, 19, 25}
    nucleus, cytosol = field.masks[0], field.masks[25]
    assert (nucleus & cytosol).mean() < 0.5 * min(nucleus.mean(), cytosol.mean())
    assert field.masks[19].mean() < nucleus.mean()


def test_haze_is_light_that_no_mask_claims(plans: tuple[FieldPlan, ...]) -> None:
    clear, hazy = (render_clean(with_labels(plans[4], 19, haze=haze), seed=5) for haze in (0.0, 0.8))
    np.testing.assert_array_equal(clear.masks[19], hazy.masks[19])
    outside = ~clear.masks[19]
    assert hazy.stains[1][outside].mean() > 5 * clear.stains[1][outside].mean()


def test_unlabelled_nuclei_are_dark_in_red_and_yellow_and_bright_in_blue(plans: tuple[FieldPlan, ...]) -> None:
    fields = [render_clean(plan, seed=5).stains for plan in plans]
    red, blue, yellow = (np.stack([field[row] for field in fields]) for row in (0, 2, 3))
    nuclei = blue > 0.5
    assert 0.01 < nuclei.mean() < 0.5
    for landmark in (red, yellow):
        assert landmark[nuclei].mean() < landmark[(blue < 0.05) & (landmark > 0.1)].mean()


def test_a_twin_shows_the_same_cells_turned_and_moved(plans: tuple[FieldPlan, ...]) -> None:
    plan = with_labels(plans[0], 0)
    original = render_clean(plan, seed=5)
    turned = render_clean(replace(plan, index=99, twin=Twin(quarters=1, mirrored=True, shift=(0.0, 0.0))), seed=5)
    np.testing.assert_allclose(turned.stains[2], np.rot90(original.stains[2][:, ::-1]), atol=1e-5)
    np.testing.assert_array_equal(turned.masks[0], np.rot90(original.masks[0][:, ::-1]))
    shifted = render_clean(replace(plan, index=99, twin=Twin(0, mirrored=False, shift=(3 / SIDE, -2 / SIDE))), seed=5)
    np.testing.assert_allclose(shifted.stains[:, :-5, 5:], original.stains[:, 2:-3, 2:-3], atol=1e-5)


def test_a_twin_looks_alike_after_the_camera_and_is_not_equal(plans: tuple[FieldPlan, ...]) -> None:
    plan = with_labels(plans[0], 25)
    stains = render_clean(plan, seed=5).stains
    pictures = [expose(stains, plan.camera, rng=np.random.default_rng(seed)).astype(float) for seed in range(2)]
    assert (pictures[0] != pictures[1]).mean() > 0.05
    assert np.corrcoef(pictures[0][2].ravel(), pictures[1][2].ravel())[0, 1] > 0.8
