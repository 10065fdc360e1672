"""Groups: fields so alike that a split must not part them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import gammaln

from protloc.atlas.files import write_parquet
from protloc.atlas.keys import KEYS
from protloc.atlas.table import LabelTable
from protloc.errors import SettingsError, StoreError

GROUPS_FILE = "groups.parquet"
LARGEST_SHARE = 0.10  # of all fields in one group: above it a test part of 15 % is hardly more than this one group
TOGETHER = "parent"  # tiles of one field are never parted
PROTEIN, BATCH = (
    frozenset({"antibody", "gene"}),
    "plate",
)  # what makes fields alike, and what merely stains them together

Rows = NDArray[np.intp]
Links = tuple[Rows, Rows]


@dataclass(frozen=True)
class Groups:
    """The group of every field.

    Attributes:
        ids: Field ids, unique.
        groups: What is kept together, named by its smallest id; a field like no other is a group of its own.
        twins: The near-duplicates of the field and itself, named by the smallest id; never parted by ``groups``.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    twins: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def twin_pairs(self) -> Links:
        """Return rows of near-duplicates, two arrays of shape (pairs,), by which they can be joined again."""
        return _links(self.twins)

    def write(self, file: Path) -> None:
        """Write the columns ``id``, ``group``, ``twin`` as parquet, whole or not at all."""
        columns = {"id": list(self.ids), "group": list(self.groups), "twin": list(self.twins)}
        write_parquet(file, pd.DataFrame(columns, dtype="str"))

    @classmethod
    def read(cls, file: Path) -> Groups:
        """Read what :meth:`write` wrote.

        Raises:
            StoreError: if the file is missing, has no groups in it, a gap, or an id twice.
        """
        try:
            columns = pq.read_table(file, columns=["id", "group", "twin"]).to_pydict()
            _check_columns(columns)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are subclasses of these
            what = error if file.is_file() else "no such file"
            raise StoreError(
                f"{file}: no groups with the columns id, group, twin ({what}). Make them with: "
                f"protloc audit {file.parent}"
            ) from error
        return cls(tuple(columns["id"]), tuple(columns["group"]), tuple(columns["twin"]))


@dataclass(frozen=True)
class Joined:
    """Groups, and what they were joined by.

    Attributes:
        groups: The group of every field.
        joined: What joins fields, such as ``near-duplicates`` and ``antibody``.
        left_out: The keys that do not, because they would chain unlike fields together: share of all fields in what
            would be the largest group.
    """

    groups: Groups
    joined: tuple[str, ...]
    left_out: Mapping[str, float]

    @property
    def summary(self) -> str:
        """Return in words how many groups there are, what joined them, and what was left out and why."""
        sizes = np.bincount(_codes(self.groups.groups))
        by = ", ".join(self.joined) or "nothing"
        said = f"{counted(len(sizes), 'group')}, the largest of {counted(sizes.max(), 'field')}, joined by {by}."
        chosen = [name for name in self.joined if name in KEYS and name != TOGETHER]
        for name, share in self.left_out.items():
            said += (
                f" The {name} is left out: it would put up to {100 * share:.0f} % of the fields into one group. "
                f"To join by it all the same: --join {','.join([*chosen, name])}."
            )
        return said


@dataclass(frozen=True)
class Leaks:
    """How many judged fields have something like them among the learnt ones.

    Attributes:
        judged: Fields judged.
        with_group: Those with a field of their group among the learnt; of random splits, how many to expect.
        with_twin: Those with a near-duplicate among the learnt; likewise.
    """

    judged: int
    with_group: float
    with_twin: float


def join_groups(
    ids: Sequence[str],
    *,
    keys: Mapping[str, Sequence[str]],
    pairs: Links | None = None,
    join: Sequence[str] | None = None,
) -> Joined:
    """Join fields that share a key or are near-duplicates, and those joined to them in turn, into groups.

    Near-duplicates and ``parent`` always join. Other keys are tried from the most specific to the least; one by which
    the largest group would grow beyond ``LARGEST_SHARE`` of all fields is left out, as it chains unlike fields. A plate
    joins only where no protein is known: it holds many antibodies, and an antibody stands on several plates.

    Args:
        ids: Field ids, unique.
        keys: For each of some of ``KEYS`` the value of every field, empty where unknown: that joins nothing.
        pairs: Rows of near-duplicates, two arrays of shape (pairs,).
        join: The keys to join by, in any case, whatever comes of it; None for the rule above.

    Raises:
        SettingsError: if ``join`` names a key that is not in ``keys``.
    """
    join = None if join is None else [name.lower() for name in join]
    check_join(join, keys)
    twins = [pairs] if pairs is not None else []
    links, joined, left_out = twins, ["near-duplicates"][: len(twins)], dict[str, float]()
    share = _largest_share(len(ids), links)
    for name, own in ((name, _links(keys[name])) for name in KEYS if name in keys):
        would_be = _largest_share(len(ids), [*links, own])
        chains = would_be > max(share, LARGEST_SHARE) or (name == BATCH and not PROTEIN.isdisjoint(joined))
        if name == TOGETHER or (name in join if join is not None else not chains):
            links, share = [*links, own], would_be
            joined += [name] if len(own[0]) else []
        elif join is None:
            left_out[name] = would_be
    groups, duplicates = _named(ids, [_components(len(ids), each) for each in (links, twins)])
    return Joined(Groups(tuple(ids), groups, duplicates), tuple(joined), left_out)


