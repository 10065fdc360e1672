"""Answers of a trained model for fields it has not seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from protloc.apply.predictions import Predictions
from protloc.atlas.files import StrPath
from protloc.atlas.images import FieldFiles, find_fields
from protloc.atlas.reading import FieldImages, Reading, in_order, read_field
from protloc.atlas.stains import Stain
from protloc.atlas.store import Store
from protloc.errors import BundleError, ImageError, SettingsError
from protloc.judge.answering import AnswerRule
from protloc.judge.prior import Matching, Prior, matched
from protloc.judge.shift import Adaptation, adapted
from protloc.learn.augment import POSES, poses
from protloc.learn.bundle import Bundle
from protloc.learn.bundle_checks import check_prior
from protloc.learn.machine import keep_memory
from protloc.learn.network import Ensemble
from protloc.progress import Progress

BATCH = 64  # fields; more gave nothing
BATCH_PIXELS = 2**20  # of a stain, on processors: 64 fields of 320 px took 4.1 GB, and longer than 16
ENSEMBLE_NOTE = (
    "Calibration and certain answers were fitted to single networks; for the mean of {members} they err towards "
    "caution: its probabilities are less sure than they could be, and more is left to an expert."
)
UNFITTED_NOTE = "Its probabilities were fitted to fields with all stains and may be off."

Fields = NDArray[np.uint8]


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
    asked = _in_model_order(bundle, stains)
    fields = find_fields(Path(source), asked)
    given = asked if stains else _at_hand(bundle, fields)
    channels = {stain.name: channel for channel, stain in enumerate(given)}
    notes = _notes(bundle, channels)
    bundle = replace(bundle, rule=bundle.rule_for(channels), prior=prior or bundle.prior)
    taken = _poses_of(bundle.rule, tta=tta)
    _check_adaptable(bundle, taken=taken, adapt=adapt, stated=prior)
    ids: list[str] = []
    rejected: dict[str, str] = {}
    reading = _reading_of(bundle, given, reading or Reading())
    images = _readable(fields, reading, ids=ids, rejected=rejected, jobs=jobs, progress=progress)
    batches = (_in_channels(bundle, batch, channels) for batch in _batches(images, batch_of(bundle.side)))
    found = member_logits(bundle, batches, tta=tta)
    if len(rejected) == len(fields):
        first = next(iter(rejected.values()))
        raise ImageError(f"{source}: none of {len(fields)} fields can be read. The first: {first}")
    logits = np.full((len(found), len(ids), len(bundle.vocabulary)), np.nan, np.float32)
    logits[:, [field not in rejected for field in ids]] = found
    fitted = _fitted_to_batch(bundle, logits, fields=len(fields) - len(rejected), adapt=adapt)
    unread = pd.DataFrame(rejected.items(), columns=["id", "reason"])
    return _answered(bundle, tuple(ids), logits, unread, taken=taken, fitted=fitted, notes=notes)


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
    _check_store(bundle, store, stains)
    names = [stain.name for stain in store.stains]
    channels = {name: names.index(name) for name in (names if stains is None else stains)}

    def batches() -> Iterator[Fields]:
        size = batch_of(bundle.side)
        for start in range(0, len(rows), size):
            yield _in_channels(bundle, _images(bundle, store, rows[start : start + size]), channels)
            if progress is not None:
                progress(min(start + size, len(rows)), len(rows))

    return member_logits(bundle, batches(), tta=tta).mean(axis=0)


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


def _images(bundle: Bundle, store: Store, rows: NDArray[np.intp]) -> Fields:
    """Read fields of a store; of a clean one as the same camera sees them each time."""
    from protloc.atlas.photographs import photographs_of  # brings the simulator, which nobody else needs here

    return photographs_of(store, rows, seed=int(bundle.settings.get("seed", 0)))


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


def _answered(
    bundle: Bundle,
    ids: tuple[str, ...],
    logits: NDArray[np.float32],
    rejected: pd.DataFrame,
    *,
    taken: int,
    fitted: Matching | Adaptation | None,
    notes: Sequence[str],
) -> Predictions:
    """Make answers of the members' logits, (members, fields, classes), means of ``taken`` poses, NaN where rejected."""
    rule, mean, notes = bundle.rule, logits.mean(axis=0), list(notes)
    if rule.fields and taken != rule.poses:
        notes.append(
            f"The logits are a mean over {taken} poses, but the model was judged on {rule.poses}: its "
            "probabilities may be off. Judge it alike with protloc evaluate, or leave the choice to the model."
        )
    if rule.fields and len(logits) > 1:
        notes.append(ENSEMBLE_NOTE.format(members=len(logits)))
    if fitted is not None:
        rule = fitted.rule
        notes.append(fitted.words(bundle.vocabulary.names))
    spread = rule.probabilities(logits).std(axis=0).max(axis=1) if len(logits) > 1 else None
    return Predictions(ids, mean, bundle.vocabulary, rule, rejected, spread, tuple(notes))


def _fitted_to_batch(
    bundle: Bundle, logits: NDArray[np.float32], *, fields: int, adapt: bool | None
) -> Matching | Adaptation | None:
    """Fit the rule to the members' logits as ``adapt`` wants, see :func:`predict`; None if it wants nothing."""
    if bundle.prior is not None and adapt is not False:
        return matched(bundle.rule, logits, bundle.prior, fields=fields)
    return adapted(bundle.rule, logits) if adapt else None


