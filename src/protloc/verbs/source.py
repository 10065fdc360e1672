"""What a command is given: a store or a bare label table."""

from __future__ import annotations

from pathlib import Path

from protloc.atlas.files import StrPath
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable, read_labels
from protloc.atlas.vocabulary import Vocabulary, load_vocabulary
from protloc.errors import TableError


def open_source(source: StrPath, *, vocabulary: Vocabulary | None = None) -> Store | LabelTable:
    """Open a store's folder, or read a label table's file.

    Args:
        source: A folder is taken for a store, anything else for a label table.
        vocabulary: What a table's class ids mean; ``kaggle2018`` if not given. A store has its own.

    Raises:
        StoreError: if the folder is no store.
        TableError: if the file is missing or is no label table.
    """
    source = Path(source)
    if not source.exists():
        raise TableError(f"{source}: does not exist; expected the folder of a store or the file of a label table.")
    if source.is_dir():
        return Store.open(source)
    return read_labels(source, vocabulary or load_vocabulary("kaggle2018"))
