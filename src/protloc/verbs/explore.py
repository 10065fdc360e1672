"""Showing what a store or a label table holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, atomic_folder, write_json, write_text
from protloc.atlas.photographs import photographs_of
from protloc.atlas.store import Store
from protloc.atlas.table import LabelTable
from protloc.curate.imbalance import class_counts, co_occurrence, labels_per_field, minority_classes
from protloc.errors import ProtlocError
from protloc.show.exploration import ImageFacts, LabelFacts, exploration_page
from protloc.show.exploration_pictures import image_pictures, label_pictures
from protloc.show.page import Picture
from protloc.show.tally import commonest_sets, evenly_spaced, intensity_counts

MOST_SETS = 25
MOST_SAMPLED = 512  # fields: enough for smooth histograms, a second of reading
MOST_EXAMPLES = 30
UNLABELLED_EXAMPLES = 12
READ_AT_ONCE = 32  # fields, so that memory does not grow with the sample

PAGE = "index.html"
FACTS = "explore.json"  # also tells a later run that it may replace the folder


@dataclass(frozen=True)
class ExploreResult:
    """What ``explore`` found and wrote.

    Attributes:
        out: The folder.
        page: Its HTML page, which needs no other file.
        figures: Its PNG files.
        fields: Number of fields.
        minority: Names of the minority classes in vocabulary order; none if there are no labels.
        minority_ids: Their class ids.
        label_sets: Number of distinct label sets; 0 if there are no labels.
    """

    out: Path
    page: Path
    figures: tuple[Path, ...]
    fields: int
    minority: tuple[str, ...]
    minority_ids: tuple[int, ...]
    label_sets: int

    @property
    def summary(self) -> str:
        """Return in words what was found and where to look at it."""
        rare = f" ({', '.join(self.minority)})" if self.minority else ""
        return (
            f"{self.page}: {self.fields:,} fields, {self.label_sets:,} label sets, "
            f"{len(self.minority)} minority classes{rare}."
        )


def explore(source: Store | LabelTable, *, out: StrPath, name: str | None = None) -> ExploreResult:
    """Count the labels of a store or label table, look at the stains of a store, and write figures and a page.

    Args:
        source: A store, labelled or not, or a label table.
        out: Folder to write to, as a whole or not at all. An earlier output of ``explore`` there is replaced.
        name: What the page calls the source; the folder of a store if not given.

    Raises:
        ProtlocError: if ``out`` exists and is something else.
    """
    out = Path(out)
    _check_replaceable(out)
    store = source if isinstance(source, Store) else None
    table = source if isinstance(source, LabelTable) else source.table if source.labelled else None
    labels = _label_facts(table) if table else None
    images = _image_facts(store, table) if store else None
    pictures = (label_pictures(labels) if labels else ()) + (image_pictures(images) if images else ())
    page = exploration_page(
        name or (store.folder.name if store else "the label table"),
        pictures,
        labels=labels,
        images=images,
        fields=len(source),
        simulated=bool(store and store.source.get("simulated")),
    )
    with atomic_folder(out) as folder:
        _write(folder, page, pictures, _facts(len(source), labels))
    return _result(out, pictures, fields=len(source), labels=labels)


def _check_replaceable(out: Path) -> None:
    names = {path.name for path in out.iterdir()} if out.is_dir() else set[str]()
    others = sorted(name for name in names - {PAGE, FACTS} if not name.endswith(".png"))
    if others or (names and FACTS not in names) or out.is_file():
        found = f"it has {others[0]}" if others else f"it has no {FACTS}"
        raise ProtlocError(
            f"--out: {out} exists and is not only an output of explore ({found}), so it is left as it is. "
            "Give a folder that does not exist yet, or remove this one."
        )


def _label_facts(table: LabelTable) -> LabelFacts:
    targets, columns = table.targets, table.vocabulary.columns
    sets = {tuple(columns[class_id] for class_id in label_set): n for label_set, n in table.label_sets.items()}
    return LabelFacts(
        vocabulary=table.vocabulary,
        fields=len(table),
        counts=class_counts(targets),
        minority=tuple(minority_classes(targets).tolist()),
        per_field=labels_per_field(targets),
        together=co_occurrence(targets),
        commonest=tuple(commonest_sets(sets, most=MOST_SETS)),
        label_sets=len(sets),
        single_sets=sum(n == 1 for n in sets.values()),
    )


def _image_facts(store: Store, table: LabelTable | None) -> ImageFacts:
    sampled = evenly_spaced(len(store), most=MOST_SAMPLED)
    rows, captions = _examples(len(store), table)
    return ImageFacts(
        stains=store.stains,
        side=store.side,
        levels=_levels(store, sampled),
        sampled=len(sampled),
        examples=photographs_of(store, rows),
        ids=tuple(store.ids[row] for row in rows),
        captions=captions,
    )


def _levels(store: Store, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    levels = np.zeros((len(store.stains), 256), np.int64)
    for start in range(0, len(rows), READ_AT_ONCE):
        levels += intensity_counts(photographs_of(store, rows[start : start + READ_AT_ONCE]))
    return levels


def _examples(fields: int, table: LabelTable | None) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Pick for each class one of the fields with the fewest labels; without labels some fields evenly spaced."""
    if table is None or not table.targets.any():
        rows = evenly_spaced(fields, most=UNLABELLED_EXAMPLES)
        return rows, ("",) * len(rows)
    commonest = np.argsort(-class_counts(table.targets), kind="stable")[:MOST_EXAMPLES]
    picked: dict[int, int] = {}
    for column in sorted(commonest.tolist()):
        if table.targets[:, column].any():
            picked[column] = _example_of(table.targets, column, taken=set(picked.values()))
    return np.array(list(picked.values()), np.intp), tuple(table.vocabulary.names[column] for column in picked)


def _example_of(targets: NDArray[np.uint8], column: int, *, taken: set[int]) -> int:
    """Return the middle one of the fields that have the class and the fewest labels, of those not yet taken."""
    having = np.flatnonzero(targets[:, column])
    having = having[~np.isin(having, list(taken))] if set(having.tolist()) - taken else having
    labels = targets[having].sum(axis=1, dtype=np.int64)
    purest = having[labels == labels.min()]
    return int(purest[len(purest) // 2])


def _facts(fields: int, labels: LabelFacts | None) -> dict[str, object]:
    if labels is None:
        return {"fields": fields}
    entries = labels.vocabulary.compartments
    return {
        "fields": fields,
        "label_sets": labels.label_sets,
        "labels_a_field": labels.labels_a_field,
        "minority": [entries[column].id for column in labels.minority],
        "classes": [
            {"id": e.id, "name": e.name, "fields": int(n)} for e, n in zip(entries, labels.counts, strict=True)
        ],
    }


def _write(folder: Path, page: str, pictures: tuple[Picture, ...], facts: dict[str, object]) -> None:
    for picture in pictures:
        (folder / f"{picture.name}.png").write_bytes(picture.png)
    write_text(folder / PAGE, page)
    write_json(folder / FACTS, facts)


def _result(out: Path, pictures: tuple[Picture, ...], *, fields: int, labels: LabelFacts | None) -> ExploreResult:
    entries = [labels.vocabulary.compartments[column] for column in labels.minority] if labels else []
    return ExploreResult(
        out=out,
        page=out / PAGE,
        figures=tuple(out / f"{picture.name}.png" for picture in pictures),
        fields=fields,
        minority=tuple(entry.name for entry in entries),
        minority_ids=tuple(entry.id for entry in entries),
        label_sets=labels.label_sets if labels else 0,
    )
