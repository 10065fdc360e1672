"""Fields of any store as a microscope shows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.reading import in_order
from protloc.atlas.simulate.camera import STAINS, decode_clean, expose
from protloc.atlas.simulate.exposures import draw_any_camera
from protloc.atlas.store import Store
from protloc.errors import StoreError


def photographs_of(store: Store, rows: NDArray[np.intp] | Sequence[int], *, seed: int = 0) -> NDArray[np.uint8]:
    """Return what is seen of fields: the images of a store of photographs, photographs of the fields of a clean one.

    A field's photograph depends on ``seed`` and its row alone, whatever it is asked for with.

    Args:
        store: A store, clean or not.
        rows: Which fields; all of them are in memory at once.
        seed: 0 or more; another seed gives other cameras.

    Returns:
        New array of shape (len(rows), stains, side, side), uint8, in the order of ``rows``.

    Raises:
        StoreError: if the store is clean and has a stain that the camera does not know.
    """
    if not store.clean:
        return store.images(rows)
    channels = _channels(store)
    take = partial(_photograph, store, channels, seed)
    photographs = np.empty((len(rows), len(channels), store.side, store.side), np.uint8)
    for number, photograph in enumerate(in_order(take, (int(row) for row in rows), jobs=None)):
        photographs[number] = photograph
    return photographs


def _photograph(store: Store, channels: list[int], seed: int, row: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng([seed, row])
    camera = draw_any_camera(rng, side=store.side)
    light = np.zeros((len(STAINS), store.side, store.side), np.float32)  # a stain that was not kept is dark
    light[channels] = decode_clean(store.images([row])[0])
    return expose(light, camera, rng=rng)[channels]


def _channels(store: Store) -> list[int]:
    """Return the camera's number of each stain of a store."""
    names = [stain.name for stain in store.stains]
    if unknown := sorted(set(names) - set(STAINS)):
        raise StoreError(
            f"{store.folder}: has clean stains named {', '.join(unknown)}, expected some of {', '.join(STAINS)}. "
            "Prepare it again with these names."
        )
    return [STAINS.index(name) for name in names]
