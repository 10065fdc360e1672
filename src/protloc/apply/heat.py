"""Where in a field a network finds evidence for a class."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from protloc.learn.network import Ensemble, FieldNetwork

AT_ONCE = 8  # fields: their activations and gradients lie in memory together
LEAST_GRID = 14  # places a side that a stage must tell apart; vision transformers have 14 or 16
LIGHT_BLUR = 1 / 256  # of the side, standard deviation: gradients of single pixels are noise; twice this points worse
VIEWS = ((0, 1.0), (1, 0.7), (2, 0.5), (3, 0.35))  # quarter turns, and what is left of the light
FACTORS = ("deep", "light")

Heat = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What speaks for one class of each field of a batch, and below 0 against it.

    Attributes:
        light: The share of each pixel's light, (fields, side, side).
        deep: The share of each place of a deep stage, (fields, grid, grid); (fields, 1, 1) of ones where none is known.
    """

    light: Tensor
    deep: Tensor


def heat_maps(
    network: Ensemble,
    images: NDArray[np.uint8],
    columns: Sequence[Sequence[int]],
    *,
    views: Sequence[tuple[int, float]] = VIEWS,
    factors: Collection[str] = FACTORS,
) -> list[Heat]:
    """Compute where each field has what raises the logits of some classes.

    Both factors of a map are gradient × activation, the first-order share of a place in the logit (Shrikumar et al.
    2016; at a network's last stage it is Grad-CAM, Selvaraju et al. 2017; place by place instead of averaged it is
    HiResCAM, Draelos & Carin 2020). The first factor is taken deep in the network, at the last stage that tells at
    least 14 × 14 places apart: it knows the class, but is coarse. The second is taken at the stains themselves: it is
    as fine as the field, but noisy. Both are means over four views of the field, turned and dimmed, as integrated
    gradients do from black (Sundararajan et al. 2017); what speaks against the class is cut off, the first is
    enlarged, the second smoothed, and they are multiplied. An ensemble's shares are the mean of its members'.

    Args:
        network: As :meth:`protloc.learn.bundle.Bundle.network` builds it; its gradients are left alone.
        images: Fields of shape (fields, stains, side, side), uint8.
        columns: For each field, the columns of the classes that are asked for.
        views: Quarter turns and brightness of each; the first alone takes a quarter of the time.
        factors: ``deep``, ``light`` or both, to look at one alone.

    Returns:
        For each field an array of shape (its classes, side, side), float32 in 0..1, 1 at its hottest place; 0
        throughout where nothing in the field speaks for the class.
    """
    device = next(network.buffers()).device  # every member keeps its normalisation there
    maps: list[Heat] = []
    for start in range(0, len(images), AT_ONCE):
        asked = columns[start : start + AT_ONCE]
        batch = torch.from_numpy(images[start : start + AT_ONCE]).to(device, torch.float32)
        layers = [_heat(each, factors).cpu().numpy() for each in _evidence(network, batch, asked, views)]
        for row, wanted in enumerate(asked):
            own = [layer[row] for layer in layers[: len(wanted)]]
            maps.append(np.stack(own) if own else np.zeros((0, *images.shape[2:]), np.float32))
    return maps


def _evidence(
    network: Ensemble, images: Tensor, columns: Sequence[Sequence[int]], views: Sequence[tuple[int, float]]
) -> Iterator[_Evidence]:
    """Yield the evidence for the first class asked of each field, for the second, and so on.

    A field that is asked for fewer classes than another is asked for its last one again, or for column 0.
    """
    rounds = max(map(len, columns), default=0)
    filled = [[*own, *[own[-1] if own else 0] * (rounds - len(own))] for own in columns]
    asked = torch.tensor(filled, device=images.device).reshape(len(images), rounds)
    found: list[list[_Evidence]] = [[] for _ in range(rounds)]
    for member in cast("Iterable[FieldNetwork]", network.members):
        for quarters, brightness in views:
            seen = (torch.rot90(images, quarters, (2, 3)) * brightness).requires_grad_()
            with _stages_watched(member.network) as stages, torch.enable_grad():
                logits = member(seen)
            for place, one in enumerate(found):
                chosen = logits.gather(1, asked[:, place : place + 1]).sum()
                one.append(_one_view(chosen, seen, stages, images, quarters=quarters))
    for one in found:
        yield _Evidence(
            torch.stack([each.light for each in one]).mean(dim=0), torch.stack([each.deep for each in one]).mean(dim=0)
        )


