"""The page that shows what a store or label table holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.curate.imbalance import RARE
from protloc.show.page import Picture, Table, Thumbnail, Tile, counted, plural, render, thumbnail_of
from protloc.show.tally import level_at


@dataclass(frozen=True)
class LabelFacts:
    """How the fields are labelled.

    Attributes:
        vocabulary: What the columns mean.
        fields: Number of fields.
        counts: Fields of each class, shape (classes,), int64.
        minority: Columns of the minority classes, rising.
        per_field: Fields with 0, 1, 2, … labels, int64.
        together: Fields with both of two classes, shape (classes, classes), int64.
        commonest: Columns of the commonest label sets and the fields that have just them, commonest first.
        label_sets: Number of distinct label sets.
        single_sets: How many of them only one field has.
    """

    vocabulary: Vocabulary
    fields: int
    counts: NDArray[np.int64]
    minority: tuple[int, ...]
    per_field: NDArray[np.int64]
    together: NDArray[np.int64]
    commonest: tuple[tuple[tuple[int, ...], int], ...]
    label_sets: int
    single_sets: int

    @property
    def labels_a_field(self) -> float:
        """Return the mean number of labels a field."""
        return float(self.counts.sum() / self.fields)


@dataclass(frozen=True)
class ImageFacts:
    """What the fields look like.

    Attributes:
        stains: What each channel shows, in channel order.
        side: Height and width of a field in px.
        levels: Pixels of each grey level in the fields that were sampled, shape (stains, 256), int64.
        sampled: How many fields were.
        examples: Fields to show, uint8 of shape (examples, stains, side, side).
        ids: Their ids.
        captions: The class each was picked for, or an empty string.
    """

    stains: tuple[Stain, ...]
    side: int
    levels: NDArray[np.int64]
    sampled: int
    examples: NDArray[np.uint8]
    ids: tuple[str, ...]
    captions: tuple[str, ...]


def exploration_page(
    name: str,
    pictures: tuple[Picture, ...],
    *,
    labels: LabelFacts | None,
    images: ImageFacts | None,
    fields: int,
    simulated: bool,
) -> str:
    """Write the page as HTML.

    Args:
        name: What was explored, as in "What is in …".
        pictures: From :mod:`protloc.show.exploration_pictures`.
        labels: How the fields are labelled, or None for an unlabelled store.
        images: What they look like, or None for a bare label table.
        fields: Number of fields.
        simulated: Whether the fields are known to be simulated.
    """
    return render(
        "explore",
        name=name,
        summary=_summary(fields, labels, images),
        simulated=simulated,
        tiles=_tiles(fields, labels, images),
        pictures={picture.name: picture for picture in pictures},
        labelled=labels is not None,
        classes=_class_table(labels) if labels else None,
        rare_percent=100 * RARE,
        stains=_stain_table(images) if images else None,
        examples=_thumbnails(images) if images else (),
        examples_caption=_examples_caption(images) if images else "",
    )


def _summary(fields: int, labels: LabelFacts | None, images: ImageFacts | None) -> str:
    what = plural(fields, "field")
    if images:
        stains = ", ".join(stain.name for stain in images.stains)
        what += f" of {images.side} × {images.side} px in {plural(len(images.stains), 'stain')} ({stains})"
    if not labels:
        return f"{what}, without labels."
    return f"{what}, labelled with the {plural(len(labels.vocabulary), 'class')} of {labels.vocabulary.name}."


def _tiles(fields: int, labels: LabelFacts | None, images: ImageFacts | None) -> tuple[Tile, ...]:
    tiles = [counted(fields, "field")]
    if labels:
        present = int(np.count_nonzero(labels.counts))
        tiles += [
            Tile(f"{present:,}", "classes present", f"of {len(labels.vocabulary):,}"),
            Tile(f"{len(labels.minority):,}", "minority classes", f"in under {100 * RARE:g} % of the fields"),
            Tile(f"{labels.labels_a_field:.2f}", "labels a field"),
            Tile(f"{labels.label_sets:,}", "label sets", f"{labels.single_sets:,} in one field only"),
        ]
    if images:
        tiles.append(Tile(f"{len(images.stains)}", "stains", f"{images.side} px a side"))
    return tuple(tiles)


def _class_table(labels: LabelFacts) -> Table:
    rows = tuple(
        (
            entry.name,
            str(entry.id),
            entry.go or "–",
            entry.group or "–",
            f"{count:,}",
            f"{100 * count / labels.fields:.2f}",
        )
        for entry, count in zip(labels.vocabulary.compartments, labels.counts, strict=True)
    )
    header = ("class", "id", "GO id", "group", "fields", "% of fields")
    return Table("Every class in the order of the vocabulary; minority classes are shaded.", header, rows,
                 marked=frozenset(labels.minority), text=frozenset({2, 3}))  # fmt: skip


def _stain_table(images: ImageFacts) -> Table:
    rows: list[tuple[str, ...]] = []
    for stain, levels in zip(images.stains, images.levels, strict=True):
        black, saturated = (100 * levels[end] / max(int(levels.sum()), 1) for end in (0, 255))
        rows.append(
            (stain.name, f"{black:.1f}", str(level_at(levels, 0.5)), str(level_at(levels, 0.99)), f"{saturated:.3f}")
        )
    header = ("stain", "% black (0)", "median", "99th percentile", "% saturated (255)")
    return Table("Grey levels, 0 to 255, of all pixels of the sampled fields.", header, tuple(rows))


def _thumbnails(images: ImageFacts) -> tuple[Thumbnail, ...]:
    return tuple(
        thumbnail_of(
            image,
            images.stains,
            alt=f"Field {field} {caption}".strip(),
            lines=tuple(("", line) for line in (caption, field) if line),
        )
        for image, field, caption in zip(images.examples, images.ids, images.captions, strict=True)
    )


def _examples_caption(images: ImageFacts) -> str:
    picked = (
        "for each class one of the fields with the fewest other labels"
        if any(images.captions)
        else "evenly taken from all"
    )
    return f"Each stain in its colour, stretched to its own contrast; {picked}."
