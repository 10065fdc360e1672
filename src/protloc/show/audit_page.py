"""The page of fields that are too alike to be parted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.files import write_text
from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.curate.groups import LARGEST_SHARE, Joined, Leaks
from protloc.show.figures_trust import group_sizes_figure
from protloc.show.page import (
    Picture,
    Table,
    Thumbnail,
    Tile,
    counted,
    percent,
    picture_of,
    plural,
    render,
    thumbnail_of,
)
from protloc.show.report_words import names_of

JOINS = {
    "near-duplicates": "their stains have nearly the same perceptual hashes",
    "parent": "tiles of one picture are in one group",
}
SHOWN_GROUPS, SHOWN_SETS = 20, 4  # of those in which labels differ; label sets of each
SHOWN_PAIRS = 60  # some 1.5 MB; who has seen these knows what the rest is like


@dataclass(frozen=True, eq=False)
class ShownPair:
    """Two fields that are near-duplicates, side by side.

    Attributes:
        ids: Their ids.
        similarity: In 0..1.
        labels: Class ids of either, sorted, or None of an unlabelled store.
        images: uint8 of shape (2, stains, side, side).
    """

    ids: tuple[str, str]
    similarity: float
    labels: tuple[tuple[int, ...], tuple[int, ...]] | None
    images: NDArray[np.uint8]

    @property
    def in_conflict(self) -> bool:
        """Tell whether the two were not labelled alike."""
        return self.labels is not None and self.labels[0] != self.labels[1]


@dataclass(frozen=True, eq=False)
class AuditContent:
    """Everything the page of an audit shows.

    Attributes:
        store: Name of the store.
        simulated: Whether its fields are known to be simulated.
        stains: What each channel shows, in channel order.
        vocabulary: What the class ids mean, or None of an unlabelled store.
        fields: Number of fields.
        pairs: Number of near-duplicate pairs.
        conflicts: How many of them were not labelled alike.
        shown: The pairs to look at, in this order.
        joined: The groups, what joined them, and what did not.
        torn: Groups whose fields were not labelled alike: by group, the class ids of each of its fields; None where it
            was not looked for.
        naive: What the test part of a split by single fields would share with its training part, on average.
        remedy: Command line that splits by groups.
    """

    store: str
    simulated: bool
    stains: tuple[Stain, ...]
    vocabulary: Vocabulary | None
    fields: int
    pairs: int
    conflicts: int
    shown: tuple[ShownPair, ...]
    joined: Joined
    naive: Leaks
    remedy: str
    torn: Mapping[str, Sequence[tuple[int, ...]]] | None = None


@dataclass(frozen=True)
class _PairOnPage:
    fields: tuple[Thumbnail, Thumbnail]
    similarity: str
    conflict: bool


def pairs_to_show(
    similarity: NDArray[np.float64], conflicts: NDArray[np.bool_], *, most: int = SHOWN_PAIRS
) -> NDArray[np.intp]:
    """Choose the pairs to look at: those not labelled alike first, of these and of the rest the most similar first.

    Args:
        similarity: Of each pair, in 0..1, (pairs,).
        conflicts: Whether its fields were not labelled alike, (pairs,).
        most: How many to choose.

    Returns:
        Places of the chosen pairs, in the order in which to show them.
    """
    return np.lexsort((-similarity, ~conflicts))[:most]


def write_audit_page(out: Path, content: AuditContent) -> Path:
    """Write ``content`` as one HTML file that needs no other file and no network, whole or not at all.

    Args:
        out: The file.
        content: What it shows.

    Returns:
        ``out``.
    """
    write_text(out, audit_page(content))
    return out


def audit_page(content: AuditContent) -> str:
    """Return the page as HTML; the same content gives the same text."""
    return render(
        "audit",
        store=content.store,
        simulated=content.simulated,
        tiles=_tiles(content),
        naive=naive_in_words(content.naive, content.joined),
        remedy=content.remedy,
        joins=joins_in_words(content.joined),
        sizes=_sizes(content),
        keys=key_table(content.joined),
        torn=torn_in_words(content),
        torn_groups=torn_table(content) if content.torn else None,
        pairs_told=pairs_in_words(content),
        pairs=[_on_page(pair, content) for pair in content.shown],
    )


def naive_in_words(naive: Leaks, joined: Joined) -> str:
    """Say how many test fields of a naive split would have something like them in training."""
    split = f"Of {plural(naive.judged, 'test field')} of a naive 70/15/15 split"
    alike = "a field of the same group" + (f" (joined by {', '.join(joined.joined)})" if joined.joined else "")
    if not naive.with_group:
        return f"{split}, none would have a near-duplicate or {alike} in training: single fields may be split."
    twins, mates = (_about(count) for count in (naive.with_twin, naive.with_group))
    return (
        f"{split}, {twins} would have a near-duplicate in training and {mates} {alike} there, on average over such "
        "splits. What a network remembers of those would be counted as recognised."
    )


def joins_in_words(joined: Joined) -> str:
    """Say what put fields into one group."""
    if not joined.joined:
        return "Here nothing joined any fields."
    return f"Here fields were joined by {', '.join(joined.joined)}."


def _about(count: float) -> str:
    return f"{count:,.0f}" if count >= 0.5 or not count else "less than one"


def pairs_in_words(content: AuditContent) -> str:
    """Say how many near-duplicate pairs there are, how many are in conflict, and how many are not shown."""
    if not content.pairs:
        return "No two fields were found to be near-duplicates."
    found = f"{plural(content.pairs, 'pair')} of near-duplicates {'was' if content.pairs == 1 else 'were'} found"
    if content.vocabulary is not None:
        found += (
            f"; {content.conflicts:,} of them {'is' if content.conflicts == 1 else 'are'} labelled differently, so at "
            "least one of the two label sets is incomplete or wrong, or the labels follow more than this one picture"
            if content.conflicts
            else "; all are labelled alike"
        )
    rest = content.pairs - len(content.shown)
    left = f" The other {rest:,} {'is' if rest == 1 else 'are'} not shown here." if rest else ""
    order = (
        " Those labelled differently come first, the most similar first."
        if content.conflicts
        else " The most similar first."
    )
    return f"{found}.{order}{left}"


def key_table(joined: Joined) -> Table:
    """Set out which keys joined fields into groups, and which were left out, and why."""
    rows = [(key, "joined", JOINS.get(key, "fields with the same value are in one group")) for key in joined.joined]
    rows += [(key, "left out", _why_left_out(share)) for key, share in joined.left_out.items()]
    return Table("What puts two fields into one group.", ("key", "what was done", "why"), tuple(rows),
                 text=frozenset({1, 2}))  # fmt: skip


def _why_left_out(share: float) -> str:
    chained = f"chains unlike proteins together: one group would have held {percent(share)} of all fields"
    return f"{chained}, more than {percent(LARGEST_SHARE)}" if share > LARGEST_SHARE else chained


def torn_in_words(content: AuditContent) -> str:
    """Say in how many groups the labels differ; empty where it was not looked for."""
    if content.torn is None:
        return ""
    several = f"Of {plural(int((_counts(content.joined.groups.groups) > 1).sum()), 'group')} of several fields"
    if not content.torn:
        return f"{several}, none holds fields that are labelled differently."
    return (
        f"{several}, {len(content.torn):,} {'holds' if len(content.torn) == 1 else 'hold'} fields that are labelled "
        "differently. Fields of one antibody may differ for good reason, such as another cell line; near-duplicates "
        "hardly can."
    )


def torn_table(content: AuditContent) -> Table:
    """Set out the largest groups in which labels differ, with their label sets, commonest first."""
    torn = content.torn or {}
    largest = sorted(torn.items(), key=lambda item: (-len(item[1]), item[0]))[:SHOWN_GROUPS]
    rows = tuple((group, f"{len(labels):,}", _sets_in_words(labels, content)) for group, labels in largest)
    rest = len(torn) - len(rows)
    left = f" The other {rest:,} are not shown." if rest else ""
    return Table(f"Groups labelled differently, the largest first.{left}", ("group", "fields", "label sets"), rows,
                 text=frozenset({2}))  # fmt: skip


def _sets_in_words(labels: Sequence[tuple[int, ...]], content: AuditContent) -> str:
    if content.vocabulary is None:
        return "–"
    sets = Counter(labels).most_common()
    hot = content.vocabulary.targets([members for members, _ in sets])
    names = [f"{count:,} × {names_of(row, content.vocabulary)}" for row, (_, count) in zip(hot, sets, strict=True)]
    rest = f" · {len(names) - SHOWN_SETS:,} more" if len(names) > SHOWN_SETS else ""
    return " · ".join(names[:SHOWN_SETS]) + rest


def _tiles(content: AuditContent) -> tuple[Tile, ...]:
    groups = content.joined.groups
    sizes = _counts(groups.groups)
    twins = _counts(groups.twins)
    tiles = [
        counted(content.fields, "field"),
        counted(len(sizes), "group", f"the largest of {plural(int(sizes.max(initial=0)), 'field')}"),
        counted(content.pairs, "near-duplicate pair", f"{int(twins[twins > 1].sum()):,} fields have one"),
    ]
    if content.vocabulary is not None:
        tiles.append(_differing(content.conflicts, "pair", "of near-duplicates"))
    if content.torn is not None:
        tiles.append(_differing(len(content.torn), "group", "near-duplicates or not"))
    return tuple(tiles)


def _differing(count: int, word: str, note: str) -> Tile:
    tile = counted(count, word, note)
    return replace(tile, name=f"{tile.name} labelled differently")


def _counts(names: Sequence[str]) -> NDArray[np.intp]:
    return np.unique(np.asarray(names, np.str_), return_counts=True)[1]


def _sizes(content: AuditContent) -> Picture:
    groups = content.joined.groups
    return picture_of(
        group_sizes_figure(groups.groups, groups.twins),
        "group_sizes",
        alt="Bar chart: how many fields lie in groups of one, two, three to four and more fields.",
        caption="Fields by the size of the group they are in: by near-duplicates alone, and by all that joins. A field "
        "in a group of 1 is like no other.",
    )


def _on_page(pair: ShownPair, content: AuditContent) -> _PairOnPage:
    first, second = (_thumbnail(pair, place, content) for place in (0, 1))
    return _PairOnPage((first, second), f"{pair.similarity:.3f}", pair.in_conflict)


def _thumbnail(pair: ShownPair, place: int, content: AuditContent) -> Thumbnail:
    lines = [("", pair.ids[place])]
    if pair.labels is not None and content.vocabulary is not None:
        row = content.vocabulary.targets([pair.labels[place]])[0]
        lines.append(("labelled", names_of(row, content.vocabulary)))
    return thumbnail_of(
        pair.images[place],
        content.stains,
        alt=f"Field {pair.ids[place]}, like {pair.ids[1 - place]}",
        lines=tuple(lines),
    )