def _one_view(logit: Tensor, seen: Tensor, stages: Sequence[Tensor], images: Tensor, *, quarters: int) -> _Evidence:
    """Share a sum of logits out among the light of the fields, and the places of a stage, turned back."""
    stage = _chosen(stages, fields=len(images))
    if stage is None:
        (slope,) = torch.autograd.grad(logit, (seen,), retain_graph=True)
        deep = seen.new_ones(len(images), 1, 1)
    else:
        slope, steepness = torch.autograd.grad(logit, (seen, stage), retain_graph=True)
        shares = as_grid(steepness * stage.detach(), fields=len(images))
        deep = seen.new_ones(len(images), 1, 1) if shares is None else shares.sum(dim=1)
    light = (torch.rot90(slope, -quarters, (2, 3)) * images).sum(dim=1)
    return _Evidence(light, torch.rot90(deep, -quarters, (1, 2)))


def _heat(evidence: _Evidence, factors: Collection[str]) -> Tensor:
    """Multiply what speaks for the class; (fields, side, side) in 0..1."""
    side = evidence.light.shape[-1]
    heat = torch.ones_like(evidence.light)
    if "deep" in factors:
        deep = functional.interpolate(evidence.deep.clamp(min=0)[:, None], size=(side, side), mode="bilinear")
        heat = heat * _of_most(deep[:, 0])
    if "light" in factors:
        heat = heat * _of_most(_smoothed(evidence.light, LIGHT_BLUR * side).clamp(min=0))
    return _of_most(heat)


def _of_most(maps: Tensor) -> Tensor:
    """Divide every map, (fields, side, side), by its largest value; one without any stays 0."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def _smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Blur maps, (fields, side, side), by a Gaussian of ``sigma`` px; beyond the border they are 0."""
    reach = int(3 * sigma + 1)
    distances = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (distances / max(sigma, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    across = functional.conv2d(maps[:, None], kernel[None, None, None], padding=(0, reach))
    return functional.conv2d(across, kernel[None, None, :, None], padding=(reach, 0))[:, 0]


@contextmanager
def _stages_watched(network: nn.Module) -> Generator[list[Tensor]]:
    """Yield a list that the outputs of the network's stages are put into, the first stage's first.

    A stage's output that the network goes on to change in place is seen changed, which is what later layers see too.
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _given: Any, output: Any) -> None:  # noqa: ANN401 - torch's own
        if isinstance(output, Tensor):
            outputs.append(output)

    hooks = [network.get_submodule(name).register_forward_hook(keep) for name in stage_names(network)]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def stage_names(network: nn.Module) -> list[str]:
    """Return the names of the modules after which a network's stages end, in order; none if it does not tell.

    timm's networks tell themselves; ours have ``blocks``. Where a class token alone is read, what the last stage makes
    of the other tokens reaches no logit, and it is left out.
    """
    told: Any = getattr(network, "feature_info", None)
    if told is not None:
        names = [each["module"] for each in told]
        return names[:-1] if getattr(network, "global_pool", None) == "token" else names
    blocks = getattr(network, "blocks", None)
    return [f"blocks.{name}" for name, _ in blocks.named_children()] if isinstance(blocks, nn.Module) else []


def _chosen(stages: Sequence[Tensor], *, fields: int) -> Tensor | None:
    """Return the output of the last stage that tells enough places apart, else of that which tells most; or None."""
    best, places = None, 1
    for stage in reversed(stages):
        grid = as_grid(stage, fields=fields)
        if grid is not None and grid.shape[-1] > places:
            best, places = stage, grid.shape[-1]
        if places >= LEAST_GRID:
            break
    return best


def as_grid(output: Tensor, *, fields: int) -> Tensor | None:
    """Lay the output of a stage out as square maps.

    Args:
        output: (fields, channels, h, h) of convolutions, (fields, h, h, channels) of windowed transformers, or
            (fields, tokens, channels) with h × h tokens after at most a few that stand for no place.
        fields: How many fields there are.

    Returns:
        View of shape (fields, channels, h, h), or None of an output of any other shape.
    """
    if output.shape[0] != fields or output.ndim not in (3, 4):
        return None
    if output.ndim == 3:
        grid = isqrt(output.shape[1])
        return output[:, -(grid**2) :].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
    if output.shape[2] == output.shape[3]:
        return output
    return output.permute(0, 3, 1, 2) if output.shape[1] == output.shape[2] else None
