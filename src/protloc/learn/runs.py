"""Runs: what a training run left on disk; readable without Lightning."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from shutil import which

from protloc.atlas.store import Store
from protloc.curate.split import Folds, Split
from protloc.errors import RunError, SettingsError
from protloc.learn.bundle import Bundle
from protloc.learn.epochs import Epoch, has_stalled, mean_history, read_history
from protloc.learn.model import DESCRIPTION_FILE
from protloc.learn.recipes import TrainSettings
from protloc.settings import Settings

SETTINGS_FILE = "settings.toml"
LOG_FILE = "log.csv"
FOLDS_FOLDER = "folds"
RECORDED = ("protloc", "torch", "timm", "lightning", "numpy")  # what decides the numbers of a run


class RunRecord(Settings):
    """Where a run found its fields, and what it was made with.

    Attributes:
        store: Folder of the store.
        seal: SHA-256 of the store: one prepared anew could have other labels.
        split: Name of the split.
        split_digest: SHA-256 of the split's ids and parts, or folds: a split made anew would leak.
        python: Version of Python.
        versions: Version of each package that decides the numbers.
        commit: Commit of protloc's own checkout, empty where it was installed.
        folds: How many folds it has; 0 for an ordinary run.
    """

    store: str
    seal: str
    split: str
    split_digest: str
    python: str
    versions: dict[str, str]
    commit: str
    folds: int = 0


class RunSettings(TrainSettings):
    """All of ``settings.toml``: what the run was told, then the record."""

    run: RunRecord


@dataclass(frozen=True)
class Run:
    """A training run on disk; one of folds holds a run a fold, and the bundle of them all.

    Attributes:
        folder: Where it lies.
        settings: What it was told.
        record: Where it found its fields, and what it was made with.
    """

    folder: Path
    settings: TrainSettings
    record: RunRecord

    @property
    def store(self) -> Path:
        """Return the folder of the store it was trained on."""
        return Path(self.record.store)

    @property
    def split_name(self) -> str:
        """Return the name of its split."""
        return self.record.split

    @cached_property
    def folds(self) -> tuple[Run, ...]:
        """Return the runs of the folds begun so far, in their order; none of an ordinary run.

        Raises:
            RunError: if one of them is damaged.
        """
        folders = [self.fold_folder(fold) for fold in range(self.record.folds)]
        return tuple(read_run(folder) for folder in folders if (folder / SETTINGS_FILE).is_file())

    def fold_folder(self, fold: int) -> Path:
        """Return where the run of a fold lies, counted from 0."""
        return self.folder / FOLDS_FOLDER / str(fold)

    @cached_property
    def history(self) -> tuple[Epoch, ...]:
        """Return the epochs so far; of folds their means, see :func:`protloc.learn.epochs.mean_history`.

        Raises:
            RunError: if ``log.csv`` is damaged.
        """
        if self.record.folds:
            return mean_history([fold.history for fold in self.folds])
        return read_history(self.folder / LOG_FILE)

    @property
    def finished(self) -> bool:
        """Tell whether training came to its end, by the number of epochs or for want of progress."""
        if self.record.folds:
            return self.trained_folds == self.record.folds and (self.bundle_folder / DESCRIPTION_FILE).is_file()
        planned, patience = self.settings.epochs, self.settings.patience
        return len(self.history) >= planned or has_stalled(self.history, patience=patience)

    @property
    def trained_folds(self) -> int:
        """Return how many folds are trained to their end."""
        return sum(fold.finished for fold in self.folds)

    @property
    def bundle_folder(self) -> Path:
        """Return where the best network so far lies; of folds, when all are trained, the best of each."""
        return self.folder / "bundle"

    @property
    def checkpoint(self) -> Path:
        """Return the file from which training resumes."""
        return self.folder / "checkpoints" / "last.ckpt"

    def bundle(self) -> Bundle:
        """Load the best network so far; of folds, the best of each.

        Raises:
            RunError: if folds are still to be trained, or no epoch has ended yet.
            BundleError: if the bundle is missing or damaged.
        """
        if self.record.folds and not self.finished:
            raise RunError(
                f"{self.folder}: {self.trained_folds} of {self.record.folds} folds are trained, expected all. "
                "Go on with the same train command and --resume."
            )
        if not self.record.folds and not self.history:
            raise RunError(
                f"{self.folder}: no epoch has ended yet, so there is no network. "
                "Go on with the same train command and --resume."
            )
        return Bundle.load(self.bundle_folder)

    def check_fields(self, store: Store, split: Split | Folds) -> None:
        """Refuse a store or split that is not the one trained with, though it lies in its place.

        Raises:
            RunError: if the store was made anew with other content, or a field is now in another part.
        """
        if store.seal != self.record.seal:
            raise RunError(
                f"{self.folder}: the store {store.folder} is another than at the training. "
                "Train again, or bring the old store back."
            )
        if split_digest(split) != self.record.split_digest:
            raise RunError(
                f"{self.folder}: the split {self.split_name} has been made anew since the training, so that fields it "
                "learnt from could be among those it is judged on. Train again, or bring the old split back."
            )


def read_run(folder: Path) -> Run:
    """Read a training run, finished or not.

    Raises:
        RunError: if the folder is no run, or its ``settings.toml`` is damaged.
    """
    file = folder / SETTINGS_FILE
    if not file.is_file():
        raise RunError(
            f"{folder}: not a run, it has no {SETTINGS_FILE}. Make one with protloc train STORE --out {folder}."
        )
    try:
        written = RunSettings.from_toml(file)
    except SettingsError as error:
        raise RunError(f"{folder}: not a run of this version. {error}") from error
    told = TrainSettings(**written.model_dump(exclude={"run"}))
    return Run(folder, told, written.run)


def existing_run(
    folder: Path, *, settings: TrainSettings, store: Store, split: Split | Folds, split_name: str, resume: bool
) -> Run | None:
    """Find the run to go on with; None where there is none yet.

    Raises:
        RunError: if there is one that is not to be resumed, or was begun with other settings, fields or split.
    """
    if not (folder / SETTINGS_FILE).exists():
        return None
    begun = read_run(folder)
    if not resume:
        state, remedy = ("a finished", "") if begun.finished else ("an unfinished", " go on with --resume,")
        raise RunError(f"{folder}: there is {state} run already;{remedy} name another --out, or delete it.")
    before, now = begun.settings.model_dump(), settings.model_dump()
    before |= {"store": begun.record.store, "split": begun.record.split}
    now |= {"store": str(store.folder.resolve()), "split": split_name}
    for name, value in now.items():
        if before[name] != value:
            raise RunError(
                f"{folder}: begun with {name} = {before[name]!r}, to be resumed with {value!r}. "
                "Resume with the settings it was begun with, or name another --out."
            )
    begun.check_fields(store, split)
    for left_over in folder.rglob(".*.partial"):  # by a kill in the middle of a file
        left_over.unlink()
    return begun


def write_run(folder: Path, *, settings: TrainSettings, store: Store, split: Split | Folds, split_name: str) -> Run:
    """Begin a run: make its folder and write ``settings.toml``."""
    record = RunRecord(
        store=str(store.folder.resolve()),
        seal=store.seal,
        split=split_name,
        split_digest=split_digest(split),
        python=platform.python_version(),
        versions={package: metadata.version(package) for package in RECORDED},
        commit=_commit(),
        folds=split.count if isinstance(split, Folds) else 0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    RunSettings(**settings.model_dump(), run=record).to_toml(folder / SETTINGS_FILE)
    return Run(folder, settings, record)


def split_digest(split: Split | Folds) -> str:
    """Return the SHA-256 of the ids and parts, or folds, of a split, in the order of the ids."""
    parts = split.folds if isinstance(split, Folds) else split.parts
    lines = sorted(f"{field}\t{part}" for field, part in zip(split.ids, parts, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _commit() -> str:
    """Return the commit of the checkout that protloc runs from, empty where it is installed."""
    checkout, git = Path(__file__).parents[3], which("git")  # checkout/src/protloc/learn/runs.py
    if git is None or not (checkout / ".git").exists():
        return ""
    asked = subprocess.run(  # noqa: S603 - fixed words
        [git, "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""
