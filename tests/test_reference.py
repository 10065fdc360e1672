"""References: distances, p-values, what is on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

from protloc.errors import BundleError, SettingsError
from protloc.learn.model import WEIGHTS_FILE
from protloc.learn.reference import (
    REFERENCE_FILE,
    Reference,
    fit_reference,
    p_values,
    read_references,
    spread,
    write_references,
)

BY_HAND = Reference(
    mean=np.array([1, 0], np.float32),
    components=np.array([[1, 0]], np.float16),
    spreads=np.array([4], np.float32),
    rest=1.0,
    distances=np.array([1, 2, 2.5, 4], np.float32),
)


def drawn(fields: int, *, dimensions: int = 12, seed: int = 0):
    """Return embeddings that vary much along three directions and little along the others."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(0, (5, 3, 2), (fields, 3)) @ np.random.default_rng(9).normal(size=(3, dimensions))
    return (wide + rng.normal(0, 0.3, (fields, dimensions)) + 7).astype(np.float32)


@pytest.fixture
def bundle_folder(tmp_path):
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    return tmp_path


def test_distance_and_chance_worked_by_hand():
    # 4 along the wide direction is two deviations, 2 beside it two: sqrt((4 + 4) / 2 dimensions)
    embedding = np.array([[5, 2]], np.float32)
    assert BY_HAND.distance(embedding)[0] == pytest.approx(2)
    # three of the four held-out distances are 2 or more
    assert p_values([BY_HAND], embedding)[0] == pytest.approx((1 + 3) / (1 + 4))


def test_distances_are_those_of_probabilistic_principal_components():
    learnt, others = drawn(300), drawn(20, seed=1)
    reference = fit_reference(learnt, others, components=3)
    witness = PCA(n_components=3, svd_solver="full").fit(learnt.astype(np.float64))
    away = others - witness.mean_
    expected = np.sqrt(np.einsum("ni,ij,nj->n", away, witness.get_precision(), away) / learnt.shape[1])
    # components are kept to three digits
    assert_allclose(reference.distance(others), expected, rtol=5e-3)


def test_fields_like_those_held_out_are_rarely_far_and_others_always():
    reference = fit_reference(drawn(300), drawn(500, seed=1))
    assert (p_values([reference], drawn(500, seed=2)) <= 0.1).mean() == pytest.approx(0.1, abs=0.04)
    assert_allclose(p_values([reference], drawn(5, seed=3) + 50), 1 / 501)


@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2))
@settings(deadline=None)
def test_who_is_farther_is_not_likelier(point):
    near, far = np.array([point], np.float32), np.array([point], np.float32) * 2 - BY_HAND.mean
    chances = p_values([BY_HAND], near)[0], p_values([BY_HAND], far)[0]
    assert 0 < chances[1] <= chances[0] <= 1


def test_a_reference_comes_back_from_disk_as_it_was(bundle_folder):
    made = {"green": (fit_reference(drawn(60), drawn(40, seed=1)), BY_HAND), "blue+green": (BY_HAND,)}
    write_references(bundle_folder, made)
    read = read_references(bundle_folder)
    assert read.keys() == made.keys()
    others = drawn(9, seed=2, dimensions=12 + 2)
    assert_allclose(p_values(read["green"], others), p_values(made["green"], others), rtol=0)
    assert_allclose(read["green"][0].distance(others[:, :12]), made["green"][0].distance(others[:, :12]), rtol=1e-6)
    write_references(bundle_folder, {})
    assert read_references(bundle_folder) == {}


def test_no_file_is_no_reference(bundle_folder):
    assert read_references(bundle_folder) == {}


@pytest.mark.parametrize("dimensions", [1280, 6400])
def test_a_file_stays_below_300_kilobytes(bundle_folder, dimensions):
    zeros = np.zeros((70, dimensions), np.float32)
    wide = zeros + np.random.default_rng(0).normal(size=zeros.shape).astype(np.float32)
    if dimensions > 1280:  # as fitting, less its eigenvectors
        kept = 140_000 // dimensions
        made = replace(
            BY_HAND, mean=wide[0], components=wide[:kept].astype(np.float16), spreads=np.ones(kept, np.float32)
        )
    else:
        made = fit_reference(wide, wide)
        assert len(made.components) == 64
    write_references(bundle_folder, {"green": [made]})
    assert (bundle_folder / REFERENCE_FILE).stat().st_size <= 300_000


