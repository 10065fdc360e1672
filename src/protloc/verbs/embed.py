"""Embedding fields to a file, with a map of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from protloc.apply.embedded import Embedded, embed_fields
from protloc.apply.embedded_files import check_embedding_output, write_embedded
from protloc.apply.maps import FieldMap, field_map
from protloc.apply.predictions import rejected_file
from protloc.atlas.files import StrPath, atomic_file, write_csv
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.atlas.table import LabelTable
from protloc.learn.model import Model
from protloc.progress import Progress
from protloc.show.figures import png_bytes
from protloc.show.figures_map import map_figure


@dataclass(frozen=True, eq=False)
class EmbedResult:
    """What ``embed`` wrote.

    Attributes:
        file: The embeddings: ``.parquet`` or ``.h5ad``.
        figure: The map of the fields, PNG.
        embedded: The embeddings.
        map: Where the fields lie on the map.
    """

    file: Path
    figure: Path
    embedded: Embedded
    map: FieldMap

    @property
    def summary(self) -> str:
        """Return in words what was written and what to know of it."""
        fields, dimensions = self.embedded.embeddings.shape
        labelled, rejected = self.embedded.known.sum(), len(self.embedded.rejected)
        told = [
            f"{self.file}: {fields:,} fields of {dimensions:,} features; {labelled:,} labelled, {rejected} rejected.",
            f"{self.figure}: their map ({self.map.method}).",
        ]
        if self.map.method == "PCA":
            share = 100 * self.map.shares[:2].sum()
            told.append(
                f"The two axes of the map hold {share:.0f} % of the differences between fields. "
                "Neighbours lie closer together by UMAP: pip install 'protloc[umap]'."
            )
        if len(self.embedded.rejected):
            told.append(f"Why fields were rejected is in {rejected_file(self.file)}.")
        if self.file.suffix == ".parquet" and self.embedded.known.any():
            told.append(f"Fields like others are found in it: protloc neighbours … --index {self.file}")
        return "\n".join(told)


def embed(
    bundle: Model,
    source: StrPath,
    *,
    out: StrPath,
    labels: LabelTable | None = None,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> EmbedResult:
    """Embed fields, write them with their labels, and draw a map of them beside.

    Args:
        bundle: The trained model.
        source: A folder of images or a store.
        out: ``.parquet``, an index for ``neighbours``; or ``.h5ad``, for scanpy. The map is the PNG of the same name.
        labels: Label sets of fields by id; those of the store if not given.
        stains: The stains that are given; see :func:`protloc.apply.embedded.embed_fields`.
        reading: For a folder: tiles, bit depth and limits.
        jobs: Threads that decode; as many as there are processors if not given.
        seed: Decides where UMAP begins.
        progress: Called with how many fields of how many are done.

    Raises:
        SettingsError: if the file's ending is another.
        MissingExtraError: if ``.h5ad`` is asked for and anndata is not installed.
        BundleError, ImageError, TableError: as :func:`protloc.apply.embedded.embed_fields` says.
    """
    out = Path(out)
    check_embedding_output(out)
    embedded = embed_fields(
        bundle, source, labels=labels, stains=stains, reading=reading, jobs=jobs, progress=progress
    )  # fmt: skip
    places = field_map(embedded.embeddings, seed=seed)
    write_embedded(embedded, places, out)
    write_rejected(out, embedded.rejected)
    picture = out.with_suffix(".png")
    drawn = map_figure(places.places, embedded.targets, embedded.known, embedded.vocabulary, by=places.method)
    with atomic_file(picture) as temporary:
        temporary.write_bytes(png_bytes(drawn))
    return EmbedResult(out, picture, embedded, places)


def write_rejected(out: Path, rejected: pd.DataFrame) -> None:
    """List rejected fields beside a file, or remove the list of an earlier call if there are none."""
    rejected_file(out).unlink(missing_ok=True)
    if len(rejected):
        write_csv(rejected_file(out), rejected)
