"""Bundles: trained networks with all that prediction needs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from protloc.atlas.files import StrPath, atomic_file, write_json
from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import BundleError, SettingsError, VocabularyError
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.network import Ensemble, FieldNetwork, Normalisation

FORMAT = 2  # 1 had thresholds instead of a rule for answers
WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"
ALIKE = ("backbone", "vocabulary", "stains", "side", "tile", "bit_depth")  # what the members of an ensemble share


@dataclass(frozen=True, eq=False)
class Member:
    """One trained network of a bundle.

    Attributes:
        normalisation: Usual brightness of each stain among the fields it learnt from.
        metrics: Validation figures of the epoch it comes from.
        state: Tensors of the network by name, float32 where they are floats.
    """

    normalisation: Normalisation
    metrics: Mapping[str, Any]
    state: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Bundle:
    """One or more trained networks of one architecture, with all that prediction needs.

    Attributes:
        backbone: Name of the architecture.
        vocabulary: What the logits mean, in order.
        stains: What the channels show, in order.
        side: Height and width of the fields in px.
        rule: How logits become answers.
        members: The networks; a bundle's logits are the mean of theirs.
        settings: What the run was told.
        protloc_version: Version that trained it.
        tile: Side in source px of the tiles it was trained on, or None for whole fields.
        bit_depth: Bits that 16-bit files were said to have, or None where each field told it.
        folder: Where it was loaded from, or None.
    """

    backbone: str
    vocabulary: Vocabulary
    stains: tuple[Stain, ...]
    side: int
    rule: AnswerRule
    members: tuple[Member, ...]
    settings: Mapping[str, Any]
    protloc_version: str
    tile: int | None = None
    bit_depth: int | None = None
    folder: Path | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """Return the members' mean of each validation figure, ``epoch`` among them; None where one has none."""
        figures = [member.metrics for member in self.members]
        return dict(figures[0]) if len(figures) == 1 else {name: _mean(figures, name) for name in figures[0]}

    def with_rule(self, rule: AnswerRule) -> Bundle:
        """Return a bundle of the same networks that answers by another rule."""
        return replace(self, rule=rule)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``, then ``model.json`` with its SHA-256: half a bundle is never read as a whole."""
        tensors = _joined([member.state for member in self.members])
        weights = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        with atomic_file(folder / WEIGHTS_FILE) as temporary:
            temporary.write_bytes(weights)
        write_json(folder / DESCRIPTION_FILE, self._description() | {"sha256": hashlib.sha256(weights).hexdigest()})

    @classmethod
    def load(cls, folder: StrPath) -> Bundle:
        """Read what :meth:`save` wrote.

        Raises:
            BundleError: if the folder is no bundle, or a file of it is missing, damaged, or edited to what cannot be.
        """
        folder = Path(folder)
        described = _read_description(folder / DESCRIPTION_FILE)
        weights = _read_bytes(folder / WEIGHTS_FILE)
        if hashlib.sha256(weights).hexdigest() != described.pop("sha256", None):
            raise BundleError(
                f"{folder / WEIGHTS_FILE}: not the weights that {DESCRIPTION_FILE} describes (SHA-256 differs). "
                "If the training was killed, say train --resume; else copy the bundle again."
            )
        try:
            bundle = replace(_from_description(described, load(weights)), folder=folder)
            _check_numbers(bundle)
        except (LookupError, TypeError, ValueError, AttributeError, SafetensorError, VocabularyError) as error:
            raise BundleError(
                f"{folder}: not a bundle of this version ({_in_words(error)}). "
                "Copy the bundle again, or train it again."
            ) from error
        return bundle

    def network(self) -> Ensemble:
        """Build the networks, ready to predict.

        Returns:
            Module in evaluation mode from uint8 (fields, stains, side, side) to the mean of the members' float32 logits
            (fields, classes).

        Raises:
            BundleError: if the weights do not fit the network they are said to be of.
        """
        return Ensemble(self._network_of(member) for member in self.members).eval()

    def _network_of(self, member: Member) -> FieldNetwork:
        stains, classes = len(self.stains), len(self.vocabulary)
        try:
            network = build_network(self.backbone, stains=stains, classes=classes, side=self.side)
            _check_fit(member.state, network.state_dict())
            network.load_state_dict(dict(member.state))
        except (RuntimeError, ValueError, SettingsError) as error:
            raise BundleError(
                f"{self.folder or 'bundle'}: its weights are not those of {self.backbone} for {stains} stains, "
                f"{classes} classes and {self.side} px ({_in_words(error)}). Copy the bundle again, or train it again."
            ) from error
        return FieldNetwork(network, member.normalisation)

    def _description(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "protloc_version": self.protloc_version,
            "backbone": self.backbone,
            "side": self.side,
            "tile": self.tile,
            "bit_depth": self.bit_depth,
            "stains": [asdict(stain) for stain in self.stains],
            "vocabulary": self.vocabulary.to_json(),
            "answers": self.rule.to_json(),
            "members": [
                {"normalisation": asdict(member.normalisation), "metrics": dict(member.metrics)}
                for member in self.members
            ],
            "settings": dict(self.settings),
        }


def ensemble(bundles: Sequence[Bundle], *, rule: AnswerRule) -> Bundle:
    """Join bundles into one whose logits are the mean of theirs.

    Args:
        bundles: One at least; settings and version are taken from the first.
        rule: How the joined networks answer.

    Raises:
        BundleError: if they differ in backbone, classes, stains, side, tile or bit depth.
    """
    first, *others = bundles
    for number, other in enumerate(others, start=2):
        for name in ALIKE:
            if getattr(other, name) != getattr(first, name):
                raise BundleError(
                    f"ensemble: the {name} of bundle {number} is {getattr(other, name)}, of the first "
                    f"{getattr(first, name)}; expected the same. Join bundles trained alike."
                )
    members = tuple(member for bundle in bundles for member in bundle.members)
    return replace(first, rule=rule, members=members, folder=None)


def write_rule(folder: Path, rule: AnswerRule) -> None:
    """Give a bundle on disk another rule, whole or not at all; its weights are not touched.

    Raises:
        BundleError: if the folder is no bundle.
    """
    file = folder / DESCRIPTION_FILE
    write_json(file, _read_description(file) | {"answers": rule.to_json()})


def portable_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy a network's state to the processor, floats as float32, so that later training leaves it alone."""
    copied = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in copied.items()}


