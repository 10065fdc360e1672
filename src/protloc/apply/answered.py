"""Logits to predictions: what is fitted, what is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.apply.predictions import Predictions
from protloc.judge.prior import Matching, Prior, matched
from protloc.judge.shift import Adaptation, adapted
from protloc.learn.model import Model

ENSEMBLE_NOTE = (
    "Calibration and certain answers were fitted to single networks; for the mean of {members} they err towards "
    "caution: its probabilities are less sure than they could be, and more is left to an expert."
)
UNFITTED_NOTE = "Its probabilities were fitted to fields with all stains and may be off."


def predictions_of(
    bundle: Model,
    ids: Sequence[str],
    logits: NDArray[np.float32],
    *,
    given: Sequence[str],
    rejected: Mapping[str, str] | None = None,
    fields: int | None = None,
    taken: int | None = None,
    adapt: bool | None = None,
    prior: Prior | None = None,
) -> Predictions:
    """Make predictions of the logits of a batch of fields.

    Args:
        bundle: The model.
        ids: Of the fields, or of their tiles.
        logits: Every member's, (members, fields, classes); NaN of those that could not be read.
        given: Names of the stains that the model saw.
        rejected: Why some could not be read, by id.
        fields: How many fields were read, where the ids are of tiles.
        taken: Poses of a field that the logits are a mean over; as the model was judged if not given.
        adapt: Whether to fit the answers to these fields, see :func:`protloc.apply.predict.predict`.
        prior: How frequent classes are in fields like these; the model's own if not given.
    """
    rejected, rule = rejected or {}, bundle.rule_for(given)
    notes = _notes(bundle, given, taken=rule.poses if taken is None else taken)
    answering = replace(bundle, rule=rule, prior=prior or bundle.prior)
    fitted = _fitted_to_batch(answering, logits, fields=fields, adapt=adapt)
    if fitted is not None:
        rule = fitted.rule
        notes.append(fitted.words(bundle.vocabulary.names))
    spread = rule.probabilities(logits).std(axis=0).max(axis=1) if len(logits) > 1 else None
    unread = pd.DataFrame(rejected.items(), columns=["id", "reason"])
    return Predictions(tuple(ids), logits.mean(axis=0), bundle.vocabulary, rule, unread, spread, tuple(notes))


def _notes(bundle: Model, given: Sequence[str], *, taken: int) -> list[str]:
    """Say what is to be known of a model's answers by the named stains, and by so many poses of each field."""
    notes = [bundle.caution] if bundle.caution else []
    missing = [stain.name for stain in bundle.stains if stain.name not in given]
    rule = bundle.rule_for(given)
    if missing:
        note = f"No {' or '.join(missing)} image was given; the model answered by {' and '.join(given)} alone."
        notes.append(f"{note} {UNFITTED_NOTE}" if rule.fields and rule is bundle.rule else note)
    if rule.fields and taken != rule.poses:
        notes.append(
            f"The logits are a mean over {taken} poses, but the model was judged on {rule.poses}: its "
            "probabilities may be off. Judge it alike with protloc evaluate, or leave the choice to the model."
        )
    if rule.fields and len(bundle.members) > 1:
        notes.append(ENSEMBLE_NOTE.format(members=len(bundle.members)))
    return notes


def _fitted_to_batch(
    bundle: Model, logits: NDArray[np.float32], *, fields: int | None, adapt: bool | None
) -> Matching | Adaptation | None:
    """Fit the rule to the members' logits as ``adapt`` wants; None if it wants nothing."""
    if bundle.prior is not None and adapt is not False:
        return matched(bundle.rule, logits, bundle.prior, fields=fields)
    return adapted(bundle.rule, logits) if adapt else None
