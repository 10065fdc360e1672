"""Files of embedded fields: parquet for protloc, AnnData for scanpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from protloc.apply.embedded import Embedded, Labels
from protloc.apply.maps import FieldMap
from protloc.atlas.files import atomic_file, check_folder
from protloc.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from anndata import AnnData

FORMAT = 1
ENDINGS = (".parquet", ".h5ad")
ROW_GROUP = 8192  # fields: 42 MB of 1,280 dimensions, what a search has in memory at a time
META = b"protloc"  # of the parquet schema: what the index is of, as JSON
NO_COMPARTMENT = "none"  # how a label set without a compartment is written


def check_embedding_output(file: Path) -> None:
    """Refuse, before hours of work, a file that cannot be written.

    Raises:
        SettingsError: if its ending is not ``.parquet`` or ``.h5ad``, or it lies in a file.
        MissingExtraError: if it is ``.h5ad`` and anndata is not installed.
    """
    if file.suffix not in ENDINGS:
        raise SettingsError(f"--out: {file} ends in {file.suffix!r}, expected {' or '.join(ENDINGS)}.")
    check_folder(file.parent)
    if file.suffix == ".h5ad" and find_spec("anndata") is None:
        raise MissingExtraError(
            f"--out: {file} needs anndata, which is not installed. pip install 'protloc[embed]', or write .parquet."
        )


def write_embedded(embedded: Embedded, places: FieldMap, file: Path) -> None:
    """Write embedded fields, whole or not at all.

    Parquet has the columns ``id``; ``labels``, a list of names, null where unknown; ``embedding``, a list of float32 of
    fixed length; ``map_x``, ``map_y``. Its metadata names the model, stains, classes. ``.h5ad`` is :func:`to_anndata`.

    Raises:
        SettingsError, MissingExtraError: as :func:`check_embedding_output` says.
    """
    check_embedding_output(file)
    if file.suffix == ".h5ad":
        made = to_anndata(embedded, places)
        with atomic_file(file) as temporary:
            made.write_h5ad(temporary)
    else:
        with atomic_file(file) as temporary:
            pq.write_table(
                _table(embedded, places), temporary, row_group_size=ROW_GROUP, use_dictionary=False, compression="zstd"
            )


def to_anndata(embedded: Embedded, places: FieldMap) -> AnnData:
    """Return embedded fields as single-cell tools take them: a field is what a cell is to them.

    ``X`` are the embeddings; ``obs["labels"]`` the label sets in words; ``obs[NAME]`` for each compartment whether it
    is among them (a ``/`` in its name, which the format cannot hold, becomes ``|``); ``obsm["X_pca"]`` of their
    directions, and ``obsm["X_umap"]`` if there is one; ``uns["protloc"]`` what made it.
    """
    import anndata

    obs = pd.DataFrame(embedded.targets, columns=[name.replace("/", "|") for name in embedded.vocabulary.names])
    told = [in_words(labels) for labels in embedded.labels]
    obs.insert(
        0, "labels", pd.Categorical(told, categories=_words(sorted({each for each in told if each is not None})))
    )
    obs.index = _words(embedded.ids)
    features = _words([str(number) for number in range(embedded.embeddings.shape[1])])
    made = anndata.AnnData(X=embedded.embeddings, obs=obs, var=pd.DataFrame(index=features))
    made.obsm["X_pca"] = places.components
    if places.method == "UMAP":
        made.obsm["X_umap"] = places.places
    made.uns["pca"] = {"variance_ratio": places.shares}
    made.uns["protloc"] = _description(embedded, places)
    return made


def _words(words: Sequence[str]) -> pd.Index:
    """Return words as Python's: anndata cannot write the Arrow strings that pandas 3 would make of them."""
    return pd.Index(words, dtype=object)


def in_words(labels: Labels) -> str | None:
    """Return a label set as people read it; None where it is unknown."""
    return None if labels is None else "; ".join(labels) or NO_COMPARTMENT


def _table(embedded: Embedded, places: FieldMap) -> pa.Table:
    dimensions = embedded.embeddings.shape[1]
    flat = pa.array(np.ascontiguousarray(embedded.embeddings).reshape(-1))
    columns = {
        "id": pa.array(embedded.ids, pa.string()),
        "labels": pa.array(embedded.labels, pa.list_(pa.string())),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, dimensions),
        "map_x": pa.array(places.places[:, 0]),
        "map_y": pa.array(places.places[:, 1]),
    }
    described = json.dumps(_description(embedded, places), ensure_ascii=False).encode()
    return pa.table(columns).replace_schema_metadata({META: described})


def _description(embedded: Embedded, places: FieldMap) -> dict[str, object]:
    return {
        "format": FORMAT,
        "model": embedded.model,
        "stains": list(embedded.stains),
        "classes": list(embedded.vocabulary.names),
        "map": places.method,
    }
