"""Prints how far simulated fields are from real ones, a line a quantity; no word about accuracy.

    python benchmarks/realism.py --simulated ATLAS --real FOLDER [--fields 200] [--probe] [--sheets DIR]
        [--against benchmarks/realism_first.json] [--json out.json]

ATLAS is what ``protloc simulate --side 512`` wrote. FOLDER holds real images: ``fields/`` (four stains each),
``green/`` and ``unlabelled/`` (one stain each), ``fields_train.csv`` and ``green.csv`` (``Id,Target``). All are brought
to 512 px by area averaging. Every quantity is a sample, a value a field; ``--sheets`` writes pictures that show real
pixels: keep them to yourself.

The distance of two samples is the 1-Wasserstein distance divided by the standard deviation of the real sample. The
floor is the distance a perfect simulator would have by chance, as the real sample is small: the mean distance of random
subsets of the simulated sample, as large as the real one, from all of it, each in standard deviations of the subset.
With ``--probe``, a linear probe on ImageNet features tells real green images from simulated ones: its AUC is .5 where
it cannot, 1 where it always can. ``--against`` shows each distance as a share of an earlier one, and marks those that
have neither halved nor come near the floor; ``realism_first.json`` is of the first version of the simulator.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import wasserstein_distance

from protloc.atlas.files import write_json
from protloc.atlas.images import read_plane
from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.atlas.table import read_labels
from protloc.atlas.vocabulary import load_vocabulary

SIDE = 512
FIELD_WIDTH = 164  # µm, of a field that is not enlarged
PERCENTILES = (50, 90, 99, 99.9)
OCTAVES = tuple(2**power for power in range(9))  # cycles a field; the last is the finest that 512 px hold
LEAST_NUCLEUS = 240  # px
DRAWS = 200
SHEET_COLUMNS = 5  # simulated images beside a real one
PROBE_SIDE = 256
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Picture = NDArray[np.uint8]
Sample = NDArray[np.float64]


@dataclass(frozen=True)
class Pictures:
    """Images at hand.

    Attributes:
        stains: Stain name to images of shape (512, 512); a stain may have more of them than another.
        whole: Fields of which all four stains are at hand, each of shape (4, 512, 512).
        greens: Field id to the green image.
    """

    stains: Mapping[str, Sequence[Picture]]
    whole: Sequence[Picture]
    greens: Mapping[str, Picture]


@dataclass(frozen=True)
class Quantity:
    """One quantity, simulated beside real.

    Attributes:
        name: Kind and stain, such as ``zero share/green``.
        real: Median of the real sample.
        simulated: Median of the simulated one.
        distance: Between the samples.
        floor: Distance by chance alone.
    """

    name: str
    real: float
    simulated: float
    distance: float
    floor: float


def read_atlas(folder: Path, *, fields: int) -> Pictures:
    """Read the first fields of a simulated atlas."""
    ids = list(read_labels(folder / "train.csv", load_vocabulary("kaggle2018")).ids)[:fields]
    whole = [np.stack([_read(folder / "train" / f"{field}{s.suffix}.png", s) for s in HPA_STAINS]) for field in ids]
    stains = {stain.name: [field[row] for field in whole] for row, stain in enumerate(HPA_STAINS)}
    return Pictures(stains, whole, dict(zip(ids, stains["green"], strict=True)))


def read_real(folder: Path) -> Pictures:
    """Read real images: all of a stain, whichever folder they lie in."""
    found = {stain.name: dict(_read_stain(folder, stain)) for stain in HPA_STAINS}
    shared = set.intersection(*(set(images) for images in found.values()))
    whole = [np.stack([found[stain.name][field] for stain in HPA_STAINS]) for field in sorted(shared)]
    return Pictures({name: list(images.values()) for name, images in found.items()}, whole, found["green"])


def _read_stain(folder: Path, stain: Stain) -> Iterator[tuple[str, Picture]]:
    for file in sorted(folder.glob(f"*/*{stain.suffix}.*")):
        yield file.stem.removesuffix(stain.suffix), _read(file, stain)


def _read(file: Path, stain: Stain) -> Picture:
    plane = np.asarray(read_plane(file, stain), np.uint8)
    return np.asarray(cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def measure(pictures: Pictures) -> dict[str, Sample]:
    """Return the sample of every quantity: a value an image or, of correlations, a field."""
    samples = dict(_shape(pictures))
    for stain, images in pictures.stains.items():
        counts = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])
        below = counts.cumsum(axis=1) / SIDE**2
        samples[f"zero share/{stain}"] = below[:, 0]
        for percentile in PERCENTILES:
            samples[f"grey p{percentile}/{stain}"] = (below < percentile / 100).sum(axis=1).astype(np.float64)
        power = np.log10(np.stack([octave_shares(image) for image in images]) + 1e-6)
        for low, high, share in zip(OCTAVES, OCTAVES[1:], power.T, strict=False):
            samples[f"power {low}-{high}/{stain}"] = share
    for one, other in combinations(range(len(HPA_STAINS)), 2):
        pair = [np.corrcoef(field[one].ravel(), field[other].ravel())[0, 1] for field in pictures.whole]
        samples[f"correlation/{HPA_STAINS[one].name}-{HPA_STAINS[other].name}"] = np.nan_to_num(np.array(pair))
    return samples


def _shape(pictures: Pictures) -> Iterator[tuple[str, Sample]]:
    nuclei = np.array([nuclei_of(image) for image in pictures.stains["blue"]])
    for name, values in zip(("diameter", "spacing", "number"), nuclei.T, strict=True):
        yield f"nucleus {name}/blue", values[np.isfinite(values)]
    for stain in ("red", "yellow"):
        yield f"confluence/{stain}", np.array([confluence(image) for image in pictures.stains[stain]])


def nuclei_of(image: Picture) -> tuple[float, float, float]:
    """Return median diameter of the nuclei and distance to the next one, in µm, NaN where there is none; their number.

    Nuclei are what Otsu's threshold leaves of the blurred blue stain; touching ones count as one. Those at the border
    have no diameter.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), 2.0)
    level, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_OTSU)
    _, _, boxes, centres = cv2.connectedComponentsWithStats((smooth > level).astype(np.uint8))
    large = boxes[1:, cv2.CC_STAT_AREA] > LEAST_NUCLEUS
    left, top, width, height, area = boxes[1:][large].T
    inside = (np.minimum(left, top) > 0) & (np.maximum(left + width, top + height) < SIDE)
    diameters = np.sqrt(area[inside] * 4 / np.pi) * FIELD_WIDTH / SIDE
    places = centres[1:][large]
    apart = KDTree(places).query(places, k=2)[0][:, 1] * FIELD_WIDTH / SIDE if len(places) > 1 else np.array([])
    return (
        float(np.median(diameters)) if diameters.size else np.nan,
        float(np.median(apart)) if apart.size else np.nan,
        float(large.sum()),
    )


