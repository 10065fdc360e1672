"""Embedded fields: what a model sees of each, with its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.apply.embed import embeddings, model_hash
from protloc.apply.given import GivenFields, fields_given, stored_batches
from protloc.atlas.files import StrPath
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import SettingsError, TableError
from protloc.learn.model import Model
from protloc.progress import Progress

Labels: TypeAlias = tuple[str, ...] | None  # names of compartments; () where the protein has none, None if unknown


def _none_rejected() -> pd.DataFrame:
    return pd.DataFrame(columns=["id", "reason"])


@dataclass(frozen=True, eq=False)
class Embedded:
    """Fields as points of a space in which fields that look alike to the model are near each other.

    Attributes:
        ids: Fields or tiles that could be read, in the order asked.
        embeddings: Shape (fields, dimensions), float32.
        labels: The names of each field's compartments, in the order of the vocabulary; see :data:`Labels`.
        vocabulary: Which compartments there are.
        model: SHA-256 of the model, see :func:`protloc.apply.embed.model_hash`.
        stains: Names of the stains the model was given, in its order.
        rejected: Fields that could not be read: columns ``id``, ``reason``.
    """

    ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    labels: tuple[Labels, ...]
    vocabulary: Vocabulary
    model: str
    stains: tuple[str, ...]
    rejected: pd.DataFrame = field(default_factory=_none_rejected)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return for which fields the labels are known, shape (fields,)."""
        return np.array([labels is not None for labels in self.labels], bool)

    @cached_property
    def targets(self) -> NDArray[np.bool_]:
        """Return which compartments each field is labelled with, shape (fields, classes); none where unknown."""
        return has_compartments(self.labels, self.vocabulary.names)


def has_compartments(labels: Sequence[Labels], names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which of the named compartments stand in each label set, shape (len(labels), len(names))."""
    columns = {name: column for column, name in enumerate(names)}
    targets = np.zeros((len(labels), len(names)), bool)
    for row, told in enumerate(labels):
        targets[row, [columns[name] for name in told or ()]] = True
    return targets


def embed_fields(
    bundle: Model,
    source: StrPath,
    *,
    labels: LabelTable | None = None,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Embedded:
    """Embed every field of a folder of images, or of a store.

    Args:
        bundle: The trained model.
        source: A folder of images, as for ``prepare``, or a store; the fields of a clean store are photographed.
        labels: Label sets of fields by id, some fields may lack one; those of the store if not given. A tile has the
            labels of its field.
        stains: The stains that are given, with their file suffixes where the source is a folder; see
            :func:`protloc.apply.given.fields_given`.
        reading: For a folder: tiles, bit depth and limits; what it leaves open is the model's.
        jobs: Threads that decode; as many as there are processors if not given.
        progress: Called with how many fields of how many are done.

    Raises:
        BundleError: if the model cannot take these stains, or a store of this side.
        ImageError: if the folder holds no image of these stains, or no field of it can be read.
        TableError: if the table has no label set of any of the fields.
        SettingsError: if tiles are asked for of a store.
    """
    if (Path(source) / "store.json").is_file():
        if reading is not None and reading.tile is not None:
            raise SettingsError(f"--tile: {source} is a store, whose fields are cut already. Leave it out.")
        return _of_store(bundle, Store.open(source), labels=labels, stains=stains, progress=progress)
    given = fields_given(bundle, source, stains=stains, reading=reading)
    _labels_of([field.id for field in given.fields], labels)  # a table of other fields is refused before hours of work
    found = embeddings(bundle, given.batches(jobs=jobs, progress=progress))
    ids = tuple(each for each, there in zip(given.ids, given.readable, strict=True) if there)
    return Embedded(
        ids,
        found,
        _labels_of(_labelled_ids(given, ids), labels),
        labels.vocabulary if labels else bundle.vocabulary,
        model_hash(bundle),
        given.names,
        pd.DataFrame(given.rejected.items(), columns=["id", "reason"]),
    )


def _of_store(
    bundle: Model,
    store: Store,
    *,
    labels: LabelTable | None,
    stains: Sequence[Stain] | None,
    progress: Progress | None,
) -> Embedded:
    names = {stain.name for stain in stains or store.stains}
    batches = stored_batches(bundle, store, np.arange(len(store)), stains=names, progress=progress)
    labels = labels or (store.table if store.labelled else None)
    tiled = store.tile is not None and labels is not None and labels.rows.keys().isdisjoint(store.ids)
    told = _labels_of([each.rpartition(".")[0] for each in store.ids] if tiled else store.ids, labels)
    there = tuple(stain.name for stain in bundle.stains if stain.name in names)
    vocabulary = labels.vocabulary if labels else store.vocabulary
    return Embedded(store.ids, embeddings(bundle, batches), told, vocabulary, model_hash(bundle), there)


def _labelled_ids(given: GivenFields, ids: Sequence[str]) -> Sequence[str]:
    """Return under which id each field or tile stands in a label table."""
    return ids if given.reading.tile is None else [each.rpartition(".")[0] for each in ids]


def _labels_of(ids: Sequence[str], table: LabelTable | None) -> tuple[Labels, ...]:
    if table is None:
        return (None,) * len(ids)
    if table.rows.keys().isdisjoint(ids):
        raise TableError(
            f"--labels: none of {len(table):,} ids stands for a field here, such as {ids[0]!r}; the first of the table "
            f"is {table.ids[0]!r}. Give the label table of these fields."
        )
    names = dict(zip((entry.id for entry in table.vocabulary.compartments), table.vocabulary.names, strict=True))
    return tuple(_names_of(each, table, names) for each in ids)


def _names_of(field_id: str, table: LabelTable, names: Mapping[int, str]) -> Labels:
    row = table.rows.get(field_id)
    return None if row is None else tuple(names[class_id] for class_id in table.labels[row])
