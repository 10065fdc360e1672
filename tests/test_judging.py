"""Judging a run: every field by a network and a rule in which it had no part, and leaks counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from pathlib import Path

import numpy as np
import pytest

from protloc.apply.rows import see_rows
from protloc.apply.see import see
from protloc.atlas.store import Store
from protloc.curate.groups import GROUPS_FILE, Groups
from protloc.curate.split import Folds, Split, rows_of
from protloc.errors import RunError, SplitError
from protloc.judge.answering import answer, fit_rule
from protloc.judge.predictions import PartPredictions, predictions_file
from protloc.learn.bundle import Bundle
from protloc.learn.recipes import TrainSettings
from protloc.learn.runs import Run, read_run
from protloc.learn.train_folds import train_folds
from protloc.show.report_content import OUT_OF_FOLD
from protloc.verbs.evaluate import evaluate
from protloc.verbs.export import export_bundle
from protloc.verbs.judging import How, judge_run

SETTINGS = TrainSettings(
    backbone="baseline-cnn", epochs=2, batch_size=16, learning_rate=3e-3, precision="float32", device="cpu", seed=5
)
HOW = How(error_rate=0.2, threshold_rule="one", poses=1)
PAIRS = np.arange(84) // 2
FOLD_OF = PAIRS % 3  # pairs of fields are never parted


@pytest.fixture(scope="module")
def store(tiny_world, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the tiny world as audited: pairs of fields, of which every second is of near-duplicates."""
    folder = shutil.copytree(tiny_world.store.folder, tmp_path_factory.mktemp("judging") / "store")
    ids = tiny_world.store.ids
    firsts = tuple(ids[2 * pair] for pair in PAIRS)
    twins = tuple(ids[2 * pair] if pair % 2 else ids[row] for row, pair in enumerate(PAIRS))
    Groups(ids, firsts, twins).write(folder / GROUPS_FILE)
    return Store.open(folder)


@pytest.fixture(scope="module")
def folds(store: Store) -> Folds:
    made = Folds(store.ids, tuple(FOLD_OF.tolist()))
    made.write(store.folder / "splits/cv.parquet")
    return made


