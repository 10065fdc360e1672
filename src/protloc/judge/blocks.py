"""Groups of fields: numbered, counted, dealt into blocks, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


def codes_of(groups: Sequence[str]) -> NDArray[np.intp]:
    """Number the groups 0, 1, … in the order of their names.

    Returns:
        (fields,), the number of each field's group.
    """
    return np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1].astype(np.intp)


def group_blocks(groups: Sequence[str], *, blocks: int, seed: int = 0) -> NDArray[np.intp]:
    """Deal groups into blocks of nearly equal numbers of groups by chance; no group is ever in two blocks.

    Args:
        groups: Group of each field.
        blocks: How many; fewer are made where there are fewer groups.
        seed: Another seed, another deal.

    Returns:
        (fields,), the block of each field in 0..blocks-1.
    """
    codes = codes_of(groups)
    number = int(codes.max(initial=-1)) + 1
    return (np.random.default_rng(seed).permutation(number) % max(min(blocks, number), 1))[codes]


def groups_with(hot: NDArray[np.bool_], codes: NDArray[np.intp]) -> NDArray[np.int64]:
    """Count the groups with a set field, class by class.

    Args:
        hot: Flags of shape (fields, classes).
        codes: Number of each field's group, (fields,).

    Returns:
        (classes,).
    """
    rows, columns = np.nonzero(hot)
    pairs = np.unique(codes[rows] * hot.shape[1] + columns)
    return np.bincount(pairs % hot.shape[1], minlength=hot.shape[1]).astype(np.int64)


def group_weights(groups: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Draw groups with replacement, as many as there are.

    Yields:
        For each resample how often each group was drawn, (groups,), in the order of the sorted names.
    """
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(generator.integers(groups, size=groups), minlength=groups).astype(np.float64)
