"""Near-duplicates: fields that show the same cells once more.

Hashes propose (:mod:`protloc.curate.hashes`, :mod:`protloc.curate.bands`), images decide: the detail of the two fields'
thumbnails is correlated over small shifts, and only pairs that agree in it are told. A field of the same antibody, cell
line or well shows other cells and does not agree; neither do two empty fields, whatever the lamp did to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protloc.curate.bands import Candidates, search
from protloc.curate.hashes import POSES, THUMBNAIL, Hashes, cosine_waves, hashes_of, posed, shows, thumbnails_of
from protloc.progress import Progress

ALIKE = 0.5  # of 888 simulated twin pairs the least alike has 0.61, strangers that hashes propose stay under 0.25
SHIFTS = np.linspace(-2, 2, 9)  # px of a thumbnail, up to 6 % of the field; whole ones alone would lose a third
SMOOTH_WAVES = 4  # a side, up to 1.5 periods: the light of a lamp, which empty fields share
_BATCH_BYTES = 2**24  # of images read at a time
_PAIRS = 256  # correlated at a time

Thumbnails = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Fields that show the same cells.

    Attributes:
        first: Rows, (pairs,) intp, rising.
        second: Rows, each above its ``first``; each pair once.
        similarity: Correlation of the two fields in 0..1, :func:`similarity_of`; 1 for equal ones.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)


def near_duplicates(
    images: Callable[[NDArray[np.intp]], NDArray[np.uint8]], *, fields: int, progress: Progress | None = None
) -> Pairs:
    """Find the fields that show the same cells as another one.

    Found are repeats that are turned by quarters, mirrored, shifted by a few per cent of the side, exposed anew,
    compressed or a little blurred; not those that are cropped or enlarged. Of a crowd of more than a few repeats of one
    field not all pairs are told, but enough to join it. A stain that is even all over, or so but for a speck or two,
    has no say, and fields in which every stain is so, as empty ones, are nobody's duplicates, not even of an equal one:
    nothing in them shows that their cells are the same.

    Args:
        images: Gives the fields of some rows, (rows, stains, side, side) uint8, such as ``Store.images``. Asked for
            all fields in order, some 16 MB at a time.
        fields: How many there are.
        progress: Told how many fields are read.

    Returns:
        The pairs, sorted; the same on every run.

    Raises:
        ImageError: if ``images`` gives arrays of another shape or type.
    """
    if not fields:
        return Pairs(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
    thumbnails, hashes = _read(images, fields, progress)
    return _confirmed(thumbnails, search(hashes))


def similarity_of(first: Thumbnails, second: Thumbnails) -> NDArray[np.float64]:
    """Correlate the detail of fields pair by pair over small shifts, all stains together.

    Detail is what is left without the smooth light of the lamp, each wave weighted by its frequency, as in a gradient:
    half-way to phase correlation (Kuglin & Hines, "The phase correlation image alignment method", 1975), lest the few
    large shapes decide alone.

    Args:
        first: Thumbnails, (pairs, stains, 32, 32) uint8.
        second: Those to compare with, in the same pose.

    Returns:
        (pairs,) float64 in 0..1: mean correlation of the stains in which both show something, at the best shift of up
        to 6 % of the side; 0 where there is no such stain.
    """
    one, other = _detail(first), _detail(second)
    stains = np.maximum((one.any(axis=(-2, -1)) & other.any(axis=(-2, -1))).sum(axis=1), 1)
    product = (one * other.conj()).sum(axis=1) / stains[:, None, None]
    correlation = (_DOWN @ product @ _ACROSS).real  # the inverse transform, at the shifts alone
    return np.clip(correlation.max(axis=(-2, -1)).astype(np.float64), 0, 1)


def _read(
    images: Callable[[NDArray[np.intp]], NDArray[np.uint8]], fields: int, progress: Progress | None
) -> tuple[Thumbnails, Hashes]:
    """Read all fields, a batch at a time, and keep their thumbnails and hashes: 1 kB a stain."""
    sample = images(np.arange(1))
    batch = max(_BATCH_BYTES // max(sample.nbytes, 1), 1)
    thumbnails = np.empty((fields, *thumbnails_of(sample).shape[1:]), np.uint8)
    hashes = np.empty(thumbnails.shape[:2], np.uint64)
    for begin in range(0, fields, batch):
        rows = np.arange(begin, min(begin + batch, fields))
        thumbnails[rows] = thumbnails_of(images(rows))
        hashes[rows] = hashes_of(thumbnails[rows])
        if progress is not None:
            progress(begin + len(rows), fields)
    return thumbnails, hashes


def _confirmed(thumbnails: Thumbnails, candidates: Candidates) -> Pairs:
    """Keep the pairs that are alike in the pose in which they are most alike."""
    similarity = np.empty(len(candidates.first))
    for begin in range(0, len(similarity), _PAIRS):
        here = slice(begin, begin + _PAIRS)
        turned = _turned(thumbnails[candidates.second[here]], candidates.poses[here])
        similarity[here] = similarity_of(thumbnails[candidates.first[here]], turned)
    pairs, starts = np.unique(np.stack([candidates.first, candidates.second], axis=1), axis=0, return_index=True)
    best = np.maximum.reduceat(similarity, starts) if len(starts) else similarity
    first, second = pairs[best >= ALIKE].T
    return Pairs(first, second, best[best >= ALIKE])


def _turned(thumbnails: Thumbnails, poses: NDArray[np.intp]) -> Thumbnails:
    turned = np.empty_like(thumbnails)
    for pose in range(POSES):
        turned[poses == pose] = posed(thumbnails[poses == pose], pose)
    return turned


def _detail(thumbnails: Thumbnails) -> NDArray[np.complex64]:
    """Return the spectrum of each stain's detail, of unit length, or 0 where there is none; (..., 32, 17) complex64."""
    waves = cosine_waves(SMOOTH_WAVES)
    smooth = waves.T @ waves
    roots = thumbnails.astype(np.float32)
    spectrum = np.fft.rfft2(roots - smooth @ roots @ smooth) * _FREQUENCY
    length = np.sqrt((np.abs(spectrum) ** 2 @ _TIMES).sum(axis=-1))[..., None, None]
    return np.where(shows(thumbnails)[..., None, None], spectrum / np.maximum(length, 1e-6), 0).astype(np.complex64)


_ROWS, _COLUMNS = np.fft.fftfreq(THUMBNAIL), np.fft.rfftfreq(THUMBNAIL)
_FREQUENCY = np.hypot(_ROWS[:, None], _COLUMNS).astype(np.float32)
_TIMES = np.array([1] + [2] * (THUMBNAIL // 2 - 1) + [1], np.float32)  # the other half of a real image's spectrum
_DOWN = np.exp(2j * np.pi * SHIFTS[:, None] * _ROWS).astype(np.complex64)
_ACROSS = (np.exp(2j * np.pi * SHIFTS * _COLUMNS[:, None]) * _TIMES[:, None]).astype(np.complex64)
