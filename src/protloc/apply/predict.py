"""Answers of a trained model for fields it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protloc.apply.answered import predictions_of
from protloc.apply.given import fields_given
from protloc.apply.predictions import Predictions
from protloc.apply.see import poses_of, see
from protloc.atlas.files import StrPath
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.errors import SettingsError
from protloc.judge.prior import Prior
from protloc.learn.bundle_checks import check_prior
from protloc.learn.model import Model
from protloc.progress import Progress


def predict(
    bundle: Model,
    source: StrPath,
    *,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    tta: bool | None = None,
    adapt: bool | None = None,
    prior: Prior | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Answer for every field of a folder of images, decoding while the network computes.

    Args:
        bundle: The trained model, a bundle or an export of one.
        source: Folder of images, as for ``prepare``.
        stains: The stains that are given, with their file suffixes, in any order; those the model needs must be among
            them. If not said, the model's stains of which the folder has images, and all that it needs. A stain that
            is not given is black to the network.
        reading: Tiles, bit depth and limits; what it leaves open, stains and side are the model's.
        jobs: Threads that decode; as many as there are processors if not given.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged.
        adapt: Fit the answers to this folder. With a prior, match them to it, see :func:`protloc.judge.prior.matched`;
            without one, adapt them to how frequent classes seem, see :func:`protloc.judge.shift.adapted`. If not said,
            only where there is a prior.
        prior: How frequent classes are in fields like these; the model's own if not given.
        progress: Called after each finished field.

    Raises:
        BundleError: if a stain given is none of the model's, or one it needs is missing.
        SettingsError: if the answers are to be adapted on other poses than the model was judged on, or the prior is not
            of the model's classes, or stated though nothing is to be adapted.
        ImageError: if the folder holds no image of these stains, or no field of it can be read.
    """
    given = fields_given(bundle, source, stains=stains, reading=reading)
    taken = poses_of(bundle.rule_for(given.names), tta=tta)
    _check_adaptable(bundle, prior or bundle.prior, taken=taken, adapt=adapt, stated=prior is not None)
    found = see(bundle, given.batches(jobs=jobs, progress=progress), tta=taken > 1, embeddings=False).logits
    logits = np.full((len(found), len(given.ids), len(bundle.vocabulary)), np.nan, np.float32)
    logits[:, given.readable] = found
    return predictions_of(
        bundle,
        given.ids,
        logits,
        given=given.names,
        rejected=given.rejected,
        fields=len(given.fields) - len(given.rejected),
        taken=taken,
        adapt=adapt,
        prior=prior,
    )


def _check_adaptable(bundle: Model, prior: Prior | None, *, taken: int, adapt: bool | None, stated: bool) -> None:
    if stated and adapt is False:
        raise SettingsError("--prior: of no use with --no-adapt, which leaves answers as they are. Say one of the two.")
    if prior is not None:
        try:
            check_prior(prior, classes=len(bundle.vocabulary))
        except ValueError as error:
            raise SettingsError(f"--prior: {error}. State a share of fields for every class of the model.") from error
    elif adapt and bundle.rule.fields and taken != bundle.rule.poses:
        raise SettingsError(
            f"--adapt: the rates it needs were measured on {bundle.rule.poses} poses of a field, not on {taken}. "
            "Leave --tta or --no-tta out, or judge the model so: protloc evaluate."
        )
