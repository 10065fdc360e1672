"""Tells how often preflight finds faults that were planted, and how often it finds some where there are none.

    python benchmarks/preflight.py [BUNDLE] [--fields 200] [--side 512] [--seed 1] [--fitted 1000] [--real FOLDER]
    python benchmarks/preflight.py --fit --fields 400 --seed 100

Fields of all cell lines and labels are simulated and photographed (``render_clean``, ``expose``), with one fault at a
time. Prints, a line a fault, in how many it was found by its own name, with exact 95 % intervals; then in how many
sound fields each fault was found. Sound are fields whose camera was not set to more than twice what it can hold. Of the
faults marked *, the finding is not promised: the text says why. Thresholds were chosen with the seeds 0, 2, 3 and 100;
another one judges them.

With ``--fit`` it prints the logistic regression that tells nuclei from the other landmark stains, as
``apply/checks/nuclei.py`` holds it, fitted to that many fields, and which logits each stain gets.

With BUNDLE the distance from the atlas is checked too: by the reference that lies in it or, where there is none, by one
of ``--fitted`` more simulated fields. ``--real`` prints all that is found of real fields, as whoever runs it would see.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from protloc.apply.checks.finding import Fault
from protloc.apply.checks.look import VIEW, look_at
from protloc.apply.checks.nuclei import LANDMARKS, NUCLEI, WEIGHTS, nuclei_in
from protloc.apply.checks.planes import check_planes
from protloc.apply.embed import embeddings
from protloc.apply.given import in_channels
from protloc.apply.preflight import check_field, reference_for
from protloc.atlas.images import FieldPlanes, find_fields, read_planes, shrink
from protloc.atlas.simulate import FieldPlan, expose, plan_fields, render_clean
from protloc.atlas.simulate.camera import Camera
from protloc.atlas.stains import HPA_STAINS, Stain
from protloc.learn.bundle import Bundle
from protloc.learn.reference import Reference, fit_reference, p_values

SOUND_LEVEL = 2 * 255  # of the brightest stain
NUCLEAR_LABELS = frozenset(range(7))  # nucleus and what lies in or on it
SUFFIXES = {stain.name: number for number, stain in enumerate(HPA_STAINS)}
NAMES = tuple(SUFFIXES)
STRENGTH = 3.0  # of the regression's evidence against its prior

Light = NDArray[np.float32]
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Field:
    """A simulated field: what is there, and the camera that looks at it."""

    plan: FieldPlan
    light: Light
    seed: int

    def photograph(self, *, light: Light | None = None, camera: Camera | None = None) -> Pictures:
        """Return it, or other light, as its own or another camera sees it: (4, side, side), uint8."""
        if light is None and camera is None:
            return self._own.copy()
        rng = np.random.default_rng([self.seed, 4, self.plan.index])
        return expose(self.light if light is None else light, camera or self.plan.camera, rng=rng)

    @cached_property
    def _own(self) -> Pictures:
        return self.photograph(camera=self.plan.camera)

    @property
    def sound(self) -> bool:
        """Tell whether its own camera is set to what it can hold."""
        return max(self.plan.camera.level) <= SOUND_LEVEL


@dataclass(frozen=True, eq=False)
class Shown:
    """What a check is given: planes, the pixel size if it is known, and whether all is as it should be."""

    planes: tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]
    pixel: float | None = None
    bit_depth: int = 8


Plant = Callable[[Field, np.random.Generator], Shown | None]


@dataclass(frozen=True)
class Planted:
    """A fault that can be planted.

    Attributes:
        name: What is printed.
        fault: What should be found.
        plant: Makes it of a field; None where it would not be one.
        why: Why its finding is not promised; empty if it is.
    """

    name: str
    fault: Fault
    plant: Plant
    why: str = ""


def simulated(fields: int, *, side: int, seed: int) -> Iterator[Field]:
    """Yield fields of all labels, one at a time."""
    for plan in plan_fields(fields, side=side, seed=seed, balanced=True):
        yield Field(plan, render_clean(plan, seed=seed).stains, seed)


def exchanged(one: str, other: str, *, unless_nuclear: bool = False) -> Plant:
    """Exchange the names of two stains."""

    def plant(field: Field, _rng: np.random.Generator) -> Shown | None:
        if unless_nuclear and NUCLEAR_LABELS & set(field.plan.antibody.labels):
            return None
        order = list(range(4))
        order[SUFFIXES[one]], order[SUFFIXES[other]] = SUFFIXES[other], SUFFIXES[one]
        return Shown(tuple(field.photograph()[order]))

    return plant


def copied(field: Field, rng: np.random.Generator) -> Shown:
    """Put a stain in the place of another, a little darker."""
    pictures = field.photograph()
    source, target = rng.choice(4, 2, replace=False)
    pictures[target] = (pictures[source] * rng.uniform(0.7, 1.0)).astype(np.uint8)
    return Shown(tuple(pictures))


def empty(field: Field, rng: np.random.Generator) -> Shown:
    """Leave a stain without light, the camera as it is; or all black."""
    number = rng.integers(4)
    light = field.light.copy()
    light[number] = 0
    pictures = field.photograph(light=light, camera=replace(field.plan.camera, bleed=(0.0, 0.0)))
    if rng.random() < 0.5:
        pictures[number] = 0
    return Shown(tuple(pictures))


def shallow(field: Field, rng: np.random.Generator) -> Shown:
    """Write a 12-bit camera's picture to 16 bits with hot pixels at the end of the scale, which hide its depth."""
    deep = field.photograph().astype(np.uint16) * np.uint16(4095 // 255)
    deep.reshape(4, -1)[:, rng.integers(0, deep[0].size, 5)] = 65535
    return Shown(tuple(deep), bit_depth=16)


def overexposed(field: Field, rng: np.random.Generator) -> Shown:
    """Expose one stain so long that its bright end is eight to fifteen times what the camera holds."""
    levels = list(field.plan.camera.level)
    levels[rng.integers(4)] = 255 * rng.uniform(8, 15)
    return Shown(tuple(field.photograph(camera=replace(field.plan.camera, level=tuple(levels)))))


def coarse(field: Field, rng: np.random.Generator) -> Shown:
    """Leave a stain 4 to 16 grey levels."""
    pictures = field.photograph()
    number = rng.integers(4)
    step = max(int(np.percentile(pictures[number], 99.9)) // int(rng.integers(4, 17)), 2)
    pictures[number] = pictures[number] // step * step
    return Shown(tuple(pictures))


def wrapped(field: Field, rng: np.random.Generator) -> Shown:
    """Keep the low 8 bits alone of a stain two to four times as bright as 8 bits hold."""
    number, times = rng.integers(4), rng.uniform(2.5, 5)
    dark = field.photograph(camera=replace(field.plan.camera, level=(200.0, 200.0, 200.0, 200.0)))[number]
    pictures = field.photograph()
    pictures[number] = (rng.uniform(dark, dark + 1.0) * times).astype(np.uint16) % 256
    return Shown(tuple(pictures))


def compressed(field: Field, rng: np.random.Generator) -> Shown:
    """Save every stain as JPEG of quality 5 to 25."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(5, 26))]
    coded = [cv2.imencode(".jpg", picture, quality)[1] for picture in field.photograph()]
    return Shown(tuple(np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.uint8) for code in coded))


def blurred(micrometres: float) -> Plant:
    """Blur the light of all stains by a Gaussian of this standard deviation before the camera."""

    def plant(field: Field, _rng: np.random.Generator) -> Shown:
        camera = field.plan.camera
        return Shown(tuple(field.photograph(camera=replace(camera, focus=float(np.hypot(camera.focus, micrometres))))))

    return plant


def shrunk(times: int) -> Plant:
    """Show ``times`` as wide a field in as many pixels: the field smaller, with its mirror images around it."""

    def plant(field: Field, _rng: np.random.Generator) -> Shown:
        whole = field.light.shape[-1]
        side = whole // times
        small = [cv2.resize(stain, (side, side), interpolation=cv2.INTER_AREA) for stain in field.light]
        before = (whole - side) // 2
        rim = (before, whole - side - before)
        light = np.stack([np.pad(stain, (rim, rim), mode="symmetric") for stain in small])
        camera = replace(field.plan.camera, pixel=field.plan.camera.pixel * times)
        return Shown(tuple(field.photograph(light=light, camera=camera)))

    return plant


def enlarged(times: int) -> Plant:
    """Show the middle of the field in as many pixels."""

    def plant(field: Field, _rng: np.random.Generator) -> Shown:
        whole = field.light.shape[-1]
        side = whole // times
        start = (whole - side) // 2
        middle = field.light[:, start : start + side, start : start + side]
        light = np.stack([cv2.resize(stain, (whole, whole), interpolation=cv2.INTER_CUBIC) for stain in middle])
        camera = replace(field.plan.camera, pixel=field.plan.camera.pixel / times)
        return Shown(tuple(field.photograph(light=np.maximum(light, 0), camera=camera)))

    return plant


def misstated(times: float) -> Plant:
    """State a pixel size that is wrong by this factor."""

    def plant(field: Field, _rng: np.random.Generator) -> Shown:
        return Shown(tuple(field.photograph()), pixel=field.plan.layout.pixel * times)

    return plant


def foreign(field: Field, rng: np.random.Generator) -> Shown:
    """Show no cells, but clouds of the brightness of the field."""
    grains = rng.uniform(2, 20, 4)
    clouds = [cv2.GaussianBlur(rng.standard_normal(field.light.shape[1:]), (0, 0), float(grain)) for grain in grains]
    light = np.stack([np.maximum(cloud / np.percentile(cloud, 99.9), 0) for cloud in clouds]).astype(np.float32)
    return Shown(tuple(field.photograph(light=light)))


def inverted(field: Field, _rng: np.random.Generator) -> Shown:
    """Show black on white."""
    return Shown(tuple(255 - field.photograph()))


PLANTED = (
    Planted("blue and red exchanged", Fault.ORDER, exchanged("blue", "red")),
    Planted("blue and yellow exchanged", Fault.ORDER, exchanged("blue", "yellow")),
    Planted("red and yellow exchanged", Fault.ORDER, exchanged("red", "yellow")),
    Planted(
        "blue and green, no nuclear protein *",
        Fault.ORDER,
        exchanged("blue", "green", unless_nuclear=True),
        "the light of the protein outside its labels may fill the nuclei",
    ),
    Planted("red and green exchanged *", Fault.ORDER, exchanged("red", "green"), "a protein may look like anything"),
    Planted("a stain twice", Fault.DUPLICATED, copied),
    Planted("a stain empty", Fault.EMPTY, empty),
    Planted("12 bits in 16, hot pixels", Fault.DARK, shallow),
    Planted("a stain saturated", Fault.SATURATED, overexposed),
    Planted("4 to 16 grey levels", Fault.LEVELS, coarse),
    Planted("wrapped grey levels", Fault.WRAPPED, wrapped),
    Planted("JPEG, quality 5 to 25", Fault.COMPRESSED, compressed),
    Planted("1 µm out of focus *", Fault.FOCUS, blurred(1.0), "little more than the blur of a usual camera"),
    Planted("2 µm out of focus", Fault.FOCUS, blurred(2.0)),
    Planted("3 µm out of focus", Fault.FOCUS, blurred(3.0)),
    Planted("field 2 times as wide *", Fault.SCALE, shrunk(2), "the atlas has such fields"),
    Planted("field 3 times as wide", Fault.SCALE, shrunk(3)),
    Planted("field 4 times as wide", Fault.SCALE, shrunk(4)),
    Planted("field 3 times as narrow *", Fault.SCALE, enlarged(3), "few whole nuclei are left"),
    Planted("pixel size stated 4 times too large", Fault.SCALE, misstated(4.0)),
    Planted("pixel size stated 4 times too small", Fault.SCALE, misstated(0.25)),
)
STRANGE = (
    Planted("clouds instead of cells", Fault.FAR, foreign),
    Planted("black on white", Fault.FAR, inverted),
    Planted("field 4 times as wide", Fault.FAR, shrunk(4)),
    Planted("blue and red exchanged", Fault.FAR, exchanged("blue", "red")),
)


def checked(bundle: Bundle | None, shown: Shown, reference: Sequence[Reference] = ()) -> set[Fault]:
    """Return which faults are found."""
    planes = FieldPlanes(shown.planes, shown.bit_depth)
    if bundle is None:
        return {finding.fault for finding in check_planes(planes, HPA_STAINS, pixel_size=shown.pixel)}
    told = check_field(bundle, planes, HPA_STAINS, pixel_size=shown.pixel, reference=reference)
    return {finding.fault for finding in told}


def found(
    bundle: Bundle | None, fields: Iterable[Field], *, seed: int, reference: Sequence[Reference]
) -> dict[str, list[bool]]:
    """Plant every fault in every field; return for each whether it was found, and under ``sound ...`` false alarms."""
    tally: dict[str, list[bool]] = defaultdict(list)
    for field in fields:
        rng = np.random.default_rng([seed, 9, field.plan.index])
        for each in PLANTED + (STRANGE if reference else ()):
            shown = each.plant(field, rng)
            if shown is not None:
                faults = checked(bundle, shown, reference if each.fault is Fault.FAR else ())
                tally[f"{each.fault}: {each.name}"].append(each.fault in faults)
        if field.sound:
            for stated, pixel in (("", None), (", pixel size stated", field.plan.layout.pixel)):
                faults = checked(bundle, Shown(tuple(field.photograph()), pixel), () if stated else reference)
                for fault in (*Fault, None):
                    alarm = bool(faults) if fault is None else fault in faults
                    tally[f"sound{stated}: {'anything' if fault is None else fault}"].append(alarm)
    return tally


def print_fit(fields: Iterable[Field]) -> None:
    """Print the regression that tells nuclei from the other landmark stains, and the logits of each stain."""
    traits: dict[str, list[list[float]]] = defaultdict(list)
    for field in fields:
        look = look_at(FieldPlanes(tuple(field.photograph()), 8), HPA_STAINS)
        for name in look.shown:
            measured = nuclei_in(look.views[name]).traits
            if measured:
                traits[name].append([measured[trait] for trait in WEIGHTS])
    known = np.concatenate([traits[name] for name in LANDMARKS])
    nuclear = np.repeat([name == NUCLEI for name in LANDMARKS], [len(traits[name]) for name in LANDMARKS])
    usual, spread = known.mean(axis=0), known.std(axis=0)
    model = LogisticRegression(C=STRENGTH).fit((known - usual) / spread, nuclear)
    weights = model.coef_[0] / spread
    offset = float(model.intercept_[0] - weights @ usual)
    print(f"OFFSET = {offset:.1f}\nWEIGHTS = {dict(zip(WEIGHTS, weights.round(1).tolist(), strict=True))}")
    for name, rows in traits.items():
        shown = np.quantile(np.array(rows) @ weights + offset, (0.01, 0.02, 0.5, 0.98, 0.99)).round(1)
        print(f"{name}: logits {shown.tolist()} at 1, 2, 50, 98, 99 % of {len(rows)} fields, views of {VIEW} px")


def print_tally(tally: Mapping[str, Sequence[bool]]) -> None:
    """Print a line a fault: share, its exact interval, fields."""
    print("| fault: planted | found (95 % interval) | fields |")
    print("|---|--:|--:|")
    for name, hits in sorted(tally.items(), key=lambda item: item[0].startswith("sound")):
        if name.startswith("sound") and not any(hits) and not name.endswith("anything"):
            continue
        low, high = binomtest(sum(hits), len(hits)).proportion_ci(method="exact")
        print(f"| {name} | {np.mean(hits):.1%} ({low:.1%} to {high:.1%}) | {len(hits)} |")


def fitted(bundle: Bundle, fields: int, *, side: int, seed: int) -> tuple[Reference, ...]:
    """Fit a reference to simulated fields, the last two fifths of them held out."""
    made = np.concatenate(
        [embeddings(bundle, [batch]) for batch in _batches(bundle, simulated(fields, side=side, seed=seed))]
    )
    start = fields * 3 // 5
    return (fit_reference(made[:start], made[start:]),)


def _batches(bundle: Bundle, fields: Iterable[Field]) -> Iterator[Pictures]:
    images = (shrink(FieldPlanes(tuple(field.photograph()), 8), side=bundle.side) for field in fields)
    while some := list(islice(images, 64)):
        yield np.stack(some)


def print_real(bundle: Bundle | None, real: Path) -> None:
    """Print all that is found of real fields of four stains, and of green ones alone."""
    for folder, stains in (("fields", HPA_STAINS), ("green", HPA_STAINS[1:2])):
        files = find_fields(real / folder, stains)
        reference = () if bundle is None else reference_for(bundle, [stain.name for stain in stains])
        tally: Counter[str] = Counter()
        for field in files:
            planes = read_planes(field, stains)
            seen = (
                check_planes(planes, stains)
                if bundle is None
                else check_field(bundle, planes, stains, reference=reference)
            )
            tally.update(finding.fault.value for finding in seen)
            told = "; ".join(f"{finding.severity.value}: {finding.words}" for finding in seen)
            print(f"{folder}/{field.id}:{chance_of(bundle, planes, stains, reference)} {told or 'nothing found'}")
        print(f"{folder}: {len(files)} fields, {dict(tally) or 'nothing found'}")


def chance_of(
    bundle: Bundle | None, planes: FieldPlanes, stains: Sequence[Stain], reference: Sequence[Reference]
) -> str:
    """Tell the p-value of a field's distance from the atlas."""
    if bundle is None or not reference:
        return ""
    image = shrink(planes, side=bundle.side)[np.newaxis]
    shown = in_channels(bundle, image, {stain.name: channel for channel, stain in enumerate(stains)})
    return f" p {p_values(reference, embeddings(bundle, [shown]))[0]:.3f};"


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("--fields", type=int, default=200)
    parser.add_argument("--fitted", type=int, default=1000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    fields = simulated(given.fields, side=given.side, seed=given.seed)
    if given.fit:
        print_fit(fields)
        return
    bundle, reference = None, ()
    if given.bundle is not None:
        from protloc.options import bundle_folder

        bundle = Bundle.load(bundle_folder(given.bundle))
        reference = reference_for(bundle, NAMES) or fitted(
            bundle, given.fitted, side=given.side, seed=given.seed + 1_000_000
        )
    if given.real is not None:
        print_real(bundle, given.real)
    print_tally(found(bundle, fields, seed=given.seed, reference=reference))


if __name__ == "__main__":
    main()
