"""Label noise: mistakes planted, then found; cleanlab as second witness."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.multilabel_classification import get_label_quality_scores
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from protloc.curate.label_noise import (
    LEAST_PROBABILITY,
    MISTAKES,
    confident_joint,
    flip_labels,
    mates_opinion,
    suspects,
)

SHARE = 0.05
CLASSES = 20
MISSING, WRONG, EXCHANGED = range(len(MISTAKES))


def cleanlabs_scores(truth, probabilities, method):
    """Return the suspicion of each field by one of cleanlab's methods, higher where less is right."""
    return -get_label_quality_scores(lists_of(truth), probabilities, method=method)


def lists_of(truth):
    """Return label sets as cleanlab takes them."""
    return [np.flatnonzero(row).tolist() for row in truth]


def simulated(seed, *, antibodies=600, sureness=1.0):
    """Return right labels, soft out-of-fold probabilities and antibodies: frequent and rare classes, three fields each.

    The evidence for a class is normal with a spread of 1 whichever the truth, so that its log-odds are known exactly.
    """
    generator = np.random.default_rng(seed)
    frequencies = 0.3 * 0.8 ** np.arange(CLASSES) + 0.004
    labels = generator.random((antibodies, CLASSES)) < frequencies
    labels[~labels.any(axis=1), 0] = True
    truth = np.repeat(labels, 3, axis=0).astype(np.uint8)
    evidence = generator.normal(truth * sureness * generator.uniform(1.5, 3.5, CLASSES), 1.0)
    shift = sureness * 2.5
    return truth, expit(shift * evidence - shift**2 / 2 + np.log(frequencies)), np.repeat(np.arange(antibodies), 3)


def found_at_the_top(scores, flipped):
    """Return the share of truly flipped fields among the most suspicious twentieth."""
    most = round(SHARE * len(scores))
    return float(flipped[np.argsort(-scores, kind="stable")[:most]].mean())


@pytest.fixture(scope="module")
def world():
    truth, probabilities, antibodies = simulated(0)
    flipped = flip_labels(truth, share=SHARE, generator=np.random.default_rng(1))
    return truth, flipped, probabilities, [f"antibody {number}" for number in antibodies]


def test_half_of_the_most_suspicious_twentieth_is_flipped_without_any_group(world):
    _, noisy, probabilities, _ = world
    assert found_at_the_top(suspects(noisy.targets, probabilities).scores, noisy.flipped) > 0.5


def test_mates_labels_find_nearly_all(world):
    _, noisy, probabilities, antibodies = world
    found = suspects(noisy.targets, probabilities, groups=antibodies)
    assert found_at_the_top(found.scores, noisy.flipped) > 0.85


@pytest.mark.parametrize("sureness", [0.6, 1.0])
@pytest.mark.parametrize("seed", [2, 3])
def test_the_ranking_is_no_worse_than_the_best_of_cleanlab(seed, sureness):
    truth, probabilities, _ = simulated(seed, sureness=sureness)
    noisy = flip_labels(truth, share=SHARE, generator=np.random.default_rng(seed))
    ours = found_at_the_top(suspects(noisy.targets, probabilities).scores, noisy.flipped)
    theirs = [
        found_at_the_top(
            -get_label_quality_scores(lists_of(noisy.targets), probabilities, method=method), noisy.flipped
        )
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
    ]
    assert ours >= max(theirs)


def test_suggestions_name_the_class_that_was_flipped(world):
    truth, noisy, probabilities, antibodies = world
    found = suspects(noisy.targets, probabilities, groups=antibodies)
    caught = [row for row in found.order[: int(noisy.flipped.sum())] if noisy.flipped[row]]
    lost = [row for row in caught if (truth[row] > noisy.targets[row]).any()]
    gained = [row for row in caught if (truth[row] < noisy.targets[row]).any()]
    assert np.mean([truth[row, found.missing[row]] > noisy.targets[row, found.missing[row]] for row in lost]) > 0.9
    assert np.mean([truth[row, found.wrong[row]] < noisy.targets[row, found.wrong[row]] for row in gained]) > 0.9


def test_with_mates_the_number_of_wrong_labels_is_estimated_well(world):
    truth, noisy, probabilities, antibodies = world
    planted = int((truth != noisy.targets).sum())
    estimated = suspects(noisy.targets, probabilities, groups=antibodies).joint.wrong_labels
    assert estimated == pytest.approx(planted, rel=0.25)