def _check_adaptable(bundle: Bundle, *, taken: int, adapt: bool | None, stated: Prior | None) -> None:
    if stated is not None and adapt is False:
        raise SettingsError("--prior: of no use with --no-adapt, which leaves answers as they are. Say one of the two.")
    if bundle.prior is not None:
        try:
            check_prior(bundle.prior, classes=len(bundle.vocabulary))
        except ValueError as error:
            raise SettingsError(f"--prior: {error}. State a share of fields for every class of the model.") from error
    elif adapt and bundle.rule.fields and taken != bundle.rule.poses:
        raise SettingsError(
            f"--adapt: the rates it needs were measured on {bundle.rule.poses} poses of a field, not on {taken}. "
            "Leave --tta or --no-tta out, or judge the model so: protloc evaluate."
        )


def _reading_of(bundle: Bundle, given: tuple[Stain, ...], asked: Reading) -> Reading:
    return Reading(
        stains=given,
        side=bundle.side,
        tile=asked.tile or bundle.tile,
        bit_depth=asked.bit_depth or bundle.bit_depth,
        max_pixels=asked.max_pixels,
    )


def _in_model_order(bundle: Bundle, stains: Sequence[Stain] | None) -> tuple[Stain, ...]:
    given = {stain.name: stain for stain in stains or bundle.stains}
    if not _takes(bundle, given):
        raise BundleError(
            f"--stains: {', '.join(given)} given, but {_stains_in_words(bundle)}. "
            "Name these, or use a model trained on yours."
        )
    return tuple(given[stain.name] for stain in bundle.stains if stain.name in given)


def _at_hand(bundle: Bundle, fields: Iterable[FieldFiles]) -> tuple[Stain, ...]:
    """Return the model's stains of which any field has an image, and those it needs."""
    there = {name for field in fields for name in field.names}.union(bundle.needed)
    return tuple(stain for stain in bundle.stains if stain.name in there)


def _notes(bundle: Bundle, given: Collection[str]) -> list[str]:
    """Say what is to be known of a model's answers by the named stains, before any is given."""
    notes = [bundle.caution] if bundle.caution else []
    missing = [stain.name for stain in bundle.stains if stain.name not in given]
    if not missing:
        return notes
    note = f"No {' or '.join(missing)} image was given; the model answered by {' and '.join(given)} alone."
    unfitted = bundle.rule.fields and bundle.rule_for(given) is bundle.rule
    return [*notes, f"{note} {UNFITTED_NOTE}" if unfitted else note]


def _in_channels(bundle: Bundle, images: Fields, channels: Mapping[str, int]) -> Fields:
    """Put the named channels of images, (fields, stains, side, side), where the model has them; the others are 0."""
    placed = np.zeros((len(images), len(bundle.stains), *images.shape[2:]), np.uint8)
    for place, stain in enumerate(bundle.stains):
        if stain.name in channels:
            placed[:, place] = images[:, channels[stain.name]]
    return placed


def _takes(bundle: Bundle, stains: Collection[str]) -> bool:
    return set(bundle.needed) <= set(stains) <= {stain.name for stain in bundle.stains}


def _stains_in_words(bundle: Bundle) -> str:
    names = [stain.name for stain in bundle.stains]
    needs = "" if len(bundle.needed) == len(names) else f" and needs {', '.join(bundle.needed)}"
    return f"the model was trained on {', '.join(names)}{needs}"


def _readable(
    fields: Sequence[FieldFiles],
    reading: Reading,
    *,
    ids: list[str],
    rejected: dict[str, str],
    jobs: int | None,
    progress: Progress | None,
) -> Iterator[Fields]:
    """Yield the images that can be read; tell all ids, and why a field was rejected, in ``ids`` and ``rejected``."""
    outcomes = in_order(lambda field: _try_to_read(field, reading), fields, jobs=jobs, ahead=2 * BATCH)
    for done, (field, outcome) in enumerate(zip(fields, outcomes, strict=True), start=1):
        if isinstance(outcome, ImageError):
            ids.append(field.id)
            rejected[field.id] = str(outcome)
        else:
            ids.extend(outcome.by_id)
            yield from outcome.by_id.values()
        if progress is not None:
            progress(done, len(fields))


def _try_to_read(field: FieldFiles, reading: Reading) -> FieldImages | ImageError:
    try:
        return read_field(field, reading)
    except ImageError as error:
        return error


def batch_of(side: int) -> int:
    """Return how many fields of ``side`` px are answered at a time."""
    return BATCH if torch.cuda.is_available() else max(1, min(BATCH, BATCH_PIXELS // side**2))


def _batches(images: Iterable[Fields], size: int) -> Iterator[Fields]:
    waiting: list[Fields] = []
    for image in images:
        waiting.append(image)
        if len(waiting) == size:
            yield np.stack(waiting)
            waiting.clear()
    if waiting:
        yield np.stack(waiting)


def _check_store(bundle: Bundle, store: Store, stains: Collection[str] | None) -> None:
    for what, here, there in (
        ("side", store.side, bundle.side),
        ("classes", store.vocabulary.names, bundle.vocabulary.names),
    ):
        if here != there:
            raise BundleError(f"{store.folder}: its {what} are {here}, the model's {there}. Prepare a store alike.")
    names = [stain.name for stain in store.stains]
    wanted = names if stains is None else stains
    if not _takes(bundle, wanted) or not set(wanted) <= set(names):
        raise BundleError(
            f"{store.folder}: asked for {', '.join(wanted)}, its stains are {', '.join(names)}, but "
            f"{_stains_in_words(bundle)}. Prepare a store alike, or name stains that both have."
        )
