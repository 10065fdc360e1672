"""The model card: what a bundle is for, on what evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protloc.judge.evaluation import STABLE_GROUPS
from protloc.show.certainty_words import certainty_in_words
from protloc.show.page import plural
from protloc.show.report_content import ReportContent
from protloc.show.report_words import (
    class_table,
    estimate_in_words,
    fields_in_words,
    stable_in_words,
    training_in_words,
)
from protloc.show.trust_words import leaks_in_words, threshold_rule_in_words
from protloc.show.verdict import verdict

MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")  # what would turn a user's words into markup


SIMULATED = (
    "All fields are simulated. Nothing here tells how it does on fields of any microscope, nor on those of the Human "
    "Protein Atlas."
)
CLOSED = (
    "It can only name the classes of its vocabulary. A compartment that is not among them, or a damaged, empty or "
    "wrongly stained field, still gets an answer."
)
LABELS = (
    "The labels it learnt from are judgements about what an antibody shows, which need not be where the protein is: "
    "antibodies bind other proteins too, fixation moves some, and labels hold mistakes. The intervals count the "
    "chance of which fields were judged, not such errors of the labels."
)
HYPOTHESIS = "A call is a hypothesis. Confirm it by eye, and where it matters by a second antibody or another method."


@dataclass(frozen=True)
class CardSection:
    """A heading with what stands under it.

    Attributes:
        heading: The heading.
        paragraphs: Plain text.
    """

    heading: str
    paragraphs: tuple[str, ...]


def model_card(content: ReportContent) -> str:
    """Write the model card of a run's bundle as Markdown (Mitchell et al., "Model cards for model reporting", 2019)."""
    sections = [
        f"## {section.heading}\n\n" + "\n\n".join(_escaped(paragraph) for paragraph in section.paragraphs)
        for section in card_sections(content)
    ]
    return "\n\n".join([f"# {_escaped(content.run)}: model card", *sections, _markdown_table(content)]) + "\n"


def card_sections(content: ReportContent) -> tuple[CardSection, ...]:
    """Say what the bundle is for, what it was trained and judged on, how well it did, and where it ends."""
    return (
        CardSection("Intended use", _use(content)),
        CardSection("Trained on", (training_in_words(content),)),
        CardSection("Judged on", (_judged_on(content), leaks_in_words(content.leaks, content.evaluation.judged))),
        CardSection("Numbers", _numbers(content)),
        CardSection("Answers", (threshold_rule_in_words(content), certainty_in_words(content))),
        CardSection("Limits", _limits(content)),
        CardSection("Before a result is used", (HYPOTHESIS,) if content.store.simulated else (LABELS, HYPOTHESIS)),
    )


def _use(content: ReportContent) -> tuple[str, ...]:
    stains = ", ".join(stain.name for stain in content.store.stains)
    classes = plural(len(content.vocabulary), "class")
    use = (
        f"It names the compartments of the vocabulary {content.vocabulary.name} ({classes}) in which a protein is seen "
        f"in a fluorescence field with the stains {stains}. It is for research: to sort, search and pre-annotate "
        "fields that an expert looks at. It is not for diagnosis or decisions about patients."
    )
    if not content.store.simulated:
        return (use,)
    return use, "It was trained on simulated fields, so it is for trying out the software, not for real fields."


def _judged_on(content: ReportContent) -> str:
    part, name = content.judged, content.evaluation.judged
    absent = len(content.vocabulary) - part.classes_present
    without = f" {plural(absent, 'class')} did not occur there and could not be judged." if absent else ""
    who = (
        "Each was answered by one network that did not learn from it; the bundle answers with the mean of the "
        f"{content.folds} networks, which was itself not judged on any field."
        if content.folds
        else "The bundle is the network that was judged."
    )
    return f"It was judged on {fields_in_words(part, name)}. {who}{without}"


def _numbers(content: ReportContent) -> tuple[str, ...]:
    part = content.judged
    stable = (
        f"Over {stable_in_words(part)}, those found in at least {STABLE_GROUPS} groups of fields, macro-F1 is "
        f"{estimate_in_words(part.stable_macro_f1)}."
        if part.stable_classes
        else f"No class is found in as many as {STABLE_GROUPS} groups of fields, so that no score of a class is stable."
    )
    others = (
        f"Samples-F1 is {estimate_in_words(part.samples_f1)}, micro-F1 {estimate_in_words(part.micro_f1)}, mean "
        f"average precision {estimate_in_words(part.mean_average_precision)}, the expected calibration error "
        f"{estimate_in_words(part.calibration_error, digits=4)}. In brackets stand 95 % intervals."
    )
    return verdict(content), f"{stable} {others}", part.noise_in_words()


def _limits(content: ReportContent) -> tuple[str, ...]:
    store, part = content.store, content.judged
    names = [entry.name for entry in part.per_class if entry.groups < STABLE_GROUPS]
    few = f"Too rare there to say much of ({plural(len(names), 'class')} in under {STABLE_GROUPS} groups): "
    hold = (
        f"Its numbers hold for fields like those of the store “{store.name}”: the same stains, staining, cells, "
        f"microscope and frequencies of the classes, shrunk to {store.side} × {store.side} px. On others "
        "nothing was measured."
    )
    told = (SIMULATED if store.simulated else "", hold, f"{few}{', '.join(names)}." if names else "", CLOSED)
    return tuple(words for words in told if words)


def _markdown_table(content: ReportContent) -> str:
    table = class_table(content.judged, content.evaluation.judged)
    lines = [table.header, tuple("---" if not place else "--:" for place in range(len(table.header))), *table.rows]
    rows = "\n".join(
        f"| {' | '.join(cell if number == 1 else _escaped(cell) for cell in line)} |"
        for number, line in enumerate(lines)
    )
    return f"## Every class\n\n{_escaped(table.caption)}\n\n{rows}"


def _escaped(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))
