"""Moving units until no part misses a class it needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.curate.refine import Deal, Ints

STEPS = 2000  # moves before the best deal stands; in 300 worlds of up to 8 units all that can be had was found
CHANCE = 0.2  # of a move by chance, which leads out of dead ends


@dataclass(frozen=True)
class _Moves:
    """Moves of a unit to one part: its kind and its giver, how many needs each mends, how much nearer it comes."""

    kinds: NDArray[np.intp]
    givers: NDArray[np.intp]
    mended: Ints
    gain: Ints


def cover(deal: Deal, dealt: Ints, *, generator: np.random.Generator) -> Ints:
    """Move units to the parts that miss a needed column, the least harmful first, until none does.

    A walk as for satisfiability (Selman, Kautz & Cohen, "Noise strategies for improving local search", AAAI 1994): of a
    part and a column it misses, drawn by chance, the best move is made, or now and then any. Whether all needs can be
    met at once is a hard question, so the walk ends after ``STEPS`` moves.

    Args:
        deal: What is dealt.
        dealt: Units of each kind in each part, (kinds, parts).
        generator: Draws what is moved.

    Returns:
        The deal met with the fewest columns missing, (kinds, parts), leaving no part empty that was not.
    """
    best, dealt = dealt, dealt.copy()
    fewest = int(np.count_nonzero(deal.units_with(best) == 0))
    for _ in range(STEPS):
        lacks = np.argwhere(deal.units_with(dealt) == 0)
        if len(lacks) < fewest:
            best, fewest = dealt.copy(), len(lacks)
        if not fewest:
            break
        part, column = lacks[int(generator.random() * len(lacks))].tolist()
        moves = _moves(deal, dealt, part, column)
        if len(moves.kinds):
            any_move = generator.random() < CHANCE
            order = generator.random(len(moves.kinds)) if any_move else np.lexsort((-moves.gain, -moves.mended))
            place = int(np.argmin(order)) if any_move else int(order[0])
            dealt[moves.kinds[place], [moves.givers[place], part]] += (-1, 1)
    return best


def _moves(deal: Deal, dealt: Ints, part: int, column: int) -> _Moves:
    """List the moves that bring a needed column into a part."""
    has = deal.kinds[:, deal.needed] > 0
    spare = dealt.sum(axis=0) > 1
    kinds, givers = np.nonzero((dealt > 0) & spare & has[:, column, None])
    held = deal.units_with(dealt)
    mended = (has[kinds] & (held[part] == 0)).sum(axis=1) - (has[kinds] & (held[givers] == 1)).sum(axis=1)
    distance, moved = deal.distance(dealt), deal.kinds[kinds]
    gain = (deal.weights * moved * (distance[givers] - distance[part] - deal.whole * moved)).sum(axis=1)
    return _Moves(kinds, givers, mended, gain)
