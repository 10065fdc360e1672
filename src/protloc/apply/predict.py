"""Answers of a trained model for fields it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, write_csv, write_parquet
from protloc.atlas.images import FieldFiles, find_fields
from protloc.atlas.reading import FieldImages, Reading, in_order, read_field
from protloc.atlas.stains import Stain
from protloc.atlas.store import Store
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import BundleError, ImageError, SettingsError
from protloc.judge.metrics import answers_of, sigmoid
from protloc.learn.bundle import Bundle
from protloc.progress import Progress

_WRITERS = {".csv": write_csv, ".parquet": write_parquet}
BATCH = 64  # larger batches gave nothing on two cores and cost memory


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of fields, in the order of the input.

    Attributes:
        ids: Field (or tile) ids, rejected fields among them.
        logits: Array of shape (fields, classes), float32; NaN throughout for a rejected field.
        vocabulary: What the columns mean.
        thresholds: Array of shape (classes,): a class is answered from this probability on.
        rejected: Fields that could not be read: columns ``id``, ``reason``.
    """

    ids: tuple[str, ...]
    logits: NDArray[np.float32]
    vocabulary: Vocabulary
    thresholds: NDArray[np.float64]
    rejected: pd.DataFrame

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Return the array of shape (fields, classes) in 0..1, NaN for rejected fields."""
        return sigmoid(self.logits)

    @property
    def answers(self) -> NDArray[np.bool_]:
        """Return the array of shape (fields, classes): which classes are answered; none for rejected fields."""
        return answers_of(self.logits, thresholds=self.thresholds.tolist())

    def table(self) -> pd.DataFrame:
        """Return ``id``, a probability column a class name, and ``answer``, the class names joined by ``; ``."""
        frame = pd.DataFrame(self.probabilities, columns=list(self.vocabulary.names))
        frame.insert(0, "id", list(self.ids))
        names = np.array(self.vocabulary.names, dtype=object)
        frame["answer"] = ["; ".join(names[answer]) for answer in self.answers]
        return frame

    def submission(self) -> pd.DataFrame:
        """Return Kaggle's form: ``Id`` and ``Predicted``, the class ids with spaces between."""
        class_ids = np.array([str(compartment.id) for compartment in self.vocabulary.compartments], dtype=object)
        predicted = [" ".join(class_ids[answer]) for answer in self.answers]
        return pd.DataFrame({"Id": list(self.ids), "Predicted": predicted})

    def summary(self, file: Path) -> str:
        """Return in words what was written to ``file``, and which fields got no answer."""
        told = f"{file}: {len(self.ids)} fields, {len(self.rejected)} of them rejected."
        if not len(self.rejected):
            return told
        shown = ", ".join(self.rejected["id"][:5]) + (", …" if len(self.rejected) > 5 else "")
        return f"{told}\nRejected: {shown}. Why is in {rejected_file(file)}; in the table they have no probabilities."


def predict(
    bundle: Bundle,
    source: StrPath,
    *,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Answer for every field of a folder of images, decoding while the network computes.

    Args:
        bundle: The trained model.
        source: Folder of images, as for ``prepare``.
        stains: File suffixes of the model's stains where they differ from those it was trained with, in any order.
        reading: Tiles, bit depth and limits; what it leaves open, stains and side are the model's.
        jobs: Threads that decode; as many as there are processors if not given.
        progress: Called after each finished field.

    Raises:
        BundleError: if the stains given are not those of the model.
        ImageError: if the folder holds no image of these stains, or no field of it can be read.
    """
    asked = reading or Reading()
    reading = Reading(
        stains=_in_model_order(bundle, stains),
        side=bundle.side,
        tile=asked.tile or bundle.tile,
        bit_depth=asked.bit_depth or bundle.bit_depth,
        max_pixels=asked.max_pixels,
    )
    fields = find_fields(Path(source), reading.stains)
    ids: list[str] = []
    rejected: list[tuple[str, str]] = []

    def readable() -> Iterator[NDArray[np.uint8]]:
        outcomes = in_order(lambda field: _try_to_read(field, reading), fields, jobs=jobs, ahead=2 * BATCH)
        for done, (field, outcome) in enumerate(zip(fields, outcomes, strict=True), start=1):
            if isinstance(outcome, ImageError):
                ids.append(field.id)
                rejected.append((field.id, str(outcome)))
            else:
                ids.extend(outcome.by_id)
                yield from outcome.by_id.values()
            if progress is not None:
                progress(done, len(fields))

    found = _logits(bundle, _batches(readable()))
    if len(rejected) == len(fields):
        raise ImageError(f"{source}: none of {len(fields)} fields can be read. The first: {rejected[0][1]}")
    logits = np.full((len(ids), len(bundle.vocabulary)), np.nan, np.float32)
    unread = {field for field, _ in rejected}
    logits[[field not in unread for field in ids]] = found
    thresholds = np.array(bundle.thresholds)
    return Predictions(
        tuple(ids), logits, bundle.vocabulary, thresholds, pd.DataFrame(rejected, columns=["id", "reason"])
    )


def predict_rows(
    bundle: Bundle, store: Store, rows: NDArray[np.intp], *, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Return the logits of rows of a store, shape (len(rows), classes).

    Raises:
        BundleError: if the store's stains, side or classes are not those of the model.
    """
    _check_store(bundle, store)

    def batches() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(rows), BATCH):
            yield store.images(rows[start : start + BATCH])
            if progress is not None:
                progress(min(start + BATCH, len(rows)), len(rows))

    return _logits(bundle, batches())