def confluence(image: Picture) -> float:
    """Return the share of the field in cells: where the stain, blurred over 2 µm, is above .15 of its bright end."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 6.0)
    return float((smooth > 0.15 * np.percentile(smooth, 95)).mean())


def octave_shares(image: Picture) -> Sample:
    """Return the share of an image's variance in every octave of cycles a field; the rest lies in the corners."""
    spectrum = scipy.fft.rfft2(image.astype(np.float32) - np.float32(image.mean()))
    power = np.abs(spectrum) ** 2
    power[:, 1:-1] *= 2  # each of these stands for itself and its mirror image
    summed = np.bincount(_octave_of(), weights=power.ravel(), minlength=len(OCTAVES) + 1)
    return summed[1 : len(OCTAVES)] / max(summed.sum(), 1e-9)


@lru_cache(maxsize=1)
def _octave_of() -> NDArray[np.intp]:
    cycles = np.hypot(np.fft.fftfreq(SIDE)[:, None] * SIDE, np.fft.rfftfreq(SIDE)[None, :] * SIDE)
    return np.digitize(cycles.ravel(), OCTAVES)


def hold_beside(real: Mapping[str, Sample], simulated: Mapping[str, Sample]) -> list[Quantity]:
    """Return every quantity with its distance."""
    return [
        Quantity(
            name,
            float(np.median(sample)),
            float(np.median(simulated[name])),
            distance(sample, simulated[name], least=least_deviation(name)),
            floor(simulated[name], size=sample.size, least=least_deviation(name)),
        )
        for name, sample in real.items()
    ]


