"""Exchanging units between parts until every class has its share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

POOL = 640  # kinds tried against each other at a time; more make a descent slower and hardly better
ROUNDS = 32  # descents before the best one stands
EXCHANGES = 10_000  # in all descents together; a million fields in groups take 4000, a few giants among mites no end
KICKS = 12  # exchanges by chance between two descents
NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True)
class Deal:
    """What is to be dealt and how it should come out, in whole numbers.

    Attributes:
        kinds: Counts of a unit of each kind, (kinds, columns).
        numbers: Units of each kind, (kinds,).
        shares: Share of each part in ``sum(shares)``, (parts,).
        ideal: What each part should hold of each column, times ``sum(shares)``, (parts, columns).
        weights: How much the distance of a column counts, (columns,).
        needed: Columns that no part should miss.
    """

    kinds: Ints
    numbers: Ints
    shares: Ints
    ideal: Ints
    weights: Ints
    needed: NDArray[np.intp]

    @property
    def whole(self) -> int:
        """Return the sum of the shares: one field in the scale of ``ideal`` and :meth:`distance`."""
        return int(self.shares.sum())

    def distance(self, dealt: Ints) -> Ints:
        """Return how far each part is above its ideal, times ``whole``, (parts, columns)."""
        return self.whole * (dealt.T @ self.kinds) - self.ideal

    def units_with(self, dealt: Ints) -> Ints:
        """Count in each part the units that have a needed column, (parts, needed)."""
        return dealt.T @ (self.kinds[:, self.needed] > 0)


@dataclass(frozen=True)
class _Exchange:
    """A unit of kind ``out`` goes from ``giver`` to ``taker``, one of kind ``back`` returns; the last kind is none."""

    change: int
    giver: int
    taker: int
    out: int
    back: int


def refine(deal: Deal, dealt: Ints, *, generator: np.random.Generator, keep: bool = False) -> Ints:
    """Exchange units until every count is within one of its ideal, or as near as repeated descents come.

    Each descent makes the exchange of two units, or the move of one, that most lowers the sum of squared distances,
    until none lowers it; before the next, some units are exchanged by chance.

    Args:
        deal: What is dealt.
        dealt: Units of each kind in each part, (kinds, parts).
        generator: Draws the exchanges by chance.
        keep: Leave the last unit of a part with a needed column where it is; else only the weights see to that.

    Returns:
        The best deal found, (kinds, parts), never worse than ``dealt``, leaving no part empty that was not.
    """
    best, best_badness, left = dealt, _badness(deal, dealt), EXCHANGES
    for _ in range(ROUNDS):
        pool = np.sort(np.argsort(generator.random(len(deal.kinds)), kind="stable")[:POOL])
        dealt, done = _descend(deal, dealt, pool, most=left, keep=keep)
        left -= done
        badness = _badness(deal, dealt)
        if badness < best_badness:
            best, best_badness = dealt, badness
        dealt = _kick(best, generator)
    return best


def _badness(deal: Deal, dealt: Ints) -> tuple[int, int, int]:
    """Rank a deal: needed columns missing from parts, squares of what is over one off, squares of all distances."""
    missing = int(np.count_nonzero(deal.units_with(dealt) == 0))
    distance = np.abs(deal.distance(dealt)).astype(object)  # Python's whole numbers do not overflow
    beyond = np.maximum(distance - deal.whole, 0)
    return missing, int((deal.weights * beyond**2).sum()), int((deal.weights * distance**2).sum())


def _descend(deal: Deal, dealt: Ints, pool: NDArray[np.intp], *, most: int, keep: bool) -> tuple[Ints, int]:
    """Exchange units of the kinds in ``pool`` while that lowers the distances; return also how many exchanges it took.

    Args:
        deal: What is dealt.
        dealt: Units of each kind in each part, (kinds, parts).
        pool: The kinds to exchange.
        most: Exchanges to stop after.
        keep: Leave the last unit of a part with a needed column where it is.
    """
    # the last kind is nothing: a unit exchanged for it moves
    kinds = np.concatenate([deal.kinds[pool], np.zeros((1, deal.kinds.shape[1]), np.int64)])
    weighted, has = kinds * deal.weights, kinds[:, deal.needed] > 0
    products = 2 * deal.whole * (weighted @ kinds.T)
    held, units, distance, with_needed = dealt[pool], dealt.sum(axis=0), deal.distance(dealt), deal.units_with(dealt)
    pairs = list(combinations(range(len(units)), 2))
    best_of: dict[tuple[int, int], _Exchange] = {}
    changed: tuple[int, ...] = tuple(range(len(units)))
    for done in range(most):
        last = (with_needed == 1).astype(np.int64) @ has[:-1].T > 0
        movable = (held.T > 0) & ~last if keep else held.T > 0
        pull = distance @ weighted.T
        for pair in pairs:
            if not set(pair).isdisjoint(changed):
                best_of[pair] = _best_exchange(pair, pull, products, movable, units > 1)
        best = min(best_of.values(), key=lambda exchange: exchange.change)
        if best.change >= 0:
            return _with_rows(dealt, pool, held), done
        changed = (best.giver, best.taker)
        for kind, step in ((best.out, -1), (best.back, 1)):
            for part, change in ((best.giver, step), (best.taker, -step)):
                distance[part] += change * deal.whole * kinds[kind]
                with_needed[part] += change * has[kind]
                if kind < len(pool):
                    held[kind, part] += change
                    units[part] += change
    return _with_rows(dealt, pool, held), most


def _with_rows(dealt: Ints, rows: NDArray[np.intp], values: Ints) -> Ints:
    changed = dealt.copy()
    changed[rows] = values
    return changed


def _best_exchange(
    pair: tuple[int, int], pull: Ints, products: Ints, held: NDArray[np.bool_], spare: NDArray[np.bool_]
) -> _Exchange:
    """Find the exchange of two parts that lowers the squared distances most.

    Args:
        pair: The two parts.
        pull: Product of each part's distance with each kind, (parts, kinds + 1).
        products: Twice the products of the kinds with each other, (kinds + 1, kinds + 1).
        held: Whether each part holds a unit of each kind that it may give, (parts, kinds).
        spare: Whether each part can lose a unit without being empty, (parts,).
    """
    giver, taker = pair
    own, gain = np.diag(products) // 2, pull[taker] - pull[giver]
    out = np.where(np.append(held[giver], spare[taker]), own + gain, NEVER)
    back = np.where(np.append(held[taker], spare[giver]), own - gain, NEVER)
    change = out[:, None] - products
    change += back
    place = int(np.argmin(change))
    return _Exchange(int(change.flat[place]), giver, taker, *divmod(place, len(own)))


def _kick(dealt: Ints, generator: np.random.Generator) -> Ints:
    """Exchange some units by chance; each part keeps its number of units."""
    dealt = dealt.copy()
    for _ in range(KICKS):
        pair = np.argsort(generator.random(dealt.shape[1]), kind="stable")[:2]
        held = [np.flatnonzero(dealt[:, part]) for part in pair]
        if not all(map(len, held)):
            continue
        out, back = (int(kinds[int(generator.random() * len(kinds))]) for kinds in held)
        dealt[out, pair] += (-1, 1)
        dealt[back, pair] += (1, -1)
    return dealt
