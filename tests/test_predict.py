"""Predicting: order, rejected fields, formats, stains."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from protloc.apply.predict import Predictions, predict, predict_rows, rejected_file, write_predictions
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.atlas.vocabulary import load_vocabulary
from protloc.errors import BundleError, ImageError, SettingsError
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, portable_state
from protloc.learn.network import Normalisation

SIDE = 32


@pytest.fixture(scope="module")
def bundle(tiny_world) -> Bundle:
    """Return a network with random weights: what it says is as good as any for how it is written down."""
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    return Bundle(
        backbone="baseline-cnn",
        vocabulary=tiny_world.vocabulary,
        stains=HPA_STAINS,
        side=SIDE,
        normalisation=Normalisation((10.0,) * 4, (20.0,) * 4),
        thresholds=(0.5, 0.5, 0.5),
        settings={},
        metrics={},
        protloc_version="0",
        state=portable_state(network.state_dict()),
    )


def test_a_folder_is_answered_like_the_store_made_of_it(bundle, tiny_world):
    answered = predict(bundle, tiny_world.images, jobs=2)
    assert answered.ids == tiny_world.store.ids
    by_row = predict_rows(bundle, tiny_world.store, np.arange(len(tiny_world.store)))
    np.testing.assert_allclose(answered.logits, by_row, atol=1e-5)


def test_rows_come_in_the_order_asked(bundle, tiny_store):
    rows = np.array([5, 0, 80, 5])
    everything = predict_rows(bundle, tiny_store, np.arange(len(tiny_store)))
    np.testing.assert_allclose(predict_rows(bundle, tiny_store, rows), everything[rows], atol=1e-5)


def test_a_rejected_field_keeps_its_place_without_a_probability(bundle, tiny_world, tmp_path):
    images = shutil.copytree(tiny_world.images, tmp_path / "images")
    (images / "f001_green.png").write_bytes(b"not an image")
    answered = predict(bundle, images)
    assert answered.ids == tiny_world.store.ids
    assert list(answered.rejected["id"]) == ["f001"]
    assert "f001_green.png" in answered.rejected["reason"][0]
    assert np.isnan(answered.probabilities[1]).all()
    assert not answered.answers[1].any()
    assert not np.isnan(np.delete(answered.probabilities, 1, axis=0)).any()

    out = tmp_path / "out.csv"
    write_predictions(answered, out)
    assert pd.read_csv(out).loc[1, ["Disc", "Ring", "Bars", "answer"]].isna().all()
    assert list(pd.read_csv(rejected_file(out))["id"]) == ["f001"]
    assert "Rejected: f001" in answered.summary(out)


def test_the_list_of_rejected_fields_goes_when_none_is_rejected(bundle, tiny_world, tmp_path):
    out = tmp_path / "out.csv"
    rejected_file(out).write_text("of an earlier call")
    write_predictions(predict(bundle, tiny_world.images), out)
    assert not rejected_file(out).exists()


@pytest.mark.parametrize(("ending", "read"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_a_table_has_a_probability_a_class_and_the_answer_in_words(tmp_path, ending, read):
    out = tmp_path / f"out{ending}"
    write_predictions(hand_made_answers(), out)
    table = read(out)
    assert list(table.columns) == ["id", "Disc", "Ring", "Bars", "answer"]
    assert list(table["id"]) == ["b", "a"]
    assert table["answer"][0] == "Disc; Bars"
    np.testing.assert_allclose(table.loc[1, ["Disc", "Ring", "Bars"]].astype(float), [0.25, 0.5, 0.25], atol=1e-6)


def test_a_submission_has_class_ids_with_spaces_between(tmp_path):
    out = tmp_path / "submission.csv"
    write_predictions(hand_made_answers(), out, style="kaggle")
    assert out.read_text() == "Id,Predicted\nb,4 30\na,7\n"


def test_a_threshold_belongs_to_its_class():
    answers = replace(hand_made_answers(), thresholds=np.array([0.2, 0.9, 0.5])).answers
    assert answers.tolist() == [[True, False, True], [True, False, False]]


@pytest.mark.parametrize(("name", "style", "told"), [("x.xlsx", "table", "'.xlsx'"), ("x.csv", "list", "'list'")])
def test_an_unknown_form_is_refused(tmp_path, name, style, told):
    with pytest.raises(SettingsError, match=f"{told}, expected"):
        write_predictions(hand_made_answers(), tmp_path / name, style=style)


def test_stains_may_have_other_suffixes_and_another_order(bundle, tiny_world, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number, stain in enumerate(HPA_STAINS):
        shutil.copy(tiny_world.images / f"f002{stain.suffix}.png", images / f"f002_ch{number}.png")
    renamed = [Stain(stain.name, f"_ch{number}") for number, stain in enumerate(HPA_STAINS)]
    answered = predict(bundle, images, stains=renamed[::-1])
    np.testing.assert_allclose(answered.logits, predict_rows(bundle, tiny_world.store, np.array([2])), atol=1e-5)


def test_other_stains_than_the_models_are_refused(bundle, tiny_world):
    with pytest.raises(BundleError, match="green given, but the model was trained on red, green, blue, yellow"):
        predict(bundle, tiny_world.images, stains=[Stain("green", "_green")])


def test_a_store_of_another_kind_is_refused(bundle, tiny_store):
    with pytest.raises(BundleError, match="its side are 32, the model's 64"):
        predict_rows(replace(bundle, side=64), tiny_store, np.array([0]))


def test_tiles_are_answered_one_by_one(bundle, tiny_world):
    answered = predict(bundle, tiny_world.images, reading=Reading(tile=16))
    assert len(answered.ids) == 4 * len(tiny_world.store)
    assert answered.ids[:4] == ("f000.r0c0", "f000.r0c1", "f000.r1c0", "f000.r1c1")


def test_a_model_of_tiles_cuts_fields_into_tiles_unless_told_otherwise(bundle, tiny_world):
    of_tiles = replace(bundle, tile=16)
    assert len(predict(of_tiles, tiny_world.images).ids) == 4 * len(tiny_world.store)
    assert predict(of_tiles, tiny_world.images, reading=Reading(tile=32)).ids[0] == "f000.r0c0"


def test_a_folder_of_which_nothing_can_be_read_is_an_error(bundle, tiny_world, tmp_path):
    shutil.copy(tiny_world.images / "f001_green.png", tmp_path)
    with pytest.raises(ImageError, match=r"none of 1 fields can be read. The first: f001: no red and blue and yellow"):
        predict(bundle, tmp_path)


def test_progress_counts_fields(bundle, tiny_world):
    told: list[tuple[int, int]] = []
    predict(bundle, tiny_world.images, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 84) for done in range(1, 85)]


def hand_made_answers() -> Predictions:
    """Return two fields with the probabilities .8 .2 .6 and .25 .5 .25, of classes with the ids 4, 7 and 30."""
    vocabulary = load_vocabulary("kaggle2018")
    compartments = tuple(
        replace(vocabulary.compartments[0], id=number, name=name)
        for number, name in ((4, "Disc"), (7, "Ring"), (30, "Bars"))
    )
    probabilities = np.array([[0.8, 0.2, 0.6], [0.25, 0.5, 0.25]])
    return Predictions(
        ids=("b", "a"),
        logits=np.log(probabilities / (1 - probabilities)).astype(np.float32),
        vocabulary=replace(vocabulary, compartments=compartments),
        thresholds=np.full(3, 0.5),
        rejected=pd.DataFrame(columns=["id", "reason"]),
    )