def test_many_distances_are_thinned_without_losing_the_ends():
    learnt, others = drawn(50), drawn(3000, seed=1)
    reference = fit_reference(learnt, others)
    every = np.sort(reference.distance(others)).astype(np.float32)
    assert reference.distances.size == 1000
    assert (reference.distances[0], reference.distances[-1]) == (every[0], every[-1])
    assert_allclose(np.quantile(reference.distances, 0.99), np.quantile(every, 0.99), rtol=0.01)


def test_a_reference_of_other_weights_is_refused(bundle_folder):
    write_references(bundle_folder, {"green": [BY_HAND]})
    (bundle_folder / WEIGHTS_FILE).write_bytes(b"trained on")
    with pytest.raises(BundleError, match=r"other weights.*protloc evaluate RUN"):
        read_references(bundle_folder)


def test_a_damaged_file_is_told(bundle_folder):
    write_references(bundle_folder, {"green": [BY_HAND]})
    file = bundle_folder / REFERENCE_FILE
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(BundleError, match=r"reference\.safetensors: damaged"):
        read_references(bundle_folder)


def test_without_weights_nothing_is_written(tmp_path):
    with pytest.raises(BundleError, match=r"model\.safetensors: missing"):
        write_references(tmp_path, {"green": [BY_HAND]})


def test_embeddings_of_another_model_are_refused():
    with pytest.raises(BundleError, match=r"of 2 dimensions, the embeddings have shape \(1, 3\)"):
        BY_HAND.distance(np.zeros((1, 3), np.float32))
    with pytest.raises(BundleError, match=r"of 4 dimensions, the embeddings have shape \(1, 3\)"):
        p_values([BY_HAND, BY_HAND], np.zeros((1, 3), np.float32))


def test_chance_of_two_networks_worked_by_hand():
    # distance 2 to the first, which held out one nearer field of four; 1 to the second, which held out none nearer
    embedding = np.array([[5, 2, 3, 1]], np.float32)
    assert BY_HAND.distance(embedding[:, 2:])[0] == pytest.approx(1)
    assert p_values([BY_HAND, BY_HAND], embedding)[0] == pytest.approx((1 + 3 + 4) / (1 + 8))


def test_fewer_fields_than_dimensions_give_the_same_principal_components():
    learnt, others = drawn(11, dimensions=12), drawn(9, dimensions=12, seed=1)
    few = fit_reference(learnt, others, components=3)
    witness = PCA(n_components=3, svd_solver="full").fit(learnt.astype(np.float64))
    assert_allclose(few.spreads, witness.explained_variance_, rtol=1e-4)
    assert_allclose(np.abs(few.components @ witness.components_.T), np.eye(3), atol=2e-3)
    assert few.rest == pytest.approx((learnt.var(axis=0, ddof=1).sum() - few.spreads.sum()) / 9, rel=1e-3)


@given(st.integers(0, 500), st.integers(2, 50))
def test_what_is_spread_holds_both_ends_and_nothing_twice(count, most):
    places = spread(count, most)
    assert len(places) == min(count, most)
    assert len(set(places.tolist())) == len(places)
    assert count == 0 or (places[0], places[-1]) == (0, count - 1)


@pytest.mark.parametrize(
    ("learnt", "held_out", "told"),
    [
        (drawn(7), drawn(9), "expected 8 fields or more each"),
        (drawn(9), drawn(9, dimensions=11), "of the same dimensions"),
        (drawn(9) * np.float32(np.nan), drawn(9), "expected finite ones"),
    ],
)
def test_what_no_reference_can_be_made_of(learnt, held_out, told):
    with pytest.raises(SettingsError, match=told):
        fit_reference(learnt, held_out)