def test_self_confidence_is_cleanlabs(world):
    _, noisy, probabilities, _ = world
    theirs = np.array(
        get_label_quality_scores_per_class(lists_of(noisy.targets), probabilities, method="self_confidence")
    )
    theirs = theirs if theirs.shape == probabilities.shape else theirs.T
    np.testing.assert_allclose(suspects(noisy.targets, probabilities).self_confidence, theirs)


def test_the_confident_joint_is_cleanlabs(world):
    _, noisy, probabilities, _ = world
    ours = confident_joint(noisy.targets, probabilities)
    theirs = compute_confident_joint(lists_of(noisy.targets), probabilities, multi_label=True, calibrate=False)
    np.testing.assert_array_equal(ours.counts, theirs)
    for column in range(CLASSES):
        believed = probabilities[:, column]
        both = get_confident_thresholds(
            noisy.targets[:, column].astype(int), np.stack([1 - believed, believed], axis=1)
        )
        np.testing.assert_allclose([ours.absent[column], ours.present[column]], both)


def test_a_hand_worked_confident_joint():
    # given: mean probability .7; not given: mean of 1 - p is .75
    truth = np.repeat([[1], [0]], 5, axis=0)
    probabilities = np.array([[0.9], [0.8], [0.8], [0.8], [0.2], [0.1], [0.1], [0.1], [0.15], [0.8]])
    joint = confident_joint(truth, probabilities)
    assert joint.present[0] == pytest.approx(0.7)
    assert joint.absent[0] == pytest.approx(0.75)
    assert joint.counts.tolist() == [[[4, 1], [1, 4]]]
    assert (joint.missing[0], joint.wrong[0]) == (pytest.approx(1), pytest.approx(1))
    assert joint.wrong_labels == pytest.approx(2)


def test_a_class_of_few_fields_has_no_threshold():
    truth = np.zeros((20, 1), np.uint8)
    truth[:4] = 1
    joint = confident_joint(truth, np.full((20, 1), 0.3))
    assert np.isnan(joint.present[0])
    assert joint.counts[0, :, 1].sum() == 0


def test_a_hand_worked_score():
    # two classes, each in half of the fields, so the mean label set has one class
    truth = np.array([[1, 0], [0, 1]])
    found = suspects(truth, np.array([[0.8, 0.5], [0.5, 0.5]]))
    # field 0, odds 4 and 1. lost: 1 / (1 + 1); extra: (.5 / 4) / 1; exchanged: .125 * 1 / (1 * 1)
    odds = (0.5 + 0.125 + 0.125) / 3 * 0.05 / 0.95
    assert found.scores[0] == pytest.approx(odds / (1 + odds))
    assert found.mistakes[0] == MISSING
    # field 1, odds 1 and 1: lost 1 / 2, extra .5, exchanged .5
    odds = 1.5 / 3 * 0.05 / 0.95
    assert found.scores[1] == pytest.approx(odds / (1 + odds))
    assert found.order.tolist() == [1, 0]
    assert (found.missing.tolist(), found.wrong.tolist()) == ([1, 0], [0, 1])


@pytest.mark.parametrize(
    ("labels", "probabilities", "mistake"),
    [([1, 0, 0], [0.95, 0.97, 0.02], MISSING), ([1, 1, 0], [0.95, 0.001, 0.02], WRONG),
     ([0, 1, 0], [0.97, 0.01, 0.02], EXCHANGED)],
)  # fmt: skip
def test_the_kind_of_mistake_is_told(labels, probabilities, mistake):
    plain = np.tile(np.eye(3, dtype=np.uint8), (10, 1))
    truth = np.vstack([labels, plain])
    found = suspects(truth, np.vstack([probabilities, 0.02 + 0.94 * plain]))
    assert found.order[0] == 0
    assert found.mistakes[0] == mistake


def test_a_rare_class_with_its_usual_low_probability_is_not_more_suspicious_than_a_common_one():
    truth = np.zeros((1000, 2), np.uint8)
    truth[:500, 0] = truth[:5, 1] = 1
    probabilities = np.tile(truth.mean(axis=0), (1000, 1))  # a network that knows the frequencies only
    found = suspects(truth, probabilities)
    with_rare, without = found.scores[0], found.scores[5]
    assert without < with_rare < 3 * without  # while 1 - probability of its label is .995 against .5


