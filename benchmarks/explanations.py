"""Whether explanations point at what they should, on simulated fields of which the truth is known.

    python benchmarks/explanations.py BUNDLE [--fields 400] [--parts 100] [--curves 60] [--sanity 16] [--seed 777]

Fields are simulated anew and photographed; a class's mask is where its own light is, before blur, noise and all other
light. Once from all stains and once from green alone, it prints for the true classes of the fields:

- pointing game: how often the hottest pixel lies in the mask (Zhang et al. 2016);
- mass: the share of the heat inside the mask; rank: the share of the mask's own number of hottest pixels that lie in it
  (Arras et al. 2022), which, other than the mass, no sharpening of a map can change;
- beside them the same of the green stain as it is, of its square, and of a Gaussian at the centre of the field;
- own light: of two true classes of a field, how often the map of the one lies more on what the one alone lights than
  the map of the other does; whatever shows all classes alike, as green does, gets one half;
- deletion and insertion (Petsiuk et al. 2018): the area under the class's probability while squares of the field go
  black, or come out of black, the hottest first; beside the brightest in green first, and random order;
- sanity (Adebayo et al. 2018): rank correlation of maps with those of the same network after its layers, from the last
  on, were given random weights.

Intervals are 95 % percentile bootstraps over antibodies; surely above or below is where one leaves out 0. Fields are of
the side the model takes. 400 fields take half an hour on two processors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.stats import spearmanr
from torch import nn

from protloc.apply.explain import network_of, protein_channel
from protloc.apply.heat import VIEWS, heat_maps, stage_names
from protloc.atlas.simulate import expose, plan_fields, render_clean
from protloc.atlas.simulate.camera import STAINS
from protloc.learn.bundle import Bundle
from protloc.learn.network import Ensemble
from protloc.options import bundle_folder

DRAWS = 1_000
CENTRE = 0.25  # of the side: the standard deviation of the baseline at the centre
SQUARES = 16  # a side, of which fields are deleted and inserted
STEPS = 8
GRID = 64  # places a side on which maps are correlated
SEEDS = (0, 1, 2)  # of random weights
MEASURES = ("pointing game", "mass inside", "rank inside")
PARTS = {
    "deep factor alone": {"factors": ("deep",)},
    "light factor alone": {"factors": ("light",)},
    "one view": {"views": VIEWS[:1]},
    "two views": {"views": VIEWS[:2]},
}

Floats = NDArray[np.float64]
Picture = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Field:
    """A simulated field: its antibody, its image as the model takes it, a mask for each column of a true class."""

    antibody: int
    image: NDArray[np.uint8]
    masks: Mapping[int, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Scores:
    """A number for each case, and the antibody it is of."""

    values: Floats
    antibodies: NDArray[np.intp]

    def of(self, chosen: NDArray[np.bool_]) -> Scores:
        """Return those of some cases."""
        return Scores(self.values[chosen], self.antibodies[chosen])

    @property
    def words(self) -> str:
        """Return the mean with its interval, where there is one."""
        if not len(self.values):
            return "–"
        if len(np.unique(self.antibodies)) < 2:  # one antibody has no interval
            return f"{self.values.mean():.3f}"
        low, high = self.interval
        return f"{self.values.mean():.3f} ({low:.3f} to {high:.3f})"

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean by a bootstrap over antibodies."""
        _, group = np.unique(self.antibodies, return_inverse=True)
        sums, counts = np.bincount(group, self.values), np.bincount(group)
        drawn = np.random.default_rng(0).integers(0, len(counts), (DRAWS, len(counts)))
        low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
        return float(low), float(high)


def simulated(bundle: Bundle, *, fields: int, seed: int) -> list[Field]:
    """Simulate fields of a model's stains and classes, near-duplicates left out."""
    channels = [STAINS.index(stain.name) for stain in bundle.stains]
    found = list[Field]()
    for plan in plan_fields(2 * fields, side=bundle.side, seed=seed, balanced=True):
        if plan.twin is None and len(found) < fields:
            clean = render_clean(plan, seed=seed)
            seen = expose(clean.stains, plan.camera, rng=np.random.default_rng([seed, 4, plan.index]))
            masks = {bundle.vocabulary.columns[label]: mask for label, mask in clean.masks.items() if mask.any()}
            found.append(Field(plan.antibody.index, seen[channels], masks))
    return [field for field in found if field.masks]


def from_stains(bundle: Bundle, fields: Sequence[Field], given: Sequence[str]) -> list[Field]:
    """Return the fields with all other stains black."""
    kept = np.array([stain.name in given for stain in bundle.stains])[:, None, None]
    return [Field(field.antibody, field.image * kept, field.masks) for field in fields]


