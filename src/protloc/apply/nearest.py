"""Search for the nearest of many unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protloc.errors import MissingExtraError

QUERIES = 256  # at a time: with a block of 8,192 vectors their similarities are 8 MB

Vectors = NDArray[np.float32]


class Search(Protocol):
    """How the nearest of the vectors of an index are found."""

    def nearest(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Return the ``k`` largest cosines, largest first, and the rows they are of, each (queries, k).

        Args:
            queries: Unit vectors, shape (queries, dimensions).
            k: 1 up to the number of vectors.
        """
        ...


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions, float32; one of length 0 stays so, and is near to none."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32))
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)[:, np.newaxis]


@dataclass(frozen=True)
class ExactSearch:
    """Every vector is looked at, a block at a time; nothing larger than a block is in memory.

    Attributes:
        blocks: Gives unit vectors in row order, (any number, dimensions) at a time; called once a search.
    """

    blocks: Callable[[], Iterable[Vectors]]

    def nearest(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Return what :class:`Search` says."""
        best = np.full((len(queries), k), -np.inf, np.float32)
        rows = np.zeros((len(queries), k), np.int64)
        start = 0
        for block in self.blocks():
            for first in range(0, len(queries), QUERIES):
                similar = queries[first : first + QUERIES] @ block.T
                # soon few blocks hold a better one, and to look for the best of a block takes longer than to know that
                gains = np.flatnonzero((similar > best[first : first + QUERIES, -1:]).any(axis=1))
                better = first + gains
                best[better], rows[better] = _merged(best[better], rows[better], similar[gains], start)
            start += len(block)
        return best, rows


def _merged(best: Vectors, rows: NDArray[np.int64], similar: Vectors, start: int) -> tuple[Vectors, NDArray[np.int64]]:
    """Join the best so far with the similarities (queries, block) of the rows from ``start`` on."""
    k = best.shape[1]
    if similar.shape[1] > k:
        found = np.argpartition(similar, -k, axis=1)[:, -k:]
        similar = np.take_along_axis(similar, found, axis=1)
    else:
        found = np.broadcast_to(np.arange(similar.shape[1]), similar.shape)
    similar, found = np.hstack([best, similar]), np.hstack([rows, found + start])
    order = np.lexsort((found, -similar), axis=1)[:, :k]
    return np.take_along_axis(similar, order, axis=1), np.take_along_axis(found, order, axis=1)


class GraphSearch:
    """A graph of near vectors is walked along: some of the nearest may be missed, few vectors are looked at.

    Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small
    world graphs" (2016), by faiss. To build the graph takes far longer than one exact search, so it pays for very many.

    Args:
        blocks: Unit vectors in row order, (any number, dimensions) at a time; all are kept in memory.

    Raises:
        MissingExtraError: if faiss is not installed.
    """

    LINKS = 32  # of each vector; faiss's default
    WIDTH = 128  # vectors kept in mind on the way, at least

    def __init__(self, blocks: Iterable[Vectors]) -> None:
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError(
                "--approximate: faiss is not installed. pip install 'protloc[faiss]', or leave it out: the exact "
                "search needs nothing."
            ) from error
        self._graph: Any = None
        for block in blocks:
            if self._graph is None:
                self._graph = faiss.IndexHNSWFlat(block.shape[1], self.LINKS, faiss.METRIC_INNER_PRODUCT)
            self._graph.add(np.ascontiguousarray(block))

    def nearest(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Return what :class:`Search` says, but for rows that the walk missed; fewer if any query found fewer."""
        self._graph.hnsw.efSearch = max(self.WIDTH, 4 * k)
        similarities, rows = self._graph.search(np.ascontiguousarray(queries), k)
        found = int((rows >= 0).all(axis=0).sum())  # -1 stands at the end for what was not found
        return similarities[:, :found], rows[:, :found]
