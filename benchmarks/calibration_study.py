"""Calibration and certain answers on simulated logits of 28 classes; prints a line a figure.

    python benchmarks/calibration_study.py [--draws 100] [--fields 1500]

A network is simulated that sees rare classes over-sampled and is too sure of itself: to the logits of the true
posterior, at the class shares of the Kaggle atlas, come a slope, the shift of over-sampling to 2 % and a little chance.
Rates are judged on new fields, with the Monte Carlo error of their mean over draws. Intervals of probabilities are held
against the true posterior of new fields.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from protloc.judge.calibration import Calibration, fit_calibration
from protloc.judge.metrics import bce_loss
from protloc.judge.reliability import brier, calibration_error
from protloc.judge.three_way import fit_cuts

FIELDS_OF_CLASSES = (
    *(12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537),
    *(1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11),
)
SHARES = np.array(FIELDS_OF_CLASSES) / 31_072
RARE = SHARES < 0.01
OVER_SAMPLED_TO = 0.02
NEW_FIELDS = 4_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibrated:
    """Calibration error and Brier score on new fields: as the network says, calibrated, of the true posterior."""

    before: float
    after: float
    true: float
    brier_before: float
    brier_after: float
    brier_true: float
    seconds: float


@dataclass(frozen=True)
class Held:
    """Shares of errors on new fields, each with the Monte Carlo error of its mean, and what was asked."""

    missed: float
    missed_error: float
    wrong: float
    wrong_error: float
    asked: float
    answered: float


@dataclass(frozen=True)
class World:
    """Fields of one simulated network.

    Attributes:
        truth: (fields, 28) bool.
        logits: What the network says.
        true_logits: Those of the true posterior.
    """

    truth: NDArray[np.bool_]
    logits: Floats
    true_logits: Floats


def draw(fields: int, *, seed: int, network: int, separation: float = 2.5) -> World:
    """Simulate fields (by ``seed``) as a network (by ``network``) sees them; separation 2.5 is an AUC of 0.96."""
    rng, of_network = np.random.default_rng(seed), np.random.default_rng(network)
    truth = rng.random((fields, 28)) < SHARES
    scores = rng.normal(size=truth.shape) + separation * (truth - 0.5)
    true_logits = separation * scores + np.log(SHARES / (1 - SHARES))
    slopes = np.exp(0.3 + 0.15 * of_network.normal(size=28))
    shifts = np.log(np.maximum(OVER_SAMPLED_TO / SHARES, 1.0)) + 0.2 * of_network.normal(size=28)
    return World(truth, slopes * true_logits + shifts, true_logits)


def fitted(world: World) -> Calibration:
    """Calibrate on a world each of whose fields is a group."""
    return fit_calibration(world.truth, world.logits, groups=alone(world))


def alone(world: World) -> list[str]:
    """Return a group of its own for each field."""
    return [str(number) for number in range(len(world.truth))]


def over_sampling_undone(*, fields: int = 4_661, seed: int = 0) -> Calibrated:
    """Calibrate on some fields and score on 31,072 new ones."""
    world, new = draw(fields, seed=seed, network=seed), draw(31_072, seed=1_000 + seed, network=seed)
    began = time.perf_counter()
    calibration = fitted(world)
    seconds = time.perf_counter() - began
    plain = Calibration.plain(28)
    said = plain.probabilities(new.logits), calibration.probabilities(new.logits), plain.probabilities(new.true_logits)
    errors, briers = ([score(new.truth, each) for each in said] for score in (calibration_error, brier))
    return Calibrated(*errors, *briers, seconds)


def rare_losses(*, fields: int = 1_000, draws: int = 10) -> dict[str, float]:
    """Compare ways to calibrate by held-out log loss of the classes under 1 %, in thousandths of a nat."""
    losses: dict[str, list[float]] = {"ours": [], "platt": [], "temperature": [], "none": [], "true": []}
    for seed in range(draws):
        world, new = draw(fields, seed=seed, network=seed), draw(NEW_FIELDS * 5, seed=1_000 + seed, network=seed)
        fits = {"ours": fitted(world), "platt": _platt(world), "temperature": _temperature(world)}
        said = {name: fit.logits(new.logits) for name, fit in fits.items()}
        for name, logits in {**said, "none": new.logits, "true": new.true_logits}.items():
            losses[name].append(1000 * bce_loss(new.truth[:, RARE], logits[:, RARE]))
    return {name: float(np.mean(each)) for name, each in losses.items()}


def covered(*, fields: int, draws: int) -> dict[str, tuple[float, float]]:
    """Count how often 95 % intervals of probabilities hold the true posterior, and the middle width in log-odds.

    Returns:
        For classes of some shares of the fields: the share of new fields covered, mean over draws; the middle width.
    """
    held, widths = np.zeros((draws, 28)), np.zeros((draws, 28))
    for seed in range(draws):
        world, new = draw(fields, seed=seed, network=seed), draw(NEW_FIELDS, seed=200_000 + seed, network=seed)
        low, high = np.asarray(fitted(world).intervals(new.logits))
        true = Calibration.plain(28).probabilities(new.true_logits)
        held[seed] = ((low <= true) & (true <= high)).mean(axis=0)
        widths[seed] = np.median(np.log(high / (1 - high)) - np.log(low / (1 - low)), axis=0)
    kinds = {"5 % and more": SHARES >= 0.05, "1 to 5 %": (SHARES >= 0.01) & (SHARES < 0.05), "under 1 %": RARE}
    return {name: (float(held[:, of].mean()), float(np.median(widths[:, of]))) for name, of in kinds.items()}


def _platt(world: World) -> Calibration:
    """Fit each class by itself; one without positives is left as it is."""
    slopes, intercepts = np.ones(28), np.zeros(28)
    for at in np.flatnonzero(world.truth.any(axis=0)):
        fit = LogisticRegression(C=1e6, max_iter=1000).fit(world.logits[:, [at]], world.truth[:, at])
        slopes[at], intercepts[at] = fit.coef_[0, 0], fit.intercept_[0]
    return Calibration(tuple(slopes.tolist()), tuple(intercepts.tolist()))


def _temperature(world: World) -> Calibration:
    best = minimize_scalar(lambda by: bce_loss(world.truth, by * world.logits), bounds=(0.05, 5), method="bounded")
    return Calibration((float(best.x),) * 28, (0.0,) * 28)


def rates_held(error_rate: float, *, fields: int = 1_500, draws: int = 100, separation: float = 2.5) -> Held:
    """Fit calibration and cuts on some fields, count errors of certain answers on new ones; many times over."""
    counts = np.array([_counts(error_rate, fields, seed, separation) for seed in range(draws)])
    labels, missed, said, wrong, asked, answered = counts.T
    return Held(*_mean_share(missed, labels), *_mean_share(wrong, said), float(asked.mean()), float(answered.mean()))


def _counts(error_rate: float, fields: int, seed: int, separation: float) -> tuple[float, ...]:
    world = draw(fields, seed=seed, network=seed, separation=separation)
    new = draw(NEW_FIELDS, seed=100_000 + seed, network=seed, separation=separation)
    calibration = fitted(world)
    cuts = fit_cuts(world.truth, calibration.probabilities(world.logits), groups=alone(world), error_rate=error_rate)
    verdicts = cuts.verdicts(calibration.probabilities(new.logits))
    present, asked = verdicts == 1, verdicts == 0
    missed, wrong = (verdicts == -1) & new.truth, present & ~new.truth
    return (*(each.sum() for each in (new.truth, missed, present, wrong)), asked.mean(), 1 - asked.any(axis=1).mean())


def _mean_share(part: Floats, whole: Floats) -> tuple[float, float]:
    """Return the share and its standard error over draws, by the delta method."""
    share = part.sum() / whole.sum()
    return float(share), float((part - share * whole).std() / whole.mean() / np.sqrt(len(part)))


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--fields", type=int, default=1_500)
    options = parser.parse_args()
    for fields in (1_000, 4_661, 31_072):
        found = over_sampling_undone(fields=fields)
        print(
            f"calibrated on {fields:6} fields in {found.seconds:.2f} s: calibration error {found.before:.5f} -> "
            f"{found.after:.5f} (true posterior {found.true:.5f}), "
            f"Brier {found.brier_before:.5f} -> {found.brier_after:.5f} ({found.brier_true:.5f})"
        )
    for fields in (500, 1_000, 4_661):
        losses = ", ".join(f"{name} {loss:.2f}" for name, loss in rare_losses(fields=fields).items())
        print(f"log loss of rare classes x 1000, fitted on {fields} fields: {losses}")
    for fields in (500, 1_500, 4_661):
        found = covered(fields=fields, draws=options.draws)
        told = ", ".join(f"{name} {share:.1%} (width {width:.2f})" for name, (share, width) in found.items())
        print(f"true probability in its 95 % interval, calibrated on {fields} fields, classes of {told}")
    for separation in (2.0, 2.5, 3.0):
        for rate in (0.05, 0.1, 0.2):
            held = rates_held(rate, fields=options.fields, draws=options.draws, separation=separation)
            print(
                f"separation {separation}, rate {rate:4.0%}: missed {held.missed:.4f} ± {held.missed_error:.4f}, wrong "
                f"{held.wrong:.4f} ± {held.wrong_error:.4f}, asked {held.asked:.1%}, fields answered"
                f" {held.answered:.1%}"
            )


if __name__ == "__main__":
    main()
