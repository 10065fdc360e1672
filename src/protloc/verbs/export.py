"""Exporting a bundle, once it is shown what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.apply.export import make_export
from protloc.apply.given import stored_batches
from protloc.apply.rows import see_rows
from protloc.atlas.files import StrPath
from protloc.atlas.store import Store
from protloc.curate.split import Folds, Split, rows_of
from protloc.errors import BundleError, SplitError
from protloc.judge.answering import answer
from protloc.judge.metrics import macro_f1
from protloc.learn.bundle import Bundle
from protloc.learn.engines import Engine, Precision
from protloc.learn.export import EXPORTS, Export, Verified
from protloc.learn.model import Model
from protloc.learn.runs import SETTINGS_FILE, read_run
from protloc.progress import Progress, going_on
from protloc.verbs.split import read_split

MOST_LOST = 0.003  # macro-F1 that an export may cost
CALIBRATED_ON = 300  # fields of the training part, of which the ranges of int8 are measured


@dataclass(frozen=True, eq=False)
class Exported:
    """What ``export`` made.

    Attributes:
        export: The export.
        folder: Where it lies.
    """

    export: Export
    folder: Path

    @property
    def summary(self) -> str:
        """Return in words where it is and how far its answers lie from the bundle's."""
        export, verified = self.export, self.export.verified
        told = (
            f"{self.folder}: {export.backbone} for {export.engine} in {export.precision}. On {verified.fields} test "
            f"fields no logit is off by more than {verified.max_difference:.2g} (tolerance {verified.tolerance:.2g}), "
            f"no probability by more than {verified.max_probability:.2g}."
        )
        if verified.macro_f1 is None or verified.macro_f1_lost is None or verified.agreement is None:
            return f"{told} What it costs was not judged; name a store by --store."
        before = verified.macro_f1 + verified.macro_f1_lost
        return (
            f"{told}\nOn {verified.scored} fields of the validation part macro-F1 is {verified.macro_f1:.4f}, the "
            f"bundle's {before:.4f}; {verified.agreement:.2%} of the calls are alike."
        )


def export_bundle(
    bundle: Bundle,
    *,
    engine: Engine,
    precision: Precision = "float32",
    out: StrPath | None = None,
    store: Store | None = None,
    split_name: str = "default",
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle's networks for another engine, and hold its answers against the bundle's.

    Args:
        bundle: What to export.
        engine: ``onnx`` or ``openvino``.
        precision: ``float32``, ``bf16`` or ``int8``; of ONNX only the first.
        out: Folder to make; ``exports/ENGINE-PRECISION`` in the bundle's if not given.
        store: What it was trained on: the training part tells the ranges of int8, the validation part what the export
            costs. Without one nothing is judged, and int8 cannot be made.
        split_name: Split of the store, or folds, of which the first is taken.
        force: Write it though it costs more macro-F1 than 0.003.
        progress: Called while the validation part is judged.

    Raises:
        BundleError: if it has no folder and ``out`` is not given, or its answers lie too far from the bundle's.
        SettingsError: if the engine does not compute in this precision, or int8 is asked for without a store.
        SplitError, MissingExtraError: if the split or the engine is not there.
    """
    folder = _place(bundle, engine, precision) if out is None else Path(out)
    if store is None:
        return Exported(make_export(bundle, folder, engine=engine, precision=precision), folder)
    rows = _parts(store, split_name)
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise SplitError(
                f"{store.folder}: the {part} part of {split_name} is empty. Make a split that gives it fields."
            )
    learnt = rows["train"][np.linspace(0, len(rows["train"]) - 1, CALIBRATED_ON).astype(np.intp)]
    shown = stored_batches(bundle, store, np.unique(learnt)) if precision == "int8" else ()
    calibration = [field[np.newaxis] for batch in shown for field in batch]

    def score(export: Export, verified: Verified) -> Verified:
        return _scored(bundle, export, verified, store=store, rows=rows["validation"], force=force, progress=progress)

    made = make_export(bundle, folder, engine=engine, precision=precision, calibration=calibration, score=score)
    return Exported(made, folder)


def trained_on(given: Path) -> tuple[Path | None, str]:
    """Return the store and split of a run, no store where it is gone; of a bundle none and ``default``.

    Raises:
        RunError: if it is a damaged run.
    """
    if not (given / SETTINGS_FILE).is_file():
        return None, "default"
    run = read_run(given)
    return run.store if run.store.is_dir() else None, run.split_name


def _place(bundle: Bundle, engine: Engine, precision: Precision) -> Path:
    if bundle.folder is None:
        raise BundleError("export: the bundle lies in no folder. Name a place by --out.")
    return bundle.folder / EXPORTS / f"{engine}-{precision}"


def _parts(store: Store, split_name: str) -> dict[str, NDArray[np.intp]]:
    partition: Split | Folds = read_split(store, split_name)
    return rows_of(partition.split(0) if isinstance(partition, Folds) else partition, store.ids)


def _scored(
    bundle: Bundle,
    export: Export,
    verified: Verified,
    *,
    store: Store,
    rows: NDArray[np.intp],
    force: bool,
    progress: Progress | None,
) -> Verified:
    """Judge both on the validation part, by the bundle's own rule."""

    def called(model: Model, done: int) -> NDArray[np.bool_]:
        seen = see_rows(model, store, rows, progress=going_on(progress, done, 2 * len(rows)))
        return answer(bundle.rule, seen.mean_logits).called

    truth, before, after = store.targets[rows], called(bundle, 0), called(export, len(rows))
    reached = macro_f1(truth, after)
    lost = macro_f1(truth, before) - reached
    if lost > MOST_LOST and not force:
        raise BundleError(
            f"export: {export.engine} in {export.precision} costs {lost:.4f} of macro-F1 on the {len(rows)} fields of "
            f"the validation part ({reached:.4f}), expected at most {MOST_LOST}. Nothing was written; choose another "
            "precision, or say --force."
        )
    return replace(
        verified,
        scored=len(rows),
        macro_f1=reached,
        macro_f1_lost=lost,
        agreement=float((before == after).mean()),
        forced=lost > MOST_LOST,
    )