def leaks(groups: Groups, *, learnt: Rows, judged: Rows) -> Leaks:
    """Count the judged fields that have a group mate, or a near-duplicate, among the learnt ones.

    Args:
        groups: The group of every field.
        learnt: Rows of ``groups`` that are learnt from.
        judged: Rows that are judged on.
    """
    return Leaks(
        len(judged),
        *(int(np.isin(codes[judged], codes[learnt]).sum()) for codes in map(_codes, (groups.groups, groups.twins))),
    )


def naive_leaks(groups: Groups, *, train: float = 0.70, test: float = 0.15) -> Leaks:
    """Tell how many test fields of a split by single fields would have a mate in training, on average.

    The average over all random splits of these sizes, exactly: of the other n - 1 fields t train, and none of the
    s - 1 mates is among them with probability C(n - s, t) / C(n - 1, t).

    Args:
        groups: The group of every field.
        train: Share of the fields that train.
        test: Share of the fields that are judged.
    """
    fields = len(groups)
    learnt, judged = round(train * fields), round(test * fields)
    expected = (_expected_with_mate(_codes(names), learnt) for names in (groups.groups, groups.twins))
    return Leaks(judged, *(judged / max(fields, 1) * number for number in expected))


def label_conflicts(table: LabelTable, clusters: Sequence[str]) -> dict[str, Rows]:
    """Find clusters of like fields which were not labelled alike.

    Args:
        table: The labelled fields.
        clusters: The cluster of each of them, such as its near-duplicates (``Groups.twins``) or its antibody; empty
            where unknown.

    Returns:
        The rows of every cluster in which label sets differ, rising, by its name; in the order of the names.
    """
    codes, names = pd.factorize(np.array(clusters, object), sort=True)
    label_codes = pd.factorize(pd.Series(table.labels, dtype=object))[0]
    sets_of = np.unique(np.stack([codes, label_codes]), axis=1)[0]
    torn = np.bincount(sets_of, minlength=len(names)) > 1
    torn &= names != ""
    rows = np.argsort(codes, kind="stable")
    rows = rows[torn[codes[rows]]]
    parts = np.split(rows, np.flatnonzero(np.diff(codes[rows])) + 1)
    return dict(zip(names[torn].tolist(), parts, strict=False))


def counted(number: int, word: str) -> str:
    """Write a number with its word: 1 field, 2,000 fields."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _check_columns(columns: Mapping[str, Sequence[object]]) -> None:
    for name, values in columns.items():
        if not all(isinstance(value, str) for value in values):
            raise ValueError(f"{name}: not all are texts")
    if len(set(columns["id"])) != len(columns["id"]):
        raise ValueError("id: one comes twice")


def check_join(join: Sequence[str] | None, keys: Mapping[str, Sequence[str]]) -> None:
    """Refuse keys to join by that are not known.

    Raises:
        SettingsError: if ``join`` names a key that is not in ``keys``.
    """
    unknown = [name for name in join or () if name not in keys]
    if unknown:
        known = ", ".join(name for name in keys if name != TOGETHER)
        expected = f"expected any of the known keys: {known}." if known else "no key is known. Tell them with --keys."
        raise SettingsError(f"--join: {unknown[0]!r}, {expected}")


def _codes(names: Sequence[str]) -> Rows:
    return pd.factorize(np.array(names, object))[0].astype(np.intp)


def _links(values: Sequence[str]) -> Links:
    """Link each further field with a known value to the first that has it."""
    codes, names = pd.factorize(np.array(values, object))
    first = np.unique(codes, return_index=True)[1][codes]
    further = np.flatnonzero((first != np.arange(len(codes))) & (names != "")[codes])
    return first[further], further


def _components(fields: int, links: Sequence[Links]) -> Rows:
    """Number the connected components of fields, (fields,)."""
    none = np.empty(0, np.intp)
    first, second = (np.concatenate(ends) for ends in zip((none, none), *links, strict=True))
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(fields, fields))
    return connected_components(graph, directed=False)[1].astype(np.intp)


def _largest_share(fields: int, links: Sequence[Links]) -> float:
    return int(np.bincount(_components(fields, links)).max(initial=0)) / max(fields, 1)


def _named(ids: Sequence[str], components: Sequence[Rows]) -> list[tuple[str, ...]]:
    """Name for each way to group them the component of each field by the smallest id in it."""
    rising = np.array(sorted(range(len(ids)), key=lambda row: ids[row]), np.intp)
    named: list[tuple[str, ...]] = []
    for component in components:
        _, first = np.unique(component[rising], return_index=True)
        smallest: list[int] = rising[first][component].tolist()
        named.append(tuple([ids[row] for row in smallest]))
    return named


def _expected_with_mate(codes: Rows, learnt: int) -> float:
    """Sum over all fields the chance that a mate is among ``learnt`` of the others."""
    fields, size = len(codes), np.bincount(codes)
    free = fields - size  # the others that are no mates
    with np.errstate(invalid="ignore"):
        # paired so that a field without mates gets 0 exactly
        none = (gammaln(free + 1) - gammaln(fields)) + (gammaln(fields - learnt) - gammaln(free - learnt + 1))
    alone = np.where(free >= learnt, np.exp(none), 0.0)
    return float(size @ (1 - alone))
