"""Dealing units into parts so that every class gets its share.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011),
generalised from single examples to *units* of several fields that stay together, then refined by exchanges. All
arithmetic is in whole numbers, so that no rounding decides and every platform deals alike:

1. Units with equal counts are one *kind*; each kind is dealt by its shares, rounded down. That alone keeps every class
   near its share and leaves fewer units of a kind over than there are parts.
2. What is left is dealt by iterative stratification: the rarest class first, each unit to the part that lacks most.
3. Exchanges between parts lower the distance from the ideal shares (:mod:`protloc.curate.refine`).
4. Where a part still misses a class that has units enough, as among a dozen units with crowded label sets, moves bring
   it in (:mod:`protloc.curate.cover`), and exchanges that keep it there even out the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from protloc.curate.cover import cover
from protloc.curate.refine import Deal, Ints, refine

SCARCE_WEIGHT = 8  # how much more it counts that each part has a unit of a class than how many of its fields
NEVER = np.iinfo(np.int64).max


def stratify(
    counts: NDArray[np.integer], *, shares: Sequence[Fraction], generator: np.random.Generator
) -> NDArray[np.intp]:
    """Deal units into parts, each class and the fields in all as near to the shares as whole units allow.

    A class with at least as many units as there are parts comes into every part, wherever that can be had for all such
    classes at once and the search finds how.

    Args:
        counts: Array of shape (units, classes + 1): for each unit the fields of each class, and last its fields in all.
        shares: Share of each part, summing to 1.
        generator: Decides between equally good ways.

    Returns:
        The part of each unit, (units,) in 0..parts-1. No part is empty if there are as many units as parts.
    """
    kind_of, kinds, numbers = _kinds(counts)
    deal = _deal(kinds, numbers, shares)
    dealt = numbers[:, None] * deal.shares // deal.whole
    dealt = _deal_rest(deal, dealt, generator)
    dealt = _fill_empty(deal, dealt)
    dealt = refine(deal, dealt, generator=generator)
    if not deal.units_with(dealt).all():
        dealt = refine(deal, cover(deal, dealt, generator=generator), generator=generator, keep=True)
    return _hand_out(kind_of, dealt, generator)


def _kinds(counts: NDArray[np.integer]) -> tuple[NDArray[np.intp], Ints, Ints]:
    """Return the kind of each unit, the counts of each kind, and the number of its units."""
    # rows as raw bytes, most significant first, sort like numbers and as fast as text
    rows = np.ascontiguousarray(counts, ">u2" if counts.max(initial=0) < 2**16 else ">u8")
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, kind_of, numbers = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    return kind_of, counts[first].astype(np.int64), numbers.astype(np.int64)


def _deal(kinds: Ints, numbers: Ints, shares: Sequence[Fraction]) -> Deal:
    """State the ideal; a class that a part may miss gets a column of its own, which counts units and weighs more."""
    whole = lcm(*(share.denominator for share in shares))
    parts = np.array([int(share * whole) for share in shares], np.int64)
    has = (kinds[:, :-1] > 0).astype(np.int64)
    units, fields = numbers @ has, numbers @ kinds
    enough = units >= len(parts)
    scarce = np.flatnonzero(enough & (units * parts.min() < 2 * whole))
    wanted = (
        np.array([_at_least_one(int(number), parts) for number in units[scarce]], np.int64).reshape(-1, len(parts)).T
    )
    ideal = parts[:, None] * fields
    ideal[:, scarce] = wanted * fields[scarce] // units[scarce]
    weights = np.append(np.full(len(scarce), SCARCE_WEIGHT), np.ones(kinds.shape[1], np.int64))
    columns = np.concatenate([has[:, scarce], kinds], axis=1)
    needed = len(scarce) + np.flatnonzero(enough)
    return Deal(columns, numbers, parts, np.concatenate([wanted, ideal], axis=1), weights, needed)


def _at_least_one(units: int, shares: Ints) -> Ints:
    """Share out units so that every part gets one at least, times the sum of the shares."""
    whole = shares.sum()
    small = np.zeros(len(shares), bool)
    while True:
        rest = units - small.sum()
        wanted = np.where(small, whole, whole * rest * shares // shares[~small].sum())
        if small.sum() == len(shares) - 1 or (wanted >= whole).all():
            return wanted
        small |= wanted < whole


def _deal_rest(deal: Deal, dealt: Ints, generator: np.random.Generator) -> Ints:
    """Deal the units left over: those of the rarest class first, each to the part that lacks most of it."""
    dealt = dealt.copy()
    left = deal.numbers - dealt.sum(axis=1)
    lacking = -deal.distance(dealt)
    luck = generator.random((len(left), len(deal.shares)))
    shuffled = np.argsort(generator.random(len(left)), kind="stable")
    while left.any():
        units = left @ (deal.kinds > 0)
        column = int(np.argmin(np.where(units > 0, units, NEVER)))  # the last, fields in all, when no class is left
        for kind in shuffled[(deal.kinds[shuffled, column] > 0) & (left[shuffled] > 0)]:
            for _ in range(left[kind]):
                part = int(np.lexsort((luck[kind], lacking[:, -1], lacking[:, column]))[-1])
                lacking[part] -= deal.whole * deal.kinds[kind]
                dealt[kind, part] += 1
            left[kind] = 0
    return dealt


def _fill_empty(deal: Deal, dealt: Ints) -> Ints:
    """Give each empty part the lightest unit of the part with most units, while that has two."""
    dealt = dealt.copy()
    for part in map(int, np.flatnonzero(dealt.sum(axis=0) == 0)):
        giver = int(np.argmax(dealt.sum(axis=0)))
        if dealt[:, giver].sum() > 1:
            kind = int(np.argmin(np.where(dealt[:, giver] > 0, deal.kinds.sum(axis=1), NEVER)))
            dealt[kind, [giver, part]] += (-1, 1)
    return dealt


def _hand_out(kind_of: NDArray[np.intp], dealt: Ints, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw which units of a kind go to which part."""
    order = np.lexsort((generator.random(len(kind_of)), kind_of))
    parts = np.empty(len(kind_of), np.intp)
    parts[order] = np.repeat(np.tile(np.arange(dealt.shape[1]), len(dealt)), dealt.ravel())
    return parts
