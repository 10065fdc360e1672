"""Auditing a store: near-duplicates, groups, leaks, labels likely wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.atlas.files import StrPath, check_folder, write_csv, write_json
from protloc.atlas.keys import known_keys
from protloc.atlas.photographs import photographs_of
from protloc.atlas.store import Store
from protloc.curate.duplicates import Pairs, near_duplicates
from protloc.curate.groups import (
    GROUPS_FILE,
    Groups,
    Joined,
    Leaks,
    check_join,
    join_groups,
    label_conflicts,
    naive_leaks,
)
from protloc.errors import SettingsError
from protloc.progress import Progress
from protloc.show.audit_page import AuditContent, ShownPair, pairs_to_show, write_audit_page
from protloc.show.page import plural
from protloc.verbs.suspects import Reviewed, review_labels

Torn = dict[str, NDArray[np.intp]]  # by the name of a group whose fields were not labelled alike, its rows

FOLDER = "audit"  # in the store, if no other is said


@dataclass(frozen=True, eq=False)
class Audited:
    """What ``audit`` found and wrote.

    Attributes:
        groups_file: ``groups.parquet`` in the store: from now on splits keep groups together.
        page: The pairs side by side, what joined fields, and what a naive split would leak.
        joined: The groups, and what joined them.
        pairs: The near-duplicates, as rows of the store.
        labelled: Whether the store has labels.
        conflicts: Groups whose fields were not labelled alike.
        naive: What a split by single fields would leak.
        review: Labels likely wrong, or None where no run was given.
    """

    groups_file: Path
    page: Path
    joined: Joined
    pairs: Pairs
    labelled: bool
    conflicts: int
    naive: Leaks
    review: Reviewed | None

    @property
    def summary(self) -> str:
        """Return in words what was found and where it is."""
        naive = self.naive
        leaking = (
            f"Of {naive.judged:,} test fields of a split by single fields (70/15/15) {naive.with_twin:,.0f} would have "
            f"a near-duplicate in training, and {naive.with_group:,.0f} a field of their group."
        )
        told = (
            f"{plural(len(self.pairs), 'pair')} of near-duplicates. {self.joined.summary}",
            *([f"{plural(self.conflicts, 'group')} labelled differently."] if self.labelled else []),
            leaking,
            f"Groups: {self.groups_file}",
            f"Page: {self.page}",
            *([self.review.summary] if self.review else []),
        )
        return "\n".join(told)


def audit(
    store: Store,
    *,
    keys: StrPath | None = None,
    join: Sequence[str] | None = None,
    run: StrPath | None = None,
    out: StrPath | None = None,
    progress: Progress | None = None,
) -> Audited:
    """Find the fields of a store that are alike, join them into groups, and tell what would leak between parts.

    Args:
        store: Labelled or not.
        keys: What is known of the fields, as :func:`protloc.atlas.keys.read_keys` takes it; None for the parent alone.
        join: Keys that join, whatever comes of it; None for those that do not chain unlike fields together.
        run: A run of folds that was evaluated, whose answers tell labels that are likely wrong.
        out: Folder for the pages and tables; ``audit`` in the store if not given.
        progress: Told how many fields are read.

    Raises:
        SettingsError, TableError: if the keys cannot be read, or groups joined by keys before would fall apart without.
        RunError: if the run has no out-of-fold answers for this store.
    """
    folder = store.folder / FOLDER if out is None else Path(out)
    check_folder(folder)
    known = known_keys(tuple(store.fields["group"]), source=keys)
    check_join(join, known)
    pairs = near_duplicates(partial(_read, store), fields=len(store), progress=progress)
    joined = join_groups(store.ids, keys=known, pairs=(pairs.first, pairs.second), join=join)
    if keys is None:
        _check_none_forgotten(store, joined.groups)
    joined.groups.write(store.folder / GROUPS_FILE)
    review = None if run is None else review_labels(store, Path(run), out=folder)
    naive, torn = naive_leaks(joined.groups), _torn(store, joined.groups)
    table = _pair_table(store, pairs)
    conflicts = table["labels_differ"].to_numpy(dtype=bool)
    write_csv(folder / "pairs.csv", table)
    write_json(folder / "audit.json", _facts(joined, pairs, naive, torn))
    page = write_audit_page(folder / "index.html", _content(store, joined, pairs, conflicts, torn, naive))
    return Audited(store.folder / GROUPS_FILE, page, joined, pairs, store.labelled, len(torn), naive, review)


def _check_none_forgotten(store: Store, found: Groups) -> None:
    """Refuse to part fields that an earlier audit joined by keys which are not told now."""
    file = store.folder / GROUPS_FILE
    before = Groups.read(file) if file.is_file() else None
    if before is None or before.ids != found.ids:
        return
    held = set(zip(before.groups, found.groups, strict=True))
    apart = sum(news > 1 for news in Counter(old for old, _ in held).values())
    if apart:
        raise SettingsError(
            f"{file}: {apart:,} groups that an earlier audit joined by keys would fall apart, as no keys are told now. "
            "Say the same --keys again, or remove the file to forget them."
        )


def _read(store: Store, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Read fields through a mapping of their own: pages of one that stays count as memory, 2 GB for 31,072 fields."""
    return replace(store).images(rows)