def test_mates_without_a_common_label_set_say_the_frequency():
    generator = np.random.default_rng(0)
    truth = (generator.random((900, 4)) < 0.3).astype(np.uint8)
    said = mates_opinion(truth, [str(number // 3) for number in range(900)])
    assert np.abs(said - truth.mean(axis=0)).max() < 0.1


def test_a_field_without_mates_is_judged_by_its_image_alone(world):
    _, noisy, probabilities, _ = world
    alone = [str(number) for number in range(len(probabilities))]
    np.testing.assert_allclose(
        mates_opinion(noisy.targets, alone), np.tile(noisy.targets.mean(axis=0), (len(alone), 1))
    )
    with_groups = suspects(noisy.targets, probabilities, groups=alone)
    np.testing.assert_allclose(with_groups.scores, suspects(noisy.targets, probabilities).scores, rtol=1e-6)


def test_a_hand_worked_opinion_of_mates():
    # every group of two agrees: agreement is held at .99, so the prior weighs .01 / .99 of a field
    truth = np.repeat([[1, 0], [0, 1], [0, 1], [1, 0]], 2, axis=0)
    prior = 0.01 / 0.99
    said = mates_opinion(truth, ["a", "a", "b", "b", "c", "c", "d", "d"])
    assert said[0].tolist() == pytest.approx([(1 + prior * 0.5) / (1 + prior), prior * 0.5 / (1 + prior)])


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.integers(0, 1)),
    st.randoms(use_true_random=False),
)
def test_any_table_can_be_ranked(truth, chance):
    generator = np.random.default_rng(chance.randrange(2**32))
    probabilities = generator.choice([0.0, 1.0, 0.5, 0.3], truth.shape)
    groups = [str(code) for code in generator.integers(0, 3, len(truth))]
    for found in (suspects(truth, probabilities), suspects(truth, probabilities, groups=groups)):
        assert sorted(found.order.tolist()) == list(range(len(truth)))
        assert np.isfinite(found.scores).all()
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
        assert (found.missing == -1).tolist() == truth.all(axis=1).tolist()
        assert (found.wrong == -1).tolist() == (~truth.any(axis=1)).tolist()
        rows = np.flatnonzero(found.missing >= 0)
        assert not truth[rows, found.missing[rows]].any()
        rows = np.flatnonzero(found.wrong >= 0)
        assert truth[rows, found.wrong[rows]].all()


def test_probabilities_nearer_to_0_than_any_network_can_know_change_nothing():
    truth = np.array([[1, 0], [0, 1], [1, 1]])
    certain = suspects(truth, np.array([[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]))
    least = suspects(truth, np.array([[LEAST_PROBABILITY, 1 - LEAST_PROBABILITY], [0.5, 0.5], [0.5, 0.5]]))
    assert certain.scores.tolist() == least.scores.tolist()


@pytest.mark.parametrize(
    ("truth", "probabilities", "said"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), r"\(2, 3\) and \(3, 2\)"),
        (np.ones((0, 3)), np.ones((0, 3)), "one shape"),
        (np.ones((1, 1)), np.full((1, 1), np.nan), "not logits"),
        (np.ones((1, 1)), np.full((1, 1), -3.0), "not logits"),
    ],
)
def test_what_cannot_be_judged_is_refused(truth, probabilities, said):
    with pytest.raises(ValueError, match=said):
        suspects(truth, probabilities)


def test_flips_are_one_mistake_in_just_the_share_of_the_fields():
    truth, _, _ = simulated(4)
    before = truth.copy()
    noisy = flip_labels(truth, share=SHARE, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(truth, before)
    assert noisy.flipped.sum() == round(SHARE * len(truth))
    np.testing.assert_array_equal((noisy.targets != truth).any(axis=1), noisy.flipped)
    assert set((noisy.targets != truth).sum(axis=1)) == {0, 1, 2}
    assert noisy.targets[noisy.flipped].any(axis=1).all()


@given(st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_flips_of_any_field_change_it(labels, seed):
    truth = np.zeros((1, 3), np.uint8)
    truth[0, :labels] = 1
    noisy = flip_labels(truth, share=1.0, generator=np.random.default_rng(seed))
    assert (noisy.targets != truth).sum() in {1, 2}