def least_deviation(name: str) -> float:
    """Return what a standard deviation is taken for at least: a grey level, or a hundredth of what has no unit."""
    return 1.0 if group_of(name) == "grey" else 0.01


def distance(real: Sample, simulated: Sample, *, least: float = 0.01) -> float:
    """Return the 1-Wasserstein distance in standard deviations of the real sample, ``least`` or more."""
    return float(wasserstein_distance(real, simulated) / max(real.std(ddof=1), least))


def floor(simulated: Sample, *, size: int, least: float = 0.01) -> float:
    """Return the mean distance of random subsets of ``size`` from the whole sample."""
    rng = np.random.default_rng(0)
    subsets = (rng.choice(simulated, min(size, simulated.size), replace=False) for _ in range(DRAWS))
    return float(np.mean([distance(subset, simulated, least=least) for subset in subsets]))


def group_of(name: str) -> str:
    """Return the group of a quantity: ``nucleus``, ``confluence``, ``zero``, ``grey``, ``power`` or ``correlation``."""
    return re.split(r"[ /]", name)[0]


def grouped(quantities: Sequence[Quantity]) -> list[Quantity]:
    """Return the mean over each group."""
    groups: dict[str, list[Quantity]] = {}
    for quantity in quantities:
        groups.setdefault(group_of(quantity.name), []).append(quantity)
    return [
        Quantity(f"all of {name}", np.nan, np.nan, *np.mean([(q.distance, q.floor) for q in group], axis=0).tolist())
        for name, group in groups.items()
    ]


def print_table(quantities: Sequence[Quantity], first: Mapping[str, float]) -> None:
    """Print a line a quantity, and how its distance compares with that of the first version."""
    print(f"{'quantity':28}{'real':>9}{'simulated':>11}{'distance':>10}{'floor':>8}" + ("  of first" if first else ""))
    for q in quantities:
        medians = f"{q.real:9.3f}{q.simulated:11.3f}" if np.isfinite(q.real) else " " * 20
        print(f"{q.name:28}{medians}{q.distance:10.2f}{q.floor:8.2f}{_compared(q, first)}")


def _compared(quantity: Quantity, first: Mapping[str, float]) -> str:
    before = first.get(quantity.name)
    if before is None:
        return ""
    ratio = quantity.distance / max(before, 1e-9)
    verdict = "" if ratio <= 0.5 else "  at the floor" if quantity.distance <= 1.5 * quantity.floor else "  NOT HALVED"
    return f"{ratio:10.2f}{verdict}"