def _torn(store: Store, groups: Groups) -> Torn:
    """Return the rows of every group whose fields were not labelled alike."""
    return label_conflicts(store.table, groups.groups) if store.labelled else {}


def _pair_table(store: Store, pairs: Pairs) -> pd.DataFrame:
    ids = np.array(store.ids, dtype=object)
    sets = np.unique(store.targets, axis=0, return_inverse=True)[1] if store.labelled else np.zeros(len(store))
    return pd.DataFrame(
        {
            "first": ids[pairs.first],
            "second": ids[pairs.second],
            "similarity": pairs.similarity.round(4),
            "labels_differ": sets[pairs.first] != sets[pairs.second],
        }
    )


def _facts(joined: Joined, pairs: Pairs, naive: Leaks, torn: Torn) -> dict[str, object]:
    return {
        "fields": len(joined.groups),
        "groups": len(set(joined.groups.groups)),
        "near_duplicate_pairs": len(pairs),
        "joined_by": list(joined.joined),
        "left_out": dict(joined.left_out),
        "groups_with_differing_labels": sorted(torn),
        "naive_split": asdict(naive),
    }


def _content(
    store: Store, joined: Joined, pairs: Pairs, conflicts: NDArray[np.bool_], torn: Torn, naive: Leaks
) -> AuditContent:
    return AuditContent(
        store=store.folder.name,
        simulated=bool(store.source["simulated"]),
        stains=store.stains,
        vocabulary=store.vocabulary if store.labelled else None,
        fields=len(store),
        pairs=len(pairs),
        conflicts=int(conflicts.sum()),
        shown=tuple(_shown(store, pairs, place) for place in pairs_to_show(pairs.similarity, conflicts)),
        joined=joined,
        torn=_label_sets(store, torn) if store.labelled else None,
        naive=naive,
        remedy=f"protloc split {store.folder} --by groups",
    )


def _label_sets(store: Store, torn: Torn) -> dict[str, list[tuple[int, ...]]]:
    return {name: [store.table.labels[row] for row in rows] for name, rows in torn.items()}


def _shown(store: Store, pairs: Pairs, place: np.intp) -> ShownPair:
    first, second = int(pairs.first[place]), int(pairs.second[place])
    return ShownPair(
        ids=(store.ids[first], store.ids[second]),
        similarity=float(pairs.similarity[place]),
        labels=(store.table.labels[first], store.table.labels[second]) if store.labelled else None,
        images=photographs_of(store, [first, second]),
    )
