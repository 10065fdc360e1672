"""Predicting: order, rejected fields, formats, stains, poses, members, shift, priors."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from protloc.apply.answered import ENSEMBLE_NOTE, UNFITTED_NOTE
from protloc.apply.predict import predict
from protloc.apply.predictions import Predictions, rejected_file, write_predictions
from protloc.apply.rows import see_rows
from protloc.apply.see import poses, see
from protloc.atlas.photographs import photographs_of
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.atlas.vocabulary import load_vocabulary
from protloc.errors import BundleError, ImageError, SettingsError
from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.judge.prior import Prior, matched
from protloc.judge.shift import adapted
from protloc.judge.three_way import Cuts
from protloc.judge.thresholds import Thresholds
from protloc.learn.bundle import Bundle, ensemble

SIDE = 32
FITTED = AnswerRule(
    Calibration((2.0, 1.0, 1.0), (0.0, 0.5, -0.5)),
    Thresholds((0.5, 0.4, 0.6), "per class", {}, hits=(0.8, 0.7, 0.9), alarms=(0.1, 0.2, 0.1)),
    Cuts((0.2, 0.2, 0.2), (0.8, 0.8, 0.8), 0.1),
    prevalences=(0.2, 0.4, 0.1),
    fields=60,
)


PRIOR = Prior("tiny worlds", (0.6, 0.2, 0.05))


def untrained(tiny_world, *, seed: int = 3) -> Bundle:
    """Return a network with random weights: what it says is as good as any for how it is written down."""
    return tiny_world.untrained(seed=seed, settings={})


@pytest.fixture(scope="module")
def bundle(tiny_world) -> Bundle:
    return untrained(tiny_world)


@pytest.fixture(scope="module")
def pair(tiny_world) -> Bundle:
    """Return two networks that answer together by a fitted rule."""
    return ensemble([untrained(tiny_world, seed=seed) for seed in (3, 4)], rule=FITTED)


@pytest.fixture(scope="module")
def frugal(bundle) -> Bundle:
    """Return a network that learnt to do without all stains but green."""
    return replace(bundle, settings={"stain_dropout": 0.5, "protein_stain": "green", "seed": 3}).with_rule(FITTED)


def copy_images(tiny_world, folder, *stains: str, fields: int = 5):
    """Copy the images of some stains of the first fields to a new folder."""
    folder.mkdir()
    for field in range(fields):
        for stain in stains:
            shutil.copy(tiny_world.images / f"f{field:03d}_{stain}.png", folder)
    return folder


def test_a_folder_is_answered_like_the_store_made_of_it(bundle, tiny_world):
    answered = predict(bundle, tiny_world.images, jobs=2)
    assert answered.ids == tiny_world.store.ids
    by_row = see_rows(bundle, tiny_world.store, np.arange(len(tiny_world.store))).mean_logits
    np.testing.assert_allclose(answered.logits, by_row, atol=1e-5)


def test_rows_come_in_the_order_asked(bundle, tiny_store):
    rows = np.array([5, 0, 80, 5])
    everything = see_rows(bundle, tiny_store, np.arange(len(tiny_store))).mean_logits
    np.testing.assert_allclose(see_rows(bundle, tiny_store, rows).mean_logits, everything[rows], atol=1e-5)


def test_a_rejected_field_keeps_its_place_without_a_probability(bundle, tiny_world, tmp_path):
    images = shutil.copytree(tiny_world.images, tmp_path / "images")
    (images / "f001_green.png").write_bytes(b"not an image")
    answered = predict(bundle, images)
    assert answered.ids == tiny_world.store.ids
    assert list(answered.rejected["id"]) == ["f001"]
    assert "f001_green.png" in answered.rejected["reason"][0]
    assert np.isnan(answered.answers.probabilities[1]).all()
    assert not answered.answers.called[1].any()
    assert not np.isnan(np.delete(answered.answers.probabilities, 1, axis=0)).any()

    out = tmp_path / "out.csv"
    write_predictions(answered, out)
    assert pd.read_csv(out).loc[1, ["Disc", "Ring", "Bars", "answer", "present", "ask"]].isna().all()
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
    assert list(table.columns) == ["id", "Disc", "Ring", "Bars", "answer", "present", "ask"]
    assert list(table["id"]) == ["b", "a"]
    assert table["answer"][0] == "Disc; Bars"
    assert table["ask"][0] == "Disc; Ring; Bars"
    np.testing.assert_allclose(table.loc[1, ["Disc", "Ring", "Bars"]].astype(float), [0.25, 0.5, 0.25], atol=1e-6)


def test_a_long_table_has_a_row_a_field_and_class_with_intervals(tmp_path):
    doubted = replace(FITTED, calibration=replace(FITTED.calibration, covariances=((0.0, 0.0, 1.0),) * 3))
    answered = replace(hand_made_answers(), rule=doubted)
    out = tmp_path / "long.csv"
    write_predictions(answered, out, style="long")
    table = pd.read_csv(out)
    assert list(table.columns) == ["id", "class", "go", "probability", "low", "high", "called", "answer"]
    assert table["id"].tolist() == ["b"] * 3 + ["a"] * 3
    assert table["class"].tolist() == ["Disc", "Ring", "Bars"] * 2
    np.testing.assert_array_equal(table["probability"], answered.answers.probabilities.ravel())
    odds = [table[name] / (1 - table[name]) for name in ("low", "probability", "high")]
    np.testing.assert_allclose(odds[1] / odds[0], odds[2] / odds[1], rtol=1e-4)
    assert table["answer"].tolist() == ["present", "ask", "ask", "absent", "ask", "absent"]
    assert hand_made_answers().long_table()[["low", "high"]].isna().all(axis=None)


def test_a_submission_has_class_ids_with_spaces_between(tmp_path):
    out = tmp_path / "submission.csv"
    write_predictions(hand_made_answers(), out, style="kaggle")
    assert out.read_text() == "Id,Predicted\nb,4 30\na,7\n"


def test_a_fitted_rule_calibrates_calls_and_tells_what_is_certain():
    # the odds 4, 1/4, 1.5 and 1/3, 1, 1/3: Disc's are squared, Ring's times sqrt(e), Bars' over sqrt(e)
    table = replace(hand_made_answers(), rule=FITTED).table()
    odds = np.array([[16, 0.25 * np.e**0.5, 1.5 / np.e**0.5], [1 / 9, np.e**0.5, 1 / 3 / np.e**0.5]])
    np.testing.assert_allclose(table[["Disc", "Ring", "Bars"]], odds / (1 + odds), rtol=1e-6)
    assert table["answer"].tolist() == ["Disc", "Ring"]  # Bars: 0.476 is under 0.6
    assert table["present"].tolist() == ["Disc", ""]
    assert table["ask"].tolist() == ["Ring; Bars", "Ring"]  # Ring: 0.29 and 0.62; Bars: 0.476, then 0.17


def test_a_submission_is_of_what_is_called():
    predicted = replace(hand_made_answers(), rule=FITTED).submission()["Predicted"]
    assert predicted.tolist() == ["4", "7"]


def test_a_model_that_was_never_judged_says_so(tmp_path):
    answers = hand_made_answers()
    assert "not calibrated and no answer is certain" in answers.summary(tmp_path / "x.csv")
    assert "protloc evaluate RUN does both" in answers.summary(tmp_path / "x.csv")
    judged = replace(answers, rule=FITTED).summary(tmp_path / "x.csv")
    assert judged == f"{tmp_path / 'x.csv'}: 2 fields, 0 of them rejected."


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
    np.testing.assert_allclose(
        answered.logits, see_rows(bundle, tiny_world.store, np.array([2])).mean_logits, atol=1e-5
    )


def test_other_stains_than_the_models_are_refused(bundle, tiny_world):
    with pytest.raises(BundleError, match="green given, but the model was trained on red, green, blue, yellow"):
        predict(bundle, tiny_world.images, stains=[Stain("green", "_green")])


def test_a_model_that_needs_one_stain_takes_what_the_folder_has(frugal, tiny_world, tmp_path):
    images = copy_images(tiny_world, tmp_path / "images", "blue", "green")
    answered = predict(frugal, images)
    fields = tiny_world.store.images(range(5))
    fields[:, [0, 3]] = 0  # red and yellow
    np.testing.assert_allclose(answered.logits, see(frugal, [fields]).logits[0], atol=1e-5)
    told = "No red or yellow image was given; the model answered by green and blue alone. " + UNFITTED_NOTE
    assert told in answered.summary(tmp_path / "x.csv")
    assert not any("image was given" in note for note in predict(frugal, tiny_world.images).notes)


def test_stains_that_are_named_are_looked_at_alone(frugal, tiny_world):
    answered = predict(frugal, tiny_world.images, stains=[Stain("green", "_green")])
    rows = np.arange(len(tiny_world.store))
    np.testing.assert_allclose(
        answered.logits, see_rows(frugal, tiny_world.store, rows, stains=["green"]).mean_logits, atol=1e-5
    )
    fields = tiny_world.store.images(rows)
    fields[:, [0, 2, 3]] = 0
    np.testing.assert_allclose(answered.logits, see(frugal, [fields]).logits[0], atol=1e-5)
    assert np.abs(answered.logits - predict(frugal, tiny_world.images).logits).max() > 1e-3


def test_each_set_of_stains_is_answered_by_its_own_rule(frugal, tiny_world):
    alone = replace(FITTED, fields=61)
    model = frugal.with_rule(FITTED, {"green": alone})
    answered = predict(model, tiny_world.images, stains=[Stain("green", "_green")])
    assert answered.rule == alone
    assert answered.notes == ("No red or blue or yellow image was given; the model answered by green alone.",)
    assert predict(model, tiny_world.images).rule == FITTED


def test_a_needed_stain_cannot_be_left_out(frugal, tiny_world, tmp_path):
    with pytest.raises(BundleError, match=r"blue given, but the model was trained on .*, yellow and needs green"):
        predict(frugal, tiny_world.images, stains=[Stain("blue", "_blue")])
    with pytest.raises(BundleError, match="dapi, green given, but the model was trained on red, green, blue"):
        predict(frugal, tiny_world.images, stains=[Stain("dapi", "_blue"), Stain("green", "_green")])
    with pytest.raises(
        BundleError, match=r"asked for red, its stains are red, green, blue, yellow, but .* needs green"
    ):
        see_rows(frugal, tiny_world.store, np.array([0]), stains=["red"])
    with pytest.raises(BundleError, match=r"no green image \(found blue\), but .* needs green\. Add them"):
        predict(frugal, copy_images(tiny_world, tmp_path / "images", "blue"))


def test_a_field_without_a_stain_that_others_have_is_rejected(frugal, tiny_world, tmp_path):
    images = copy_images(tiny_world, tmp_path / "images", "red", "green")
    (images / "f003_red.png").unlink()
    answered = predict(frugal, images)
    assert list(answered.rejected["id"]) == ["f003"]
    assert "no red image" in answered.rejected["reason"][0]


def test_a_store_of_some_stains_has_its_channels_found(frugal, tiny_world, tmp_path):
    reading = Reading(stains=(Stain("yellow", "_yellow"), Stain("green", "_green")), side=SIDE)
    labels, vocabulary = tiny_world.labels, tiny_world.vocabulary
    store = prepare(tiny_world.images, tmp_path / "store", labels=labels, vocabulary=vocabulary, reading=reading).store
    rows = np.array([4, 0, 70])
    expected = see_rows(frugal, tiny_world.store, rows, stains=("green", "yellow")).mean_logits
    np.testing.assert_allclose(see_rows(frugal, store, rows).mean_logits, expected, atol=1e-5)
    with pytest.raises(BundleError, match="asked for green, blue, its stains are yellow, green"):
        see_rows(frugal, store, rows, stains=["green", "blue"])


def test_a_clean_store_is_photographed(frugal, tiny_store):
    clean, rows = replace(tiny_store, clean=True), np.array([7, 2])
    expected = see(frugal, [photographs_of(clean, rows, seed=3)]).logits[0]
    np.testing.assert_allclose(see_rows(frugal, clean, rows).mean_logits, expected, atol=1e-5)
    assert np.abs(expected - see_rows(frugal, tiny_store, rows).mean_logits).max() > 1e-3


def test_a_store_of_another_kind_is_refused(bundle, tiny_store):
    with pytest.raises(BundleError, match="its side are 32, the model's 64"):
        see_rows(replace(bundle, side=64), tiny_store, np.array([0]))


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


def test_members_are_averaged_and_their_spread_is_told(pair, tiny_world):
    apart = [see_rows(untrained(tiny_world, seed=seed), tiny_world.store, np.arange(84)).mean_logits for seed in (3, 4)]
    answered = predict(pair, tiny_world.images)
    np.testing.assert_allclose(answered.logits, (apart[0] + apart[1]) / 2, atol=1e-5)
    first, second = (FITTED.probabilities(logits) for logits in apart)
    assert answered.spread is not None
    # the standard deviation of two numbers is half of their difference
    np.testing.assert_allclose(answered.spread, (np.abs(first - second) / 2).max(axis=1), atol=1e-6)
    assert answered.spread.min() > 0
    table = answered.table()
    assert list(table.columns)[-4:] == ["answer", "present", "ask", "spread"]
    np.testing.assert_array_equal(table["spread"], answered.spread)


def test_members_may_be_had_apart(pair, tiny_store):
    rows = np.arange(10)
    apart = see(pair, [tiny_store.images(rows[:6]), tiny_store.images(rows[6:])]).logits
    assert apart.shape == (2, 10, 3)
    assert apart.dtype == np.float32
    np.testing.assert_allclose(apart.mean(axis=0), see_rows(pair, tiny_store, rows).mean_logits, atol=1e-5)
    assert see(pair, []).logits.shape == (2, 0, 3)


def test_a_rejected_field_has_no_spread(pair, tiny_world, tmp_path):
    images = shutil.copytree(tiny_world.images, tmp_path / "images")
    (images / "f002_red.png").write_bytes(b"not an image")
    table = predict(pair, images).table().set_index("id")
    assert table["spread"].isna().tolist() == [field == "f002" for field in table.index]
    assert table.loc["f002", ["answer", "present", "ask"]].tolist() == ["", "", ""]


def test_poses_are_the_eight_of_a_square():
    field = np.arange(2 * 9).reshape(1, 2, 3, 3)
    turned = torch.from_numpy(field)  # a second witness of which way a field is turned
    by_hand = [side.rot90(turns, (2, 3)).numpy() for side in (turned, turned.flip(-1)) for turns in range(4)]
    found = [*poses(field)]
    assert [pose.tolist() for pose in found] == [pose.tolist() for pose in by_hand]
    assert len({pose.tobytes() for pose in found}) == 8


def test_averaged_over_poses_the_logits_are_the_mean_over_turned_images(pair, tiny_store):
    rows = np.arange(7)
    images = tiny_store.images(rows)
    turned = [np.rot90(side, turns, (2, 3)).copy() for side in (images, images[..., ::-1]) for turns in range(4)]
    expected = np.mean([see(pair, [one], tta=False).logits for one in turned], axis=0)
    found = see(pair, [images], tta=True).logits
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(see_rows(pair, tiny_store, rows, tta=True).mean_logits, expected.mean(axis=0), atol=1e-5)
    assert np.abs(found - see(pair, [images]).logits).max() > 1e-3


def test_averaged_over_poses_a_turned_field_is_answered_alike(bundle, tiny_store):
    images = tiny_store.images([5, 40])
    as_it_is = see(bundle, [images], tta=True).logits
    for pose in poses(images):
        turned = see(bundle, [pose], tta=True).logits
        np.testing.assert_allclose(turned, as_it_is, atol=1e-5)


def test_the_poses_are_those_it_was_judged_with_unless_said(pair, tiny_world, tmp_path):
    turning = pair.with_rule(replace(FITTED, poses=8))
    asked = predict(pair, tiny_world.images, tta=True)
    np.testing.assert_array_equal(predict(turning, tiny_world.images).logits, asked.logits)
    straight = predict(turning, tiny_world.images, tta=False)
    np.testing.assert_array_equal(straight.logits, predict(pair, tiny_world.images).logits)
    assert "a mean over 8 poses, but the model was judged on 1" in asked.summary(tmp_path / "x.csv")
    assert "a mean over 1 poses, but the model was judged on 8" in straight.summary(tmp_path / "x.csv")
    assert not any("poses" in note for note in predict(turning, tiny_world.images).notes)


def test_answers_are_adapted_to_the_folder(pair, tiny_world, monkeypatch, tmp_path):
    monkeypatch.setattr("protloc.judge.shift.FEWEST", 50)
    members = see(pair, [tiny_world.store.images(np.arange(84))]).logits
    between = expit(
        (members.max(axis=0) + members.mean(axis=0)).mean(axis=0) / 2
    )  # one network calls, the mean does not
    rule = replace(
        FITTED, calibration=Calibration.plain(3), thresholds=replace(FITTED.thresholds, values=tuple(between.tolist()))
    )
    plain, shifted = (predict(pair.with_rule(rule), tiny_world.images, adapt=adapt) for adapt in (False, True))
    np.testing.assert_array_equal(shifted.logits, plain.logits)
    expected = adapted(rule, members).rule
    np.testing.assert_allclose(shifted.rule.prevalences, expected.prevalences, atol=1e-6)
    np.testing.assert_allclose(shifted.rule.calibration.intercepts, expected.calibration.intercepts, atol=1e-5)
    assert np.abs(np.subtract(expected.prevalences, rule.prevalences)).max() > 0.05
    assert np.abs(np.subtract(expected.prevalences, adapted(rule, plain.logits).rule.prevalences)).max() > 0.05
    np.testing.assert_array_equal(shifted.answers.probabilities, shifted.rule.probabilities(plain.logits))
    assert "Adapted to how frequent classes are in these 84 fields" in shifted.summary(tmp_path / "x.csv")


def test_an_ensemble_says_that_its_rule_is_of_single_networks(bundle, pair, tiny_world, tmp_path):
    told = predict(pair, tiny_world.images)
    assert told.notes == (ENSEMBLE_NOTE.format(members=2),)
    assert "fitted to single networks; for the mean of 2 they err towards caution" in told.summary(tmp_path / "x.csv")
    assert predict(bundle.with_rule(FITTED), tiny_world.images).notes == ()
    assert predict(pair.with_rule(AnswerRule.plain(3)), tiny_world.images).notes == ()  # nothing was fitted


def test_calls_and_certain_answers_can_be_made_again_from_the_file(pair, tiny_world, tmp_path):
    answered = predict(pair, tiny_world.images)
    at_a_value = float(answered.answers.probabilities[0, 0])  # the threshold of one class is met exactly
    rule = replace(FITTED, thresholds=Thresholds.fixed(3), cuts=Cuts((0.2,) * 3, (at_a_value, 0.8, 0.8), 0.1))
    answered = replace(answered, rule=rule)
    write_predictions(answered, tmp_path / "x.parquet")
    stored = pd.read_parquet(tmp_path / "x.parquet")[["Disc", "Ring", "Bars"]].to_numpy(np.float32)
    np.testing.assert_array_equal(stored, answered.answers.probabilities)
    np.testing.assert_array_equal(rule.called(stored), answered.answers.called)
    np.testing.assert_array_equal(rule.cuts.verdicts(stored), answered.answers.verdicts)
    assert answered.answers.verdicts[0, 0] == 1


def test_few_fields_are_not_adapted_to(pair, tiny_world, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for stain in HPA_STAINS:
        shutil.copy(tiny_world.images / f"f002{stain.suffix}.png", images)
    answered = predict(pair, images, adapt=True)
    assert answered.rule == FITTED
    assert "Not adapted: too few fields (1) to tell" in answered.summary(tmp_path / "x.csv")


def test_a_model_with_a_prior_matches_answers_to_it_unless_told_not_to(pair, tiny_world, tmp_path):
    stating = replace(pair, prior=PRIOR)
    plain = predict(stating, tiny_world.images, adapt=False)
    assert plain.rule == FITTED
    members = see(pair, [tiny_world.store.images(np.arange(84))]).logits
    expected = matched(FITTED, members, PRIOR).rule
    for adapt in (None, True):
        answered = predict(stating, tiny_world.images, adapt=adapt)
        np.testing.assert_array_equal(answered.logits, plain.logits)
        np.testing.assert_allclose(answered.rule.calibration.intercepts, expected.calibration.intercepts, atol=1e-4)
        means = answered.answers.probabilities.mean(axis=0)
        assert (np.abs(means - PRIOR.prevalences) < np.abs(plain.answers.probabilities.mean(axis=0) - means)).all()
        told = answered.summary(tmp_path / "x.csv")
        assert "Matched these 84 fields to how frequent classes are in tiny worlds" in told
    assert "Matched" not in plain.summary(tmp_path / "x.csv")
    assert predict(pair, tiny_world.images).rule == FITTED  # it has no prior


def test_another_prior_may_be_stated(pair, tiny_world):
    other = Prior("others", (0.1, 0.5, 0.3))
    answered = predict(replace(pair, prior=PRIOR), tiny_world.images, prior=other)
    assert answered.rule.prevalences == other.prevalences
    assert predict(pair, tiny_world.images, prior=other).rule == answered.rule


def test_a_prior_that_is_stated_and_refused_at_once_is_a_mistake(pair, tiny_world):
    with pytest.raises(SettingsError, match=r"--prior: of no use with --no-adapt, .* Say one of the two"):
        predict(pair, tiny_world.images, adapt=False, prior=PRIOR)


def test_the_caution_of_a_model_comes_first(frugal, tiny_world, tmp_path):
    wary = replace(frugal, caution="Learnt from drawings.")
    notes = predict(wary, copy_images(tiny_world, tmp_path / "images", "green")).notes
    assert notes[0] == "Learnt from drawings."
    assert notes[1].startswith("No red or blue or yellow image was given")
    summary = predict(wary, tiny_world.images).summary(tmp_path / "x.csv")
    assert summary.splitlines()[1] == "Learnt from drawings."


@pytest.mark.parametrize("shares", [(0.1, 0.2), (0.1, 0.2, 1.5)])
def test_a_prior_of_other_classes_is_refused(pair, tiny_world, shares):
    with pytest.raises(SettingsError, match=r"--prior: prior: .*State a share of fields for every class of the model"):
        predict(pair, tiny_world.images, prior=Prior("others", shares))


def test_a_single_field_is_not_matched(pair, tiny_world, tmp_path):
    images = copy_images(tiny_world, tmp_path / "images", "red", "green", "blue", "yellow", fields=2)
    (images / "f001_green.png").write_bytes(b"not an image")
    stating = replace(pair, prior=PRIOR)
    for tile in (None, 16):  # the tiles of a field are alike
        answered = predict(stating, images, reading=Reading(tile=tile))
        assert answered.rule == FITTED
        assert "Not matched to how frequent classes are in tiny worlds: too few fields (1)" in answered.notes[-1]


def test_poses_do_not_keep_answers_from_being_matched(pair, tiny_world):
    answered = predict(replace(pair, prior=PRIOR), tiny_world.images, tta=True, adapt=True)
    assert answered.rule.prevalences == PRIOR.prevalences


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
        rule=AnswerRule.plain(3),
        rejected=pd.DataFrame(columns=["id", "reason"]),
    )
