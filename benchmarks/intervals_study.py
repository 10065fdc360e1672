"""Measures how often the 95 % intervals of an evaluation hold the truth.

Run with: python benchmarks/intervals_study.py [--quick]

Parts of 300, 1,000 and 4,000 fields are drawn from a simulated population of 28 classes as frequent as those of Kaggle
2018, in groups of 1 to 8 fields that share most of their labels and of what a network of moderate quality would say.
The truth is the score of the whole population. For a mean over classes it is the mean over the classes *of the part*:
a class that the part lacks can only be told about by fields that have it.

A second population is nearly always right: its shares are so near to 0 and 1 that many a part shows no error at all.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from protloc.judge.evaluation import CLASS_METRICS, HEADLINES, METRICS, TRUST_METRICS, Estimate
from protloc.judge.metrics import sigmoid
from protloc.judge.predictions import PartPredictions
from protloc.judge.resample import MEANS, Resampled, resample_metrics

FIELDS = (  # of each class among 31,072
    "12885 1254 3621 1561 1858 2513 1008 2822 53 45 28 1093 688 537 "
    "1066 21 530 210 902 1482 172 3777 802 2965 322 8228 328 11"
)
PREVALENCES = np.array(FIELDS.split(), np.float64) / 31_072
GROUP_SIZE = 4.5  # on average
LABELS_KEPT = 0.85  # of the fields have the labels of their group
SCORE_SHARED = 0.7  # of the variance of what is said is the group's
RARE_RATES = (0.01, 0.002, 0.001)  # of errors where nearly all is right
RARE_GROUPS = (30, 100, 300)
RARE_CLASSES = 6
RARE_METRICS = ("samples_f1", "micro_f1", "answered", "error_among_certain")
SIMULATIONS = {300: 800, 1000: 600, 4000: 300}
SUPPORTS = ((1, 2), (3, 9), (10, 29), (30, 10**9))  # groups with the class


@dataclass
class Covered:
    """How many intervals held the truth, of how many, and how wide they were together."""

    held: int = 0
    intervals: int = 0
    width: float = 0.0

    def count(self, estimate: Estimate, truth: float) -> None:
        """Count an interval; one that is undefined, or whose truth is, does not count."""
        if estimate.low is None or estimate.high is None or np.isnan(truth):
            return
        self.held += estimate.low - 1e-12 <= truth <= estimate.high + 1e-12
        self.intervals += 1
        self.width += estimate.high - estimate.low

    @property
    def share(self) -> float:
        """Coverage in 0..1."""
        return self.held / self.intervals if self.intervals else float("nan")

    @property
    def error(self) -> float:
        """Monte Carlo standard error of the coverage."""
        return float(np.sqrt(self.share * (1 - self.share) / self.intervals)) if self.intervals else float("nan")


def population(*, groups: int, seed: int) -> PartPredictions:
    """Simulate fields in groups of 1 to 8, and what a calibrated network of moderate quality says of them."""
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), generator.integers(1, 9, groups))
    shape = (len(codes), len(PREVALENCES))
    own, shared = generator.random(shape) < PREVALENCES, generator.random((groups, shape[1])) < PREVALENCES
    truth = np.where(generator.random((shape[0], 1)) < LABELS_KEPT, shared[codes], own)
    noise = np.sqrt(SCORE_SHARED) * generator.standard_normal((groups, shape[1]))[codes]
    noise += np.sqrt(1 - SCORE_SHARED) * generator.standard_normal(shape)
    # of normal evidence that is ``skill`` apart between fields with a class and without it, these are the log odds
    skill = np.random.default_rng(7).permutation(np.linspace(1.4, 3.4, shape[1]))
    logits = skill * (skill * truth + noise) - skill**2 / 2 + np.log(PREVALENCES / (1 - PREVALENCES))
    probabilities = sigmoid(logits)
    return PartPredictions(
        ids=tuple(map(str, range(shape[0]))),
        groups=tuple(f"{code:07d}" for code in codes),
        truth=truth.astype(np.uint8),
        logits=logits.astype(np.float32),
        probabilities=probabilities.astype(np.float32),
        called=probabilities >= np.where(PREVALENCES < 0.01, 0.2, 0.4),
        verdicts=np.where(probabilities > 0.6, 1, np.where(probabilities < 0.05, -1, 0)).astype(np.int8),
    )


def nearly_right(*, groups: int, rate: float, alike: bool, seed: int) -> PartPredictions:
    """Simulate groups of fields where one answer in many is wrong, and as many are left open.

    Args:
        groups: How many.
        rate: Of wrong answers, in 0..1.
        alike: Whether a group is 8 fields of one class that share their answer, or one field of :data:`RARE_CLASSES`
            classes, each wrong by itself.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    copies, classes = (8, 1) if alike else (1, RARE_CLASSES)
    drawn = generator.random((3, groups, classes)).repeat(copies, axis=1)
    truth, wrong, ask = drawn[0] < 0.5, drawn[1] < rate, drawn[2] < rate
    called = truth ^ wrong
    logits = np.where(called, 6.0, -6.0)
    return PartPredictions(
        ids=tuple(map(str, range(len(truth)))),
        groups=tuple(f"{row // copies:07d}" for row in range(len(truth))),
        truth=truth.astype(np.uint8),
        logits=logits.astype(np.float32),
        probabilities=sigmoid(logits).astype(np.float32),
        called=called,
        verdicts=np.where(ask, 0, np.sign(logits)).astype(np.int8),
    )


