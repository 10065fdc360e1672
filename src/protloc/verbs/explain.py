"""Explaining what a model says of a folder of fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.apply.explain import (
    FieldExplanation,
    columns_named,
    columns_to_explain,
    explain_fields,
    heat_in_hottest,
    hottest_place,
    network_of,
    protein_channel,
    removable_stains,
)
from protloc.apply.given import GivenFields, fields_given
from protloc.apply.predict import predict
from protloc.apply.predictions import VERDICTS, Predictions
from protloc.atlas.file_names import file_names
from protloc.atlas.files import StrPath, atomic_file, atomic_folder, check_folder, write_csv
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.errors import ProtlocError
from protloc.judge.prior import Prior
from protloc.learn.bundle import Bundle
from protloc.progress import Progress
from protloc.show.figures import png_bytes
from protloc.show.figures_heat import ShownClass, explanation_figure, overlay
from protloc.show.page import plural

TABLE, REJECTED, OVERLAYS, FIELDS = "explanations.csv", "rejected.csv", "overlays", "fields"
WRITTEN = {TABLE, REJECTED, OVERLAYS, FIELDS}
AT_ONCE = 16  # fields in memory
NEEDED_NOTE = (
    "What {stains} {add} cannot be told by leaving {them} out: the model never learnt to answer without {them}."
)


@dataclass(frozen=True, eq=False)
class Explained:
    """What ``explain`` found and wrote.

    Attributes:
        out: The folder.
        table: A row a field and class, as in ``explanations.csv``: ``id``, ``class``, calibrated ``probability``,
            ``called`` (yes, no), ``answer`` (present, ask, absent); ``contribution_<stain>`` for each stain given, by
            how much it raises the log odds of the class, empty where that cannot be told; ``hottest_x`` and
            ``hottest_y`` of the hottest place, in px of the overlay from the left and from above, empty where nothing
            speaks for the class; ``heat_in_hottest_tenth``, the share of all heat that lies in a tenth of the pixels;
            ``overlay`` and ``figure``, the files' places in ``out``.
        rejected: Fields that could not be read: columns ``id``, ``reason``.
        notes: What else is to be said, a sentence each.
    """

    out: Path
    table: pd.DataFrame
    rejected: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def fields(self) -> int:
        """Return how many fields were explained."""
        return len(set(self.table["id"]))

    @property
    def summary(self) -> str:
        """Return in words what was written where, and what to know of it."""
        done = f"{self.out}: {plural(len(self.table), 'answer')} on {plural(self.fields, 'field')} explained."
        told = [
            f"{done} {TABLE} lists them, {OVERLAYS} has a heat map of each, {FIELDS} a figure a field.",
            *self.notes,
        ]
        if len(self.rejected):
            told.append(f"{plural(len(self.rejected), 'field')} rejected; why is in {REJECTED}.")
        return "\n".join(told)


def explain(
    bundle: Bundle,
    source: StrPath,
    *,
    out: StrPath,
    classes: Sequence[str] = (),
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    jobs: int | None = None,
    tta: bool | None = None,
    adapt: bool | None = None,
    prior: Prior | None = None,
    progress: Progress | None = None,
) -> Explained:
    """Answer for every field of a folder as ``predict`` does, and show what the answers rest on.

    Args:
        bundle: The trained model.
        source: Folder of images, as for ``predict``.
        out: Folder to write to, as a whole or not at all. An earlier output of ``explain`` there is replaced.
        classes: Names of the classes to explain in every field. If none, those called; where none was, the likeliest.
        stains: As for ``predict``.
        reading: As for ``predict``.
        jobs: Threads that decode; as many as there are processors if not given.
        tta: As for ``predict``; heat maps and contributions do not depend on it.
        adapt: As for ``predict``; likewise.
        prior: As for ``predict``; likewise.
        progress: Called after each field; each is read twice, to be answered and to be explained.

    Raises:
        SettingsError: if a class is none of the model's, or ``out`` is a file.
        ProtlocError: if ``out`` exists and is something else.
        BundleError, ImageError: as for ``predict``.
    """
    out, asked = Path(out), columns_named(bundle, classes)
    _check_replaceable(out)
    given = fields_given(bundle, source, stains=stains, reading=reading)
    answered = predict(
        bundle, source, stains=stains, reading=reading, jobs=jobs, tta=tta, adapt=adapt, prior=prior,
        progress=_half(progress, half=0),
    )  # fmt: skip
    work = _Work(bundle, given, answered, asked, file_names(answered.ids))
    with atomic_folder(out) as folder:
        rows = [
            row for field in work.explained(jobs=jobs, progress=_half(progress, half=1)) for row in field.write(folder)
        ]
        table = pd.DataFrame(rows).astype({"hottest_x": "Int64", "hottest_y": "Int64"})
        write_csv(folder / TABLE, table)
        if len(answered.rejected):
            write_csv(folder / REJECTED, answered.rejected)
    return Explained(out, table, answered.rejected, (*answered.notes, *_notes(bundle, given)))


@dataclass(frozen=True, eq=False)
class _Work:
    """Fields that were answered and are to be explained, with the name of each one's files by its id."""

    bundle: Bundle
    given: GivenFields
    answered: Predictions
    asked: Sequence[int]
    names: Mapping[str, str]

    def explained(self, *, jobs: int | None, progress: Progress | None) -> Iterator[_Field]:
        """Explain all fields that can be read, in their order."""
        said, network = self.answered.answers, network_of(self.bundle)
        rows = iter(np.flatnonzero(~np.isnan(self.answered.logits).any(axis=1)).tolist())
        images = self.given.images(jobs=jobs, progress=progress)
        while chunk := list(islice(images, AT_ONCE)):
            fields, places = np.stack(chunk), list(islice(rows, len(chunk)))
            columns = columns_to_explain(said.called[places], said.probabilities[places], asked=self.asked)
            found = explain_fields(self.bundle, fields, columns, given=self.given.names, network=network)
            for row, image, explanation in zip(places, fields, found, strict=True):
                yield _Field(self, row, image, explanation)


