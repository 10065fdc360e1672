"""What a report says of certain answers."""

from __future__ import annotations

import math

import numpy as np

from protloc.judge.evaluation import Estimate
from protloc.judge.three_way import Bands, Cuts, Deferral
from protloc.show.page import Table, percent_in_words
from protloc.show.report_content import ReportContent
from protloc.show.trust_words import fitted_on, leak_note

ENSEMBLE = (
    "The bundle answers with the mean of networks to which, one by one, all this was fitted; for the mean neither "
    "probabilities nor errors were measured. "
)


def certainty_in_words(content: ReportContent) -> str:
    """Say what three-way answers promise, and what they kept on the judged part."""
    cuts, part = content.rule.cuts, content.judged
    if cuts == Cuts.never(len(cuts.absent_below)):
        return "No certain answers were fitted: an expert is asked about every class of every field."
    rate = f"{100 * cuts.error_rate:g} %"
    leaking = leak_note(content.leaks, content.evaluation.judged)
    leaky = ", nor for new proteins if the fields it was fitted on share groups with training fields" if leaking else ""
    return (
        f"An answer is present or absent for certain, or else an expert is asked. The cuts were fitted on "
        f"{fitted_on(content.evaluation, content.rule)} to keep an error rate of {rate}. What that promises of new "
        f"fields of the same kind, on average over such fits: of the fields that have a class, at most {rate} are told "
        f"that it is absent (conformal risk control); of the fields told that it is present, at most about {rate} lack "
        "it. A class with too few groups of its own shares its cuts with others, and the promise holds for them "
        f"together. It does not hold for other microscopes, cell lines or label frequencies{leaky}, and it is "
        f"looser than it says where the same fields chose the epoch. {ENSEMBLE if content.folds else ''}On the "
        f"{content.evaluation.judged} part {_share(part.answered)} of the questions were answered for certain; of "
        f"these answers {_share(part.error_among_certain)} were wrong.{_left(content)}"
    )


def _left(content: ReportContent) -> str:
    """Say which share of the fields no expert needs to look at; empty where it was not measured."""
    deferral = content.deferral
    place = None if deferral is None else _place(deferral, content.rule.cuts.error_rate)
    if deferral is None or place is None or not np.isfinite(deferral.answered.value[place]):
        return ""
    share = _band(deferral.answered, place)
    return f" {share} of the fields have no question left, so an expert still looks at the others."


def _place(deferral: Deferral, rate: float) -> int | None:
    """Return where an error rate stands in the curve, None if it was not tried."""
    return next((place for place, tried in enumerate(deferral.error_rates) if math.isclose(tried, rate)), None)


def _share(estimate: Estimate) -> str:
    return percent_in_words(estimate.value, estimate.low, estimate.high)


def deferral_table(deferral: Deferral, *, chosen: float) -> Table:
    """Set out what is asked and what goes wrong at each error rate; the one chosen is shaded."""
    bands = (deferral.asked, deferral.answered, deferral.missed, deferral.wrong)
    rows = tuple(
        (f"{100 * rate:g} %", *(_band(band, place) for band in bands))
        for place, rate in enumerate(deferral.error_rates)
    )
    place = _place(deferral, chosen)
    header = ("error rate", "questions asked", "fields with none asked", "labels told absent", "wrong “present”")
    return Table("With 95 % intervals in brackets; the rate in use is shaded.", header, rows,
                 marked=frozenset() if place is None else frozenset({place}))  # fmt: skip


def _band(band: Bands, place: int) -> str:
    return percent_in_words(*(float(values[place]) for values in (band.value, band.low, band.high)))


def deferral_verdict(deferral: Deferral, *, chosen: float, name: str) -> str:
    """Say whether the error rate in use was kept on the judged part, as far as the bands tell."""
    place = _place(deferral, chosen)
    if place is None:
        return ""
    kept: list[str] = []
    for band, what in ((deferral.missed, "labels told absent"), (deferral.wrong, "wrong “present” answers")):
        if np.isfinite(band.value[place]):
            word = (
                "under" if band.high[place] <= chosen else "over" if band.low[place] > chosen else "not resolvably over"
            )
            kept.append(f"the share of {what}, {_band(band, place)}, is {word} it")
    told = ", and ".join(kept) or "no answer was certain"
    return f"At the error rate in use, {100 * chosen:g} %, {told}, on the {name} part."
