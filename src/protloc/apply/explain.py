"""Why a model answers so: where it looks, by which stain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from protloc.apply.heat import VIEWS, Heat, heat_maps
from protloc.errors import SettingsError
from protloc.learn.bundle import Bundle
from protloc.learn.network import Ensemble

HOTTEST_SHARE = 0.1  # of a field's pixels


@dataclass(frozen=True, eq=False)
class FieldExplanation:
    """What speaks for some classes in one field.

    Attributes:
        columns: The classes, by their columns.
        heat: Where they are seen, (classes, side, side), float32 in 0..1; see :func:`protloc.apply.heat.heat_maps`.
        contributions: By how much each stain of the model raises the calibrated log odds of each class, in nats,
            (classes, stains), float64; NaN for a stain that is not given, or that the model cannot go without.
    """

    columns: tuple[int, ...]
    heat: Heat
    contributions: NDArray[np.float64]


def explain_fields(
    bundle: Bundle,
    images: NDArray[np.uint8],
    columns: Sequence[Sequence[int]],
    *,
    given: Collection[str],
    network: Ensemble | None = None,
    views: Sequence[tuple[int, float]] = VIEWS,
) -> list[FieldExplanation]:
    """Explain what a model says of some classes of each field.

    Args:
        bundle: The trained model.
        images: Fields as the model takes them, (fields, stains of the model, side, side), uint8; stains that are not
            given are 0.
        columns: For each field, the columns of the classes to explain.
        given: Names of the stains that are given, those the model needs among them.
        network: The bundle's, if it was built already.
        views: See :func:`protloc.apply.heat.heat_maps`; the first alone is faster, its maps a little worse.
    """
    network = network or network_of(bundle)
    maps = heat_maps(network, images, columns, views=views)
    drops = stain_contributions(bundle, images, given=given, network=network)
    return [
        FieldExplanation(tuple(own), heat, each[list(own)])
        for own, heat, each in zip(columns, maps, drops, strict=True)
    ]


def network_of(bundle: Bundle) -> Ensemble:
    """Build a bundle's networks where they are to compute: on a GPU where there is one; for many calls at once."""
    return bundle.network().requires_grad_(requires_grad=False).to("cuda" if torch.cuda.is_available() else "cpu")


def stain_contributions(
    bundle: Bundle, images: NDArray[np.uint8], *, given: Collection[str], network: Ensemble
) -> NDArray[np.float64]:
    """Compute by how much the calibrated log odds fall when a stain is black (occlusion; Zeiler & Fergus 2014).

    Only stains are made black that the model learnt to do without: of another it would say anything. What it says
    without a stain is calibrated as if that stain had not been given at all.

    Args:
        bundle: The trained model.
        images: As for :func:`explain_fields`.
        given: Names of the stains that are given.
        network: The bundle's.

    Returns:
        Array of shape (fields, classes, stains), in nats; NaN for stains not given and for those the model needs.
    """
    drops = np.full((len(images), len(bundle.vocabulary), len(bundle.stains)), np.nan)
    removable = removable_stains(bundle, given)
    if not removable:
        return drops
    whole = _log_odds(bundle, images, given, network)
    for channel, stain in enumerate(bundle.stains):
        if stain.name in removable:
            without = images.copy()
            without[:, channel] = 0
            drops[:, :, channel] = whole - _log_odds(bundle, without, set(given) - {stain.name}, network)
    return drops


def removable_stains(bundle: Bundle, given: Collection[str]) -> tuple[str, ...]:
    """Return which of the given stains the model learnt to do without, in its order."""
    return tuple(stain.name for stain in bundle.stains if stain.name in given and stain.name not in bundle.needed)


def protein_channel(bundle: Bundle) -> int:
    """Return the channel of the protein's stain: that which the model was told, else green, else the first."""
    names = [stain.name for stain in bundle.stains]
    told = (bundle.settings.get("protein_stain"), "green")
    return next((names.index(name) for name in told if name in names), 0)


def hottest_place(heat: Heat) -> tuple[int, int] | None:
    """Return column and row in px of the hottest pixel of a map (side, side); None where it is 0 throughout."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return (int(column), int(row)) if heat[row, column] > 0 else None


def heat_in_hottest(heat: Heat, *, share: float = HOTTEST_SHARE) -> float:
    """Return which share of a map's heat lies in the hottest ``share`` of its pixels: 1 on a spot, ``share`` if even.

    NaN where the map is 0 throughout.
    """
    hottest = np.sort(heat, axis=None)[-max(round(share * heat.size), 1) :]
    total = float(heat.sum(dtype=np.float64))
    return float(hottest.sum(dtype=np.float64)) / total if total > 0 else float("nan")


def columns_to_explain(
    called: NDArray[np.bool_], probabilities: NDArray[np.float64], *, asked: Sequence[int] = ()
) -> list[tuple[int, ...]]:
    """Choose what to explain of each field: what was asked for; else what was called; else what is likeliest.

    Args:
        called: Which classes were called, (fields, classes).
        probabilities: Calibrated, (fields, classes).
        asked: Columns that were asked for, of every field.
    """
    if asked:
        return [tuple(asked)] * len(called)
    chosen = [np.flatnonzero(row) for row in called]
    return [
        tuple(own[np.argsort(-odds[own], kind="stable")].tolist()) or (int(odds.argmax()),)
        for own, odds in zip(chosen, probabilities, strict=True)
    ]


def columns_named(bundle: Bundle, names: Sequence[str]) -> list[int]:
    """Return the columns of classes of a model, in the order they are named, each once.

    Raises:
        SettingsError: if the model has no class of a name.
    """
    known = bundle.vocabulary.names
    for name in names:
        if name not in known:
            raise SettingsError(f"--classes: {name!r} is no class of the model; expected some of {', '.join(known)}.")
    return list(dict.fromkeys(known.index(name) for name in names))


def _log_odds(
    bundle: Bundle, images: NDArray[np.uint8], given: Collection[str], network: Ensemble
) -> NDArray[np.float64]:
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits = network(torch.from_numpy(images).to(device)).cpu().numpy()
    return bundle.rule_for(given).calibration.logits(logits)
