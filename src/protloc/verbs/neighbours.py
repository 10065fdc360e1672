"""Finding the labelled fields that are most like new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protloc.apply.embedded import Embedded, embed_fields
from protloc.apply.neighbours import Index, Neighbours
from protloc.apply.predictions import check_output, rejected_file, write_table
from protloc.atlas.files import StrPath
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.learn.model import Model
from protloc.progress import Progress
from protloc.verbs.embed import write_rejected


@dataclass(frozen=True, eq=False)
class NeighboursResult:
    """What ``neighbours`` found and wrote.

    Attributes:
        file: The neighbours: a row for each of each field.
        votes: The share of neighbours with each compartment: a row a field.
        index: Where they were searched for.
        queries: The fields that were searched for.
        found: The neighbours.
    """

    file: Path
    votes: Path
    index: Index
    queries: Embedded
    found: Neighbours

    @property
    def summary(self) -> str:
        """Return in words what was found and what to know of it."""
        fields, k = self.found.similarities.shape
        told = [
            f"{self.file}: {fields:,} fields, {len(self.queries.rejected)} rejected.",
            f"For each the {k} most similar of the {len(self.index):,} fields of {self.index.file}.",
            f"{self.votes}: the share of these neighbours that have each compartment.",
        ]
        if k:
            typical = float(np.median(self.found.similarities[:, 0]))
            told.append(f"Similarity of the nearest: {typical:.2f} in the middle, 1 would be alike to the model.")
        if all(labels is None for each in self.found.labels for labels in each):
            told.append("None of them is labelled: make the index with protloc embed … --labels.")
        if self.queries.stains != self.index.stains:
            told.append(
                f"The fields have the stains {', '.join(self.queries.stains)}, those of the index "
                f"{', '.join(self.index.stains)}: part of what differs may be the stains. Make an index of the same: "
                f"protloc embed … --stains {','.join(self.queries.stains)}"
            )
        if len(self.queries.rejected):
            told.append(f"Why fields were rejected is in {rejected_file(self.file)}.")
        return "\n".join(told)


def neighbours(
    bundle: Model,
    source: StrPath,
    *,
    index: StrPath,
    out: StrPath,
    k: int = 5,
    approximate: bool = False,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> NeighboursResult:
    """Find for each field those of an index that are most similar to the model, by the cosine of their embeddings.

    A field that is in the index itself is not its own neighbour.

    Args:
        bundle: The model that the index was made with.
        source: A folder of images or a store.
        index: What ``embed`` wrote as ``.parquet``.
        out: ``.csv`` or ``.parquet``; the shares of compartments are written beside it as ``<name>.votes.<ending>``.
        k: How many neighbours of each field.
        approximate: Search by faiss along a graph, for very many fields; else exactly.
        stains: The stains that are given; see :func:`protloc.apply.embedded.embed_fields`.
        reading: For a folder: tiles, bit depth and limits.
        jobs: Threads that decode; as many as there are processors if not given.
        progress: Called with how many fields of how many are done.

    Raises:
        SettingsError: if the file's ending is another, it lies in a file, or ``k`` is less than 1.
        TableError: if the index is none.
        BundleError, ImageError: as :func:`protloc.apply.embedded.embed_fields` says, and if the index was made with
            another model.
        MissingExtraError: if the search is to be approximate and faiss is not installed.
    """
    out = Path(out)
    check_output(out)
    atlas = Index.read(index, bundle, way="approximate" if approximate else "streamed")
    queries = embed_fields(bundle, source, stains=stains, reading=reading, jobs=jobs, progress=progress)
    found = atlas.search(queries.embeddings, k, ids=queries.ids)
    votes = out.with_name(f"{out.stem}.votes{out.suffix}")
    write_table(out, found.table(queries.ids))
    write_table(votes, found.vote_table(queries.ids))
    write_rejected(out, queries.rejected)
    return NeighboursResult(out, votes, atlas, queries, found)
