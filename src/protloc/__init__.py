"""Tells where in the cell a protein is, from fluorescence images.

Every command is a function here, and returns a named, frozen result::

    import protloc

    store = protloc.prepare("train", "store", labels="train.csv").store
    run = protloc.train(store, recipe="standard", run="runs/standard")
    print(protloc.evaluate(run.run).summary)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protloc.apply.neighbours import Index
    from protloc.apply.predict import predict
    from protloc.apply.predictions import write_predictions
    from protloc.atlas.prepare import prepare
    from protloc.atlas.reading import Reading
    from protloc.atlas.simulate import simulate
    from protloc.atlas.stains import parse_stains
    from protloc.atlas.store import Store
    from protloc.atlas.table import LabelTable, read_labels
    from protloc.atlas.vocabulary import Vocabulary, load_vocabulary
    from protloc.errors import ProtlocError
    from protloc.learn.bundle import Bundle
    from protloc.learn.export import Export, load_model
    from protloc.learn.starter import starter
    from protloc.verbs.audit import audit
    from protloc.verbs.baselines import baselines
    from protloc.verbs.compare import compare_runs as compare
    from protloc.verbs.demo import demo
    from protloc.verbs.embed import embed
    from protloc.verbs.evaluate import evaluate
    from protloc.verbs.explain import explain
    from protloc.verbs.explore import explore
    from protloc.verbs.export import export_bundle as export
    from protloc.verbs.neighbours import neighbours
    from protloc.verbs.preflight import preflight_fields as preflight
    from protloc.verbs.source import open_source
    from protloc.verbs.split import split_source as split
    from protloc.verbs.train import train_recipe as train

# name here -> module, name there; imported when first used, so that `import protloc` costs nothing
_PLACES = {
    "Bundle": ("learn.bundle", "Bundle"),
    "Export": ("learn.export", "Export"),
    "Index": ("apply.neighbours", "Index"),
    "LabelTable": ("atlas.table", "LabelTable"),
    "ProtlocError": ("errors", "ProtlocError"),
    "Reading": ("atlas.reading", "Reading"),
    "Store": ("atlas.store", "Store"),
    "Vocabulary": ("atlas.vocabulary", "Vocabulary"),
    "audit": ("verbs.audit", "audit"),
    "baselines": ("verbs.baselines", "baselines"),
    "compare": ("verbs.compare", "compare_runs"),
    "demo": ("verbs.demo", "demo"),
    "embed": ("verbs.embed", "embed"),
    "evaluate": ("verbs.evaluate", "evaluate"),
    "explain": ("verbs.explain", "explain"),
    "explore": ("verbs.explore", "explore"),
    "export": ("verbs.export", "export_bundle"),
    "load_model": ("learn.export", "load_model"),
    "load_vocabulary": ("atlas.vocabulary", "load_vocabulary"),
    "neighbours": ("verbs.neighbours", "neighbours"),
    "open_source": ("verbs.source", "open_source"),
    "parse_stains": ("atlas.stains", "parse_stains"),
    "predict": ("apply.predict", "predict"),
    "preflight": ("verbs.preflight", "preflight_fields"),
    "prepare": ("atlas.prepare", "prepare"),
    "read_labels": ("atlas.table", "read_labels"),
    "simulate": ("atlas.simulate", "simulate"),
    "split": ("verbs.split", "split_source"),
    "starter": ("learn.starter", "starter"),
    "train": ("verbs.train", "train_recipe"),
    "write_predictions": ("apply.predictions", "write_predictions"),
}

__all__ = [
    "Bundle",
    "Export",
    "Index",
    "LabelTable",
    "ProtlocError",
    "Reading",
    "Store",
    "Vocabulary",
    "audit",
    "baselines",
    "compare",
    "demo",
    "embed",
    "evaluate",
    "explain",
    "explore",
    "export",
    "load_model",
    "load_vocabulary",
    "neighbours",
    "open_source",
    "parse_stains",
    "predict",
    "preflight",
    "prepare",
    "read_labels",
    "simulate",
    "split",
    "starter",
    "train",
    "write_predictions",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever lies there
    if name not in _PLACES:
        raise AttributeError(f"module 'protloc' has no attribute {name!r}")
    module, there = _PLACES[name]
    return getattr(import_module(f"protloc.{module}"), there)


def __dir__() -> list[str]:
    return sorted(_PLACES)
