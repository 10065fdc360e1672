"""How far fields lie from those a model learnt from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from protloc.atlas.files import StrPath, atomic_file, sha256_of
from protloc.errors import BundleError, SettingsError
from protloc.learn.bundle import WEIGHTS_FILE

REFERENCE_FILE = "reference.safetensors"
FORMAT = "1"
MOST_COMPONENTS = 64
MOST_NUMBERS = 140_000  # of components, float16: 280 KB
MOST_DISTANCES = 1000  # kept of the held-out fields; p-values are then exact to a thousandth
LEAST_FIELDS = 8
LEAST_VARIANCE = 1e-12
TENSORS = ("mean", "components", "spreads", "rest", "distances")

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """Where the embeddings of an atlas lie: a normal distribution, wide along few directions, even along the others.

    It is that of probabilistic principal components (Tipping & Bishop, J. R. Stat. Soc. B 61, 1999).

    Attributes:
        mean: Mean embedding of the training fields, (dimensions,), float32.
        components: Directions in which they vary most, orthonormal, (components, dimensions), float16.
        spreads: Their variance along each, (components,), float32, descending.
        rest: Their variance along any other direction.
        distances: Distances of held-out fields, ascending, (held out,), float32, at most ``MOST_DISTANCES``.
    """

    mean: Floats
    components: NDArray[np.float16]
    spreads: Floats
    rest: float
    distances: Floats

    def distance(self, embeddings: Floats) -> NDArray[np.float64]:
        """Return the Mahalanobis distance of embeddings over the root of their dimensions, about 1 for a usual field.

        Args:
            embeddings: Shape (fields, dimensions).

        Raises:
            BundleError: if they have other dimensions.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.mean.size:
            raise BundleError(
                f"{REFERENCE_FILE}: is of {self.mean.size} dimensions, the embeddings have shape {embeddings.shape}. "
                "Make both with the same model: protloc evaluate RUN."
            )
        from_mean = embeddings.astype(np.float64) - self.mean
        along = from_mean @ self._axes
        beside = np.maximum((from_mean**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.sqrt(((along**2 / self.spreads).sum(axis=1) + beside / self.rest) / self.mean.size)

    @cached_property
    def _axes(self) -> Doubles:
        """Return the components made orthonormal again after rounding to float16, (dimensions, components)."""
        axes, turns = np.linalg.qr(self.components.astype(np.float64).T)
        return axes * np.sign(np.diag(turns))

    def p_values(self, embeddings: Floats) -> NDArray[np.float64]:
        """Return the chance that a field like those held out lies as far, for each of some embeddings.

        It is the conformal p-value (Bates et al., Ann. Stat. 51, 2023), (1 + how many held-out fields lie as far or
        farther) / (1 + held-out fields): for fields like the held-out ones it is at most t in at most a share t.

        Args:
            embeddings: Shape (fields, dimensions).
        """
        nearer = np.searchsorted(self.distances, self.distance(embeddings).astype(np.float32), side="left")
        return (1 + self.distances.size - nearer) / (1 + self.distances.size)


def fit_reference(embeddings: Floats, held_out: Floats, *, components: int | None = None) -> Reference:
    """Describe where embeddings lie.

    Args:
        embeddings: Of fields the network learnt from, (fields, dimensions).
        held_out: Of fields it did not learn from, and such that none shares cells or antibody with those,
            (fields, dimensions): they tell which distances are usual.
        components: How many directions are kept; as many as fit into 280 KB, at most 64, if not said.

    Raises:
        SettingsError: if there are too few fields, or the dimensions differ.
    """
    _check(embeddings, held_out)
    fields, dimensions = embeddings.shape
    fit = max(MOST_NUMBERS // dimensions, 1)
    kept = min(components or MOST_COMPONENTS, MOST_COMPONENTS, fit, fields - 2, dimensions - 1)
    mean = embeddings.mean(axis=0, dtype=np.float64)
    spreads, axes, rest = _principal(embeddings - mean, kept)
    reference = Reference(
        mean.astype(np.float32), axes.astype(np.float16), spreads.astype(np.float32), rest, np.zeros(0, np.float32)
    )
    distances = np.sort(reference.distance(held_out)).astype(np.float32)
    if distances.size > MOST_DISTANCES:
        distances = distances[np.linspace(0, distances.size - 1, MOST_DISTANCES).round().astype(np.intp)]
    return replace(reference, distances=distances)


def write_references(folder: StrPath, references: Mapping[str, Reference]) -> None:
    """Write references beside the weights of a bundle, tied to these weights.

    Args:
        folder: The bundle.
        references: By which stains were given, as the keys of :attr:`protloc.learn.bundle.Bundle.rules`: sorted names
            joined by ``+``.

    Raises:
        BundleError: if the folder has no weights.
    """
    folder = Path(folder)
    tensors = {
        f"{stains}/{name}": np.atleast_1d(np.asarray(getattr(reference, name)))
        for stains, reference in references.items()
        for name in TENSORS
    }
    about = {"format": FORMAT, "weights": _weights_hash(folder), "stains": json.dumps(sorted(references))}
    with atomic_file(folder / REFERENCE_FILE) as temporary:
        temporary.write_bytes(save(tensors, metadata=about))


def read_references(folder: StrPath) -> dict[str, Reference]:
    """Read what :func:`write_references` wrote; nothing where there is no such file.

    Raises:
        BundleError: if the file is damaged, or of other weights than lie beside it.
    """
    folder = Path(folder)
    file = folder / REFERENCE_FILE
    if not file.is_file():
        return {}
    try:
        with safe_open(file, framework="numpy") as opened:
            about: dict[str, str] = opened.metadata() or {}
            read = {
                stains: {name: opened.get_tensor(f"{stains}/{name}") for name in TENSORS}
                for stains in json.loads(about["stains"])
            }
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BundleError(f"{file}: damaged ({error}). Make it again: protloc evaluate RUN, or delete it.") from error
    if about.get("format") != FORMAT or about.get("weights") != _weights_hash(folder):
        raise BundleError(
            f"{file}: was made with other weights, or by another version, than lie beside it. "
            "Make it again: protloc evaluate RUN, or delete it."
        )
    return {stains: _from_tensors(tensors) for stains, tensors in read.items()}


def _from_tensors(tensors: Mapping[str, NDArray[np.generic]]) -> Reference:
    return Reference(
        tensors["mean"].astype(np.float32),
        tensors["components"].astype(np.float16),
        tensors["spreads"].astype(np.float32),
        float(tensors["rest"].astype(np.float64)[0]),
        tensors["distances"].astype(np.float32),
    )


def _weights_hash(folder: Path) -> str:
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise BundleError(f"{weights}: missing. A reference belongs beside the weights of a bundle; name its folder.")
    return sha256_of(weights)


def _principal(centred: Doubles, kept: int) -> tuple[Doubles, Doubles, float]:
    """Return the largest variances, descending, their directions (kept, dimensions), and the mean of all others."""
    covariance = centred.T @ centred / max(len(centred) - 1, 1)
    dimensions = len(covariance)
    values, vectors = scipy.linalg.eigh(covariance, subset_by_index=(dimensions - kept, dimensions - 1))
    rest = max((float(np.trace(covariance)) - float(values.sum())) / (dimensions - kept), LEAST_VARIANCE)
    return np.maximum(values[::-1], rest), vectors.T[::-1], rest


def _check(embeddings: Floats, held_out: Floats) -> None:
    if embeddings.shape[1:] != held_out.shape[1:] or min(len(embeddings), len(held_out)) < LEAST_FIELDS:
        raise SettingsError(
            f"embeddings: shapes {embeddings.shape} and {held_out.shape}, expected {LEAST_FIELDS} fields or more each, "
            "of the same dimensions. Give more fields of one model."
        )
    if not (np.isfinite(embeddings).all() and np.isfinite(held_out).all()):
        raise SettingsError(
            "embeddings: some are no numbers, expected finite ones. Leave out fields that were not read."
        )
