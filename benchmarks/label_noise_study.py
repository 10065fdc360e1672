"""Tells how many of the most suspicious twentieth of the labels are truly wrong, where 5 % were flipped.

    python benchmarks/label_noise_study.py                             (simulated features, a linear network)
    python benchmarks/label_noise_study.py RUN TRUTH.csv               (a run with folds on flipped labels)

Prints a line each: fields, mean average precision against the right labels, the share truly flipped among the top 5 %
by image alone, with the labels of mates, and by each method of cleanlab; and how many wrong labels are estimated.
A run's predictions hold the labels it was given; TRUTH.csv holds the right ones. With ``flip TABLE.csv OUT.csv`` it
writes a label table with 5 % flipped, to prepare such a run with.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cleanlab.multilabel_classification import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from protloc.atlas.files import write_text
from protloc.atlas.simulate.draw import plan_fields
from protloc.atlas.table import read_labels
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.label_noise import flip_labels, suspects
from protloc.judge.blocks import codes_of, group_blocks
from protloc.judge.metrics import mean_average_precision
from protloc.judge.predictions import PartPredictions

SHARE = 0.05
DIMENSIONS = 48  # of the simulated features
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")  # of cleanlab

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Share of truly flipped fields among the most suspicious 5 %, each way of ranking.

    Attributes:
        fields: Number of fields.
        score: Mean average precision of the network against the right labels.
        by_image: By the network's probabilities alone.
        with_mates: With the labels of the fields of the group too.
        by_cleanlab: By cleanlab's method that finds most.
        wrong_labels: Labels estimated to be wrong, mates included.
        planted: Labels that are.
    """

    fields: int
    score: float
    by_image: float
    with_mates: float
    by_cleanlab: float
    wrong_labels: float
    planted: int

    def __str__(self) -> str:
        """Return the line that is printed."""
        return (
            f"{self.fields:>6,} fields   mAP {self.score:.3f}   truly flipped among the top 5 %: "
            f"image {self.by_image:.3f}   with mates {self.with_mates:.3f}   cleanlab {self.by_cleanlab:.3f}"
            f"   wrong labels: estimated {self.wrong_labels:.0f}, planted {self.planted}"
        )


def share_found(scores: Floats, flipped: NDArray[np.bool_]) -> float:
    """Return the share of flipped fields among the 5 % with the highest scores."""
    return float(flipped[np.argsort(-scores, kind="stable")[: round(SHARE * len(scores))]].mean())


def find(right: NDArray[np.uint8], given: NDArray[np.uint8], probabilities: Floats, groups: list[str]) -> Found:
    """Rank fields by every method, and see what was truly flipped.

    Args:
        right: The right labels, multi-hot (fields, classes).
        given: The labels the network learnt, of the same shape.
        probabilities: Out-of-fold and calibrated, of the same shape.
        groups: Group of each field.
    """
    flipped = (right != given).any(axis=1)
    lists = [np.flatnonzero(row).tolist() for row in given]
    theirs = [get_label_quality_scores(lists, probabilities, method=method) for method in METHODS]
    with_mates = suspects(given, probabilities, groups=groups)
    return Found(
        fields=len(right),
        score=mean_average_precision(right, probabilities),
        by_image=share_found(suspects(given, probabilities).scores, flipped),
        with_mates=share_found(with_mates.scores, flipped),
        by_cleanlab=max(share_found(-scores, flipped) for scores in theirs),
        wrong_labels=with_mates.joint.wrong_labels,
        planted=int((right != given).sum()),
    )


def simulated(*, fields: int = 4000, signal: float = 0.45, balanced: bool = True, seed: int = 0) -> Found:
    """Flip labels of a simulated atlas, learn features that stand for its images, out of fold, and look for the flips.

    Args:
        fields: How many.
        signal: How far a class moves the features of a field, whose noise is 1; .45 scores about like a network.
        balanced: Draw rare classes far more often than they occur.
        seed: Of labels, features and flips.
    """
    generator = np.random.default_rng(seed)
    plans = plan_fields(fields, side=64, seed=seed, balanced=balanced)
    groups = [plan.antibody.name for plan in plans]
    vocabulary = load_vocabulary("kaggle2018")
    right = vocabulary.targets([plan.antibody.labels for plan in plans])
    given = flip_labels(right, share=SHARE, generator=generator).targets
    features = _features(right, groups, signal, generator)
    return find(right, given, _out_of_fold(features, given, groups), groups)


def _features(right: NDArray[np.uint8], groups: list[str], signal: float, generator: np.random.Generator) -> Floats:
    """Give every class its direction, every antibody and every field its own noise."""
    directions = generator.normal(size=(right.shape[1], DIMENSIONS)) * generator.uniform(0.5, 1.5, (right.shape[1], 1))
    codes = codes_of(groups)
    antibody = 0.6 * generator.normal(size=(codes.max() + 1, DIMENSIONS))[codes]
    own = generator.normal(size=(len(right), DIMENSIONS))
    return signal * (right @ directions) / np.sqrt(np.maximum(right.sum(axis=1, keepdims=True), 1)) + antibody + own


def _out_of_fold(features: Floats, given: NDArray[np.uint8], groups: list[str]) -> Floats:
    """Predict every group by a logistic regression a class that learnt the other groups."""
    blocks = group_blocks(groups, blocks=5)
    probabilities = np.full(given.shape, 1e-4)
    for block in range(5):
        here = blocks == block
        for column in np.flatnonzero(given[~here].any(axis=0)):
            learner = LogisticRegression(C=0.02, max_iter=200).fit(features[~here], given[~here, column])
            probabilities[here, column] = learner.predict_proba(features[here])[:, 1]
    return probabilities


def of_run(run: Path, right_table: Path, *, vocabulary: str = "kaggle2018") -> Found:
    """Judge the out-of-fold predictions of a run that learnt flipped labels.

    Args:
        run: A run with folds that was evaluated.
        right_table: The label table before labels were flipped.
        vocabulary: Of both.
    """
    said = PartPredictions.read(run / "predictions" / "out-of-fold.parquet")
    table = read_labels(right_table, load_vocabulary(vocabulary))
    right = table.targets[[table.rows[field] for field in said.ids]]
    return find(right, said.truth, said.probabilities.astype(np.float64), list(said.groups))


def flip_table(table_file: Path, out: Path, *, vocabulary: str = "kaggle2018", seed: int = 0) -> None:
    """Write a label table in which 5 % of the fields have a mistake."""
    table = read_labels(table_file, load_vocabulary(vocabulary))
    flipped = flip_labels(table.targets, share=SHARE, generator=np.random.default_rng(seed)).targets
    ids = np.array([compartment.id for compartment in table.vocabulary.compartments])
    lines = [f"{field},{' '.join(map(str, ids[row > 0]))}" for field, row in zip(table.ids, flipped, strict=True)]
    write_text(out, "\n".join(["Id,Target", *lines, ""]))


def main() -> None:
    """Judge the run named, write the table asked for, or run the simulated cases."""
    warnings.simplefilter("ignore")  # of convergence: an unfinished fit is a softer network, no mistake
    match sys.argv[1:]:
        case ["flip", table, out]:
            flip_table(Path(table), Path(out))
        case [run, table]:
            print(of_run(Path(run), Path(table)))
        case _:
            for balanced in (True, False):
                for signal in (0.45, 0.8):
                    print(f"balanced {balanced!s:5} signal {signal}", simulated(signal=signal, balanced=balanced))


if __name__ == "__main__":
    main()
