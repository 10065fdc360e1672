"""Which of many hashes are alike, without comparing all with all.

Locality-sensitive hashing (Indyk & Motwani, "Approximate nearest neighbors", STOC 1998): a *band* is a handful of bits
of one stain's hash, drawn by chance. Hashes that agree in all bits of a band are compared, others are not; what one
band misses another finds. A band is the wider the more fields there are, so that the comparisons per field stay the
same, and all fields are sorted into a band in each of their eight poses, which finds turned ones and makes every pair
eight chances in every band. A crowd that agrees in a band, as of one field repeated a thousand times, is compared along
a chain, each with the next few: enough to join it, and no more work than a crowd of strangers makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.curate.hashes import BITS, POSES, Hashes, differing_bits, posed, posed_hashes

WITHIN = 0.25  # of the bits; repeats differ in 7 % of them, strangers in 50 %, and a stain of mere noise adds 11 %
BANDS = 64  # of all stains together; what they find is measured in benchmarks/duplicates_study.py
SPARE_BITS = 5  # of a band beyond log2(fields): a field meets about one stranger in two bands
CHAIN = 8  # next neighbours in a crowd that each is compared with
_ROWS = 2**12  # turned at a time, and
_ENTRIES = 2**16  # looked through at a time: what fits into a processor's cache
_POSE_BITS = 3  # of an entry, below those of its row
_LOW = np.uint64(2**32 - 1)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd; the top half of a product with it mixes all bits of the factor


@dataclass(frozen=True, eq=False)
class Candidates:
    """Fields whose hashes are alike.

    Attributes:
        first: Rows, (pairs,) intp, rising.
        second: Rows, each above its ``first``.
        poses: How the second field is to be turned to look like the first, 0 to 7, as in ``hashes.posed``.
        differing: Share of the bits that differ, (pairs,) float64.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    poses: NDArray[np.intp]
    differing: NDArray[np.float64]


def search(hashes: Hashes, *, within: float = WITHIN, seed: int = 0) -> Candidates:
    """Find pairs of fields whose hashes differ in few bits in some pose.

    Time grows as the number of fields times its logarithm. Among 31,072 fields of four stains none is missed of the
    repeats that differ in 7 % of the bits, 4 of 100 of those that differ in 14 %, and 36 of 100 at 20 %; among
    300,000 fields 0, 14 and 64; among 31,072 of one stain 0, 18 and 55.

    Args:
        hashes: Array of shape (fields, stains), uint64, of ``hashes_of``; 0 where a stain shows nothing.
        within: Greatest share of differing bits, over the stains in which both show something.
        seed: Draws the bands.

    Returns:
        Each pair and pose once, sorted. A field is not paired with itself.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    none = np.empty(0, np.int64)
    found = [none]
    for stain in range(hashes.shape[1]):
        for _ in range(-(-BANDS // hashes.shape[1])):
            band = _draw_band(len(hashes), generator)
            alike = [_within(hashes, *pairs, within) for pairs in _agreeing(hashes[:, stain], band)]
            found.append(np.unique(np.concatenate([none, *alike])))
    first, second, poses = _uncoded(np.unique(np.concatenate(found)), len(hashes))
    differing = differing_bits(hashes[first], hashes[second], poses=poses)
    return Candidates(first, second, poses, differing)


def _draw_band(fields: int, generator: np.random.Generator) -> np.uint64:
    """Draw the bits of a band, never the mark."""
    width = min(max(fields, 2).bit_length() + SPARE_BITS, BITS // 2)
    places = np.argsort(generator.random(BITS), kind="stable")[:width] + 1
    return np.uint64(sum(1 << int(place) for place in places))


def _agreeing(hashes: Hashes, band: np.uint64) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of entries, 8 * row + pose, whose bits in the band agree; the first of each pair is the lower."""
    entries = _entries(hashes, band)
    for start in range(0, len(entries), _ENTRIES):
        here = entries[start : start + _ENTRIES + CHAIN]
        lower = np.flatnonzero((here[1:] ^ here[:-1])[:_ENTRIES] <= _LOW)
        for step in range(1, CHAIN + 1):
            yield (here[lower] & _LOW).astype(np.int64), (here[lower + step] & _LOW).astype(np.int64)
            lower = lower[lower + step + 1 < len(here)]
            lower = lower[(here[lower] ^ here[lower + step + 1]) <= _LOW]  # only who agrees with those between
            if not len(lower):
                break


def _entries(hashes: Hashes, band: np.uint64) -> NDArray[np.uint64]:
    """Sort all rows in all poses by their bits in the band, which the top half of an entry mixes."""
    rows, shown = np.flatnonzero(hashes), hashes[hashes != 0]
    poses = np.arange(POSES)[:, None]
    entries = np.empty((POSES, len(rows)), np.uint64)
    for start in range(0, len(rows), _ROWS):
        here = slice(start, start + _ROWS)
        mixed = (posed_hashes(shown[here], poses) & band) * _SPREAD
        entries[:, here] = (mixed & ~_LOW) | (POSES * rows[here] + poses).astype(np.uint64)
    entries = entries.ravel()
    entries.sort()  # equal bits stand together, by entry: no platform sorts them otherwise
    return entries


def _within(hashes: Hashes, lower: NDArray[np.int64], upper: NDArray[np.int64], within: float) -> NDArray[np.int64]:
    """Return the codes of the pairs of entries that are of two fields and differ in few enough bits."""
    poses = _RELATIVE[lower & (POSES - 1), upper & (POSES - 1)]
    first, second = lower >> _POSE_BITS, upper >> _POSE_BITS
    # take fetches rows from all over the memory in an eighth of the time that indexing needs
    differing = differing_bits(hashes.take(first, axis=0), hashes.take(second, axis=0), poses=poses)
    alike = np.flatnonzero((differing <= within) & (first < second))
    return (first[alike] * len(hashes) + second[alike]) * POSES + poses[alike]


def _uncoded(codes: NDArray[np.int64], fields: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    rows, poses = np.divmod(codes, POSES)
    first, second = np.divmod(rows, max(fields, 1))
    return first.astype(np.intp), second.astype(np.intp), poses.astype(np.intp)


def _relative_poses() -> NDArray[np.intp]:
    """Return, for one field seen in pose a and another in pose b, the pose of the other that looks like the one."""
    corners = np.stack([posed(np.arange(4).reshape(2, 2), pose).ravel() for pose in range(POSES)]).astype(np.intp)
    reached = corners[:, corners].swapaxes(0, 1)  # (a, sought, corner): first turned as sought, then by a
    return (reached[:, None] == corners[:, None]).all(axis=-1).argmax(axis=-1)


_RELATIVE = _relative_poses()
