"""Answers of a trained model for fields it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from protloc.judge.shift import adapted
from protloc.learn.augment import POSES, poses
from protloc.learn.bundle import Bundle
from protloc.learn.network import Ensemble
from protloc.progress import Progress

BATCH = 64  # larger batches gave nothing on two cores and cost memory
ENSEMBLE_NOTE = (
    "Calibration and certain answers were fitted to single networks; for the mean of {members} they err towards "
    "caution: its probabilities are less sure than they could be, and more is left to an expert."
)

Fields = NDArray[np.uint8]


def predict(
    bundle: Bundle,
    source: StrPath,
    *,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    tta: bool | None = None,
    adapt: bool = False,
    progress: Progress | None = None,
) -> Predictions:
    """Answer for every field of a folder of images, decoding while the network computes.

    Args:
        bundle: The trained model.
        source: Folder of images, as for ``prepare``.
        stains: File suffixes of the model's stains where they differ from those it was trained with, in any order.
        reading: Tiles, bit depth and limits; what it leaves open, stains and side are the model's.
        jobs: Threads that decode; as many as there are processors if not given.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged.
        adapt: Adapt the answers to how frequent classes are in this folder, see :func:`protloc.judge.shift.adapted`.
        progress: Called after each finished field.

    Raises:
        BundleError: if the stains given are not those of the model.
        SettingsError: if the answers are to be adapted on other poses than the model was judged on.
        ImageError: if the folder holds no image of these stains, or no field of it can be read.
    """
    taken = _poses_of(bundle.rule, tta=tta)
    if adapt and bundle.rule.fields and taken != bundle.rule.poses:
        raise SettingsError(
            f"--adapt: the rates it needs were measured on {bundle.rule.poses} poses of a field, not on {taken}. "
            "Leave --tta or --no-tta out, or judge the model so: protloc evaluate."
        )
    reading = _reading_of(bundle, stains, reading or Reading())
    fields = find_fields(Path(source), reading.stains)
    ids: list[str] = []
    rejected: dict[str, str] = {}

    def readable() -> Iterator[Fields]:
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

    found = member_logits(bundle, _batches(readable()), tta=tta)
    if len(rejected) == len(fields):
        first = next(iter(rejected.values()))
        raise ImageError(f"{source}: none of {len(fields)} fields can be read. The first: {first}")
    logits = np.full((len(found), len(ids), len(bundle.vocabulary)), np.nan, np.float32)
    logits[:, [field not in rejected for field in ids]] = found
    unread = pd.DataFrame(rejected.items(), columns=["id", "reason"])
    return _answered(bundle, tuple(ids), logits, unread, taken=taken, adapt=adapt)


def predict_rows(
    bundle: Bundle, store: Store, rows: NDArray[np.intp], *, tta: bool | None = None, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Return the raw logits of rows of a store, shape (len(rows), classes).

    Args:
        bundle: The trained model.
        store: Where the fields are.
        rows: Rows of the store in the order wanted.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged.
        progress: Called after each batch.

    Raises:
        BundleError: if the store's stains, side or classes are not those of the model.
    """
    _check_store(bundle, store)

    def batches() -> Iterator[Fields]:
        for start in range(0, len(rows), BATCH):
            yield store.images(rows[start : start + BATCH])
            if progress is not None:
                progress(min(start + BATCH, len(rows)), len(rows))

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


def _answered(
    bundle: Bundle,
    ids: tuple[str, ...],
    logits: NDArray[np.float32],
    rejected: pd.DataFrame,
    *,
    taken: int,
    adapt: bool,
) -> Predictions:
    """Make answers of the members' logits, (members, fields, classes), means of ``taken`` poses, NaN where rejected."""
    rule, mean, notes = bundle.rule, logits.mean(axis=0), list[str]()
    if rule.fields and taken != rule.poses:
        notes.append(
            f"The logits are a mean over {taken} poses, but the model was judged on {rule.poses}: its "
            "probabilities may be off. Judge it alike with protloc evaluate, or leave the choice to the model."
        )
    if rule.fields and len(logits) > 1:
        notes.append(ENSEMBLE_NOTE.format(members=len(logits)))
    if adapt:
        adaptation = adapted(rule, logits)
        rule = adaptation.rule
        notes.append(adaptation.words(bundle.vocabulary.names))
    spread = rule.probabilities(logits).std(axis=0).max(axis=1) if len(logits) > 1 else None
    return Predictions(ids, mean, bundle.vocabulary, rule, rejected, spread, tuple(notes))


def _reading_of(bundle: Bundle, stains: Sequence[Stain] | None, asked: Reading) -> Reading:
    return Reading(
        stains=_in_model_order(bundle, stains),
        side=bundle.side,
        tile=asked.tile or bundle.tile,
        bit_depth=asked.bit_depth or bundle.bit_depth,
        max_pixels=asked.max_pixels,
    )


def _in_model_order(bundle: Bundle, stains: Sequence[Stain] | None) -> tuple[Stain, ...]:
    given = {stain.name: stain for stain in stains or bundle.stains}
    wanted = [stain.name for stain in bundle.stains]
    if sorted(given) != sorted(wanted):
        raise BundleError(
            f"--stains: {', '.join(given)} given, but the model was trained on {', '.join(wanted)}. "
            "Name these, or use a model trained on yours."
        )
    return tuple(given[name] for name in wanted)


def _try_to_read(field: FieldFiles, reading: Reading) -> FieldImages | ImageError:
    try:
        return read_field(field, reading)
    except ImageError as error:
        return error


def _batches(images: Iterable[Fields]) -> Iterator[Fields]:
    waiting: list[Fields] = []
    for image in images:
        waiting.append(image)
        if len(waiting) == BATCH:
            yield np.stack(waiting)
            waiting.clear()
    if waiting:
        yield np.stack(waiting)


def _check_store(bundle: Bundle, store: Store) -> None:
    for what, here, there in (
        ("stains", [stain.name for stain in store.stains], [stain.name for stain in bundle.stains]),
        ("side", store.side, bundle.side),
        ("classes", store.vocabulary.names, bundle.vocabulary.names),
    ):
        if here != there:
            raise BundleError(f"{store.folder}: its {what} are {here}, the model's {there}. Prepare a store alike.")
