"""Fields of a folder or store, as a model takes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.files import StrPath
from protloc.atlas.images import FieldFiles, find_fields
from protloc.atlas.reading import FieldImages, Reading, in_order, read_field
from protloc.atlas.stains import Stain
from protloc.atlas.store import Store
from protloc.errors import BundleError, ImageError
from protloc.learn.export import Export
from protloc.learn.model import Model
from protloc.progress import Progress

BATCH = 64  # fields; more gave nothing
BATCH_PIXELS = 2**20  # of a stain, on processors: 64 fields of 320 px took 4.1 GB, and longer than 16

Fields = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class GivenFields:
    """The fields of a folder, found but not read.

    Attributes:
        bundle: The model that is to see them.
        source: The folder.
        given: The stains that are there, in the model's order.
        fields: The files of each field, sorted by id.
        reading: What is read of each.
        ids: The ids of all fields, or of their tiles, in order; filled while the images are read.
        rejected: Why a field cannot be read, by its id, which stands among ``ids`` too; filled likewise.
    """

    bundle: Model
    source: Path
    given: tuple[Stain, ...]
    fields: Sequence[FieldFiles]
    reading: Reading
    ids: list[str] = field(default_factory=list[str])
    rejected: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the stains that are there, in the model's order."""
        return tuple(stain.name for stain in self.given)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Return for each of ``ids`` whether it has an image, shape (ids,): those stand in the order of the images."""
        return np.array([field_id not in self.rejected for field_id in self.ids], bool)

    def images(self, *, jobs: int | None = None, progress: Progress | None = None) -> Iterator[Fields]:
        """Yield each field, or each of its tiles, that can be read, decoding ahead; begins anew with each call.

        Args:
            jobs: Threads that decode; as many as there are processors if not given.
            progress: Called after each field, readable or not.

        Yields:
            Array of shape (stains of the model, side, side), uint8; stains that are not given are 0.

        Raises:
            ImageError: after the last field, if none could be read.
        """
        self.ids.clear()
        self.rejected.clear()
        channels = {name: channel for channel, name in enumerate(self.names)}
        outcomes = in_order(self._try_to_read, self.fields, jobs=jobs, ahead=2 * BATCH)
        for done, (files, outcome) in enumerate(zip(self.fields, outcomes, strict=True), start=1):
            if isinstance(outcome, ImageError):
                self.ids.append(files.id)
                self.rejected[files.id] = str(outcome)
            else:
                self.ids.extend(outcome.by_id)
                for image in outcome.by_id.values():
                    yield in_channels(self.bundle, image[np.newaxis], channels)[0]
            if progress is not None:
                progress(done, len(self.fields))
        if len(self.rejected) == len(self.fields):
            first = next(iter(self.rejected.values()))
            raise ImageError(f"{self.source}: none of {len(self.fields)} fields can be read. The first: {first}")

    def batches(self, *, jobs: int | None = None, progress: Progress | None = None) -> Iterator[Fields]:
        """Yield what :meth:`images` yields, stacked: (fields, stains of the model, side, side), see ``batch_of``."""
        size = batch_of(self.bundle)
        waiting: list[Fields] = []
        for image in self.images(jobs=jobs, progress=progress):
            waiting.append(image)
            if len(waiting) == size:
                yield np.stack(waiting)
                waiting.clear()
        if waiting:
            yield np.stack(waiting)

    def _try_to_read(self, files: FieldFiles) -> FieldImages | ImageError:
        try:
            return read_field(files, self.reading)
        except ImageError as error:
            return error


def fields_given(
    bundle: Model, source: StrPath, *, stains: Sequence[Stain] | None = None, reading: Reading | None = None
) -> GivenFields:
    """Find the fields of a folder of images for a model.

    Args:
        bundle: The trained model.
        source: Folder of images, as for ``prepare``.
        stains: The stains that are given, with their file suffixes, in any order; those the model needs must be among
            them. If not said, the model's stains of which the folder has images, and all that it needs.
        reading: Tiles, bit depth and limits; what it leaves open, stains and side are the model's.

    Raises:
        BundleError: if a stain given is none of the model's, or one it needs is missing, named or in the folder.
        ImageError: if the folder holds no image of these stains.
    """
    asked = _in_model_order(bundle, stains)
    found = find_fields(Path(source), asked)
    given = asked if stains else _at_hand(bundle, found)
    there = {name for files in found for name in files.names}
    lacking = [name for name in bundle.needed if name not in there]
    if lacking and len(bundle.needed) < len(bundle.stains):  # else each field says what it lacks
        raise BundleError(
            f"{source}: no {' or '.join(lacking)} image (found {' and '.join(sorted(there))}), but "
            f"{_stains_in_words(bundle)}. Add them, or use a model that can do without."
        )
    return GivenFields(bundle, Path(source), given, found, _reading_of(bundle, given, reading or Reading()))


def stored_batches(
    bundle: Model,
    store: Store,
    rows: NDArray[np.intp],
    *,
    stains: Collection[str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Fields]:
    """Read rows of a store for a model; of a clean store each field as the same camera sees it each time.

    Args:
        bundle: The trained model.
        store: Where the fields are; with all stains of the model, or those it needs.
        rows: Rows of the store in the order wanted.
        stains: Names of the store's stains to look at, those the model needs among them; all if not given.
        progress: Called after each batch was used.

    Returns:
        Iterator of arrays of shape (so many fields as ``batch_of`` says, stains of the model, side, side), uint8.

    Raises:
        BundleError: at once, if the store's side is not the model's, or the stains not such as it takes.
    """
    names = [stain.name for stain in store.stains]
    wanted = names if stains is None else stains
    if store.side != bundle.side:
        raise other_store(store, "side", store.side, bundle.side)
    if not takes(bundle, wanted) or not set(wanted) <= set(names):
        raise BundleError(
            f"{store.folder}: asked for {', '.join(wanted)}, its stains are {', '.join(names)}, but "
            f"{_stains_in_words(bundle)}. Prepare a store alike, or name stains that both have."
        )
    return _stored(bundle, store, rows, {name: names.index(name) for name in wanted}, progress)


def batch_of(bundle: Model) -> int:
    """Return how many fields of a model's side are answered at a time."""
    return BATCH if _on_gpu(bundle) else max(1, min(BATCH, BATCH_PIXELS // bundle.side**2))


def other_store(store: Store, what: str, here: object, there: object) -> BundleError:
    """Return the error that tells how a store is not such as a model takes."""
    return BundleError(f"{store.folder}: its {what} are {here}, the model's {there}. Prepare a store alike.")


def takes(bundle: Model, stains: Collection[str]) -> bool:
    """Tell whether a model can answer by the stains of these names."""
    return set(bundle.needed) <= set(stains) <= {stain.name for stain in bundle.stains}


def in_channels(bundle: Model, images: Fields, channels: Mapping[str, int]) -> Fields:
    """Put the named channels of images, (fields, stains, side, side), where the model has them; the others are 0."""
    placed = np.zeros((len(images), len(bundle.stains), *images.shape[2:]), np.uint8)
    for place, stain in enumerate(bundle.stains):
        if stain.name in channels:
            placed[:, place] = images[:, channels[stain.name]]
    return placed


def _on_gpu(bundle: Model) -> bool:
    if isinstance(bundle, Export):
        return False
    import torch  # a bundle has brought it

    return torch.cuda.is_available()


def _stored(
    bundle: Model, store: Store, rows: NDArray[np.intp], channels: Mapping[str, int], progress: Progress | None
) -> Iterator[Fields]:
    from protloc.atlas.photographs import photographs_of  # brings the simulator, which nobody else needs here

    seed = int(bundle.settings.get("seed", 0))
    size = batch_of(bundle)
    for start in range(0, len(rows), size):
        images = photographs_of(store, rows[start : start + size], seed=seed)
        yield in_channels(bundle, images, channels)
        if progress is not None:
            progress(min(start + size, len(rows)), len(rows))


def _reading_of(bundle: Model, given: tuple[Stain, ...], asked: Reading) -> Reading:
    return Reading(
        stains=given,
        side=bundle.side,
        tile=asked.tile or bundle.tile,
        bit_depth=asked.bit_depth or bundle.bit_depth,
        max_pixels=asked.max_pixels,
    )


def _in_model_order(bundle: Model, stains: Sequence[Stain] | None) -> tuple[Stain, ...]:
    given = {stain.name: stain for stain in stains or bundle.stains}
    if not takes(bundle, given):
        raise BundleError(
            f"--stains: {', '.join(given)} given, but {_stains_in_words(bundle)}. "
            "Name these, or use a model trained on yours."
        )
    return tuple(given[stain.name] for stain in bundle.stains if stain.name in given)


def _at_hand(bundle: Model, fields: Iterable[FieldFiles]) -> tuple[Stain, ...]:
    """Return the model's stains of which any field has an image, and those it needs."""
    there = {name for files in fields for name in files.names}.union(bundle.needed)
    return tuple(stain for stain in bundle.stains if stain.name in there)


def _stains_in_words(bundle: Model) -> str:
    names = [stain.name for stain in bundle.stains]
    needs = "" if len(bundle.needed) == len(names) else f" and needs {', '.join(bundle.needed)}"
    return f"the model was trained on {', '.join(names)}{needs}"
