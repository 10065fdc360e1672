"""Bundles: trained networks with all that prediction needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from protloc.atlas.files import StrPath, atomic_file, write_json
from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import BundleError, SettingsError, VocabularyError
from protloc.judge.answering import AnswerRule
from protloc.judge.prior import Prior
from protloc.learn.bundle_checks import check_prior, check_rule, check_subset, check_vector, check_whole, subset_name
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
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
        rules: How logits become answers where only some of the stains are given, by their sorted names joined by
            ``+``, as in ``blue+green``.
        prior: How often classes are to be expected in fields nobody said more about, or None.
        caution: What whoever uses its answers must know, in sentences; empty if nothing.
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
    rules: Mapping[str, AnswerRule] = field(default_factory=dict[str, AnswerRule])
    prior: Prior | None = None
    caution: str = ""
    folder: Path | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the names of the stains that must be given.

        They are all, unless it learnt to do without: then the protein's alone.
        """
        names = tuple(stain.name for stain in self.stains)
        protein = self.settings.get("protein_stain")
        return (protein,) if self.settings.get("stain_dropout", 0) > 0 and protein in names else names

    @property
    def metrics(self) -> dict[str, Any]:
        """Return the members' mean of each validation figure, ``epoch`` among them; None where one has none."""
        figures = [member.metrics for member in self.members]
        return dict(figures[0]) if len(figures) == 1 else {name: _mean(figures, name) for name in figures[0]}

    def rule_for(self, stains: Collection[str]) -> AnswerRule:
        """Return how logits become answers where these stains are given; if none was fitted to them, that of all."""
        return self.rules.get(subset_name(stains), self.rule)

    def with_rule(self, rule: AnswerRule, rules: Mapping[str, AnswerRule] | None = None) -> Bundle:
        """Return a bundle of the same networks that answers by another rule, and by others where stains are missing."""
        return replace(self, rule=rule, rules=rules or {})

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write ``model.safetensors``, then ``model.json`` with its SHA-256: half a bundle is never read as a whole.

        Args:
            folder: Is made where it is missing.
            half: Write matrices and kernels as float16, in half the bytes; loaded, they are float32 again. Vectors are
                few and stay float32, as variances of batch norm may be above what float16 can hold.

        Raises:
            BundleError: if half precision cannot hold a number.
        """
        tensors = _joined([member.state for member in self.members])
        if half:
            tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
        weights = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        with atomic_file(folder / WEIGHTS_FILE) as temporary:
            temporary.write_bytes(weights)
        description = self._description() | ({"half": True} if half else {})
        write_json(folder / DESCRIPTION_FILE, description | {"sha256": hashlib.sha256(weights).hexdigest()})

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
            bundle = replace(_from_description(described, _as_float32(load(weights))), folder=folder)
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
            network = _untrained(self.backbone, stains=stains, classes=classes, side=self.side)
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
            **_answers(self.rule, self.rules),
            **({"prior": self.prior.to_json()} if self.prior else {}),
            **({"caution": self.caution} if self.caution else {}),
            "members": [
                {"normalisation": asdict(member.normalisation), "metrics": dict(member.metrics)}
                for member in self.members
            ],
            "settings": dict(self.settings),
        }


def ensemble(bundles: Sequence[Bundle], *, rule: AnswerRule) -> Bundle:
    """Join bundles into one whose logits are the mean of theirs.

    Args:
        bundles: One at least; settings, version, prior and caution are taken from the first.
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
    return replace(first.with_rule(rule), members=members, folder=None)


def write_rule(folder: Path, rule: AnswerRule, rules: Mapping[str, AnswerRule] | None = None) -> None:
    """Give a bundle on disk another rule, whole or not at all; its weights are not touched.

    Args:
        folder: The bundle.
        rule: How it answers where all stains are given.
        rules: How where some are, see :attr:`Bundle.rules`; those it had are gone in any case.

    Raises:
        BundleError: if the folder is no bundle.
    """
    file = folder / DESCRIPTION_FILE
    described = {name: value for name, value in _read_description(file).items() if name != "rules"}
    write_json(file, described | _answers(rule, rules or {}))


def portable_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy a network's state to the processor, floats as float32, so that later training leaves it alone."""
    return _as_float32({name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()})


def _as_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _halved(name: str, tensor: Tensor) -> Tensor:
    halved = tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
    if not torch.isfinite(halved).all():
        raise BundleError(
            f"{name}: holds {tensor.abs().max():g}, half precision nothing above 65504. Save it in full precision."
        )
    return halved


def _untrained(backbone: str, *, stains: int, classes: int, side: int) -> nn.Module:
    if backbone == LITE_BACKBONE:
        with torch.random.fork_rng(devices=[]):  # who loads a model draws no random number
            return LiteNetwork(stains=stains, classes=classes)
    from protloc.learn.backbones import build_network  # timm takes longer to import than a bundle to load

    return build_network(backbone, stains=stains, classes=classes, side=side)


def _answers(rule: AnswerRule, rules: Mapping[str, AnswerRule]) -> dict[str, Any]:
    fitted = {name: each.to_json() for name, each in rules.items()}
    return {"answers": rule.to_json()} | ({"rules": fitted} if fitted else {})


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
    told, prior = described["members"], described.get("prior")
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
        rules={name: AnswerRule.from_json(rule) for name, rule in described.get("rules", {}).items()},
        prior=None if prior is None else Prior.from_json(prior),
        caution=described.get("caution", ""),
    )


def _member(entry: Mapping[str, Any], state: Mapping[str, Tensor]) -> Member:
    usual = entry["normalisation"]
    return Member(Normalisation(tuple(usual["means"]), tuple(usual["deviations"])), entry["metrics"], state)


def _check_numbers(bundle: Bundle) -> None:
    """Refuse what no run writes: it would fail far from here, or answer wrongly without a word."""
    classes, stains = len(bundle.vocabulary), [stain.name for stain in bundle.stains]
    check_whole("side", bundle.side)
    check_vector("stain_dropout", (bundle.settings.get("stain_dropout", 0),), length=1, least=0, most=1)
    for member in bundle.members:
        check_vector("means", member.normalisation.means, length=len(stains))
        check_vector("deviations", member.normalisation.deviations, length=len(stains), least=0)
    check_rule(bundle.rule, classes=classes)
    for name, rule in bundle.rules.items():
        check_subset(name, stains=stains, needed=bundle.needed)
        check_rule(rule, classes=classes)
    if bundle.prior is not None:
        check_prior(bundle.prior, classes=classes)
    if type(bundle.caution) is not str:
        raise ValueError(f"caution: {bundle.caution!r}, expected words")


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
