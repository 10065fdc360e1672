"""Simulated fields that the sections of the benchmark share."""

from __future__ import annotations

import os
from pathlib import Path

from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.simulate import simulate
from protloc.atlas.store import Store

FIELDS = 512
FILE_SIDE, SIDE = 256, 128


def atlas(scratch: Path, *, side: int = FILE_SIDE, fields: int = FIELDS) -> Path:
    """Return a folder with ``train`` and ``train.csv``: simulated fields of ``side`` px, made at first."""
    folder = scratch / f"atlas{side}-{fields}"
    if not folder.exists():
        simulate(folder, fields=fields, side=side)
    return folder


def store(scratch: Path, *, fields: int = FIELDS) -> Store:
    """Return the labelled store of an atlas of 256 px at 128 px, made at first."""
    source, folder = atlas(scratch, fields=fields), scratch / f"store{fields}"
    labels = source / "train.csv"
    return prepare(source / "train", folder, labels=labels, reading=Reading(side=SIDE)).store


def multiply(folder: Path, source: Path, *, fields: int) -> None:
    """Fill a new folder with ``fields`` fields that are hard links of those of ``source`` under other ids."""
    folder.mkdir()
    files = sorted(source.iterdir())
    stems = sorted({file.name.rpartition("_")[0] for file in files})
    stains = sorted({file.name.rpartition("_")[2] for file in files})
    for number in range(fields):
        stem = stems[number % len(stems)]
        for stain in stains:
            os.link(source / f"{stem}_{stain}", folder / f"f{number:06d}_{stain}")