def _mean(figures: Sequence[Mapping[str, Any]], name: str) -> float | None:
    numbers = [each[name] for each in figures if each[name] is not None]
    return fmean(numbers) if len(numbers) == len(figures) else None


def _joined(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join the states of members, whose numbers stand before the names; a single one keeps its names."""
    if len(states) == 1:
        return dict(states[0])
    return {f"{number}.{name}": tensor for number, state in enumerate(states) for name, tensor in state.items()}


def _parted(tensors: Mapping[str, Tensor], members: int) -> list[dict[str, Tensor]]:
    """Undo :func:`_joined`."""
    if members == 1:
        return [dict(tensors)]
    parted: dict[str, dict[str, Tensor]] = {str(number): {} for number in range(members)}
    for name, tensor in tensors.items():
        number, _, own = name.partition(".")
        if number not in parted:
            raise ValueError(f"members: {members} told, but {name} is a tensor of none of them")
        parted[number][own] = tensor
    return list(parted.values())


def _from_description(described: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Bundle:
    told = described["members"]
    states = _parted(tensors, len(told))
    return Bundle(
        backbone=described["backbone"],
        vocabulary=Vocabulary.from_json(described["vocabulary"]),
        stains=tuple(Stain(**stain) for stain in described["stains"]),
        side=described["side"],
        rule=AnswerRule.from_json(described["answers"]),
        members=tuple(_member(entry, state) for entry, state in zip(told, states, strict=True)),
        settings=described["settings"],
        protloc_version=described["protloc_version"],
        tile=described["tile"],
        bit_depth=described["bit_depth"],
    )


def _member(entry: Mapping[str, Any], state: Mapping[str, Tensor]) -> Member:
    usual = entry["normalisation"]
    return Member(Normalisation(tuple(usual["means"]), tuple(usual["deviations"])), entry["metrics"], state)


def _check_numbers(bundle: Bundle) -> None:
    """Refuse what no run writes: it would fail far from here, or answer wrongly without a word."""
    _check_whole("side", bundle.side)
    for member in bundle.members:
        _check_vector("means", member.normalisation.means, length=len(bundle.stains))
        _check_vector("deviations", member.normalisation.deviations, length=len(bundle.stains), least=0)
    _check_rule(bundle.rule, classes=len(bundle.vocabulary))


def _check_rule(rule: AnswerRule, *, classes: int) -> None:
    calibration, thresholds, cuts = rule.calibration, rule.thresholds, rule.cuts
    _check_vector("slopes", calibration.slopes, length=classes, least=0)
    _check_vector("intercepts", calibration.intercepts, length=classes)
    _check_vector("present_from", cuts.present_from, length=classes, least=0)
    shares = {"values": thresholds.values, "absent_below": cuts.absent_below, "prevalences": rule.prevalences}
    fitted = {"hits": thresholds.hits, "alarms": thresholds.alarms}  # none where thresholds were not fitted
    for name, values in (shares | {name: rates for name, rates in fitted.items() if rates}).items():
        _check_vector(name, values, length=classes, least=0, most=1)
    _check_vector("error_rate", (cuts.error_rate,), length=1, least=0, most=1)
    _check_vector("scores", tuple(thresholds.scores.values()), length=len(thresholds.scores))
    _check_whole("fields", rule.fields)
    if rule.poses not in (1, 8):
        raise ValueError(f"poses: {rule.poses!r}, expected 1 or 8")


def _check_vector(
    name: str, values: Sequence[Any], *, length: int, least: float = -math.inf, most: float = math.inf
) -> None:
    if len(values) != length:
        raise ValueError(f"{name}: of length {len(values)}, expected {length}")
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not least <= value <= most:
            expected = "finite numbers" if math.isinf(least) else f"numbers from {least:g} to {most:g}"
            raise ValueError(f"{name}: {value!r}, expected {expected}")


def _check_whole(name: str, value: Any) -> None:  # noqa: ANN401 - read from a file
    if type(value) is not int or value < 0:
        raise ValueError(f"{name}: {value!r}, expected a whole number")


def _check_fit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Say in a line what torch would say in one a tensor."""
    other = [name for name in sorted(own) if name not in state or state[name].shape != own[name].shape]
    other += sorted(state.keys() - own)
    if other:
        raise ValueError(f"{len(other)} of {len(own)} tensors differ, such as {other[0]}")


def _in_words(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())


def _read_description(file: Path) -> dict[str, Any]:
    try:
        described = json.loads(_read_bytes(file))
    except ValueError as error:
        raise BundleError(f"{file}: damaged ({error}). Copy the bundle again, or train it again.") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        found = described.get("format") if isinstance(described, dict) else None
        raise BundleError(
            f"{file}: format {found}, expected {FORMAT}. Use the protloc version that wrote the bundle, or train again."
        )
    return described


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be read ({error.strerror}). Name a bundle folder, such as RUN/bundle, with "
            f"{DESCRIPTION_FILE} and {WEIGHTS_FILE} in it."
        ) from error
