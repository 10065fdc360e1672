"""Simulated atlases on disk, in the layout of the Kaggle competition."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, atomic_file, write_csv, write_json
from protloc.atlas.simulate.camera import STAINS, code_clean, expose
from protloc.atlas.simulate.draw import FieldPlan, plan_fields
from protloc.atlas.simulate.staining import render_clean
from protloc.atlas.simulate.workers import spread
from protloc.errors import SettingsError, StoreError
from protloc.progress import Progress

RENDERING = 3  # goes up when the same seed no longer gives the same pixels
LEAST_SIDE, MOST_SIDE = 64, 2048
BATCH = 4  # fields a worker gets at a time
ARGUMENTS_FILE = "simulation.json"


@dataclass(frozen=True)
class SimulatedAtlas:
    """A finished simulated atlas.

    Attributes:
        folder: Where it lies.
        fields: How many fields it has.
        antibodies: How many antibodies they belong to.
        duplicates: How many fields are near-duplicates of another one.
    """

    folder: Path
    fields: int
    antibodies: int
    duplicates: int

    @property
    def images(self) -> Path:
        """Return the folder of ``<id>_<stain>.png``."""
        return self.folder / "train"

    @property
    def labels(self) -> Path:
        """Return the label table, ``Id,Target``."""
        return self.folder / "train.csv"

    @property
    def truth(self) -> Path:
        """Return the table of antibody, cell line, plate, well, exposure, a line a field."""
        return self.folder / "fields.csv"

    @property
    def masks(self) -> Path:
        """Return the folder of ``<id>_<class id>.png``, which exists where masks were asked for."""
        return self.folder / "masks"


@dataclass(frozen=True)
class _Arguments:
    fields: int
    side: int
    seed: int
    balanced: bool
    masks: bool
    clean: bool
    rendering: int = RENDERING


def simulate(
    dest: StrPath,
    *,
    fields: int,
    side: int = 512,
    seed: int = 0,
    jobs: int | None = None,
    balanced: bool = False,
    masks: bool = False,
    clean: bool = False,
    progress: Progress | None = None,
) -> SimulatedAtlas:
    """Write a synthetic atlas in Kaggle's layout, with what is true about it.

    ``dest`` gets ``train.csv`` (``Id,Target``), ``train/<id>_{red,green,blue,yellow}.png`` (8-bit gray),
    ``fields.csv`` (antibody, gene, cell line, plate, well, duplicate_of and the exposure of every field) and
    ``simulation.json`` (these arguments). With ``clean`` the images are no photographs but the clean stains, coded in
    8 bits (``code_clean``), for a camera that exposes them when they are loaded; ``fields.csv`` then tells the exposure
    they would have had. All is written to ``dest`` + ``.partial`` and renamed at the end; after a
    kill the same call goes on where it was, another call starts clean. Equal arguments give equal bytes, whatever
    ``jobs``; a smaller atlas is the beginning of a larger one of the same seed.

    Args:
        dest: Folder to make; the same atlas may stand there already, nothing else.
        fields: Number of fields, 1 or more.
        side: Side of every image in pixels, 64 to 2048.
        seed: 0 or more; decides everything.
        jobs: Worker processes; by default one a core. With 1 the work is done in this process. A script that asks
            for more needs the usual ``if __name__ == "__main__":`` guard.
        balanced: Draw most label sets by class, rare classes far above their real frequency.
        masks: Also write ``masks/<id>_<class id>.png``, 255 where the label's own light, before blur, noise and all
            other light, is above a quarter of its bright end (99.9th percentile), 0 elsewhere.
        clean: Write coded clean stains instead of photographs.
        progress: Told after each few finished fields.

    Raises:
        SettingsError: if ``fields``, ``side``, ``seed`` or ``jobs`` is out of range.
        StoreError: if something else stands at ``dest``.
    """
    arguments = _Arguments(fields, side, seed, balanced, masks, clean)
    _check(arguments, jobs)
    plans = plan_fields(fields, side=side, seed=seed, balanced=balanced)
    dest = Path(dest).resolve()
    if not _stands_already(dest, arguments):
        partial_folder = _begin(dest, arguments)
        _render_all(partial_folder, plans, arguments, jobs, progress)
        _finish(partial_folder, dest, plans)
    antibodies = len({plan.antibody.index for plan in plans})
    return SimulatedAtlas(dest, fields, antibodies, duplicates=sum(plan.twin is not None for plan in plans))


def _check(arguments: _Arguments, jobs: int | None) -> None:
    if arguments.fields < 1:
        raise SettingsError(f"fields: {arguments.fields} given, expected 1 or more. Say how many to make.")
    if not LEAST_SIDE <= arguments.side <= MOST_SIDE:
        expected = f"{LEAST_SIDE} to {MOST_SIDE} pixels"
        raise SettingsError(f"side: {arguments.side} given, expected {expected}. Choose one such as 256 or 512.")
    if arguments.seed < 0:
        raise SettingsError(f"seed: {arguments.seed} given, expected 0 or more. Choose another seed.")
    if jobs is not None and jobs < 1:
        raise SettingsError(f"jobs: {jobs} given, expected 1 or more. Leave it out for one process a core.")


def _stands_already(dest: Path, arguments: _Arguments) -> bool:
    if not dest.exists() or (dest.is_dir() and not any(dest.iterdir())):
        return False
    if _written(dest) == asdict(arguments):
        return True
    raise StoreError(
        f"{dest}: exists and is not the atlas asked for, expected a new folder or an atlas of the same arguments. "
        "Delete it or name another folder."
    )


def _written(folder: Path) -> dict[str, Any] | None:
    """Read the arguments an atlas was made with, or None where they cannot be read."""
    try:
        return json.loads((folder / ARGUMENTS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _begin(dest: Path, arguments: _Arguments) -> Path:
    """Open the unfinished folder, emptied unless it was begun with the same arguments."""
    folder = dest.with_name(dest.name + ".partial")
    begun = _written(folder)
    if begun is None and folder.exists() and any(folder.iterdir()):
        raise StoreError(
            f"{folder}: exists and is no unfinished atlas, expected a name that is free. "
            "Move it away, or name another folder."
        )
    if begun != asdict(arguments):
        shutil.rmtree(folder, ignore_errors=True)
    (folder / "train").mkdir(parents=True, exist_ok=True)
    if arguments.masks:
        (folder / "masks").mkdir(exist_ok=True)
    write_json(folder / ARGUMENTS_FILE, asdict(arguments))
    return folder


def _render_all(
    folder: Path, plans: Sequence[FieldPlan], arguments: _Arguments, jobs: int | None, progress: Progress | None
) -> None:
    waiting = [
        plan for plan in plans if not all(file.exists() for file in _files_of(folder, plan, masks=arguments.masks))
    ]
    batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
    work = partial(_render_batch, folder=folder, arguments=arguments)
    workers = min(jobs or os.cpu_count() or 1, max(len(batches) // 2, 1))
    done = len(plans) - len(waiting)
    for finished in spread(work, batches, workers=workers):
        done += finished
        if progress is not None:
            progress(done, len(plans))


def _render_batch(plans: list[FieldPlan], *, folder: Path, arguments: _Arguments) -> int:
    for plan in plans:
        pictures = _pictures(plan, arguments)
        for file, picture in zip(_files_of(folder, plan, masks=arguments.masks), pictures, strict=True):
            _write_png(file, picture)
    return len(plans)


def _pictures(plan: FieldPlan, arguments: _Arguments) -> list[NDArray[np.uint8]]:
    """Draw the four stains of a field, then its masks where they are wanted; each (side, side), uint8."""
    drawn = render_clean(plan, seed=arguments.seed)
    if arguments.clean:
        pictures = [*code_clean(drawn.stains)]
    else:
        pictures = [*expose(drawn.stains, plan.camera, rng=np.random.default_rng([arguments.seed, 4, plan.index]))]
    if arguments.masks:
        pictures += [drawn.masks[label].astype(np.uint8) * np.uint8(255) for label in plan.antibody.labels]
    return pictures


def _files_of(folder: Path, plan: FieldPlan, *, masks: bool) -> list[Path]:
    files = [folder / "train" / f"{plan.id}_{stain}.png" for stain in STAINS]
    return files + [folder / "masks" / f"{plan.id}_{label}.png" for label in plan.antibody.labels if masks]


def _write_png(file: Path, picture: NDArray[np.uint8]) -> None:
    _, code = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    with atomic_file(file) as temporary:
        temporary.write_bytes(code.tobytes())


def _finish(folder: Path, dest: Path, plans: Sequence[FieldPlan]) -> None:
    for leftover in folder.glob("*/.*.partial"):  # of a process that was killed while it wrote
        leftover.unlink()
    write_csv(folder / "fields.csv", pd.DataFrame([_truth_of(plan) for plan in plans]))
    labels = [{"Id": plan.id, "Target": " ".join(map(str, plan.antibody.labels))} for plan in plans]
    write_csv(folder / "train.csv", pd.DataFrame(labels))
    folder.replace(dest)


def _truth_of(plan: FieldPlan) -> dict[str, str | int | float | bool]:
    antibody, camera = plan.antibody, plan.camera
    return {
        "id": plan.id,
        "antibody": antibody.name,
        "gene": antibody.gene,
        "cell_line": plan.layout.line.name,
        "plate": f"P{plan.plate:03d}",
        "well": plan.well,
        "duplicate_of": plan.duplicate_of,
        "arrangement": plan.layout.order,
        "pixel_um": round(plan.layout.pixel, 4),
        "focus_um": round(camera.focus, 3),
        "dim": antibody.dim,
        "level": round(camera.level[1], 1),
        "photons": round(camera.photons[1], 1),
        "positive_cells": round(antibody.positive, 3),
        "haze_cytoplasm": round(antibody.haze[0], 3),
        "haze_nucleus": round(antibody.haze[1], 3),
        "weights": " ".join(f"{weight:.2f}" for weight in antibody.weights),
    }
