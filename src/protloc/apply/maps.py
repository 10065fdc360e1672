"""Maps: the embeddings of fields on a plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protloc.apply.nearest import unit

MOST_COMPONENTS = 50  # scanpy's: what it looks for neighbours in
BLOCK = 4096  # fields centred in double precision at a time: 42 MB of 1,280 dimensions
NEAR = 15  # neighbours UMAP goes by, its own default and scanpy's


@dataclass(frozen=True, eq=False)
class FieldMap:
    """Where fields lie.

    Attributes:
        method: How the plane was found: ``UMAP`` or ``PCA``.
        places: Horizontal and vertical place of each field, shape (fields, 2), float32; the axes have no unit.
        components: Principal components of each field's direction, shape (fields, 2 to 50), float32, the widest first.
        shares: Share of the variance in each of these, shape (components,), 0..1.
    """

    method: str
    places: NDArray[np.float32]
    components: NDArray[np.float32]
    shares: NDArray[np.float64]


def field_map(embeddings: NDArray[np.float32], *, seed: int = 0) -> FieldMap:
    """Lay fields out on a plane: by UMAP where ``umap-learn`` is installed, else by their first two components.

    The components are those of the embeddings' directions, as it is directions that neighbours are searched by.
    UMAP: McInnes et al., "UMAP: Uniform Manifold Approximation and Projection" (2018), of the principal components, as
    scanpy does. It keeps who is next to whom; distances between groups and their sizes mean little.

    Args:
        embeddings: Shape (fields, dimensions).
        seed: UMAP begins with random places; the components need no chance.
    """
    components, shares = principal_components(unit(embeddings))
    if len(components) > NEAR + 1 and find_spec("umap") is not None:
        return FieldMap("UMAP", _umap(components, seed=seed), components, shares)
    return FieldMap("PCA", components[:, :2], components, shares)


def principal_components(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Find the directions in which embeddings differ most, and where each field lies along them.

    Exact, from the covariance in double precision summed over blocks, so that memory does not grow with the fields. The
    largest weight of each direction is positive, so that the same fields give the same signs.

    Args:
        embeddings: Shape (fields, dimensions).

    Returns:
        Components (fields, n), float32, and their shares of the variance (n,), n at most 50 and as large as there are
        directions, but 2 at least: those that are not there are 0.
    """
    fields, dimensions = embeddings.shape
    mean = embeddings.sum(axis=0, dtype=np.float64) / max(fields, 1)
    covariance = np.zeros((dimensions, dimensions))
    for block in _centred(embeddings, mean):
        covariance += block.T @ block
    variances, directions = np.linalg.eigh(covariance)
    count = min(MOST_COMPONENTS, dimensions, max(fields - 1, 0))
    directions = directions[:, ::-1][:, :count]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.where(directions[largest, np.arange(count)] < 0, -1, 1)
    components = np.zeros((fields, max(count, 2)), np.float32)
    shares = np.zeros(max(count, 2))
    shares[:count] = np.clip(variances[::-1][:count], 0, None) / max(variances.sum(), np.finfo(float).tiny)
    for number, block in enumerate(_centred(embeddings, mean)):
        components[number * BLOCK :][: len(block), :count] = block @ directions
    return components, shares


def _centred(embeddings: NDArray[np.float32], mean: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(embeddings), BLOCK):
        yield embeddings[start : start + BLOCK] - mean


def _umap(components: NDArray[np.float32], *, seed: int) -> NDArray[np.float32]:
    umap: Any = import_module("umap")  # takes seconds: it compiles itself
    places = umap.UMAP(n_neighbors=NEAR, random_state=seed, n_jobs=1).fit_transform(components)
    return np.asarray(places, np.float32)
