"""Fields for a model: found, read, put in its channels, rejected with reasons."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from protloc.apply.given import BATCH, fields_given, stored_batches
from protloc.atlas.photographs import photographs_of
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.errors import BundleError, ImageError
from protloc.judge.answering import AnswerRule
from protloc.learn.bundle import Bundle, Member
from protloc.learn.model import Normalisation

SIDE = 32
ALL = tuple(stain.name for stain in HPA_STAINS)


@pytest.fixture
def bundle(tiny_world) -> Bundle:
    """Return a model without weights: what it is given depends on none."""
    return Bundle(
        backbone="baseline-cnn",
        vocabulary=tiny_world.vocabulary,
        stains=HPA_STAINS,
        side=SIDE,
        rule=AnswerRule.plain(3),
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, {}),),
        settings={"seed": 3},
        protloc_version="0",
    )


@pytest.fixture
def frugal(bundle) -> Bundle:
    """Return a model that needs no stain but green."""
    return replace(bundle, settings={"stain_dropout": 0.5, "protein_stain": "green", "seed": 3})


@pytest.fixture
def images(tiny_world, tmp_path):
    """Return a folder of five fields that a test may spoil."""
    folder = tmp_path / "images"
    folder.mkdir()
    for file in sorted(tiny_world.images.glob("f00[0-4]_*.png")):
        shutil.copy(file, folder)
    return folder


def test_a_folder_gives_the_images_of_the_store_made_of_it(bundle, tiny_world):
    given = fields_given(bundle, tiny_world.images)
    assert given.names == ALL
    assert len(given.fields) == 84
    batches = list(given.batches(jobs=2))
    assert [len(batch) for batch in batches] == [BATCH, 84 - BATCH]
    np.testing.assert_array_equal(np.concatenate(batches), tiny_world.store.images(np.arange(84)))
    assert tuple(given.ids) == tiny_world.store.ids
    assert given.readable.all()


def test_images_are_those_of_the_batches_and_can_be_read_again(bundle, images, tiny_store):
    given = fields_given(bundle, images)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(given.images())), tiny_store.images(np.arange(5)))
        assert given.ids == ["f000", "f001", "f002", "f003", "f004"]


def test_what_cannot_be_read_is_told_and_has_no_image(bundle, images, tiny_store):
    (images / "f001_green.png").write_bytes(b"not an image")
    told: list[tuple[int, int]] = []
    given = fields_given(bundle, images)
    found = list(given.images(progress=lambda done, total: told.append((done, total))))
    assert given.ids == ["f000", "f001", "f002", "f003", "f004"]
    assert given.readable.tolist() == [True, False, True, True, True]
    assert "f001_green.png" in given.rejected["f001"]
    np.testing.assert_array_equal(np.stack(found), tiny_store.images([0, 2, 3, 4]))
    assert told == [(done, 5) for done in range(1, 6)]


def test_none_readable_is_an_error_after_the_last(bundle, images):
    for file in images.glob("*_red.png"):
        file.write_bytes(b"not an image")
    given = fields_given(bundle, images)
    with pytest.raises(ImageError, match=r"none of 5 fields can be read. The first: f000_red.png"):
        list(given.images())
    assert len(given.rejected) == 5


def test_stains_that_are_not_there_are_black(frugal, images, tiny_store):
    for file in images.glob("*_red.png"):
        file.unlink()
    given = fields_given(frugal, images)
    assert given.names == ("green", "blue", "yellow")
    expected = tiny_store.images(np.arange(5))
    expected[:, 0] = 0
    np.testing.assert_array_equal(np.stack(list(given.images())), expected)


def test_stains_asked_for_come_in_the_models_order(frugal, images, tiny_store):
    given = fields_given(frugal, images, stains=[Stain("yellow", "_blue"), Stain("green", "_green")])
    assert given.names == ("green", "yellow")
    (first, *_) = given.images()
    whole = tiny_store.images([0])[0]
    np.testing.assert_array_equal(first, [0 * whole[0], whole[1], 0 * whole[0], whole[2]])


def test_stains_the_model_cannot_take_are_refused(bundle, frugal, images):
    with pytest.raises(BundleError, match=r"blue given, but the model was trained on .*, yellow and needs green"):
        fields_given(frugal, images, stains=[Stain("blue", "_blue")])
    with pytest.raises(BundleError, match=r"green given, but the model was trained on red, green, blue, yellow. Name"):
        fields_given(bundle, images, stains=[Stain("green", "_green")])


def test_tiles_have_an_image_each(bundle, images):
    given = fields_given(replace(bundle, tile=16), images)
    assert len(list(given.images())) == 20
    assert given.ids[:5] == ["f000.r0c0", "f000.r0c1", "f000.r1c0", "f000.r1c1", "f001.r0c0"]
    asked = fields_given(replace(bundle, tile=16), images, reading=Reading(tile=32))
    assert len(list(asked.images())) == 5


def test_rows_of_a_store_are_put_in_the_models_channels(frugal, tiny_store):
    rows, told = np.array([5, 0, 83]), list[tuple[int, int]]()
    batches = stored_batches(
        frugal, tiny_store, rows, stains=("blue", "green"), progress=lambda done, total: told.append((done, total))
    )
    expected = tiny_store.images(rows)
    expected[:, [0, 3]] = 0
    np.testing.assert_array_equal(np.concatenate(list(batches)), expected)
    assert told == [(3, 3)]


def test_rows_of_a_clean_store_are_photographed_with_the_models_seed(frugal, tiny_store):
    clean, rows = replace(tiny_store, clean=True), np.array([7, 2])
    (batch,) = stored_batches(frugal, clean, rows)
    np.testing.assert_array_equal(batch, photographs_of(clean, rows, seed=3))


def test_a_store_of_another_kind_is_refused_before_it_is_read(bundle, frugal, tiny_store):
    rows = np.array([0])
    with pytest.raises(BundleError, match=r"its side are 32, the model's 64. Prepare a store alike"):
        stored_batches(replace(bundle, side=64), tiny_store, rows)
    with pytest.raises(BundleError, match=r"asked for red, its stains are red, green, .* needs green"):
        stored_batches(frugal, tiny_store, rows, stains=["red"])