def inside(heat: Picture, mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return whether the hottest pixel is inside a mask, the share of the heat and of the hottest pixels that are."""
    if not heat.any():
        return 0.0, 0.0, 0.0
    pixels = int(mask.sum())
    hottest = np.argpartition(heat.ravel(), -pixels)[-pixels:]
    hit = mask[heat == heat.max()].mean()
    return float(hit), float(heat[mask].sum() / heat.sum(dtype=np.float64)), float(mask.ravel()[hottest].mean())


def own_light(heats: Mapping[int, Picture], masks: Mapping[int, NDArray[np.bool_]]) -> list[float]:
    """Return for each ordered pair of classes of a field 1 if the first one's map prefers its own light, 0 if not."""
    right = list[float]()
    for one, other in permutations(masks, 2):
        alone, others = masks[one] & ~masks[other], masks[other] & ~masks[one]
        shares = [_share(heats[which], alone, others) for which in (one, other)]
        if alone.any() and others.any() and None not in shares:
            right.append(float(np.sign(shares[0] - shares[1]) + 1) / 2)
    return right


def _share(heat: Picture, here: NDArray[np.bool_], there: NDArray[np.bool_]) -> float | None:
    both = float(heat[here].mean()) + float(heat[there].mean()) if here.any() and there.any() else 0.0
    return float(heat[here].mean()) / both if both else None


def centre(side: int) -> Picture:
    """Return a Gaussian at the centre of a field."""
    across = np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (CENTRE * side)) ** 2)
    return np.outer(across, across).astype(np.float32)


def maps_of(network: Ensemble, fields: Sequence[Field], **how: object) -> Iterator[dict[int, Picture]]:
    """Yield the heat map of each true class of each field."""
    for field in fields:
        columns = list(field.masks)
        yield dict(zip(columns, heat_maps(network, field.image[None], [columns], **how)[0], strict=True))


