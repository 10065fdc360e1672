"""Bundles: trained networks with all that prediction needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from protloc.atlas.files import StrPath, atomic_file, write_json
from protloc.errors import BundleError, SettingsError, VocabularyError
from protloc.judge.answering import AnswerRule
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.model import (
    DESCRIPTION_FILE,
    EXPORT,
    WEIGHTS_FILE,
    Model,
    Training,
    answers_json,
    check_numbers,
    facts_of,
    in_words,
    read_bytes,
    read_description,
)
from protloc.learn.network import Ensemble, FieldNetwork

ALIKE = ("backbone", "vocabulary", "stains", "side", "tile", "bit_depth")  # what the members of an ensemble share


@dataclass(frozen=True, eq=False)
class Member(Training):
    """One trained network of a bundle.

    Attributes:
        state: Tensors of the network by name, float32 where they are floats.
    """

    state: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Bundle(Model):
    """One or more trained networks of one architecture, with all that prediction needs.

    Attributes:
        members: The networks; a bundle's logits are the mean of theirs.
    """

    members: tuple[Member, ...]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, so narrower is safe

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
        description = self.description() | ({"half": True} if half else {})
        write_json(folder / DESCRIPTION_FILE, description | {"sha256": hashlib.sha256(weights).hexdigest()})

    @classmethod
    def load(cls, folder: StrPath) -> Bundle:
        """Read what :meth:`save` wrote.

        Raises:
            BundleError: if the folder is no bundle, or a file of it is missing, damaged, or edited to what cannot be.
        """
        folder = Path(folder)
        described = read_description(folder / DESCRIPTION_FILE)
        if EXPORT in described:
            raise _not_a_bundle(folder)
        weights = read_bytes(folder / WEIGHTS_FILE)
        if hashlib.sha256(weights).hexdigest() != described.pop("sha256", None):
            raise BundleError(
                f"{folder / WEIGHTS_FILE}: not the weights that {DESCRIPTION_FILE} describes (SHA-256 differs). "
                "If the training was killed, say train --resume; else copy the bundle again."
            )
        try:
            facts = facts_of(described)
            members: tuple[Training, ...] = facts.pop("members")
            states = _parted(_as_float32(load(weights)), len(members))
            trained = tuple(
                Member(member.normalisation, member.metrics, state)
                for member, state in zip(members, states, strict=True)
            )
            bundle = cls(**facts, members=trained, folder=folder)
            check_numbers(bundle)
        except (LookupError, TypeError, ValueError, AttributeError, SafetensorError, VocabularyError) as error:
            raise BundleError(
                f"{folder}: not a bundle of this version ({in_words(error)}). Copy the bundle again, or train it again."
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
                f"{classes} classes and {self.side} px ({in_words(error)}). Copy the bundle again, or train it again."
            ) from error
        return FieldNetwork(network, member.normalisation)


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


def as_bundle(model: Model) -> Bundle:
    """Return a model that is a bundle.

    Raises:
        BundleError: if it is not, so that it answers but cannot be trained or explained.
    """
    if not isinstance(model, Bundle):
        raise _not_a_bundle(model.folder)
    return model


def bundle_hash(bundle: Bundle) -> str:
    """Return the SHA-256 of all that decides what a bundle's networks make of fields."""
    digest = hashlib.sha256(f"{bundle.backbone} {bundle.side} {[stain.name for stain in bundle.stains]}".encode())
    for member in bundle.members:
        digest.update(repr(member.normalisation).encode())
        for name, tensor in sorted(member.state.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


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
    described = {name: value for name, value in read_description(file).items() if name != "rules"}
    write_json(file, described | answers_json(rule, rules or {}))


def portable_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy a network's state to the processor, floats as float32, so that later training leaves it alone."""
    return _as_float32({name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()})


def _not_a_bundle(folder: Path | None) -> BundleError:
    return BundleError(
        f"{folder}: an export, which answers but cannot be trained, judged or explained. "
        "Name the bundle it was made of."
    )


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


def _check_fit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Say in a line what torch would say in one a tensor."""
    other = [name for name in sorted(own) if name not in state or state[name].shape != own[name].shape]
    other += sorted(state.keys() - own)
    if other:
        raise ValueError(f"{len(other)} of {len(own)} tensors differ, such as {other[0]}")