def write_predictions(predictions: Predictions, file: StrPath, *, style: str = "table") -> None:
    """Write the answers, and beside them ``<file>.rejected.csv`` where fields were rejected.

    Args:
        predictions: What to write.
        file: ``.csv`` or ``.parquet``.
        style: ``table`` (probabilities and answer) or ``kaggle`` (``Id,Predicted``).

    Raises:
        SettingsError: if the file's ending or the style is another.
    """
    file = Path(file)
    check_output(file)
    styles = {"table": predictions.table, "kaggle": predictions.submission}
    if style not in styles:
        raise SettingsError(f"--format: {style!r}, expected table or kaggle.")
    _WRITERS[file.suffix](file, styles[style]())
    listed = rejected_file(file)
    listed.unlink(missing_ok=True)
    if len(predictions.rejected):
        write_csv(listed, predictions.rejected)


def check_output(file: Path) -> None:
    """Refuse, before hours of work, a file whose ending names no format.

    Raises:
        SettingsError: if its ending is not ``.csv`` or ``.parquet``.
    """
    if file.suffix not in _WRITERS:
        raise SettingsError(f"--out: {file} ends in {file.suffix!r}, expected .csv or .parquet.")


def rejected_file(file: Path) -> Path:
    """Return where the rejected fields of a table of predictions are listed."""
    return file.with_name(f"{file.name}.rejected.csv")


def _in_model_order(bundle: Bundle, stains: Sequence[Stain] | None) -> tuple[Stain, ...]:
    given = {stain.name: stain for stain in stains or bundle.stains}
    wanted = [stain.name for stain in bundle.stains]
    if sorted(given) != sorted(wanted):
        raise BundleError(
            f"--stains: {', '.join(given)} given, but the model was trained on {', '.join(wanted)}. "
            "Name these, or use a model trained on yours."
        )
    return tuple(given[name] for name in wanted)


def _try_to_read(field: FieldFiles, reading: Reading) -> FieldImages | ImageError:
    try:
        return read_field(field, reading)
    except ImageError as error:
        return error


def _batches(images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    waiting: list[NDArray[np.uint8]] = []
    for image in images:
        waiting.append(image)
        if len(waiting) == BATCH:
            yield np.stack(waiting)
            waiting.clear()
    if waiting:
        yield np.stack(waiting)


def _logits(bundle: Bundle, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = bundle.network().to(device)
    with torch.inference_mode():
        parts = [network(torch.from_numpy(batch).to(device)).cpu().numpy() for batch in batches]
    return np.concatenate(parts) if parts else np.zeros((0, len(bundle.vocabulary)), np.float32)


def _check_store(bundle: Bundle, store: Store) -> None:
    for what, here, there in (
        ("stains", [stain.name for stain in store.stains], [stain.name for stain in bundle.stains]),
        ("side", store.side, bundle.side),
        ("classes", store.vocabulary.names, bundle.vocabulary.names),
    ):
        if here != there:
            raise BundleError(f"{store.folder}: its {what} are {here}, the model's {there}. Prepare a store alike.")
