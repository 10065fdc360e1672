"""The store: packed fields on disk, memory-mapped to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, sha256_of
from protloc.atlas.stains import Stain
from protloc.atlas.table import LabelTable
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import StoreError

FORMAT = 1
SHARD_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Store:
    """Fields of one side and one set of stains, packed for fast random reading.

    Attributes:
        folder: Where it lies.
        side: Height and width of every image in px.
        stains: What each channel shows, in channel order.
        vocabulary: What the class ids mean.
        labelled: Whether the fields have label sets.
        tile: Side in source px of the tiles fields were cut into, or None.
        bit_depth: Bits that 16-bit files were said to have, or None where each field told it.
        seal: SHA-256 of all that the store is; another store has another one.
        clean: Whether the images are clean stains, coded by ``atlas.simulate.code_clean``, which a camera has yet to
            photograph; false in stores of photographs.
        source: Where the images came from: ``folder``, ``labels``, ``simulated`` (bool).
        fields: A row a field: ``id``, ``labels``, ``group``, ``source_side``, ``bit_depth``, and ``mean_<stain>``,
            ``sd_<stain>`` in grey levels of 255.
        shards: File names of the images, in row order.
    """

    folder: Path
    side: int
    stains: tuple[Stain, ...]
    vocabulary: Vocabulary
    labelled: bool
    tile: int | None
    bit_depth: int | None
    seal: str
    clean: bool
    source: Mapping[str, Any]
    fields: pd.DataFrame
    shards: tuple[str, ...]

    @classmethod
    def open(cls, folder: StrPath, *, verify: bool = True) -> Store:
        """Open a store that ``prepare`` made.

        Args:
            folder: The store.
            verify: Compare the SHA-256 of every file with the one written when the store was made.

        Raises:
            StoreError: if there is no finished store, or a file of it is missing or changed.
        """
        folder = Path(folder)
        written = _read_description(folder)
        for name, expected in written["sha256"].items():
            _check_file(folder / name, expected if verify else None)
        return cls(
            folder=folder,
            side=written["side"],
            stains=tuple(Stain(**stain) for stain in written["channels"]),
            vocabulary=Vocabulary.from_json(written["vocabulary"]),
            labelled=written["labelled"],
            tile=written["tile"],
            bit_depth=written["bit_depth"],
            seal=written["seal"],
            clean=written.get("clean", False),  # stores of photographs do not mention it
            source=written["source"],
            fields=pq.read_table(folder / "fields.parquet").to_pandas(),
            shards=tuple(name for name in written["sha256"] if name.endswith(".npy")),
        )

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the field ids in row order."""
        return tuple(self.fields["id"])

    @cached_property
    def table(self) -> LabelTable:
        """Return the label table of the fields in row order.

        Raises:
            StoreError: if the store is unlabelled.
        """
        if not self.labelled:
            raise StoreError(f"{self.folder}: the store has no labels. Prepare it again with --labels TABLE.csv.")
        labels = tuple(tuple(int(class_id) for class_id in ids) for ids in self.fields["labels"])
        return LabelTable(self.ids, labels, self.vocabulary, groups=tuple(self.fields["group"]))

    @property
    def targets(self) -> NDArray[np.uint8]:
        """Return the multi-hot array of shape (fields, classes), uint8.

        Raises:
            StoreError: if the store is unlabelled.
        """
        return self.table.targets

    def images(self, rows: NDArray[np.intp] | Sequence[int]) -> NDArray[np.uint8]:
        """Read fields by row.

        Returns:
            New array of shape (len(rows), stains, side, side), uint8, in the order of ``rows``.
        """
        wanted = np.asarray(rows, np.intp)
        if len(self._mapped) == 1:
            return self._mapped[0][wanted]
        images = np.empty((len(wanted), len(self.stains), self.side, self.side), np.uint8)
        shard_of, row_in_shard = np.divmod(wanted, len(self._mapped[0]))
        for shard in np.unique(shard_of):
            here = shard_of == shard
            images[here] = self._mapped[shard][row_in_shard[here]]
        return images

    @cached_property
    def _mapped(self) -> tuple[NDArray[np.uint8], ...]:
        return tuple(np.load(self.folder / name, mmap_mode="r") for name in self.shards)


def _read_description(folder: Path) -> dict[str, Any]:
    file = folder / "store.json"
    try:
        written = json.loads(file.read_text("utf-8"))
    except OSError as error:
        unfinished = partial_of(folder).is_dir()
        remedy = "It is unfinished: run the same prepare again." if unfinished else "Make one with protloc prepare."
        raise StoreError(f"{folder}: not a store, it has no store.json. {remedy}") from error
    except ValueError as error:
        raise StoreError(f"{file}: damaged ({error}). Prepare the store again.") from error
    found = written.get("format") if isinstance(written, dict) else None
    if found != FORMAT:
        raise StoreError(f"{file}: format {found}, expected {FORMAT}. Prepare the store again.")
    if sealed(written) != written:
        raise StoreError(f"{file}: changed or damaged, its own SHA-256 is wrong. Prepare the store again.")
    return written


def sealed(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``store.json`` with its own SHA-256, which ``Store.open`` compares."""
    rest = {key: value for key, value in description.items() if key != "seal"}
    return rest | {"seal": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def _check_file(file: Path, sha256: str | None) -> None:
    if not file.is_file():
        raise StoreError(f"{file}: missing, though store.json names it. Prepare the store again.")
    if sha256 is not None and (found := sha256_of(file)) != sha256:
        raise StoreError(
            f"{file}: changed or damaged, SHA-256 {found[:12]}…, expected {sha256[:12]}…. Prepare the store again."
        )


def partial_of(folder: Path) -> Path:
    """Return where a store lies while it is being made."""
    whole = folder.resolve()
    return whole.parent / f"{whole.name}.partial"
