"""Which antibodies, label sets, cell lines, exposures an atlas has."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import resources
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.simulate.camera import Camera
from protloc.atlas.simulate.cells import CELL_LINES, LINE_WEIGHTS, CellLine, Layout
from protloc.atlas.simulate.exposures import FIELD_WIDTH, draw_camera, draw_habits, draw_zoom
from protloc.atlas.vocabulary import load_vocabulary

MOST_CELLS = 105  # in a field; a more crowded one is enlarged
BALANCED_SHARE = 0.8  # of label sets drawn by class where ``balanced``
BALANCED_POWER = 0.2  # a class is then drawn in proportion to its count to this power
TWIN_SHARE = 0.04  # of fields photographed twice
# patterns that leave most of a cell dark
SPARSE = frozenset({3, 5, 7, 8, 9, 10, 13, 15, 16, 17, 18, 19, 20, 22, 24, 26, 27})
SPINDLE, BRIDGE = 17, 16
CONTACTS = frozenset({21, 22})


@dataclass(frozen=True)
class Antibody:
    """What all fields of one antibody share.

    Attributes:
        index: Its number in the atlas; with the seed it decides the variant of each pattern.
        name: Such as ``SIMA000012``.
        gene: Such as ``SIMG00007``; some genes have two antibodies.
        labels: Class ids of the label set, ascending.
        weights: Strength of each label's pattern; the dominant one has 1.
        haze: Unlabelled light over the cytoplasm and over the nucleus, as shares of the pattern.
        uneven: Log deviation of the strength from cell to cell.
        positive: Share of the cells that show the pattern.
        level: Median grey value of the bright end.
        photons: Photons at the bright end.
        dim: Whether it is one of the weak ones.
    """

    index: int
    name: str
    gene: str
    labels: tuple[int, ...]
    weights: tuple[float, ...]
    haze: tuple[float, float]
    uneven: float
    positive: float
    level: float
    photons: float
    dim: bool


@dataclass(frozen=True)
class Twin:
    """How a near-duplicate differs from the field it repeats: turned, mirrored, shifted, exposed anew.

    Attributes:
        quarters: Quarter turns, 0 to 3.
        mirrored: Whether left and right are exchanged before turning.
        shift: Columns and rows it is moved by, as shares of the side.
    """

    quarters: int
    mirrored: bool
    shift: tuple[float, float]


@dataclass(frozen=True)
class FieldPlan:
    """All that is decided about a field before anything is drawn.

    Attributes:
        index: Number of the field in the atlas.
        source: Number of the field whose cells it shows: its own, or that of the field it repeats.
        antibody: The antibody.
        layout: The cells' arrangement.
        camera: The exposure.
        zoom: Enlargement against a field of 164 µm.
        plate: Number of the plate.
        well: Such as ``B7``.
        twin: How it differs from the field ``source``, or None.
    """

    index: int
    source: int
    antibody: Antibody
    layout: Layout
    camera: Camera
    zoom: float
    plate: int
    well: str
    twin: Twin | None = None

    @property
    def id(self) -> str:
        """Return the id of the field."""
        return field_id(self.index)

    @property
    def duplicate_of(self) -> str:
        """Return the id of the field it repeats, or nothing."""
        return field_id(self.source) if self.source != self.index else ""


@dataclass(frozen=True)
class LabelSets:
    """The distinct label sets of the Kaggle 2018 table.

    Attributes:
        labels: Class ids of each set.
        fields: How many fields have it, int64.
    """

    labels: tuple[tuple[int, ...], ...]
    fields: NDArray[np.int64]

    @cached_property
    def has(self) -> NDArray[np.uint8]:
        """Return which set has which class, shape (sets, 28)."""
        return load_vocabulary("kaggle2018").targets(self.labels)

    @cached_property
    def class_chances(self) -> NDArray[np.float64]:
        """Return how often a balanced draw starts from each class, shape (28,)."""
        powered = (self.has * self.fields[:, None]).sum(axis=0) ** BALANCED_POWER
        return powered / powered.sum()


def field_id(index: int) -> str:
    """Name a simulated field."""
    return f"sim-{index:06d}"


@lru_cache(maxsize=1)
def real_label_sets() -> LabelSets:
    """Return the 577 label sets of the 31,072 fields of the Kaggle 2018 competition with their counts."""
    text = resources.files(__name__.rpartition(".")[0]).joinpath("label_sets.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    labels = tuple(tuple(int(word) for word in row["labels"].split()) for row in rows)
    return LabelSets(labels, np.array([int(row["fields"]) for row in rows], np.int64))


def draw_labels(rng: np.random.Generator, *, balanced: bool) -> tuple[int, ...]:
    """Draw a label set: as often as it really occurs, or, ``balanced``, by a class among which rare ones count more."""
    sets = real_label_sets()
    chances = sets.fields.astype(np.float64)
    if balanced and rng.random() < BALANCED_SHARE:
        chances = chances * sets.has[:, rng.choice(sets.class_chances.size, p=sets.class_chances)]
    return sets.labels[rng.choice(len(sets.labels), p=chances / chances.sum())]


def plan_fields(fields: int, *, side: int, seed: int, balanced: bool = False) -> tuple[FieldPlan, ...]:
    """Plan an atlas antibody by antibody; a smaller atlas of the same seed is the beginning of a larger one."""
    return tuple(islice(_plans(side, seed, balanced=balanced), fields))


def _plans(side: int, seed: int, *, balanced: bool) -> Iterator[FieldPlan]:
    index, gene, shared = 0, -1, None
    for number in count():
        rng = np.random.default_rng([seed, 0, number])
        again = shared is not None and rng.random() < 0.15
        gene += not again
        labels = shared if again and shared is not None else draw_labels(rng, balanced=balanced)
        shared = labels
        antibody = _draw_antibody(number, gene, labels, rng)
        for plan in _fields_of(antibody, index, side, rng):
            yield plan
            index += 1


def _draw_antibody(number: int, gene: int, labels: tuple[int, ...], rng: np.random.Generator) -> Antibody:
    habits = draw_habits(rng)
    weights = np.clip(np.exp(rng.normal(np.log(0.65), 0.55, len(labels))), 0.15, 1.2)
    weights[rng.integers(len(labels))] = 1.0
    sparse = SPARSE.issuperset(labels)
    low, high = (0.05, 0.45) if sparse else (0.03, 0.4)
    haze = np.exp(rng.uniform(np.log(low), np.log(high), 2)) * (rng.random(2) < (0.98, 0.85))
    return Antibody(
        index=number,
        name=f"SIMA{number:06d}",
        gene=f"SIMG{gene:05d}",
        labels=labels,
        weights=tuple(weights.tolist()),
        haze=(float(haze[0]), float(haze[1])),
        uneven=float(rng.uniform(0.1, 0.7)),
        positive=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.5 else 1.0,
        level=habits.level,
        photons=habits.photons,
        dim=habits.dim,
    )


def _fields_of(antibody: Antibody, first: int, side: int, rng: np.random.Generator) -> Iterator[FieldPlan]:
    """Plan one to three wells of one or two fields each, a cell line a well, now and then one field twice."""
    index, plate = first, int(antibody.index // 32)
    lines = rng.choice(
        len(CELL_LINES), size=int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25])), replace=False, p=_weights()
    )
    for line in lines:
        well = f"{'ABCDEFGH'[rng.integers(8)]}{rng.integers(1, 13)}"
        zoom = _draw_zoom(CELL_LINES[line], rng)
        for _ in range(int(rng.integers(1, 3))):
            plan = _draw_field(index, antibody, CELL_LINES[line], zoom, side, rng)
            plan = replace(plan, plate=plate, well=well)
            yield plan
            index += 1
            if rng.random() < TWIN_SHARE:
                yield _repeat(plan, index, rng)
                index += 1


def _weights() -> NDArray[np.float64]:
    return np.array(LINE_WEIGHTS) / sum(LINE_WEIGHTS)


def _draw_zoom(line: CellLine, rng: np.random.Generator) -> float:
    """Draw the enlargement; a line with many cells is enlarged more."""
    spacing = 0.85 * line.nucleus * line.spread
    least = FIELD_WIDTH / (spacing * np.sqrt(0.87 * MOST_CELLS))
    return float(max(draw_zoom(rng), least))


def _draw_field(
    index: int, antibody: Antibody, line: CellLine, zoom: float, side: int, rng: np.random.Generator
) -> FieldPlan:
    pixel = FIELD_WIDTH / zoom / side
    lone = 1 - line.sheet - line.islands
    shares = np.array([line.sheet, line.islands, lone * (0.1 if CONTACTS & set(antibody.labels) else 1.0)])
    layout = Layout(
        line=line,
        pixel=pixel,
        side=side,
        order=("sheet", "islands", "lone")[rng.choice(3, p=shares / shares.sum())],
        dividing=float(rng.uniform(0.02, 0.12) if {SPINDLE, BRIDGE} & set(antibody.labels) else rng.uniform(0, 0.05)),
        dying=float(rng.exponential(0.015)) % 0.2,
        must_divide=SPINDLE in antibody.labels,
        must_part=BRIDGE in antibody.labels,
    )
    return FieldPlan(
        index,
        index,
        antibody,
        layout,
        draw_camera(rng, pixel=pixel, level=antibody.level, photons=antibody.photons),
        zoom,
        plate=0,
        well="",
    )


def _repeat(plan: FieldPlan, index: int, rng: np.random.Generator) -> FieldPlan:
    """Plan a near-duplicate: the same cells, perhaps turned or shifted a little, exposed anew."""
    turned = rng.random() < 0.4
    twin = Twin(
        quarters=int(rng.integers(4)) if turned else 0,
        mirrored=bool(turned and rng.random() < 0.5),
        shift=(float(rng.normal(0, 0.012)), float(rng.normal(0, 0.012))),
    )
    camera = draw_camera(rng, pixel=plan.layout.pixel, level=plan.antibody.level, photons=plan.antibody.photons)
    return replace(plan, index=index, twin=twin, camera=camera)