def coverage(
    fields: int, *, simulations: int, whole: PartPredictions, resamples: int = 400, seed: int = 0
) -> dict[str, Covered]:
    """Draw parts from a population and count how often their intervals hold its scores.

    Args:
        fields: Fields of a part, about.
        simulations: How many parts.
        whole: The population.
        resamples: Resamples of each part.
        seed: Of the draws.

    Returns:
        By metric, all of ``METRICS``, and by class metric and number of groups with the class.
    """
    truth = resample_metrics(whole, resamples=1).values
    covered: dict[str, Covered] = defaultdict(Covered)
    parts = _parts(whole, groups=round(fields / GROUP_SIZE), simulations=simulations, seed=seed)
    for simulation, part in enumerate(parts):
        _count(covered, resample_metrics(part, resamples=resamples, seed=simulation), truth)
    return dict(covered)


def rare_coverage(
    groups: int, *, rate: float, alike: bool, simulations: int, resamples: int = 400
) -> dict[str, Covered]:
    """Count how often intervals hold shares that are nearly 0 or 1.

    Args:
        groups: Of a part.
        rate: Of errors, in 0..1.
        alike: What groups are (:func:`nearly_right`).
        simulations: How many parts.
        resamples: Resamples of each part.

    Returns:
        By metric, those of :data:`RARE_METRICS`.
    """
    whole = nearly_right(groups=20_000, rate=rate, alike=alike, seed=5)
    truth = resample_metrics(whole, resamples=1, metrics=RARE_METRICS).values
    covered = {metric: Covered() for metric in RARE_METRICS}
    for simulation, part in enumerate(_parts(whole, groups=groups, simulations=simulations, seed=groups)):
        found = resample_metrics(part, resamples=resamples, seed=simulation, metrics=RARE_METRICS)
        for metric, each in covered.items():
            each.count(found.estimate(metric), float(truth[metric]))
    return covered


def _parts(whole: PartPredictions, *, groups: int, simulations: int, seed: int) -> Iterator[PartPredictions]:
    """Draw parts of so many groups from a population whose groups lie together."""
    first = np.append(np.unique(whole.groups, return_index=True)[1], len(whole))
    generator = np.random.default_rng(seed)
    for _ in range(simulations):
        drawn = generator.choice(len(first) - 1, size=groups, replace=False)
        yield whole.rows(np.concatenate([np.arange(first[group], first[group + 1]) for group in drawn]))


