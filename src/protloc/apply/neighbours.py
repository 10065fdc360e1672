"""The labelled fields of an atlas that are most like others."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.apply.embed import model_hash
from protloc.apply.embedded import Labels, has_compartments
from protloc.apply.embedded_files import FORMAT, META, ROW_GROUP, in_words
from protloc.apply.nearest import ExactSearch, GraphSearch, Search, Vectors, unit
from protloc.atlas.files import StrPath
from protloc.errors import BundleError, SettingsError, TableError
from protloc.learn.model import Model

ITSELF = 0.9999  # cosine from which a field of the same id is the same image, not one that happens to be called alike

Way = Literal["streamed", "held", "approximate"]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The fields of an index that are most like some others, the most similar first.

    Attributes:
        ids: The neighbours of each field, each of ``k``.
        similarities: Cosine of the embeddings, shape (fields, k), float32, -1..1.
        labels: The names of each neighbour's compartments, see :data:`protloc.apply.embedded.Labels`.
        names: The compartments of the index.
    """

    ids: tuple[tuple[str, ...], ...]
    similarities: NDArray[np.float32]
    labels: tuple[tuple[Labels, ...], ...]
    names: tuple[str, ...]

    @cached_property
    def votes(self) -> NDArray[np.float64]:
        """Return the share of the labelled neighbours that have each compartment, (fields, classes); NaN of none."""
        shares = np.full((len(self.ids), len(self.names)), np.nan)
        for row, labels in enumerate(self.labels):
            told = [each for each in labels if each is not None]
            if told:
                shares[row] = has_compartments(told, self.names).mean(axis=0)
        return shares

    def table(self, queries: Sequence[str]) -> pd.DataFrame:
        """Return a row for each neighbour of each field.

        Args:
            queries: The ids of the fields that were searched for.

        Returns:
            Columns ``id``; ``rank``, from 1 on; ``neighbour``, its id; ``similarity``; ``labels``, names joined by
            ``; ``, ``none`` if it has none, empty if they are unknown.
        """
        fields, k = self.similarities.shape
        return pd.DataFrame(
            {
                "id": np.repeat(np.array(queries, object), k),
                "rank": np.tile(np.arange(1, k + 1), fields),
                "neighbour": [neighbour for ids in self.ids for neighbour in ids],
                "similarity": self.similarities.reshape(-1),
                "labels": [in_words(each) for labels in self.labels for each in labels],
            }
        )

    def vote_table(self, queries: Sequence[str]) -> pd.DataFrame:
        """Return a row a field: ``id``, then a column a compartment with the share of neighbours that have it."""
        frame = pd.DataFrame(self.votes, columns=list(self.names))
        frame.insert(0, "id", list(queries))
        return frame