def probe(real: Pictures, simulated: Pictures) -> tuple[float, float, float]:
    """Return the AUC of a linear probe, real green images against simulated ones, with its 95 % interval.

    Logistic regression on standardised features of EfficientNet-Lite0, each image answered by a fit on four fifths of
    the others; the interval resamples real and simulated images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    greens = [*real.greens.values(), *simulated.greens.values()]
    is_real = np.arange(len(greens)) < len(real.greens)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, imagenet_features(greens), is_real, cv=folds, method="decision_function")
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(is_real), np.flatnonzero(~is_real)]
    draws = (np.concatenate([rng.choice(part, part.size) for part in rows]) for _ in range(1000))
    low, high = np.percentile([roc_auc_score(is_real[drawn], scores[drawn]) for drawn in draws], [2.5, 97.5])
    return float(roc_auc_score(is_real, scores)), float(low), float(high)


def imagenet_features(greens: Sequence[Picture]) -> NDArray[np.float32]:
    """Return the pooled features of EfficientNet-Lite0 of gray images at 256 px, shape (images, 1280)."""
    import timm
    import torch

    from protloc.learn.weights import LITE, LITE_BACKBONE, fit_weights, read_weights

    network = timm.create_model(LITE_BACKBONE, pretrained=False)
    fit_weights(network, read_weights(LITE, backbone=LITE_BACKBONE, side=PROBE_SIDE), place=LITE)
    network.reset_classifier(0)
    network.eval()
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    small = [cv2.resize(image, (PROBE_SIDE, PROBE_SIDE), interpolation=cv2.INTER_AREA) for image in greens]
    images = torch.from_numpy(np.stack(small)).float().div(255)[:, None]
    with torch.inference_mode():
        return torch.cat([network((part - mean) / deviation) for part in images.split(16)]).numpy()


def write_sheets(dest: Path, real: Pictures, simulated: Pictures, *, folder: Path, atlas: Path) -> None:
    """Write one picture a real label set: its real greens, a row each, beside simulated ones with the same labels.

    Where the atlas lacks the label set, those that share most with it stand in.
    """
    dest.mkdir(parents=True, exist_ok=True)
    drawn = {field: labels for field, labels in _labels(atlas / "train.csv").items() if field in simulated.greens}
    named = _labels(folder / "fields_train.csv") | _labels(folder / "green.csv")
    for labels in sorted(set(named.values()), key=sorted):
        alike = sorted(drawn, key=lambda field: -len(labels & drawn[field]) / len(labels | drawn[field]))
        mine = [field for field in named if named[field] == labels]
        rows = [
            [real.greens[field], *(simulated.greens[f] for f in alike[row * SHEET_COLUMNS : (row + 1) * SHEET_COLUMNS])]
            for row, field in enumerate(mine)
        ]
        sheet = np.vstack([np.hstack([_panel(image) for image in row]) for row in rows])
        cv2.imwrite(str(dest / f"{'_'.join(f'{label:02d}' for label in sorted(labels))}.png"), sheet)


def _labels(table: Path) -> dict[str, frozenset[int]]:
    lines = [line.split(",") for line in table.read_text("utf-8").splitlines()[1:] if line]
    return {field: frozenset(map(int, target.split())) for field, target in lines}


def _panel(image: Picture) -> Picture:
    """Halve an image and stretch it to its own bright end, so that patterns show."""
    small = cv2.resize(image, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
    bright = np.clip(small * (255 / max(np.percentile(small, 99.8), 1)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.copyMakeBorder(bright, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(90,)), np.uint8)


def main() -> None:
    """Print the table; write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fields", type=int, default=200)
    for name in ("--against", "--json", "--sheets"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--probe", action="store_true")
    options = parser.parse_args()
    real, simulated = read_real(options.real), read_atlas(options.simulated, fields=options.fields)
    quantities = hold_beside(measure(real), measure(simulated))
    quantities += grouped(quantities)
    first = json.loads(options.against.read_text("utf-8"))["distances"] if options.against else {}
    print_table(quantities, first)
    auc = probe(real, simulated) if options.probe else None
    if auc is not None:
        print(
            f"linear probe, {len(real.greens)} real against {len(simulated.greens)} simulated greens: "
            f"AUC {auc[0]:.3f} ({auc[1]:.3f} to {auc[2]:.3f})"
        )
    if options.json:
        write_json(options.json, _record(options, quantities, auc))
    if options.sheets:
        write_sheets(options.sheets, real, simulated, folder=options.real, atlas=options.simulated)


def _record(
    options: argparse.Namespace, quantities: Sequence[Quantity], auc: tuple[float, float, float] | None
) -> dict[str, object]:
    return {
        "atlas": json.loads((options.simulated / "simulation.json").read_text("utf-8")),
        "fields": options.fields,
        "protloc": version("protloc"),
        "distances": {q.name: round(q.distance, 3) for q in quantities},
        "floors": {q.name: round(q.floor, 3) for q in quantities},
        "probe_auc": None if auc is None else [round(value, 3) for value in auc],
    }


if __name__ == "__main__":
    main()