@pytest.fixture(scope="module")
def run(store: Store, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of three folds, each an ordinary run of its own."""
    folder = tmp_path_factory.mktemp("judged") / "run"
    train_folds(store, settings=SETTINGS, run=folder, folds=folds, split_name="cv")
    return read_run(folder)


def with_flipped(store: Store, rows: np.ndarray) -> Store:
    """Return the same store with other truth for these rows: each class that they lack, and none that they have."""
    labels = [list(each) for each in store.fields["labels"]]
    for row in rows:
        labels[row] = [label for label in range(3) if label not in labels[row]]
    return replace(store, fields=store.fields.assign(labels=labels))


def same(found: PartPredictions, expected: PartPredictions) -> np.ndarray:
    """Tell of which fields all answers are the same, (fields,)."""
    names = ("logits", "probabilities", "called", "verdicts")
    return np.all([(getattr(found, name) == getattr(expected, name)).all(axis=1) for name in names], axis=0)


def test_out_of_fold_logits_are_of_the_network_that_did_not_learn_the_field(
    store: Store, folds: Folds, run: Run
) -> None:
    said = judge_run(run, store, folds, HOW).parts[OUT_OF_FOLD]
    assert said.ids == store.ids
    np.testing.assert_array_equal(said.truth, store.targets)
    for number, member in enumerate(run.folds):
        test = rows_of(folds.split(number), store.ids)["test"]
        np.testing.assert_allclose(said.logits[test], see_rows(member.bundle(), store, test).mean_logits, atol=1e-6)
        for other in (1, 2):
            learnt = run.folds[(number + other) % 3].bundle()
            assert np.abs(said.logits[test] - see_rows(learnt, store, test).mean_logits).max() > 1e-3


def test_poses_are_averaged_where_asked(store: Store, folds: Folds, run: Run) -> None:
    judged = judge_run(run, store, folds, replace(HOW, poses=8))
    test = rows_of(folds.split(2), store.ids)["test"]
    turned, straight = (see_rows(run.folds[2].bundle(), store, test, tta=tta).mean_logits for tta in (True, False))
    np.testing.assert_allclose(judged.parts[OUT_OF_FOLD].logits[test], turned, atol=1e-6)
    assert np.abs(turned - straight).max() > 1e-3
    assert judged.rule.poses == 8


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_fold_has_a_say_in_its_own_answers(store: Store, folds: Folds, run: Run, fold: int) -> None:
    before, after = (
        judge_run(run, each, folds, HOW).parts[OUT_OF_FOLD]
        for each in (store, with_flipped(store, np.flatnonzero(fold == FOLD_OF)))
    )
    assert (before.truth != after.truth).any(axis=1).tolist() == (fold == FOLD_OF).tolist()
    np.testing.assert_array_equal(same(before, after), fold == FOLD_OF)


def test_the_rule_of_the_ensemble_is_fitted_to_all_out_of_fold_logits(store: Store, folds: Folds, run: Run) -> None:
    judged = judge_run(run, store, folds, HOW)
    said = judged.parts[OUT_OF_FOLD]
    assert judged.rule == fit_rule(store.targets, said.logits, groups=said.groups, **asdict(HOW))
    assert said.groups == tuple(store.ids[2 * pair] for pair in PAIRS)
    assert judged.sizes == {"fold 0": 28, "fold 1": 28, "fold 2": 28}
    assert sorted(judged.fitted.ids + judged.tested.ids) == list(store.ids)
    assert not set(judged.fitted.groups) & set(judged.tested.groups)


def test_a_validation_field_has_no_say_in_the_answers_of_its_group(store: Store, folds: Folds, run: Run) -> None:
    split = folds.split(0)
    before = judge_run(run.folds[0], store, split, HOW)
    validation = rows_of(split, store.ids)["validation"]
    for first in validation[[0, 8, 20]]:  # the first of a pair: its mate's answer must stay too
        after = judge_run(run.folds[0], with_flipped(store, np.array([first])), split, HOW)
        stay = same(before.parts["validation"], after.parts["validation"])
        assert stay[PAIRS[validation] == PAIRS[first]].tolist() == [True, True]
        assert 0 < stay.sum() < len(stay) / 2  # one block of five
        assert not same(before.parts["test"], after.parts["test"]).all()  # to them it may say something


@pytest.mark.parametrize("part", ["train", "test"])
def test_only_validation_fields_have_a_say_in_the_rule(store: Store, folds: Folds, run: Run, part: str) -> None:
    split = folds.split(0)
    flipped = with_flipped(store, rows_of(split, store.ids)[part])
    before, after = (judge_run(run.folds[0], each, split, HOW) for each in (store, flipped))
    assert after.rule == before.rule
    assert all(same(before.parts[name], after.parts[name]).all() for name in ("validation", "test"))


def test_the_test_part_is_answered_by_the_rule_that_the_bundle_holds(store: Store, folds: Folds, run: Run) -> None:
    own = read_run(shutil.copytree(run.folds[0].folder, run.folder.parent / "one"))
    evaluate(own.folder, error_rate=0.2)
    said, bundle = PartPredictions.read(predictions_file(own.folder, "test")), Bundle.load(own.bundle_folder)
    rows = rows_of(folds.split(0), store.ids)["test"]
    assert said.ids == tuple(store.ids[row] for row in rows)
    np.testing.assert_allclose(said.logits, see_rows(bundle, store, rows).mean_logits, atol=1e-6)
    expected = answer(bundle.rule, said.logits)
    np.testing.assert_array_equal(said.probabilities, expected.probabilities)
    np.testing.assert_array_equal(said.called, expected.called)
    np.testing.assert_array_equal(said.verdicts, expected.verdicts)
    np.testing.assert_array_equal(bundle.rule.cuts.verdicts(said.probabilities), said.verdicts)
    validation = PartPredictions.read(predictions_file(own.folder, "validation"))
    how = {"groups": validation.groups, "error_rate": 0.2}
    assert bundle.rule == fit_rule(validation.truth, validation.logits, **how)
    assert not np.array_equal(answer(bundle.rule, validation.logits).probabilities, validation.probabilities)


def test_exports_that_answer_by_the_rule_before_are_named(run: Run) -> None:
    own = read_run(shutil.copytree(run.folds[0].folder, run.folder.parent / "exported"))
    evaluate(own.folder, error_rate=0.2)
    made = export_bundle(Bundle.load(own.bundle_folder), engine="onnx").folder
    assert evaluate(own.folder, error_rate=0.2).outdated == (), "the rule is as it was"
    shutil.copytree(made, made.with_name(f".{made.name}.7.old"))  # as a kill leaves it
    again = evaluate(own.folder, error_rate=0.1, threshold_rule="fixed")
    assert again.outdated == (made,)
    assert f"still answer {made}: export again" in again.summary


def parted(folds: Folds, **rows: list[int]) -> Split:
    """Return the split that tests on fold 0, with these rows moved to another part."""
    parts = list(folds.split(0).parts)
    for part, moved in rows.items():
        for row in moved:
            parts[row] = part
    return Split(folds.ids, tuple(parts))


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({}, (28, 0, 0)),
        # rows 0 and 1 are a pair, 6 and 7 a pair of near-duplicates, all of fold 0
        ({"train": [1]}, (27, 1, 0)),
        ({"validation": [1]}, (27, 1, 0)),
        ({"train": [7]}, (27, 1, 1)),
        ({"validation": [7]}, (27, 1, 1)),
        ({"train": [1], "validation": [7]}, (26, 2, 1)),
        # rows 8 and 9 are a pair of fold 1, which validates; 4 and 5 one of fold 2, which trains
        ({"test": [8, 4], "train": [1]}, (29, 3, 0)),
        ({"train": [0, 1]}, (26, 0, 0)),
    ],
)
def test_mates_among_training_and_validation_fields_are_leaks(
    store: Store, folds: Folds, run: Run, moved: dict[str, list[int]], expected: tuple[int, int, int]
) -> None:
    found = judge_run(run.folds[0], store, parted(folds, **moved), HOW).leaks
    assert found is not None
    assert astuple(found) == expected


def test_leaks_between_folds_are_added_up(store: Store, folds: Folds, run: Run) -> None:
    whole = judge_run(run, store, folds, HOW).leaks
    assert whole is not None
    assert astuple(whole) == (84, 0, 0)
    moved = list(folds.folds)
    moved[1], moved[7] = 1, 2  # a pair, and a pair of near-duplicates: each of the four fields has a mate elsewhere
    torn = judge_run(run, store, Folds(folds.ids, tuple(moved)), HOW).leaks
    assert torn is not None
    assert astuple(torn) == (84, 4, 2)


def test_without_an_audit_leaks_are_unknown(store: Store, folds: Folds, run: Run, tmp_path: Path) -> None:
    shutil.copytree(store.folder, tmp_path / "store")
    (tmp_path / "store" / GROUPS_FILE).unlink()
    alone = Store.open(tmp_path / "store")
    for judged in (judge_run(run, alone, folds, HOW), judge_run(run.folds[0], alone, folds.split(0), HOW)):
        assert judged.leaks is None
        assert all(said.groups == said.ids for said in judged.parts.values())


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_an_empty_part_is_refused(store: Store, folds: Folds, run: Run, part: str) -> None:
    other = "test" if part == "validation" else "validation"
    gone = Split(folds.ids, tuple(other if mine == part else mine for mine in folds.split(0).parts))
    with pytest.raises(SplitError, match=f"the {part} part of the split is empty"):
        judge_run(run.folds[0], store, gone, HOW)


def test_folds_still_to_be_trained_are_not_judged(store: Store, folds: Folds, run: Run, tmp_path: Path) -> None:
    begun = shutil.copytree(run.folder, tmp_path / "run")
    shutil.rmtree(begun / "folds/2")
    with pytest.raises(RunError, match="2 of 3 folds are trained, expected all"):
        judge_run(read_run(begun), store, folds, HOW)


@pytest.mark.parametrize("of", [lambda run: run, lambda run: run.folds[0]])
def test_progress_counts_the_predicted_fields(store: Store, folds: Folds, run: Run, of: Callable[[Run], Run]) -> None:
    told: list[tuple[int, int]] = []
    chosen = of(run)
    partition = folds if chosen is run else folds.split(0)
    judge_run(chosen, store, partition, HOW, progress=lambda done, total: told.append((done, total)))
    fields = 84 if chosen is run else 56
    assert [total for _, total in told] == [fields] * len(told)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (fields, fields)


@pytest.fixture
def dropping(run: Run, tmp_path: Path) -> Run:
    """Return the run as if its networks had learnt to do without all stains but green."""
    folder = shutil.copytree(run.folder, tmp_path / "dropping")
    for file in folder.rglob("model.json"):
        described = json.loads(file.read_text())
        described["settings"] |= {"stain_dropout": 0.5}
        file.write_text(json.dumps(described))
    return read_run(folder)


def blanked(bundle: Bundle, store: Store, rows: np.ndarray, *, seen: str) -> np.ndarray:
    """Return the logits of fields of which all stains but some are black."""
    images = store.images(rows)
    images[:, [stain.name not in seen for stain in store.stains]] = 0
    return see(bundle, [images]).logits[0]


def test_each_set_of_stains_has_a_rule_of_its_own(store: Store, folds: Folds, dropping: Run) -> None:
    split, (one, *_) = folds.split(0), dropping.folds
    told: list[tuple[int, int]] = []
    judged = judge_run(one, store, split, HOW, progress=lambda done, total: told.append((done, total)))
    alone, pairs = ["green"], ["blue+green", "green+red", "green+yellow"]
    threes = ["blue+green+red", "blue+green+yellow", "green+red+yellow"]
    assert sorted(judged.rules) == sorted(alone + pairs + threes)
    validation = rows_of(split, store.ids)["validation"]
    known = {"groups": [store.ids[2 * pair] for pair in PAIRS[validation]], **asdict(HOW)}
    for seen in ("green", "blue+green"):
        logits = blanked(one.bundle(), store, validation, seen=seen)
        assert judged.rules[seen] == fit_rule(store.targets[validation], logits, **known)
    assert judged.rules["green"] != judged.rule
    assert {total for _, total in told} == {56 + 7 * 28}
    assert told[-1] == (56 + 7 * 28, 56 + 7 * 28)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_the_rules_of_folds_are_fitted_out_of_fold(store: Store, folds: Folds, dropping: Run) -> None:
    logits = np.empty(store.targets.shape, np.float32)
    for fold, member in enumerate(dropping.folds):
        test = np.flatnonzero(fold == FOLD_OF)
        logits[test] = blanked(member.bundle(), store, test, seen="green")
    judged = judge_run(dropping, store, folds, HOW)
    expected = fit_rule(store.targets, logits, groups=[store.ids[2 * pair] for pair in PAIRS], **asdict(HOW))
    assert judged.rules["green"] == expected
    assert len(judged.rules) == 7


def test_the_bundle_holds_every_rule_and_needs_green_alone(dropping: Run) -> None:
    one = dropping.folds[0]
    evaluate(one.folder)
    bundle = Bundle.load(one.bundle_folder)
    assert bundle.needed == ("green",)
    assert len(bundle.rules) == 7
    assert bundle.rule_for(["red", "green"]) == bundle.rules["green+red"]
    assert bundle.rule_for([stain.name for stain in bundle.stains]) == bundle.rule


def test_a_network_that_needs_all_stains_has_one_rule(store: Store, folds: Folds, run: Run) -> None:
    assert judge_run(run, store, folds, HOW).rules == {}