@dataclass(frozen=True, eq=False)
class _Field:
    """A field, its row among the answers, its image as the model takes it, its explanation."""

    work: _Work
    row: int
    image: NDArray[np.uint8]
    explanation: FieldExplanation

    def write(self, folder: Path) -> list[dict[str, object]]:
        """Write the field's figure and overlays, and return its rows of the table."""
        bundle, field_id = self.work.bundle, self.work.answered.ids[self.row]
        name, protein = self.work.names[field_id], protein_channel(bundle)
        files = file_names(bundle.vocabulary.names)
        figure, rows, shown = f"{FIELDS}/{name}.png", list[dict[str, object]](), list[ShownClass]()
        for place, column in enumerate(self.explanation.columns):
            heat, adds = self.explanation.heat[place], self.explanation.contributions[place]
            label = bundle.vocabulary.names[column]
            file = f"{OVERLAYS}/{name}/{files[label]}.png"
            _write_picture(folder / file, overlay(self.image[protein], heat))
            row = {"id": field_id, "class": label} | self._said(column) | self._found(heat, adds)
            rows.append(row | {"overlay": file, "figure": figure})
            shown.append(ShownClass(label, f"{row['probability']:.2f}, {row['answer']}", heat, adds))
        drawn = explanation_figure(self.image, bundle.stains, protein=protein, classes=shown, title=field_id)
        _write_bytes(folder / figure, png_bytes(drawn, photographs=True))
        return rows

    def _said(self, column: int) -> dict[str, object]:
        said = self.work.answered.answers
        return {
            "probability": float(said.probabilities[self.row, column]),
            "called": "yes" if said.called[self.row, column] else "no",
            "answer": VERDICTS[int(said.verdicts[self.row, column])],
        }

    def _found(self, heat: NDArray[np.float32], adds: NDArray[np.float64]) -> dict[str, object]:
        stains = [stain.name for stain in self.work.bundle.stains]
        x, y = hottest_place(heat) or (None, None)
        told = {f"contribution_{name}": adds[stains.index(name)] for name in self.work.given.names}
        return {**told, "hottest_x": x, "hottest_y": y, "heat_in_hottest_tenth": heat_in_hottest(heat)}


def _check_replaceable(out: Path) -> None:
    check_folder(out)
    names = {path.name for path in out.iterdir()} if out.is_dir() else set[str]()
    others = sorted(names - WRITTEN)
    if others or (names and TABLE not in names):
        found = f"it has {others[0]}" if others else f"it has no {TABLE}"
        raise ProtlocError(
            f"--out: {out} exists and is not only an output of explain ({found}), so it is left as it is. "
            "Give a folder that does not exist yet, or remove this one."
        )


def _notes(bundle: Bundle, given: GivenFields) -> list[str]:
    """Say of which stains no contribution can be told."""
    needed = [name for name in given.names if name not in removable_stains(bundle, given.names)]
    if not needed:
        return []
    one = len(needed) == 1
    return [NEEDED_NOTE.format(stains=" and ".join(needed), add="adds" if one else "add", them="it" if one else "them")]


def _half(progress: Progress | None, *, half: int) -> Progress | None:
    """Return what tells the progress of the first or the second half of the work."""
    if progress is None:
        return None
    return lambda done, total: progress(half * total + done, 2 * total)


def _write_picture(file: Path, picture: NDArray[np.uint8]) -> None:
    _, code = cv2.imencode(".png", picture[:, :, ::-1])
    _write_bytes(file, code.tobytes())


def _write_bytes(file: Path, content: bytes) -> None:
    with atomic_file(file) as temporary:
        temporary.write_bytes(content)
