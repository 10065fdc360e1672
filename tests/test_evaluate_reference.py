"""What evaluate writes of what is usual to a run's networks."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protloc.apply.embed import embeddings
from protloc.apply.given import stored_batches
from protloc.apply.preflight import reference_for
from protloc.apply.rows import see_rows
from protloc.apply.see import see
from protloc.atlas.store import Store
from protloc.curate.groups import GROUPS_FILE, Groups
from protloc.curate.split import Folds, Split, rows_of
from protloc.errors import BundleError
from protloc.learn.bundle import Bundle
from protloc.learn.recipes import TrainSettings
from protloc.learn.reference import REFERENCE_FILE, fit_reference, p_values, read_references, write_references
from protloc.learn.runs import Run, read_run
from protloc.learn.train_folds import train_folds
from protloc.verbs.evaluate import evaluate
from protloc.verbs.judging import How, judge_run
from protloc.verbs.references import fit_references

SETTINGS = TrainSettings(
    backbone="baseline-cnn", epochs=1, batch_size=32, learning_rate=3e-3, precision="float32", device="cpu", seed=5
)
HOW = How(error_rate=0.2, threshold_rule="one", poses=1)
FOLD_OF = np.arange(84) // 2 % 3
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "ship_starter.py"
ALL = "blue+green+red+yellow"


@pytest.fixture(scope="module")
def store(tiny_world, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the tiny world with pairs of fields as groups."""
    folder = shutil.copytree(tiny_world.store.folder, tmp_path_factory.mktemp("usual") / "store")
    ids = tiny_world.store.ids
    Groups(ids, tuple(ids[row // 2 * 2] for row in range(84)), ids).write(folder / GROUPS_FILE)
    return Store.open(folder)


@pytest.fixture(scope="module")
def folds(store: Store) -> Folds:
    made = Folds(store.ids, tuple(FOLD_OF.tolist()))
    made.write(store.folder / "splits/cv.parquet")
    return made


@pytest.fixture(scope="module")
def run(store: Store, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of three folds whose networks can go without all stains but green."""
    folder = tmp_path_factory.mktemp("usual") / "run"
    train_folds(store, settings=SETTINGS, run=folder, folds=folds, split_name="cv")
    for file in folder.rglob("model.json"):
        described = json.loads(file.read_text())
        described["settings"] |= {"stain_dropout": 0.5}
        file.write_text(json.dumps(described))
    return read_run(folder)


def seen(bundle: Bundle, store: Store, rows: np.ndarray, *stains: str) -> np.ndarray:
    return embeddings(bundle, stored_batches(bundle, store, rows, stains=stains or None))


def test_evaluate_writes_what_is_usual_for_every_set_of_stains(store: Store, folds: Folds, run: Run) -> None:
    told: list[tuple[int, int]] = []
    one = run.folds[0]
    evaluate(one.folder, progress=lambda done, total: told.append((done, total)))
    bundle, rows = Bundle.load(one.bundle_folder), rows_of(folds.split(0), store.ids)
    found = read_references(one.bundle_folder)
    assert set(found) == {ALL, *bundle.rules}
    assert told[-1] == (8 * len(rows["train"]), 8 * len(rows["train"]))
    for name, stains, held_out in (
        (ALL, (), np.concatenate([rows["validation"], rows["test"]])),
        ("blue+green", ("blue", "green"), rows["validation"]),
    ):
        (made,) = found[name]
        learnt = seen(bundle, store, rows["train"], *stains)
        expected = fit_reference(learnt, seen(bundle, store, held_out, *stains), components=len(made.components))
        np.testing.assert_allclose(made.mean, learnt.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(made.distances, expected.distances, rtol=1e-3)
    assert reference_for(bundle, ["green", "blue"])[0].mean.tolist() == found["blue+green"][0].mean.tolist()


def test_a_bundle_trained_on_is_told_that_its_reference_is_old(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folds[0].folder, tmp_path / "one")
    evaluate(folder)
    bundle = Bundle.load(folder / "bundle")
    (member,) = bundle.members
    other = replace(member, state={name: tensor + 1 for name, tensor in member.state.items()})
    replace(bundle, members=(other,)).save(folder / "bundle")
    with pytest.raises(BundleError, match="made with other weights"):
        reference_for(Bundle.load(folder / "bundle"), ["green"])


def test_each_network_of_folds_is_asked_of_fields_it_did_not_learn(store: Store, folds: Folds, run: Run) -> None:
    evaluate(run.folder)
    bundle = run.bundle()
    found = read_references(run.bundle_folder)
    assert set(found) == {ALL, *bundle.rules}
    everything = seen(bundle, store, np.arange(84))
    assert p_values(found[ALL], everything).shape == (84,)
    for fold, member in enumerate(run.folds):
        rows = rows_of(folds.split(fold), store.ids)
        own = seen(member.bundle(), store, np.arange(84))
        np.testing.assert_allclose(everything[:, fold * own.shape[1] :][:, : own.shape[1]], own, atol=1e-4)
        made = found[ALL][fold]
        np.testing.assert_allclose(made.mean, own[rows["train"]].mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(made.distances, np.sort(made.distance(own[rows["test"]])), rtol=1e-3)


def test_fields_whose_group_was_learnt_from_hold_nothing_out(store: Store, folds: Folds, run: Run) -> None:
    parts = list(folds.split(0).parts)
    mate = parts.index("test")
    parts[mate + 1] = "train"
    judged = judge_run(run.folds[0], store, Split(folds.ids, tuple(parts)), HOW)
    assert [len(each) for each in judged.held_out[ALL]] == [28 + 28 - 2]


def test_too_few_fields_leave_no_reference_and_none_of_before(
    store: Store, folds: Folds, run: Run, tmp_path: Path
) -> None:
    split = folds.split(0)
    judged = judge_run(run.folds[0], store, split, HOW)
    few = replace(judged, held_out={ALL: (judged.held_out[ALL][0][:7],), "green": judged.held_out["green"]})
    made = fit_references(run.folds[0], store, split, few)
    assert set(made) == {"green"}
    bundle = shutil.copytree(run.folds[0].bundle_folder, tmp_path / "bundle")
    write_references(bundle, made)
    write_references(bundle, {})
    assert not (bundle / REFERENCE_FILE).exists()


@pytest.mark.parametrize("tta", [False, True])
def test_one_look_gives_logits_and_embeddings(store: Store, run: Run, tta) -> None:
    rows = np.array([5, 3, 70])
    both = see_rows(run.bundle(), store, rows, stains=["green", "red"], tta=tta)
    images = store.images(rows)
    images[:, [stain.name not in ("green", "red") for stain in store.stains]] = 0
    expected = see(run.bundle(), [images], tta=tta).mean_logits
    np.testing.assert_allclose(both.mean_logits, expected, atol=1e-6)
    np.testing.assert_allclose(both.embeddings, seen(run.bundle(), store, rows, "green", "red"), atol=1e-5)
    with pytest.raises(BundleError, match="its side are 32, the model's 64"):
        see_rows(replace(run.bundle(), side=64), store, rows)
    names = run.bundle().vocabulary
    other = replace(run.bundle(), vocabulary=replace(names, compartments=names.compartments[::-1]))
    with pytest.raises(BundleError, match="its classes are"):
        see_rows(other, store, rows)


def test_what_is_usual_to_the_starter_is_learnt_from_validation_and_judged_on_test_fields(
    store: Store, folds: Folds, run: Run
) -> None:
    specification = importlib.util.spec_from_file_location("ship_starter", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    folds.split(0).write(store.folder / "splits/default.parquet")
    evaluate(run.folds[0].folder)
    bundle, rows = Bundle.load(run.folds[0].bundle_folder), rows_of(folds.split(0), store.ids)
    found = script.usual(bundle, store)
    assert set(found) == {ALL, *bundle.rules}
    learnt, held_out = (seen(bundle, store, rows[part], "green") for part in ("validation", "test"))
    np.testing.assert_allclose(found["green"][0].mean, learnt.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found["green"][0].distances, np.sort(found["green"][0].distance(held_out)), rtol=1e-4)
