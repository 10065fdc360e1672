"""How far fields lie from those a model learnt from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from protloc.learn.export import EXPORTED_WEIGHTS
from protloc.learn.model import WEIGHTS_FILE

REFERENCE_FILE = "reference.safetensors"
FORMAT = "1"
MOST_COMPONENTS = 64
MOST_NUMBERS = 140_000  # of components, float16: 280 KB
MOST_NUMBERS_OF_ALL = 400_000  # of a bundle's references together: 800 KB
MOST_DISTANCES = 1000  # kept of the held-out fields; p-values are then exact to a thousandth
LEAST_FIELDS = 8
LEAST_VARIANCE = 1e-12
TENSORS = ("mean", "components", "spreads", "rest", "distances")

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """Where a network's embeddings of an atlas lie: a normal distribution, wide along few directions, else even.

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
            raise _other_dimensions(self.mean.size, embeddings)
        from_mean = embeddings.astype(np.float64) - self.mean
        along = from_mean @ self._axes
        beside = np.maximum((from_mean**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.sqrt(((along**2 / self.spreads).sum(axis=1) + beside / self.rest) / self.mean.size)

    @cached_property
    def _axes(self) -> Doubles:
        """Return the components made orthonormal again after rounding to float16, (dimensions, components)."""
        axes, turns = np.linalg.qr(self.components.astype(np.float64).T)
        return axes * np.sign(np.diag(turns))


def p_values(references: Sequence[Reference], embeddings: Floats) -> NDArray[np.float64]:
    """Return the chance that a field like those held out lies as far, for each of some embeddings.

    It is the conformal p-value (Bates et al., Ann. Stat. 51, 2023), (1 + how many held-out fields lie as far or
    farther) / (1 + held-out fields): for fields like the held-out ones it is at most t in at most a share t. The
    networks of folds each held out other fields; there it is the cross-conformal one (Vovk, Ann. Math. Artif. Intell.
    74, 2015), which counts for each network the fields that this one held out.

    Args:
        references: One for each network, in the order of the bundle.
        embeddings: Those of each network one after another, (fields, dimensions of all).

    Raises:
        BundleError: if they have other dimensions.
    """
    dimensions = [reference.mean.size for reference in references]
    if embeddings.ndim != 2 or embeddings.shape[1] != sum(dimensions):
        raise _other_dimensions(sum(dimensions), embeddings)
    farther, held_out = np.zeros(len(embeddings)), 0
    for reference, own in zip(references, np.split(embeddings, np.cumsum(dimensions)[:-1], axis=1), strict=True):
        nearer = np.searchsorted(reference.distances, reference.distance(own).astype(np.float32), side="left")
        farther += reference.distances.size - nearer
        held_out += reference.distances.size
    return (1 + farther) / (1 + held_out)


def spread(count: int, most: int) -> NDArray[np.intp]:
    """Return the places of at most so many of ``count`` things, evenly spread, the first and the last among them."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(np.intp)


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
    return replace(reference, distances=distances[spread(distances.size, MOST_DISTANCES)])


def components_for(dimensions: int, references: int) -> int:
    """Return how many components each of so many references of a bundle may keep.

    Args:
        dimensions: Of the embeddings of each.
        references: How many there are, of all networks and sets of stains.
    """
    return min(max(MOST_NUMBERS_OF_ALL // (dimensions * references), 1), MOST_COMPONENTS)


def write_references(folder: StrPath, references: Mapping[str, Sequence[Reference]]) -> None:
    """Write references beside the weights of a bundle, tied to these weights; none removes those of before.

    Args:
        folder: The bundle.
        references: One for each network, by which stains were given, as the keys of
            :attr:`protloc.learn.bundle.Bundle.rules`: sorted names joined by ``+``.

    Raises:
        BundleError: if the folder has no weights.
    """
    folder = Path(folder)
    if not references:
        (folder / REFERENCE_FILE).unlink(missing_ok=True)
        return
    tensors = {
        f"{stains}/{number}/{name}": np.atleast_1d(np.asarray(getattr(reference, name)))
        for stains, networks in references.items()
        for number, reference in enumerate(networks)
        for name in TENSORS
    }
    networks = json.dumps({stains: len(references[stains]) for stains in sorted(references)})
    about = {"format": FORMAT, "weights": _weights_hash(folder), "networks": networks}
    with atomic_file(folder / REFERENCE_FILE) as temporary:
        temporary.write_bytes(save(tensors, metadata=about))


def read_references(folder: StrPath) -> dict[str, tuple[Reference, ...]]:
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
                stains: tuple(
                    _from_tensors({name: opened.get_tensor(f"{stains}/{number}/{name}") for name in TENSORS})
                    for number in range(networks)
                )
                for stains, networks in json.loads(about["networks"]).items()
            }
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{file}: damaged ({error}). Make it again: protloc evaluate RUN, or delete it.") from error
    if about.get("format") != FORMAT or about.get("weights") != _weights_hash(folder):
        raise BundleError(
            f"{file}: was made with other weights, or by another version, than lie beside it. "
            "Make it again: protloc evaluate RUN, or delete it."
        )
    return read


def _from_tensors(tensors: Mapping[str, NDArray[np.generic]]) -> Reference:
    return Reference(
        tensors["mean"].astype(np.float32),
        tensors["components"].astype(np.float16),
        tensors["spreads"].astype(np.float32),
        float(tensors["rest"].astype(np.float64)[0]),
        tensors["distances"].astype(np.float32),
    )


def _weights_hash(folder: Path) -> str:
    weights = next((folder / name for name in (WEIGHTS_FILE, *EXPORTED_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise BundleError(
            f"{folder / WEIGHTS_FILE}: missing. A reference belongs beside the weights of a bundle; name its folder."
        )
    return sha256_of(weights)


def _principal(centred: Doubles, kept: int) -> tuple[Doubles, Doubles, float]:
    """Return the largest variances, descending, their directions (kept, dimensions), and the mean of all others."""
    fields, dimensions = centred.shape
    few = fields < dimensions  # the products of fields have the same variances, and their matrix is smaller
    products = (centred @ centred.T if few else centred.T @ centred) / max(fields - 1, 1)
    values, vectors = scipy.linalg.eigh(products, subset_by_index=(len(products) - kept, len(products) - 1))
    axes = vectors.T @ centred if few else vectors.T
    axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), LEAST_VARIANCE)
    rest = max((float(np.trace(products)) - float(values.sum())) / (dimensions - kept), LEAST_VARIANCE)
    return np.maximum(values[::-1], rest), axes[::-1], rest


def _other_dimensions(expected: int, embeddings: Floats) -> BundleError:
    return BundleError(
        f"{REFERENCE_FILE}: is of {expected} dimensions, the embeddings have shape {embeddings.shape}. "
        "Make both with the same model: protloc evaluate RUN."
    )


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
