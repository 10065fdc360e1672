"""Dealing groups into blocks, to fit on some, judge on others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