def logits_of(network: Ensemble, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the logits of fields."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(part).to(device)).cpu().numpy()
            for part in np.array_split(images, len(images) // 32 + 1)
        ]
    return np.concatenate(parts)


def print_pointing(
    bundle: Bundle, network: Ensemble, fields: Sequence[Field], given: Sequence[str], parts: int
) -> None:
    """Print pointing game, mass and rank inside the masks, and own light."""
    rule, green = bundle.rule_for(given), protein_channel(bundle)
    called = rule.called(rule.probabilities(logits_of(network, np.stack([field.image for field in fields]))))
    cases = [(number, column) for number, field in enumerate(fields) for column in field.masks]
    antibodies = np.array([fields[number].antibody for number, _ in cases])
    found: dict[str, list[tuple[float, float, float]]] = {
        "heat map": [],
        "green": [],
        "green squared": [],
        "centre": [],
    }
    pairs, whose, middle = list[float](), list[int](), centre(bundle.side)
    for field, heats in zip(fields, maps_of(network, fields), strict=True):
        light = field.image[green].astype(np.float32)
        for column, mask in field.masks.items():
            for name, picture in zip(found, (heats[column], light, light**2, middle), strict=True):
                found[name].append(inside(picture, mask))
        right = own_light(heats, field.masks)
        pairs, whose = pairs + right, whose + [field.antibody] * len(right)
    scores = {name: np.array(rows) for name, rows in found.items()}
    right = np.array([called[number, column] for number, column in cases])
    several = np.array([len(fields[number].masks) > 1 for number, _ in cases])
    everything = np.ones(len(cases), bool)
    for words, chosen in (
        ("every true class", everything),
        ("those called", right),
        ("those called, in fields of several classes", right & several),
    ):
        print(f"\n{words}: {int(chosen.sum())} cases\n| map | {' | '.join(MEASURES)} |\n|---|--:|--:|--:|")
        for name, values in scores.items():
            print(_row(name, values[chosen], antibodies[chosen]))
        for name in ("green", "green squared", "centre"):
            print(_row(f"heat map − {name}", (scores["heat map"] - scores[name])[chosen], antibodies[chosen]))
    print(f"\nown light: {Scores(np.array(pairs), np.array(whose, np.intp)).words} of {len(pairs)} ordered pairs")
    print_classes(bundle, scores, antibodies, np.array([column for _, column in cases]))
    print_parts(network, fields[:parts])


def _row(name: str, values: Floats, antibodies: NDArray[np.intp]) -> str:
    return f"| {name} | " + " | ".join(Scores(column, antibodies).words for column in values.T) + " |"


def print_classes(
    bundle: Bundle, scores: Mapping[str, Floats], antibodies: NDArray[np.intp], columns: NDArray[np.intp]
) -> None:
    """Print a row a class: how it compares with green and the centre."""
    print("\n| class | cases | pointing: map, green, centre | mass, likewise | mass − green | pointing − green |")
    print("|---|--:|--:|--:|--:|--:|")
    counts = {"above both baselines": [0, 0], "surely above green": [0, 0], "surely below green": [0, 0]}
    for column, name in enumerate(bundle.vocabulary.names):
        chosen = columns == column
        if not chosen.any():
            continue
        means = {which: scores[which][chosen].mean(axis=0) for which in ("heat map", "green", "centre")}
        told = [", ".join(f"{mean[measure]:.2f}" for mean in means.values()) for measure in (0, 1)]
        gains = [Scores((scores["heat map"] - scores["green"])[chosen, of], antibodies[chosen]) for of in (0, 1)]
        best = np.maximum(means["green"], means["centre"])
        for measure, gain in enumerate(gains):
            low, high = gain.interval if len(np.unique(gain.antibodies)) > 1 else (0.0, 0.0)
            counts["above both baselines"][measure] += int(means["heat map"][measure] > best[measure])
            counts["surely above green"][measure] += int(low > 0)
            counts["surely below green"][measure] += int(high < 0)
        print(f"| {name} | {int(chosen.sum())} | {told[0]} | {told[1]} | {gains[1].words} | {gains[0].words} |")
    classes = len(np.unique(columns))
    for words, (pointing, mass) in counts.items():
        print(f"{words}: pointing game in {pointing}, mass in {mass} of {classes} classes")


def print_parts(network: Ensemble, fields: Sequence[Field]) -> None:
    """Print what the factors of a map, and its views, are worth on some of the fields."""
    if not fields:
        return
    print(f"\nwhat a map is made of, {len(fields)} fields\n| map | {' | '.join(MEASURES)} |\n|---|--:|--:|--:|")
    for name, how in ({"heat map": {}} | PARTS).items():
        rows = [
            (*inside(heats[column], mask), field.antibody)
            for field, heats in zip(fields, maps_of(network, fields, **how), strict=True)
            for column, mask in field.masks.items()
        ]
        table = np.array(rows)
        print(_row(name, table[:, :3], table[:, 3].astype(np.intp)))


def print_curves(
    bundle: Bundle, network: Ensemble, fields: Sequence[Field], given: Sequence[str], *, cases: int, seed: int
) -> None:
    """Print areas under deletion and insertion curves of classes that were called."""
    rule, green, rng = bundle.rule_for(given), protein_channel(bundle), np.random.default_rng(seed)
    areas: dict[str, list[tuple[float, float]]] = {"heat map": [], "green": [], "random": []}
    antibodies = list[int]()
    for field in fields:
        if len(antibodies) >= cases:
            break
        called = rule.called(rule.probabilities(logits_of(network, field.image[None])))[0]
        wanted = [column for column in field.masks if called[column]]
        for column, heat in zip(wanted, heat_maps(network, field.image[None], [wanted])[0], strict=True):
            antibodies.append(field.antibody)
            for name, by in (("heat map", heat), ("green", field.image[green]), ("random", rng.random(heat.shape))):
                stack = covered(field.image, np.asarray(by, np.float32))
                said = rule.probabilities(logits_of(network, stack))[:, column]
                areas[name].append(tuple(float(trapezoid(half, dx=1 / STEPS)) for half in np.split(said, 2)))
    if not antibodies:
        return
    whose, table = np.array(antibodies), {name: np.array(pairs) for name, pairs in areas.items()}
    print(f"\n{len(whose)} cases\n| order | deletion, less is better | insertion, more is better |\n|---|--:|--:|")
    for name, values in table.items():
        print(_row(name, values, whose))
    for name in ("green", "random"):
        print(_row(f"heat map − {name}", table["heat map"] - table[name], whose))


def covered(image: NDArray[np.uint8], order: Picture) -> NDArray[np.uint8]:
    """Return a field as its squares go black, the first in order first, then as they come out of black in that order.

    Returns:
        Array of shape (2 (STEPS + 1), stains, side, side).
    """
    ranks = np.argsort(np.argsort(-_resized(order, SQUARES).ravel(), kind="stable")).reshape(SQUARES, SQUARES)
    shares = cv2.resize((ranks / SQUARES**2).astype(np.float32), image.shape[1:], interpolation=cv2.INTER_NEAREST)
    first = [shares < step / STEPS for step in range(STEPS + 1)]
    return np.stack([image * ~gone for gone in first] + [image * come for come in first])


def _resized(picture: Picture, side: int) -> Picture:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def randomised(bundle: Bundle, images: NDArray[np.uint8], *, seed: int) -> Iterator[tuple[str, Ensemble]]:
    """Yield the network while more and more of it, from the last layers on, has random weights.

    Batch norm takes its statistics from the images each time: with those of other weights nothing would come through.
    """
    network = bundle.network()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for part in parts_from_the_end(network.members[0].network):
            for member in network.members:
                for name, layer in member.network.named_modules():
                    if hasattr(layer, "reset_parameters") and (name + ".").startswith(part + "."):
                        layer.reset_parameters()
            _settle(network, images)
            yield part, network


def parts_from_the_end(network: nn.Module) -> list[str]:
    """Return the names of a network's parts, the last first; a part that holds stages counts as these."""
    stages = stage_names(network)
    inner = {stage.rpartition(".")[0] for stage in stages} - {""}
    parts = [
        f"{name}.{own}" if name in inner else name
        for name, child in network.named_children()
        for own in ([each for each, _ in child.named_children()] if name in inner else [""])
    ]
    return [part for part in reversed(parts) if any(True for _ in network.get_submodule(part).parameters())]


def _settle(network: Ensemble, images: NDArray[np.uint8]) -> None:
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    logits_of(network, images)
    network.eval()


def print_sanity(bundle: Bundle, network: Ensemble, fields: Sequence[Field]) -> None:
    """Print how maps correlate with those of networks with random weights, and with those of the mirrored fields."""
    green, images = protein_channel(bundle), np.stack([field.image for field in fields])
    trained = list(maps_of(network, fields))
    lit = [_resized(field.image[green].astype(np.float32), GRID) for field in fields]
    rows: dict[str, list[tuple[float, float]]] = {}
    mirrored = [Field(field.antibody, field.image[:, :, ::-1].copy(), field.masks) for field in fields]
    turned = ({column: heat[:, ::-1] for column, heat in heats.items()} for heats in maps_of(network, mirrored))
    rows["trained, fields mirrored"] = _alike(trained, turned, lit)
    for seed in SEEDS:
        for part, random in randomised(bundle, images, seed=seed):
            rows.setdefault(f"random from {part} on", []).extend(_alike(trained, maps_of(random, fields), lit))
    antibodies = [field.antibody for field in fields for _ in field.masks]
    print(f"\n{len(fields)} fields, {len(SEEDS)} draws of weights")
    print("| network | rank correlation | in the brighter half |\n|---|--:|--:|")
    for name, pairs in rows.items():
        print(_row(name, np.array(pairs), np.array(antibodies * (len(pairs) // len(antibodies)))))


def _alike(
    trained: Sequence[Mapping[int, Picture]], others: Iterator[Mapping[int, Picture]], lit: Sequence[Picture]
) -> list[tuple[float, float]]:
    """Return Spearman's correlation of each pair of maps, everywhere and where green is above its median."""
    found = list[tuple[float, float]]()
    for heats, those, light in zip(trained, others, lit, strict=True):
        bright = light >= np.median(light)
        for column in heats:
            one, other = _resized(heats[column], GRID), _resized(np.ascontiguousarray(those[column]), GRID)
            found.append((_spearman(one, other), _spearman(one[bright], other[bright])))
    return found


def _spearman(one: Picture, other: Picture) -> float:
    """Return Spearman's correlation; 0 where either map is even, as it then tells nothing."""
    even = np.ptp(one) == 0 or np.ptp(other) == 0
    return 0.0 if even else float(spearmanr(one, other, axis=None).statistic)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    for name, number in (("fields", 400), ("parts", 100), ("curves", 60), ("sanity", 16), ("seed", 777)):
        parser.add_argument(f"--{name}", type=int, default=number)
    arguments = parser.parse_args()
    bundle = Bundle.load(bundle_folder(arguments.bundle))
    fields, network = simulated(bundle, fields=arguments.fields, seed=arguments.seed), network_of(bundle)
    everything = [stain.name for stain in bundle.stains]
    for given in (everything, list(bundle.needed)) if list(bundle.needed) != everything else (everything,):
        seen = from_stains(bundle, fields, given)
        print(f"\n# {len(seen)} simulated fields from {', '.join(given)}")
        print_pointing(bundle, network, seen, given, arguments.parts)
        print_curves(bundle, network, seen, given, cases=arguments.curves, seed=arguments.seed)
        if arguments.sanity:
            print_sanity(bundle, network, seen[: arguments.sanity])


if __name__ == "__main__":
    main()
