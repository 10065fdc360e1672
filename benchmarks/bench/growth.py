"""Judging, splitting and the search for near-duplicates: how their cost grows up to a million rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duplicates_study
import intervals_study
import numpy as np
from duplicates_study import in_new_process, timed
from split import FIELDS_A_GROUP, synthetic

from bench import material
from bench.contest import Check, Row
from protloc.atlas.table import LabelTable
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.split import split
from protloc.judge.blocks import RESAMPLES
from protloc.judge.evaluate import evaluate_part
from protloc.judge.metrics import bce_loss, macro_f1, mean_average_precision, micro_f1, samples_f1
from protloc.judge.predictions import PartPredictions
from protloc.judge.reliability import brier, calibration_error

KAGGLE_FIELDS = duplicates_study.KAGGLE_FIELDS
MILLION = 1_000_000
SIZES = (62_500, 125_000, 500_000, MILLION)
LARGEST_EXPONENT = 1.1
CACHES = "linear up to 125,000 rows; beyond, counts and weights of all groups come from memory instead of caches"


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Time each work at five sizes in processes of its own; ``rounds`` do not count, what is short is repeated."""
    del rounds
    store = material.store(scratch)
    seconds, gib = duplicates_study.speed(KAGGLE_FIELDS, store)
    resampling = intervals_study.speed()
    return [
        _row(
            "search of hashes of 4 stains for near-duplicates",
            "hashes/s",
            duplicates_study.search_planted,
            {"seconds": 120, "GiB": 1},
        ),
        Row(
            f"near-duplicates of {KAGGLE_FIELDS:,} fields of {store.side} px",
            "fields/s",
            {"protloc": [KAGGLE_FIELDS / seconds]},
            (_at_most("time", [seconds], 60, "s"), _at_most("peak memory", [gib], 1, "GiB")),
        ),
        _row(f"split in groups of about {FIELDS_A_GROUP}", "rows/s", _split, {"seconds": 60, "GiB": 2}),
        _row(
            f"evaluation, all intervals from {RESAMPLES:,} resamples of groups", "rows/s", _evaluate, {}, reason=CACHES
        ),
        Row(
            f"{RESAMPLES:,} resamples of {KAGGLE_FIELDS:,} x 28, every field a group",
            "rows/s",
            {"protloc": [KAGGLE_FIELDS / resampling]},
            (_at_most("time", [resampling], 10, "s"),),
        ),
        _row("metrics of 28 classes without intervals", "rows/s", _judge, {}),
    ]


def _at_most(what: str, values: Sequence[float], target: float | None, unit: str = "", *, reason: str = "") -> Check:
    return Check(what, values, target, at_most=True, unit=unit, reason=reason)


def _row(
    work: str, unit: str, measure: Callable[[int], tuple[float, float]], most: Mapping[str, float], *, reason: str = ""
) -> Row:
    """Measure a work at all sizes; ``most`` holds the promised seconds and GiB at a million rows."""
    measured = {size: in_new_process(measure, size) for size in (KAGGLE_FIELDS, *SIZES)}
    taken = {size: found[0] for size, found in measured.items()}
    exponent = np.polyfit(np.log(SIZES), np.log([taken[size] for size in SIZES]), 1)[0]
    checks = (
        _at_most(f"growth exponent, {SIZES[0]:,} to {SIZES[-1]:,}", [float(exponent)], LARGEST_EXPONENT, reason=reason),
        *(
            _at_most(f"{size:,} rows", [seconds], most.get("seconds") if size == MILLION else None, "s")
            for size, seconds in taken.items()
        ),
        _at_most(f"peak memory, {MILLION:,} rows", [measured[MILLION][1]], most.get("GiB"), "GiB"),
    )
    return Row(f"{work}: {MILLION:,}", unit, {"protloc": [MILLION / taken[MILLION]]}, checks)


def _split(fields: int) -> tuple[float, float]:
    table = synthetic(_labelled(), fields=fields, fields_a_group=FIELDS_A_GROUP)
    # a fresh table each time: one keeps its multi-hot array
    return timed(lambda: split(replace(table)))[0], np.nan


def _labelled() -> LabelTable:
    """Return label sets as frequent as those of a simulated population of 28 classes."""
    vocabulary = load_vocabulary("kaggle2018")
    hot = _population(KAGGLE_FIELDS).truth
    classes = np.array([compartment.id for compartment in vocabulary.compartments])
    labels = tuple(tuple(sorted(classes[each > 0].tolist())) for each in hot)
    ids = tuple(map(str, range(len(hot))))
    return LabelTable(ids, labels, vocabulary, ids)


def _population(fields: int) -> PartPredictions:
    groups = int(fields / intervals_study.GROUP_SIZE * 1.02) + 10
    return intervals_study.population(groups=groups, seed=1).rows(np.arange(fields))


def _evaluate(fields: int) -> tuple[float, float]:
    said, vocabulary = _population(fields), load_vocabulary("kaggle2018")
    return timed(lambda: evaluate_part(said, vocabulary=vocabulary, training_truth=said.truth))[0], np.nan


def _judge(fields: int) -> tuple[float, float]:
    said = _population(fields)

    def judge() -> None:
        for called in (macro_f1, micro_f1, samples_f1):
            called(said.truth, said.called)
        for scored in (mean_average_precision, bce_loss):
            scored(said.truth, said.logits)
        for told in (brier, calibration_error):
            told(said.truth, said.probabilities)

    return timed(judge)[0], np.nan