def _count(covered: dict[str, Covered], found: Resampled, truth: Mapping[str, NDArray[np.float64]]) -> None:
    for metric in METRICS:
        if metric in MEANS:
            over = found.averaged[metric]
            expected = float(np.nanmean(truth[MEANS[metric]][over])) if over.any() else float("nan")
        else:
            expected = float(truth[metric])
        covered[metric].count(found.estimate(metric), expected)
    covered["macro_f1 of all 28"].count(found.estimate("macro_f1"), float(truth["macro_f1"]))
    stable = found.averaged["stable_macro_f1"]
    if stable.any():
        _count_stable_precision(covered, found, truth, stable)
    for metric in CLASS_METRICS:
        for column, estimate in enumerate(found.estimates(metric)):
            for least, most in SUPPORTS:
                if least <= found.support["recall"][column] <= most:
                    covered[f"{metric} {least}-{most}"].count(estimate, float(truth[metric][column]))


def _count_stable_precision(
    covered: dict[str, Covered],
    found: Resampled,
    truth: Mapping[str, NDArray[np.float64]],
    stable: NDArray[np.bool_],
) -> None:
    """Count mean average precision as it would be over the stable classes alone."""
    values, draws = (each["average_precision"] for each in (found.values, found.draws))
    filled = np.where(np.isnan(draws), values, draws)[:, stable].mean(axis=1)
    metric = "mean_average_precision"
    alone = replace(
        found,
        values={**found.values, metric: np.asarray(values[stable].mean())},
        draws={**found.draws, metric: filled},
        averaged={**found.averaged, metric: stable},
    )
    covered["mean_average_precision of stable"].count(
        alone.estimate(metric), float(truth["average_precision"][stable].mean())
    )


def speed(*, fields: int = 31_072, resamples: int = 1000) -> float:
    """Return the seconds that all metrics of a part take in all resamples, every field a group of its own."""
    groups = int(fields / GROUP_SIZE * 1.02) + 10
    whole = population(groups=groups, seed=1)
    said = replace(whole.rows(np.arange(fields)), groups=whole.ids[:fields])
    started = time.perf_counter()
    resample_metrics(said, resamples=resamples)
    return time.perf_counter() - started


def _print(fields: int, name: str, covered: Covered) -> None:
    width = covered.width / max(covered.intervals, 1)
    share = f"{100 * covered.share:8.1f} {100 * covered.error:5.1f}"
    print(f"{fields:6}  {name:55} {covered.intervals:9} {share} {width:7.4f}", flush=True)


def main() -> None:
    """Print the coverage of every metric at three sizes, and the time of 1,000 resamples of 31,072 fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sixth of the simulations")
    quick = parser.parse_args().quick
    rare = 100 if quick else 400
    whole = population(groups=100_000, seed=99)
    print(f"{'fields':>6}  {'metric':55} {'intervals':>9} {'coverage':>8} {'±':>5} {'width':>7}")
    for fields, simulations in SIMULATIONS.items():
        found = coverage(fields, simulations=simulations // (6 if quick else 1), whole=whole, seed=fields)
        for name, covered in found.items():
            shown = (HEADLINES | TRUST_METRICS).get(name, name.replace(f"-{10**9}", "+").replace("_", " "))
            _print(fields, shown, covered)
    for groups in RARE_GROUPS:
        for rate, alike in product(RARE_RATES, (False, True)):
            kind = f"{'8 alike' if alike else 'single'}, {rate:.1%} wrong"
            for name, covered in rare_coverage(groups, rate=rate, alike=alike, simulations=rare).items():
                _print(groups, f"{(HEADLINES | TRUST_METRICS)[name]}, {kind}", covered)
    print(f"1,000 resamples of 31,072 fields x 28 classes: {speed():.1f} s")


if __name__ == "__main__":
    main()
