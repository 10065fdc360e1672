"""What may be wrong with fields, told before a model answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.checks.pixel_size import PLAUSIBLE, stated_pixel_size
from protloc.apply.checks.planes import check_planes
from protloc.apply.embed import embeddings
from protloc.apply.given import BATCH, GivenFields, batch_of, fields_given, in_channels
from protloc.atlas.files import StrPath
from protloc.atlas.images import FieldFiles, FieldPlanes, cut_tiles, read_planes, shrink
from protloc.atlas.reading import Reading, in_order
from protloc.atlas.stains import Stain
from protloc.errors import ImageError, SettingsError
from protloc.learn.bundle_checks import subset_name
from protloc.learn.model import Model
from protloc.learn.reference import Reference, p_values, read_references
from protloc.progress import Progress

FAR = 0.01  # of fields like those of the atlas lie farther from it
SHOWN = 5  # ids in a sentence

Fields = NDArray[np.uint8]
_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class Preflight:
    """What was found of the fields of a folder.

    Attributes:
        findings: Field id to what was found of it, nothing where all is well; in the order of the ids.
        notes: What is to be said of all fields at once, a sentence each.
    """

    findings: Mapping[str, tuple[Finding, ...]]
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> tuple[str, ...]:
        """Return the ids of the fields of which nothing was found but notes."""
        return tuple(
            field for field, found in self.findings.items() if all(each.severity is Severity.NOTE for each in found)
        )

    def table(self) -> pd.DataFrame:
        """Return a row a finding: columns ``id``, ``fault``, ``severity``, ``stains``, ``sentence``, ``remedy``."""
        rows = [
            (field, each.fault.value, each.severity.value, "; ".join(each.stains), each.sentence, each.remedy)
            for field, found in self.findings.items()
            for each in found
        ]
        return pd.DataFrame(rows, columns=["id", "fault", "severity", "stains", "sentence", "remedy"])

    @property
    def summary(self) -> str:
        """Return in words how many fields are sound, and of each fault how many have it, and one example of it."""
        told = [f"{len(self.findings)} fields checked; nothing to say against {len(self.sound)} of them.", *self.notes]
        counts = Counter(fault for found in self.findings.values() for fault in {each.fault for each in found})
        for fault in Fault:
            if counts[fault]:
                fields = [name for name, found in self.findings.items() if any(each.fault is fault for each in found)]
                first = next(each for each in self.findings[fields[0]] if each.fault is fault)
                shown = ", ".join(fields[:SHOWN]) + (", …" if len(fields) > SHOWN else "")
                told.append(f"- {fault.value} ({counts[fault]}: {shown}). {first.words}")
        return "\n".join(told)


def preflight(
    bundle: Model,
    source: StrPath,
    *,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    pixel_size: float | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Preflight:
    """Check the fields of a folder before a model answers for them.

    Args:
        bundle: The trained model; loaded from a folder with ``reference.safetensors`` in it, it also tells which fields
            are far from those it learnt from.
        source: Folder of images, as for ``predict``.
        stains: The stains that are given, as for ``predict``.
        reading: Tiles, bit depth and limits, as for ``predict``.
        pixel_size: Micrometres a pixel of the files; if not said, what each file states, if it does.
        jobs: Threads that decode; as many as there are processors if not given.
        progress: Called after each finished field.

    Raises:
        BundleError: if a stain given is none of the model's, or one it needs is missing, or its reference is damaged.
        ImageError: if the folder holds no image of these stains.
        SettingsError: if the pixel size is not that of a microscope.
    """
    _check_pixel_size(pixel_size)
    given = fields_given(bundle, source, stains=stains, reading=reading)
    reference = reference_for(bundle, given.names)
    look = partial(_examine, given, pixel_size, with_images=bool(reference))
    findings: dict[str, tuple[Finding, ...]] = {}
    several = BATCH if given.reading.tile is None else 1  # of tiles a field has many
    examined = in_order(look, given.fields, jobs=jobs, ahead=several)
    for some in _batched(zip(given.fields, examined, strict=True), several):
        far = _far_of(bundle, reference, [images for _, (_, images) in some])
        for (files, (found, _)), farther in zip(some, far, strict=True):
            findings[files.id] = (*found, *farther)
            if progress is not None:
                progress(len(findings), len(given.fields))
    return Preflight(findings, tuple(_notes(bundle, given.names, reference)))


def check_field(
    bundle: Model,
    planes: FieldPlanes,
    stains: Sequence[Stain],
    *,
    pixel_size: float | None = None,
    tile: int | None = None,
    reference: Sequence[Reference] = (),
    embedding: NDArray[np.float32] | None = None,
) -> tuple[Finding, ...]:
    """Check one field in memory.

    Args:
        bundle: The trained model.
        planes: The field at its full size, one plane a stain.
        stains: What the planes show, in their order.
        pixel_size: Micrometres a pixel, or None where nobody knows.
        tile: Side in source px of the tiles that it is to be cut into; the model's if not given.
        reference: What embeddings of fields with these stains look like, see :func:`reference_for`; nothing leaves out
            whether the field is far from them.
        embedding: What the model makes of it, (dimensions,), or of its tiles, (tiles, dimensions); computed if not
            given.

    Returns:
        What was found, the field's light first; nothing where all is well.
    """
    tile = tile or bundle.tile
    found = check_planes(planes, stains, pixel_size=pixel_size, tile=tile, any_width=bundle.tile is not None)
    if not reference:
        return found
    if embedding is None:
        embedding = _embedded(bundle, _images(bundle, planes, stains, tile))
    return (*found, *check_distance(reference, embedding))


def check_distance(reference: Sequence[Reference], embedding: NDArray[np.float32]) -> Iterator[Finding]:
    """Yield a finding where a field lies farther from the atlas than 99 of 100 fields like the atlas's.

    Args:
        reference: What embeddings of the atlas look like, one for each network; if nothing, nothing is found.
        embedding: Of the field, (dimensions,), or of its tiles, (tiles, dimensions), of which the middle one counts.
    """
    if not embedding.size or not reference:
        return
    chance = float(np.median(p_values(reference, np.atleast_2d(embedding))))
    if chance <= FAR:
        yield Finding(
            Fault.FAR,
            Severity.WARNING,
            f"To the model it is unlike its atlas: of those fields about {_one_in(chance)} lies as far from the rest.",
            "Look for what is unusual (cells, stains, magnification), and trust an expert more than the model.",
        )


def reference_for(bundle: Model, stains: Sequence[str]) -> tuple[Reference, ...]:
    """Return what embeddings of fields with these stains look like, by network; nothing where no bundle tells.

    Raises:
        BundleError: if the file that tells it is damaged, or of another model.
    """
    if bundle.folder is None:
        return ()
    return read_references(bundle.folder).get(subset_name(stains), ())


def _check_pixel_size(pixel_size: float | None) -> None:
    if pixel_size is not None and not PLAUSIBLE[0] <= pixel_size <= PLAUSIBLE[1]:
        raise SettingsError(
            f"--pixel-size: {pixel_size:g} µm, expected 0.005 to 5 µm. HPA's fields of 2048 px have 0.08 µm."
        )


def _examine(
    given: GivenFields, pixel_size: float | None, files: FieldFiles, *, with_images: bool
) -> tuple[tuple[Finding, ...], Fields | None]:
    """Check one field of a folder; return what was found, and its images as the model takes them, where it is read."""
    reading = given.reading
    try:
        planes = read_planes(files, reading.stains, bit_depth=reading.bit_depth, max_pixels=reading.max_pixels)
        _check_tile(files, planes, reading.tile)
        images = _images(given.bundle, planes, reading.stains, reading.tile) if with_images else None
    except ImageError as error:
        return (_unreadable(given, files, str(error)),), None
    stated = pixel_size or next(filter(None, map(stated_pixel_size, files.paths)), None)
    found = check_field(given.bundle, planes, reading.stains, pixel_size=stated, tile=reading.tile)
    return found, images


def _check_tile(files: FieldFiles, planes: FieldPlanes, tile: int | None) -> None:
    if tile is not None and min(planes.height, planes.width) < tile:
        size = f"{planes.width}x{planes.height} px"
        raise ImageError(f"{files.id}: {size}, smaller than a tile of {tile} px. Say a smaller --tile.")


def _unreadable(given: GivenFields, files: FieldFiles, why: str) -> Finding:
    missing = tuple(name for name in given.names if name not in files.names)
    named = files.id if why.startswith(files.id) else ""  # an id may have a full stop too
    sentence, _, remedy = why.removeprefix(named).partition(". ")
    fault = Fault.MISSING if missing else Fault.UNREADABLE
    return Finding(fault, Severity.SERIOUS, f"{named}{sentence}.", remedy, missing)


def _images(bundle: Model, planes: FieldPlanes, stains: Sequence[Stain], tile: int | None) -> Fields:
    """Return a field, or its tiles, as the model takes them: (fields, stains of the model, side, side)."""
    side = bundle.side
    cut = [shrink(planes, side=side)] if tile is None else [*cut_tiles(planes, tile=tile, side=side).values()]
    shown = np.array(cut, np.uint8).reshape(-1, len(stains), side, side)
    return in_channels(bundle, shown, {stain.name: channel for channel, stain in enumerate(stains)})


def _far_of(
    bundle: Model, reference: Sequence[Reference], images: Sequence[Fields | None]
) -> list[tuple[Finding, ...]]:
    """Return for each field what its distance tells; nothing of those that were not read."""
    read = [each for each in images if each is not None and len(each)]
    if not reference or not read:
        return [() for _ in images]
    made = iter(np.split(_embedded(bundle, np.concatenate(read)), np.cumsum([len(each) for each in read])[:-1]))
    return [tuple(check_distance(reference, next(made))) if each is not None and len(each) else () for each in images]


def _embedded(bundle: Model, images: Fields) -> NDArray[np.float32]:
    size = batch_of(bundle)
    return embeddings(bundle, (images[start : start + size] for start in range(0, len(images), size)))


def _notes(bundle: Model, given: Sequence[str], reference: Sequence[Reference]) -> Iterator[str]:
    missing = [stain.name for stain in bundle.stains if stain.name not in given]
    if missing:
        yield f"No {' or '.join(missing)} image was given: the model goes without, and less can be checked."
    if not reference:
        yield (
            "Whether the fields are like those the model learnt from was not checked: its bundle has no reference for "
            f"{' and '.join(given)}. protloc evaluate RUN makes one."
        )
    elif (known := sum(each.distances.size for each in reference)) < 1 / FAR - 1:
        yield (
            "Whether the fields are like those the model learnt from was not checked: its reference has "
            f"{known} held-out fields, of which none tells one in {1 / FAR:.0f}. Split more fields, and train again."
        )


def _batched(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    while some := list(islice(items, size)):
        yield some


def _one_in(chance: float) -> str:
    return f"one in {round(1 / chance):,}"
