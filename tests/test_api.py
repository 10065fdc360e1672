"""The package as one imports it."""

from __future__ import annotations

import importlib
import inspect

import pytest

import protloc
from protloc.judge.evaluate import Evaluation


def test_every_name_that_is_promised_is_there_with_a_docstring():
    for name in protloc.__all__:
        assert inspect.getdoc(getattr(protloc, name)), name
    assert set(protloc.__all__) <= set(dir(protloc))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        importlib.import_module("protloc").nonsense  # noqa: B018


def test_paths_may_be_strings(tiny_world, tmp_path):
    vocabulary = protloc.load_vocabulary(str(tiny_world.classes))
    store = protloc.prepare(
        str(tiny_world.images),
        str(tmp_path / "store"),
        labels=str(tiny_world.labels),
        vocabulary=vocabulary,
        reading=protloc.Reading(side=32),
    ).store
    assert protloc.Store.open(str(tmp_path / "store")).ids == store.ids
    assert protloc.explore(store, out=str(tmp_path / "explore")).page.is_file()
    assert protloc.read_labels(str(tiny_world.labels), vocabulary).ids == store.ids
    assert len(protloc.open_source(str(tmp_path / "store"))) == len(store)
    table = protloc.split(
        protloc.open_source(tiny_world.labels, vocabulary=vocabulary), out=str(tmp_path / "s.parquet")
    )
    assert table.file.is_file()
    trained = protloc.train(store, recipe="baseline-cnn", run=str(tmp_path / "run"), overrides=["epochs=1"])
    assert isinstance(protloc.evaluate(str(tmp_path / "run")).evaluation, Evaluation)
    answers = protloc.predict(protloc.Bundle.load(str(trained.run / "bundle")), str(tiny_world.images))
    protloc.write_predictions(answers, str(tmp_path / "answers.csv"))
    assert (tmp_path / "answers.csv").is_file()
