"""Answers of a trained model for fields it has not seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protloc.apply.answered import predictions_of
from protloc.apply.given import Fields, fields_given, other_store, stored_batches
from protloc.apply.predictions import Predictions
from protloc.atlas.files import StrPath
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.atlas.store import Store
from protloc.errors import SettingsError
from protloc.judge.answering import AnswerRule
from protloc.judge.prior import Prior
from protloc.learn.augment import POSES, poses
from protloc.learn.bundle import Bundle
from protloc.learn.bundle_checks import check_prior
from protloc.learn.machine import keep_memory
from protloc.learn.network import Ensemble
from protloc.progress import Progress


def predict(
    bundle: Bundle,
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
        bundle: The trained model.
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
    taken = _poses_of(bundle.rule_for(given.names), tta=tta)
    _check_adaptable(bundle, prior or bundle.prior, taken=taken, adapt=adapt, stated=prior is not None)
    found = member_logits(bundle, given.batches(jobs=jobs, progress=progress), tta=taken > 1)
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


def predict_rows(
    bundle: Bundle,
    store: Store,
    rows: NDArray[np.intp],
    *,
    stains: Collection[str] | None = None,
    tta: bool | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the raw logits of rows of a store, shape (len(rows), classes).

    Args:
        bundle: The trained model.
        store: Where the fields are; with all stains of the model, or those it needs. A clean one is photographed, each
            field always alike.
        rows: Rows of the store in the order wanted.
        stains: Names of the store's stains to look at, those the model needs among them; all if not given.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged.
        progress: Called after each batch.

    Raises:
        BundleError: if the store's side or classes are not those of the model, or the stains not such as it takes.
    """
    batches = stored_batches(bundle, store, rows, stains=stains, progress=progress)
    if store.vocabulary.names != bundle.vocabulary.names:
        raise other_store(store, "classes", store.vocabulary.names, bundle.vocabulary.names)
    return member_logits(bundle, batches, tta=tta).mean(axis=0)


def member_logits(bundle: Bundle, batches: Iterable[Fields], *, tta: bool | None = None) -> NDArray[np.float32]:
    """Compute the raw logits of every member of a bundle; their mean is the bundle's.

    Args:
        bundle: The trained model.
        batches: Arrays of shape (fields, stains, side, side), uint8.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged.

    Returns:
        Array of shape (members, fields of all batches, classes).
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_memory()
    network, turned = bundle.network().to(device), _poses_of(bundle.rule, tta=tta) > 1
    with torch.inference_mode():
        parts = [_each(network, torch.from_numpy(batch).to(device), turned=turned).cpu().numpy() for batch in batches]
    return np.concatenate([np.zeros((len(bundle.members), 0, len(bundle.vocabulary)), np.float32), *parts], axis=1)


def _each(network: Ensemble, images: Tensor, *, turned: bool) -> Tensor:
    """Return the members' logits (members, fields, classes), turned the mean over the poses, summed one at a time."""
    if not turned:
        return network.each(images)
    turns = poses(images)
    total = network.each(next(turns))
    for pose in turns:
        total += network.each(pose)
    return total / POSES


def _poses_of(rule: AnswerRule, *, tta: bool | None) -> int:
    return rule.poses if tta is None else POSES if tta else 1


def _check_adaptable(bundle: Bundle, prior: Prior | None, *, taken: int, adapt: bool | None, stated: bool) -> None:
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
