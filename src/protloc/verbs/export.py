"""Exporting a bundle, once it is shown what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.apply.export import make_export
from protloc.apply.given import stored_batches
from protloc.apply.rows import see_rows
from protloc.apply.see import Seen
from protloc.atlas.files import StrPath
from protloc.atlas.store import Store
from protloc.curate.split import Folds, Split, rows_of
from protloc.errors import BundleError, SettingsError, SplitError
from protloc.judge.answering import answer
from protloc.judge.metrics import macro_f1
from protloc.learn.bundle import Bundle
from protloc.learn.engines import Engine, Precision
from protloc.learn.export import EXPORTS, Export, Verified
from protloc.learn.model import Model
from protloc.learn.runs import SETTINGS_FILE, read_run
from protloc.learn.starter import SHIPPED
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
            f"fields no logit is off by more than {verified.logits.farthest:.2g} (tolerance "
            f"{verified.logits.tolerance:.2g}), no embedding by more than {verified.embeddings.farthest:.2g} "
            f"({verified.embeddings.tolerance:.2g}), no probability by more than {verified.max_probability:.2g}."
        )
        if verified.computed_in != export.precision:
            told += (
                f" This processor computed it in {verified.computed_in}: make it on one that has {export.precision}."
            )
        if verified.macro_f1 is None or verified.macro_f1_lost is None or verified.agreement is None:
            return f"{told} What it costs was not judged; name a store by --store."
        before = verified.macro_f1 + verified.macro_f1_lost
        plain = "" if export.rule.fields else " Thresholds were never fitted: run protloc evaluate and export again."
        return (
            f"{told}\nOn {verified.scored} fields it did not learn from macro-F1 is {verified.macro_f1:.4f}, the "
            f"bundle's {before:.4f}; {verified.agreement:.2%} of the calls are alike.{plain}"
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
        split_name: Split of the store. Of folds as many fields are judged as one has, from all, each by the network
            that did not learn from it.
        force: Write it though it costs more macro-F1 than 0.003.
        progress: Called while it is judged.

    Raises:
        BundleError: if it has no folder and ``out`` is not given, or its answers lie too far from the bundle's.
        SettingsError: if the engine does not compute in this precision, or int8 is asked for without a store.
        SplitError, MissingExtraError: if the split or the engine is not there, or the folds are not the bundle's.
    """
    folder = _place(bundle, engine, precision) if out is None else Path(out)
    if store is None:
        return Exported(make_export(bundle, folder, engine=engine, precision=precision), folder)
    trial = _trial_of(bundle, store, split_name)
    learnt = trial.learnt[np.linspace(0, len(trial.learnt) - 1, CALIBRATED_ON).astype(np.intp)]
    shown = stored_batches(bundle, store, np.unique(learnt)) if precision == "int8" else ()
    calibration = [field[np.newaxis] for batch in shown for field in batch]

    def score(export: Export, verified: Verified) -> Verified:
        return _scored(bundle, export, verified, store=store, trial=trial, force=force, progress=progress)

    made = make_export(bundle, folder, engine=engine, precision=precision, calibration=calibration, score=score)
    return Exported(made, folder)


def trained_on(given: Path, *, store: Path | None, split_name: str | None) -> tuple[Store | None, str]:
    """Return the store and the split that a bundle or run is to be judged on.

    Args:
        given: What is exported.
        store: What it was trained on; a run's own, if it is still there, where not given.
        split_name: Split of the store; a run's own, of a bundle ``default``, where not given.

    Raises:
        RunError: if it is a damaged run, or these are not the store and the split that the run was trained with.
        SettingsError: if a split is named and no store.
        StoreError, SplitError: if what is named is not there.
    """
    run = read_run(given) if (given / SETTINGS_FILE).is_file() else None
    if store is None and run is not None and run.store.is_dir():
        store = run.store
    name = split_name or ("default" if run is None else run.split_name)
    if store is None:
        if split_name is not None:
            raise SettingsError(f"--split: {split_name} is a split of a store, and there is none. Name it by --store.")
        return None, name
    opened = Store.open(store, verify=False)
    if run is not None:
        run.check_fields(opened, read_split(opened, name))
    return opened, name


def _place(bundle: Bundle, engine: Engine, precision: Precision) -> Path:
    if bundle.folder is None:
        raise BundleError("export: the bundle lies in no folder. Name a place by --out.")
    if bundle.folder == SHIPPED:
        raise BundleError("export: the starter lies where protloc is installed. Name a place by --out.")
    return bundle.folder / EXPORTS / f"{engine}-{precision}"


@dataclass(frozen=True, eq=False)
class _Trial:
    """Rows of a store by which an export is made and judged.

    Attributes:
        learnt: Those that its networks learnt from.
        judged: Others.
        networks: Which of its networks answers each of these; None where all do.
    """

    learnt: NDArray[np.intp]
    judged: NDArray[np.intp]
    networks: NDArray[np.intp] | None = None

    def logits(self, seen: Seen) -> NDArray[np.float32]:
        """Return the logits (fields, classes) of the judged rows."""
        return seen.mean_logits if self.networks is None else seen.logits[self.networks, np.arange(len(self.judged))]


def _trial_of(bundle: Bundle, store: Store, split_name: str) -> _Trial:
    partition: Split | Folds = read_split(store, split_name)
    if isinstance(partition, Folds):
        return _trial_of_folds(bundle, store, partition, split_name)
    rows = rows_of(partition, store.ids)
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise SplitError(
                f"{store.folder}: the {part} part of {split_name} is empty. Make a split that gives it fields."
            )
    return _Trial(rows["train"], rows["validation"])


def _trial_of_folds(bundle: Bundle, store: Store, folds: Folds, name: str) -> _Trial:
    if folds.count != len(bundle.members):
        raise SplitError(
            f"{store.folder}: {name} has {folds.count} folds, the bundle networks of {len(bundle.members)}. "
            "Name the folds it was trained on by --split."
        )
    fold_of, every = np.empty(len(store), np.intp), np.arange(len(store))
    for fold in range(folds.count):
        fold_of[rows_of(folds.split(fold), store.ids)["test"]] = fold
    judged = every[:: folds.count]
    return _Trial(np.delete(every, judged), judged, fold_of[judged])


def _scored(
    bundle: Bundle,
    export: Export,
    verified: Verified,
    *,
    store: Store,
    trial: _Trial,
    force: bool,
    progress: Progress | None,
) -> Verified:
    """Judge both on fields they did not learn from, by the bundle's own rule."""
    rows, rule = trial.judged, bundle.rule_for([stain.name for stain in store.stains])

    def called(model: Model, done: int) -> NDArray[np.bool_]:
        seen = see_rows(model, store, rows, progress=going_on(progress, done, 2 * len(rows)))
        return answer(rule, trial.logits(seen)).called

    truth, before, after = store.targets[rows], called(bundle, 0), called(export, len(rows))
    reached = macro_f1(truth, after)
    lost = macro_f1(truth, before) - reached
    if lost > MOST_LOST and not force:
        raise BundleError(
            f"export: {export.engine} in {export.precision} costs {lost:.4f} of macro-F1 on {len(rows)} fields it "
            f"did not learn from ({reached:.4f}), expected at most {MOST_LOST}. Nothing was written; choose another "
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
