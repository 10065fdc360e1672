"""Batches from a store: order, over-sampling, normalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from protloc.atlas.photographs import photographs_of
from protloc.atlas.store import Store
from protloc.curate.split import Split, split
from protloc.errors import SettingsError, SplitError
from protloc.learn import data as module
from protloc.learn.data import Batches, FieldData, Photographs
from protloc.learn.recipes import TrainSettings


@pytest.fixture(scope="module")
def parts(tiny_world) -> Split:
    return split(tiny_world.store.table)


@pytest.mark.parametrize("size", [1, 5, 16, 100])
def test_batches_hold_every_row_in_order_and_differ_by_one_at_most(tiny_store: Store, size: int) -> None:
    rows = np.random.default_rng(0).permutation(len(tiny_store))
    batches = Batches(tiny_store, rows, size=size)
    read = list(batches)
    counts = [len(batch.images) for batch in read]
    assert len(batches) == len(read)
    assert max(counts) <= size
    assert max(counts) - min(counts) <= 1
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in read]), tiny_store.images(rows))
    np.testing.assert_array_equal(np.concatenate([batch.targets for batch in read]), tiny_store.targets[rows])


def test_an_epoch_depends_on_seed_and_number_alone(tiny_store: Store, parts: Split) -> None:
    def order(seed: int, number: int) -> list[int]:
        return FieldData(tiny_store, split=parts, settings=TrainSettings(seed=seed)).epoch(number).rows.tolist()

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)
    assert sorted(order(0, 3)) == parts.rows("train").tolist()


def test_named_minority_classes_are_drawn_more_often_in_training_alone(tiny_store: Store, parts: Split) -> None:
    settings = TrainSettings(minority_classes=("Ring",), oversampling_factor=3)
    fields = FieldData(tiny_store, split=parts, settings=settings)
    drawn = np.bincount(fields.epoch(0).rows, minlength=len(tiny_store))
    ring = tiny_store.targets[:, tiny_store.vocabulary.names.index("Ring")] == 1
    train = np.isin(np.arange(len(tiny_store)), parts.rows("train"))
    assert set(drawn[train & ring]) == {3}
    assert set(drawn[train & ~ring]) == {1}
    assert set(drawn[~train]) == {0}
    assert fields.val_dataloader().rows.tolist() == parts.rows("validation").tolist()


def test_rare_classes_are_found_by_their_share_of_the_training_part(tiny_store: Store, parts: Split) -> None:
    trained = parts.rows("train")
    shares = tiny_store.targets[trained].mean(axis=0)
    below = float(np.median(shares)) + 1e-9
    fields = FieldData(tiny_store, split=parts, settings=TrainSettings(minority_below=below, oversampling_factor=2))
    minority = tiny_store.targets[trained][:, shares < below].any(axis=1)
    assert 0 < minority.sum() < len(trained)
    np.testing.assert_array_equal(fields.train_rows, np.repeat(trained, np.where(minority, 2, 1)))


def test_an_unknown_minority_class_is_told_with_the_known_ones(tiny_store: Store, parts: Split) -> None:
    with pytest.raises(SettingsError, match=r"minority_classes: 'Square' is no class of the store.*Disc, Ring, Bars"):
        FieldData(tiny_store, split=parts, settings=TrainSettings(minority_classes=("Square",)))


def test_normalisation_is_that_of_the_training_pixels(tiny_store: Store, parts: Split) -> None:
    pixels = tiny_store.images(parts.rows("train")).astype(np.float64)
    usual = FieldData(tiny_store, split=parts, settings=TrainSettings()).normalisation
    np.testing.assert_allclose(usual.means, pixels.mean(axis=(0, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(usual.deviations, pixels.std(axis=(0, 2, 3)), atol=1e-3)


def test_a_split_of_other_fields_or_an_empty_part_is_refused(tiny_store: Store, parts: Split) -> None:
    with pytest.raises(SplitError, match="Split this store anew"):
        FieldData(tiny_store, split=Split(parts.ids[1:], parts.parts[1:]), settings=TrainSettings())
    untrained = Split(parts.ids, ("test",) * len(parts.ids))
    with pytest.raises(SplitError, match="the train part is empty"):
        FieldData(tiny_store, split=untrained, settings=TrainSettings())


@pytest.mark.parametrize("fit", [0, 3, 100])
def test_photographs_are_kept_as_far_as_there_is_room(
    tiny_store: Store, fit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def photographed(store: Store, rows: np.ndarray, *, seed: int) -> np.ndarray:
        taken.extend(rows)
        return store.images(rows) // 2 + seed

    monkeypatch.setattr(module, "photographs_of", photographed)
    photographs = Photographs(tiny_store, seed=7, kept_bytes=fit * 4 * 32 * 32)
    for rows in (np.array([5, 2]), np.array([2, 9, 4]), np.array([4, 5, 9])):
        np.testing.assert_array_equal(photographs(rows), tiny_store.images(rows) // 2 + 7)
    expected = {0: [5, 2, 2, 9, 4, 4, 5, 9], 3: [5, 2, 9, 4, 4], 100: [5, 2, 9, 4]}
    assert taken == expected[fit]


def test_a_batch_of_clean_stains_is_photographed_by_a_number_alone(tiny_store: Store, parts: Split) -> None:
    fields = FieldData(replace(tiny_store, clean=True), split=parts, settings=TrainSettings())
    moved = torch.from_numpy(tiny_store.images([0, 1])).float()[:, :, 4:28, 4:28]
    first, again, other = (fields.photograph(moved, number) for number in (5, 5, 6))
    assert first.shape == moved.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, first.round().clamp(0, 255))


def test_training_reads_clean_stains_and_validation_their_photographs(tiny_store: Store, parts: Split) -> None:
    store = replace(tiny_store, clean=True)
    fields = FieldData(store, split=parts, settings=TrainSettings(seed=3, batch_size=4))
    batches = fields.epoch(0)
    np.testing.assert_array_equal(
        next(iter(batches)).images, store.images(batches.rows[: len(next(iter(batches)).images)])
    )
    expected = photographs_of(store, fields.validation_rows, seed=3)
    for _epoch in range(2):
        shown = np.concatenate([batch.images for batch in fields.val_dataloader()])
        np.testing.assert_array_equal(shown, expected)
