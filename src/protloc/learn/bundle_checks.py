"""Checks of what a bundle's description says: no run writes otherwise."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from protloc.judge.answering import AnswerRule
from protloc.judge.prior import Prior


def subset_name(stains: Iterable[str]) -> str:
    """Name a set of stains, as in ``blue+green``."""
    return "+".join(sorted(set(stains)))


def check_rule(rule: AnswerRule, *, classes: int) -> None:
    """Refuse numbers that no fitted rule has.

    Raises:
        ValueError: naming the number and what was expected.
    """
    calibration, thresholds, cuts = rule.calibration, rule.thresholds, rule.cuts
    check_vector("slopes", calibration.slopes, length=classes, least=0)
    check_vector("intercepts", calibration.intercepts, length=classes)
    if calibration.covariances:
        check_vector("covariances", tuple(map(_least, calibration.covariances)), length=classes, least=-1e-9)
    check_vector("present_from", cuts.present_from, length=classes, least=0)
    shares = {"values": thresholds.values, "absent_below": cuts.absent_below, "prevalences": rule.prevalences}
    fitted = {"hits": thresholds.hits, "alarms": thresholds.alarms}  # none where thresholds were not fitted
    for name, values in (shares | {name: rates for name, rates in fitted.items() if rates}).items():
        check_vector(name, values, length=classes, least=0, most=1)
    check_vector("error_rate", (cuts.error_rate,), length=1, least=0, most=1)
    check_vector("scores", tuple(thresholds.scores.values()), length=len(thresholds.scores))
    check_whole("fields", rule.fields)
    if rule.poses not in (1, 8):
        raise ValueError(f"poses: {rule.poses!r}, expected 1 or 8")


def _least(covariance: tuple[float, float, float]) -> float:
    """Return the smaller eigenvalue of a class's covariance: no variance is negative in any direction."""
    slope, both, intercept = covariance
    return (slope + intercept) / 2 - math.hypot((slope - intercept) / 2, both)


def check_subset(name: str, *, stains: Collection[str], needed: Collection[str]) -> None:
    """Refuse a set of stains that is not named as :func:`subset_name` does, or cannot be given.

    Raises:
        ValueError: naming the set and what was expected.
    """
    given = name.split("+")
    if name != subset_name(given) or not set(needed) <= set(given) < set(stains):
        raise ValueError(
            f"rules: {name!r}, expected some of the stains {subset_name(stains)}, {subset_name(needed)} among them"
        )


def check_prior(prior: Prior, *, classes: int) -> None:
    """Refuse a prior of other classes or of shares that are none.

    Raises:
        ValueError: naming the number and what was expected.
    """
    if type(prior.name) is not str:
        raise ValueError(f"prior: {prior.name!r}, expected a name")
    check_vector("prior", prior.prevalences, length=classes, least=0, most=1)


def check_vector(
    name: str, values: Sequence[Any], *, length: int, least: float = -math.inf, most: float = math.inf
) -> None:
    """Refuse what is not so many finite numbers of a range.

    Raises:
        ValueError: naming the first that is none.
    """
    if len(values) != length:
        raise ValueError(f"{name}: of length {len(values)}, expected {length}")
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not least <= value <= most:
            expected = "finite numbers" if math.isinf(least) else f"numbers from {least:g} to {most:g}"
            raise ValueError(f"{name}: {value!r}, expected {expected}")


def check_whole(name: str, value: Any) -> None:  # noqa: ANN401 - read from a file
    """Refuse what is no whole number from 0.

    Raises:
        ValueError: naming it.
    """
    if type(value) is not int or value < 0:
        raise ValueError(f"{name}: {value!r}, expected a whole number")
