"""Bundles: a trained network with all that prediction needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from protloc.atlas.files import StrPath, atomic_file, write_json
from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import BundleError, SettingsError
from protloc.learn.backbones import build_network
from protloc.learn.network import FieldNetwork, Normalisation

FORMAT = 1
WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained network with all that prediction needs.

    Attributes:
        backbone: Name of the network.
        vocabulary: What the logits mean, in order.
        stains: What the channels show, in order.
        side: Height and width of the fields in px.
        normalisation: Usual brightness of each stain.
        thresholds: Probability in 0..1 from which each class is called.
        settings: What the run was told.
        metrics: Validation figures of the epoch it comes from.
        protloc_version: Version that trained it.
        state: Tensors of the network by name, float32 where they are floats.
        tile: Side in source px of the tiles it was trained on, or None for whole fields.
        bit_depth: Bits that 16-bit files were said to have, or None where each field told it.
    """

    backbone: str
    vocabulary: Vocabulary
    stains: tuple[Stain, ...]
    side: int
    normalisation: Normalisation
    thresholds: tuple[float, ...]
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    protloc_version: str
    state: Mapping[str, Tensor]
    tile: int | None = None
    bit_depth: int | None = None

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``, then ``model.json`` with its SHA-256: half a bundle is never read as a whole."""
        weights = save({name: tensor.contiguous() for name, tensor in self.state.items()})
        with atomic_file(folder / WEIGHTS_FILE) as temporary:
            temporary.write_bytes(weights)
        write_json(folder / DESCRIPTION_FILE, self._description() | {"sha256": hashlib.sha256(weights).hexdigest()})

    @classmethod
    def load(cls, folder: StrPath) -> Bundle:
        """Read what :meth:`save` wrote.

        Raises:
            BundleError: if the folder is no bundle, or a file of it is missing or damaged.
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
            return _from_description(described, load(weights))
        except (KeyError, TypeError, SafetensorError) as error:
            raise BundleError(f"{folder}: not a bundle of this version ({error!r}). Train it again.") from error

    def network(self) -> FieldNetwork:
        """Build the network, ready to predict.

        Returns:
            Module in evaluation mode from uint8 (fields, stains, side, side) to float32 logits (fields, classes).

        Raises:
            BundleError: if the weights do not fit the network they are said to be of.
        """
        try:
            network = build_network(
                self.backbone, stains=len(self.stains), classes=len(self.vocabulary), side=self.side
            )
            network.load_state_dict(dict(self.state))
        except (RuntimeError, SettingsError) as error:
            raise BundleError(
                f"bundle: its weights are not those of {self.backbone} ({error}). Train it again."
            ) from error
        return FieldNetwork(network, self.normalisation).eval()

    def _description(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "protloc_version": self.protloc_version,
            "backbone": self.backbone,
            "side": self.side,
            "tile": self.tile,
            "bit_depth": self.bit_depth,
            "stains": [asdict(stain) for stain in self.stains],
            "normalisation": asdict(self.normalisation),
            "vocabulary": self.vocabulary.to_json(),
            "thresholds": list(self.thresholds),
            "metrics": dict(self.metrics),
            "settings": dict(self.settings),
        }


def portable_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy a network's state to the processor, floats as float32, so that later training leaves it alone."""
    copied = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in copied.items()}


def _from_description(described: Mapping[str, Any], state: Mapping[str, Tensor]) -> Bundle:
    usual = described["normalisation"]
    return Bundle(
        backbone=described["backbone"],
        vocabulary=Vocabulary.from_json(described["vocabulary"]),
        stains=tuple(Stain(**stain) for stain in described["stains"]),
        side=described["side"],
        normalisation=Normalisation(tuple(usual["means"]), tuple(usual["deviations"])),
        thresholds=tuple(described["thresholds"]),
        settings=described["settings"],
        metrics=described["metrics"],
        protloc_version=described["protloc_version"],
        state=state,
        tile=described["tile"],
        bit_depth=described["bit_depth"],
    )


def _read_description(file: Path) -> dict[str, Any]:
    try:
        described = json.loads(_read_bytes(file))
    except ValueError as error:
        raise BundleError(f"{file}: damaged ({error}). Copy the bundle again, or train it again.") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        found = described.get("format") if isinstance(described, dict) else None
        raise BundleError(f"{file}: format {found}, expected {FORMAT}. Use the protloc version that wrote the bundle.")
    return described


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be read ({error.strerror}). Name a bundle folder, such as RUN/bundle, with "
            f"{DESCRIPTION_FILE} and {WEIGHTS_FILE} in it."
        ) from error
