"""Which antibodies and label sets an atlas has."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from protloc.atlas.simulate.cells import CELL_LINES
from protloc.atlas.simulate.draw import FieldPlan, draw_labels, plan_fields, real_label_sets
from protloc.atlas.vocabulary import load_vocabulary


@pytest.fixture(scope="module")
def plans() -> tuple[FieldPlan, ...]:
    return plan_fields(1500, side=128, seed=0)


def shares(*, balanced: bool) -> np.ndarray:
    drawn = [draw_labels(np.random.default_rng(seed), balanced=balanced) for seed in range(2500)]
    return load_vocabulary("kaggle2018").targets(drawn).mean(axis=0)


def test_the_label_sets_are_those_of_the_real_table() -> None:
    sets = real_label_sets()
    targets = load_vocabulary("kaggle2018").targets(sets.labels)
    by_class = (targets * sets.fields[:, None]).sum(axis=0)
    assert len(sets.labels) == len(set(sets.labels)) == 577
    assert sets.fields.sum() == 31_072
    assert by_class.sum() == 50_782
    assert (by_class[0], by_class[15], by_class[27]) == (12_885, 21, 11)
    lengths = Counter(dict.fromkeys(range(1, 6), 0))
    for labels, fields in zip(sets.labels, sets.fields, strict=True):
        lengths[len(labels)] += int(fields)
    assert lengths == {1: 15_126, 2: 12_485, 3: 3_160, 4: 299, 5: 2}


def test_label_sets_come_as_often_as_they_really_do() -> None:
    drawn = shares(balanced=False)
    # 12,885 and 8,228 of 31,072 fields; the standard deviation at 2,500 draws is .01
    assert drawn[0] == pytest.approx(0.415, abs=0.035)
    assert drawn[25] == pytest.approx(0.265, abs=0.035)
    assert drawn[[8, 9, 10, 15, 27]].max() < 0.01


def test_balanced_label_sets_show_rare_classes_more_and_still_less_than_common_ones() -> None:
    plain, balanced = shares(balanced=False), shares(balanced=True)
    rare = [8, 9, 10, 15, 17, 20, 27]
    assert (balanced[rare] > 2.5 * plain[rare]).all()
    assert balanced.min() > 0.006
    assert balanced[0] > balanced[27]


def test_a_smaller_atlas_is_the_beginning_of_a_larger_one(plans: tuple[FieldPlan, ...]) -> None:
    assert plan_fields(37, side=128, seed=0) == plans[:37]
    assert plan_fields(37, side=128, seed=1) != plans[:37]


def test_fields_are_numbered_from_0_with_ids_that_say_they_are_simulated(plans: tuple[FieldPlan, ...]) -> None:
    assert [plan.index for plan in plans] == list(range(1500))
    assert plans[123].id == "sim-000123"
    assert all(plan.antibody.name.startswith("SIMA") and plan.antibody.gene.startswith("SIMG") for plan in plans)


def test_fields_of_an_antibody_share_labels_and_habits_but_not_their_cells(plans: tuple[FieldPlan, ...]) -> None:
    groups = defaultdict(list)
    for plan in plans:
        groups[plan.antibody.name].append(plan)
    assert all(len({plan.antibody for plan in group}) == 1 for group in groups.values())
    sizes = Counter(len(group) for group in groups.values())
    assert 2.0 < len(plans) / len(groups) < 4.0
    assert min(sizes) == 1
    assert max(sizes) <= 12
    assert any(len({plan.layout.line for plan in group}) > 1 for group in groups.values())


def test_antibodies_of_one_gene_have_one_label_set(plans: tuple[FieldPlan, ...]) -> None:
    by_gene = defaultdict(set)
    antibodies = defaultdict(set)
    for plan in plans:
        by_gene[plan.antibody.gene].add(plan.antibody.labels)
        antibodies[plan.antibody.gene].add(plan.antibody.name)
    assert all(len(sets) == 1 for sets in by_gene.values())
    assert any(len(names) > 1 for names in antibodies.values())


def test_one_label_is_dominant_and_no_other_much_stronger(plans: tuple[FieldPlan, ...]) -> None:
    for plan in plans:
        weights = plan.antibody.weights
        assert len(weights) == len(plan.antibody.labels)
        assert 1.0 in weights
        assert min(weights) >= 0.15
        assert max(weights) <= 1.2


def test_twins_are_few_and_repeat_a_field_of_the_same_antibody(plans: tuple[FieldPlan, ...]) -> None:
    twins = [plan for plan in plans if plan.twin is not None]
    assert 0.015 < len(twins) / len(plans) < 0.08
    for twin in twins:
        original = plans[twin.source]
        assert twin.duplicate_of == original.id
        assert original.twin is None
        assert (twin.antibody, twin.layout, twin.well) == (original.antibody, original.layout, original.well)
        assert twin.camera != original.camera
        assert max(map(abs, twin.twin.shift)) < 0.08
    assert all(plan.duplicate_of == "" for plan in plans if plan.twin is None)


def test_a_tenth_of_the_antibodies_is_dim(plans: tuple[FieldPlan, ...]) -> None:
    antibodies = {plan.antibody for plan in plans}
    dim = [antibody for antibody in antibodies if antibody.dim]
    assert 0.05 < len(dim) / len(antibodies) < 0.16
    assert np.median([a.level for a in dim]) < 0.6 * np.median([a.level for a in antibodies])


def test_scales_and_lines_vary_as_in_the_real_fields(plans: tuple[FieldPlan, ...]) -> None:
    assert {plan.layout.line for plan in plans} == set(CELL_LINES)
    zooms = np.array([plan.zoom for plan in plans])
    assert zooms.min() >= 0.6
    assert zooms.max() <= 2.25
    assert 0.03 < (zooms > 1.6).mean() < 0.2
    seen = np.array([plan.layout.line.nucleus for plan in plans]) * zooms
    assert np.quantile(seen, 0.05) > 8
    assert np.quantile(seen, 0.95) < 40
    np.testing.assert_allclose([plan.layout.pixel for plan in plans], 164 / 128 / zooms)


def test_fields_that_need_dividing_cells_get_them(plans: tuple[FieldPlan, ...]) -> None:
    for plan in plans:
        assert plan.layout.must_divide == (17 in plan.antibody.labels)
        assert plan.layout.must_part == (16 in plan.antibody.labels)
