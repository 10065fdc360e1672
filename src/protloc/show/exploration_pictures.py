"""The figures of what a store or label table holds."""

from __future__ import annotations

from protloc.curate.imbalance import RARE
from protloc.show.exploration import ImageFacts, LabelFacts
from protloc.show.figures_fields import fields_figure, intensity_figure
from protloc.show.figures_labels import class_counts_figure, label_sets_figure, labels_per_field_figure
from protloc.show.figures_matrix import co_occurrence_figure
from protloc.show.page import Picture, picture_of


def label_pictures(facts: LabelFacts) -> tuple[Picture, ...]:
    """Draw the four figures of the labels: class counts, labels a field, co-occurrence, label sets."""
    return (*_count_pictures(facts), *_set_pictures(facts))


def _count_pictures(facts: LabelFacts) -> tuple[Picture, ...]:
    rarest = min((int(count) for count in facts.counts if count), default=0)
    return (
        picture_of(
            class_counts_figure(facts.counts, facts.vocabulary.names, minority=facts.minority, fields=facts.fields),
            "class_counts",
            alt=f"Bar chart of the fields of each class, from {facts.counts.max():,} down to {rarest:,}.",
            caption=f"Fields of each class among {facts.fields:,}. {_minority_words(len(facts.minority))}",
        ),
        picture_of(
            labels_per_field_figure(facts.per_field),
            "labels_per_field",
            alt="Bar chart of the number of fields with 0, 1, 2 and more labels; the mean is "
            f"{facts.labels_a_field:.2f} labels a field.",
            caption=f"How many labels the fields have: {facts.labels_a_field:.2f} on average.",
        ),
    )


def _set_pictures(facts: LabelFacts) -> tuple[Picture, ...]:
    names = facts.vocabulary.names
    return (
        picture_of(
            co_occurrence_figure(facts.together, names),
            "co_occurrence",
            alt="Heat map of how often two classes label the same field.",
            caption="Of the fields that have the row's class, the percentage that has the column's class too. In "
            "brackets the fields of the class; shares under half a percent are not written.",
        ),
        picture_of(
            label_sets_figure(facts.commonest, names),
            "label_sets",
            alt="UpSet plot of the commonest label sets: a bar for each set over dots for its classes.",
            caption=f"The {len(facts.commonest)} commonest of {facts.label_sets:,} label sets; in one field only: "
            f"{facts.single_sets:,}. A column is a set: its dots are the classes it is made of.",
        ),
    )


def _minority_words(count: int) -> str:
    if count:
        return f"A triangle marks the minority classes ({count})."
    return f"No class that is present is in under {100 * RARE:g} % of them."


def image_pictures(facts: ImageFacts) -> tuple[Picture, ...]:
    """Draw the two figures of the images: intensities of the stains, example fields."""
    names = ", ".join(stain.name for stain in facts.stains)
    captions = [
        f"{caption}\n{field}" if caption else field for caption, field in zip(facts.captions, facts.ids, strict=True)
    ]
    return (
        picture_of(
            intensity_figure(facts.levels, facts.stains),
            "intensities",
            alt=f"Histograms of the grey levels of the stains {names}.",
            caption=f"Grey levels of {facts.sampled:,} fields, evenly taken from all. Both ends matter: a high bar at "
            "0 is black background, one at 255 is saturation.",
        ),
        picture_of(
            fields_figure(facts.examples, facts.stains, captions=captions),
            "fields",
            alt=f"Example fields in the colours of their stains ({names}).",
            caption="Example fields.",
            photographs=True,
        ),
    )
