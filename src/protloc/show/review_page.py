"""The page on which suspicious label sets are reviewed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.files import write_text
from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.curate.label_noise import MISTAKES, WRONG_SHARE, Suspects
from protloc.show.page import Table, Thumbnail, number, plural, render, thumbnail_of

LOSES = (False, True, True)  # which of MISTAKES say that a given class is wrong
GAINS = (True, False, True)  # which say that one is missing
LEAST_SCORE = WRONG_SHARE  # what a label set has before anything is seen of it: under it, what is seen speaks for it
CLASSES_SHOWN = 3  # of those not given, the likeliest
MATES_SHOWN = 3  # label sets of mates, the commonest
MEASURED = (
    "On a simulated atlas with 5 % of the label sets flipped, a third of the top 5 % were truly flipped where the "
    "networks were asked alone, and nine tenths where the labels of group mates were asked too"
)


@dataclass(frozen=True, eq=False)
class ReviewContent:
    """What the review shows.

    Attributes:
        store: Name of the store.
        simulated: Whether its fields are known to be simulated.
        stains: What each channel shows, in channel order.
        vocabulary: What the columns mean.
        ids: Id of each field, row by row.
        truth: Labels as given, multi-hot (fields, classes).
        probabilities: What the network believes, out-of-fold and calibrated, (fields, classes) in 0..1.
        groups: Group of each field, or None where none is known.
        found: How suspicious each field is.
    """

    store: str
    simulated: bool
    stains: tuple[Stain, ...]
    vocabulary: Vocabulary
    ids: tuple[str, ...]
    truth: NDArray[np.uint8]
    probabilities: NDArray[np.floating]
    groups: tuple[str, ...] | None
    found: Suspects

    @cached_property
    def members(self) -> Mapping[str, list[int]]:
        """Return the rows of each group; empty without groups."""
        members: dict[str, list[int]] = defaultdict(list)
        for row, group in enumerate(self.groups or ()):
            members[group].append(row)
        return members


def places_to_show(found: Suspects, *, most: int) -> NDArray[np.intp]:
    """Return the rows of the fields worth a look: the most suspicious first, those under ``LEAST_SCORE`` left out.

    Args:
        found: How suspicious each field is.
        most: How many at most.
    """
    return _suspicious(found)[:most]


def _suspicious(found: Suspects) -> NDArray[np.intp]:
    return found.order[found.scores[found.order] >= LEAST_SCORE]


def write_review_page(out: Path, content: ReviewContent, images: NDArray[np.uint8]) -> Path:
    """Write the most suspicious fields as one HTML file that needs no other file, whole or not at all.

    Args:
        out: The file.
        content: What is known of all fields.
        images: The fields that :func:`places_to_show` chose, in that order, uint8 of shape (shown, stains, side, side).

    Returns:
        ``out``.
    """
    rows = places_to_show(content.found, most=len(images))
    html = render(
        "review",
        store=content.store,
        simulated=content.simulated,
        found=found_in_words(content, shown=len(rows)),
        measured=MEASURED,
        least=LEAST_SCORE,
        with_mates=content.found.mates is not None,
        suspects=tuple(
            _card(content, rank, int(row), image)
            for rank, (row, image) in enumerate(zip(rows, images, strict=False), start=1)
        ),
        classes=_class_table(content),
    )
    write_text(out, html)
    return out


def found_in_words(content: ReviewContent, *, shown: int) -> str:
    """Say how many label sets are suspicious, how many of them are shown, and how many labels may be wrong."""
    suspicious, fields = len(_suspicious(content.found)), plural(len(content.ids), "label set")
    if suspicious:
        several = "is" if suspicious == 1 else "are"
        rest = "" if shown == suspicious else f"; the {shown:,} most suspicious are shown"
        return f"Of {fields}, {suspicious:,} {several} suspicious{rest}. {estimate_in_words(content)}"
    unsure = "" if can_estimate(content) else f" {estimate_in_words(content)}"
    return f"No label is likely wrong, as far as these networks can tell: none of {fields} is suspicious.{unsure}"


def suspects_table(content: ReviewContent) -> pd.DataFrame:
    """Return a row a field, the most suspicious first: what ``suspects.csv`` holds.

    Returns:
        Columns ``rank``, ``id``, ``group`` (empty without groups), ``score``, ``given``, ``mistake``,
        ``suggested_missing``, ``suggested_wrong`` (empty where the likeliest mistake has none), the network's
        probability of both, and ``mates``, the label sets of the other fields of the group.
    """
    return pd.DataFrame([_row(content, rank, int(row)) for rank, row in enumerate(content.found.order, start=1)])


def _row(content: ReviewContent, rank: int, row: int) -> dict[str, object]:
    missing, wrong = _suggested(content.found, row)
    names, believed = content.vocabulary.names, content.probabilities[row]
    return {
        "rank": rank,
        "id": content.ids[row],
        "group": content.groups[row] if content.groups else "",
        "score": round(float(content.found.scores[row]), 6),
        "given": _names(content, row),
        "mistake": MISTAKES[content.found.mistakes[row]],
        "suggested_missing": "" if missing is None else names[missing],
        "suggested_wrong": "" if wrong is None else names[wrong],
        "probability_missing": None if missing is None else round(float(believed[missing]), 4),
        "probability_wrong": None if wrong is None else round(float(believed[wrong]), 4),
        "mates": _mates_in_words(content, row),
    }


def _suggested(found: Suspects, row: int) -> tuple[int | None, int | None]:
    """Return the columns that the likeliest mistake says are missing and wrong, None where it says none."""
    mistake = int(found.mistakes[row])
    missing, wrong = int(found.missing[row]), int(found.wrong[row])
    return missing if GAINS[mistake] and missing >= 0 else None, wrong if LOSES[mistake] and wrong >= 0 else None


def can_estimate(content: ReviewContent) -> bool:
    """Tell whether the network is sure enough to count wrong labels: it takes no more than half of them for wrong."""
    return content.found.joint.wrong_labels <= int(content.truth.sum()) / 2


def estimate_in_words(content: ReviewContent) -> str:
    """Say how many labels confident learning takes for wrong, or that the network is too unsure to tell."""
    if not can_estimate(content):
        return (
            "The network is too unsure of these fields to tell how many labels are wrong; the order of the fields "
            "still says where to look first."
        )
    return (
        f"Confident learning takes about {content.found.joint.wrong_labels:,.0f} labels for missing or wrong, beside "
        f"{int(content.truth.sum()):,} that are given."
    )


def _card(content: ReviewContent, rank: int, row: int, image: NDArray[np.uint8]) -> Thumbnail:
    lines = [
        ("", f"{rank}. {content.ids[row]}"),
        ("given", _names(content, row)),
        ("perhaps", _suggestion_in_words(content, row)),
        ("network", _belief_in_words(content, row)),
        ("mates", _mates_in_words(content, row)),
        ("odds", odds_in_words(float(content.found.scores[row]))),
    ]
    shown = tuple((name, text) for name, text in lines if text)
    return thumbnail_of(image, content.stains, alt=f"Field {content.ids[row]}", lines=shown)


def odds_in_words(score: float) -> str:
    """Write a probability as odds to two digits: ``2,300 to 1``, ``1 to 19``; scores near 1 are told apart by them."""
    odds = score / max(1 - score, np.finfo(np.float64).eps)
    larger = float(f"{max(odds, 1 / odds):.2g}")
    written = f"{larger:,.0f}" if larger >= 10 else f"{larger:g}"
    return f"{written} to 1" if odds >= 1 else f"1 to {written}"


def _suggestion_in_words(content: ReviewContent, row: int) -> str:
    missing, wrong = _suggested(content.found, row)
    names = content.vocabulary.names
    if missing is not None and wrong is not None:
        return f"{names[missing]} instead of {names[wrong]}"
    return f"also {names[missing]}" if missing is not None else f"not {names[wrong]}" if wrong is not None else ""


def _belief_in_words(content: ReviewContent, row: int) -> str:
    """List the given classes and the likeliest others with their probabilities, the likeliest first."""
    believed, given = content.probabilities[row], content.truth[row] > 0
    others = [column for column in np.argsort(-believed, kind="stable") if not given[column]][:CLASSES_SHOWN]
    columns = sorted([*np.flatnonzero(given), *others], key=lambda column: -float(believed[column]))
    return "; ".join(f"{content.vocabulary.names[column]} {believed[column]:.2f}" for column in columns)


def _mates_in_words(content: ReviewContent, row: int) -> str:
    """List the label sets of the other fields of its group, the commonest first; empty where it has none."""
    if content.groups is None:
        return ""
    mates = [mate for mate in content.members[content.groups[row]] if mate != row]
    counts = Counter(_names(content, mate) for mate in mates).most_common()
    listed = " | ".join(f"{count} × {names}" for names, count in counts[:MATES_SHOWN])
    return listed + (" | …" if len(counts) > MATES_SHOWN else "")


def _names(content: ReviewContent, row: int) -> str:
    return "; ".join(content.vocabulary.names[column] for column in np.flatnonzero(content.truth[row])) or "–"


def _class_table(content: ReviewContent) -> Table:
    joint, given = content.found.joint, content.truth.sum(axis=0, dtype=np.int64)
    sure = can_estimate(content)
    rows = tuple(
        (
            name,
            f"{given[column]:,}",
            *(f"{estimate[column]:,.0f}" if sure else "–" for estimate in (joint.missing, joint.wrong)),
            number(float(joint.present[column]), digits=2),
            number(1 - float(joint.absent[column]), digits=2),
        )
        for column, name in enumerate(content.vocabulary.names)
    )
    header = ("class", "given", "perhaps missing", "perhaps wrong", "mean probability if given", "if not given")
    caption = (
        "Every class: fields given it, how many more should have it and how many should not (confident learning), and "
        "its mean probability in the fields given it and in the others. A dash: not to be told."
    )
    return Table(caption, header, rows)