@dataclass(frozen=True, eq=False)
class Index:
    """Embedded, labelled fields in which neighbours are searched for.

    Attributes:
        file: Where it lies.
        names: Which compartments there are.
        stains: Names of the stains its fields were embedded by, in the model's order.
        fields: Columns ``id`` and ``labels``, a row a field.
        search_way: How the nearest are found.
    """

    file: Path
    names: tuple[str, ...]
    stains: tuple[str, ...]
    fields: pa.Table
    search_way: Search

    def __len__(self) -> int:
        return self.fields.num_rows

    @classmethod
    def read(cls, file: StrPath, bundle: Model, *, way: Way = "held") -> Index:
        """Open an index that ``protloc embed`` wrote.

        Args:
            file: The parquet file.
            bundle: The model whose embeddings are to be searched for.
            way: ``held`` keeps all embeddings in memory, for many searches; ``streamed`` reads them from the file in
                every search, a block at a time, for one of any size; both are exact. ``approximate`` builds a graph
                by faiss.

        Raises:
            TableError: if the file is no such index, an empty one, or damaged; ``streamed`` may tell only in a search.
            BundleError: if the index was made with another model.
            MissingExtraError: if faiss is needed and not installed.
        """
        file = Path(file)
        opened = _opened(file)
        described, asked = _described(file, opened), model_hash(bundle)
        if described["model"] != asked:
            raise BundleError(
                f"{file}: made with another model (SHA-256 {described['model'][:12]}…, this one's is "
                f"{asked[:12]}…), whose embeddings mean something else. Make the index with this model: "
                "protloc embed."
            )
        with _undamaged(file):
            fields = opened.read(columns=["id", "labels"])
        return cls(file, tuple(described["classes"]), tuple(described["stains"]), fields, _search(opened, way, file))

    def search(self, embeddings: Vectors, k: int, *, ids: Sequence[str] | None = None) -> Neighbours:
        """Find the fields whose embeddings point in the most similar directions.

        Args:
            embeddings: Of the model of the index, shape (fields, dimensions).
            k: How many neighbours; all there are if the index has fewer.
            ids: The ids of the fields. With them, a field is not its own neighbour: one of the same id and the same
                embedding is left out.

        Raises:
            SettingsError: if ``k`` is less than 1.
        """
        if k < 1:
            raise SettingsError(f"--k: {k}, expected at least 1.")
        one_more = min(k + (ids is not None), len(self))
        similarities, rows = self.search_way.nearest(unit(embeddings), one_more)
        similarities, rows = np.clip(similarities, -1, 1), np.asarray(rows)
        if ids is not None:
            similarities, rows = self._without_themselves(similarities, rows, ids, k)
        found = self.fields.take(rows.reshape(-1))
        return Neighbours(
            _by_query(found["id"].to_pylist(), len(embeddings)),
            similarities,
            _by_query([None if told is None else tuple(told) for told in found["labels"].to_pylist()], len(embeddings)),
            self.names,
        )

    def _without_themselves(
        self, similarities: Vectors, rows: NDArray[np.int64], ids: Sequence[str], k: int
    ) -> tuple[Vectors, NDArray[np.int64]]:
        found = np.array(self.fields["id"].take(rows.reshape(-1)).to_pylist(), object).reshape(rows.shape)
        own = (found == np.array(ids, object)[:, np.newaxis]) & (similarities > ITSELF)
        order = np.argsort(own, axis=1, kind="stable")[:, : min(k, rows.shape[1] - own.any())]
        return np.take_along_axis(similarities, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _by_query(values: list[Any], queries: int) -> tuple[tuple[Any, ...], ...]:
    each = len(values) // max(queries, 1)
    return tuple(tuple(values[start : start + each]) for start in range(0, queries * each, each or 1))


def _search(opened: pq.ParquetFile, way: Way, file: Path) -> Search:
    if way == "approximate":
        return GraphSearch(_blocks(opened, file))
    if way == "streamed":
        return ExactSearch(lambda: _blocks(opened, file))
    held = list(_blocks(opened, file))
    return ExactSearch(lambda: held)


def _blocks(opened: pq.ParquetFile, file: Path) -> Iterator[Vectors]:
    """Yield the embeddings of an index as unit vectors, a block at a time."""
    dimensions = opened.schema_arrow.field("embedding").type.list_size
    with _undamaged(file):
        for batch in opened.iter_batches(ROW_GROUP, columns=["embedding"]):
            yield unit(batch.column(0).flatten().to_numpy().reshape(-1, dimensions))


def _opened(file: Path) -> pq.ParquetFile:
    if not file.is_file():
        raise TableError(f"{file}: no such file. Name an index: {_REMEDY}")
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise TableError(f"{file}: not a parquet file, or only part of one. Name an index: {_REMEDY}") from error


@contextmanager
def _undamaged(file: Path) -> Generator[None]:
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise TableError(f"{file}: damaged ({error}). Copy it again, or make it anew: {_REMEDY}") from error


def _described(file: Path, opened: pq.ParquetFile) -> dict[str, Any]:
    schema = opened.schema_arrow
    described = json.loads((schema.metadata or {}).get(META, b"{}"))
    shaped = "embedding" in schema.names and pa.types.is_fixed_size_list(schema.field("embedding").type)
    if described.get("format") != FORMAT or not shaped:
        raise TableError(f"{file}: parquet, but not an index of this version of protloc. Make one: {_REMEDY}")
    if not opened.metadata.num_rows:
        raise TableError(f"{file}: an index without a field, expected one at least. Make another: {_REMEDY}")
    return described


_REMEDY = "protloc embed BUNDLE STORE --out atlas.parquet"
