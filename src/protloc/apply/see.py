"""What the networks of a model make of fields, whatever computes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protloc.apply.given import Fields
from protloc.judge.answering import AnswerRule
from protloc.learn.export import Export
from protloc.learn.model import Model

POSES = 8  # of a square: four quarter turns, each as it is and mirrored


@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks of a model make of fields, from one look.

    Attributes:
        logits: Every member's, float32 (members, fields, classes).
        embeddings: The members' pooled features before their last layer, one member's after another's, float32
            (fields, dimensions of all members).
    """

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    @property
    def mean_logits(self) -> NDArray[np.float32]:
        """Return those of the model, float32 (fields, classes)."""
        return self.logits.mean(axis=0)

    @property
    def logits_alone(self) -> Seen:
        """Return the same without embeddings, whose memory is free then."""
        return Seen(self.logits, np.empty((len(self.embeddings), 0), np.float32))


class Eye(Protocol):
    """Networks that are ready to look at fields."""

    def __call__(self, batches: Iterable[Fields]) -> Iterator[Seen]:
        """Yield what is made of each batch, uint8 (fields, stains of the model, side, side), in their order."""
        ...


def eye_of(model: Model, *, in_threads: bool = False) -> Eye:
    """Make a model ready to look; what computes it is imported now.

    Args:
        model: The model.
        in_threads: Whether it will be asked in another thread than this one.

    Raises:
        BundleError: if its weights are not those of its network.
        MissingExtraError: if what an export is computed with is not installed.
    """
    if isinstance(model, Export):
        from protloc.apply.export_eye import export_eye

        return export_eye(model)
    from protloc.apply.network_eye import NetworkEye
    from protloc.learn.bundle import as_bundle

    return NetworkEye(as_bundle(model), in_threads=in_threads)


def see(model: Model, batches: Iterable[Fields], *, tta: bool | None = None, embeddings: bool = True) -> Seen:
    """Look at fields with every network of a model.

    Args:
        model: The model.
        batches: Arrays of shape (fields, stains of the model, side, side), uint8.
        tta: Average the logits of the eight poses of each field; if not said, as the model was judged. Embeddings are
            of the fields as they are.
        embeddings: Keep them; else they have no dimensions.
    """
    turned = poses_of(model.rule, tta=tta) > 1
    eye = eye_of(model)
    parts = [part if embeddings else part.logits_alone for part in see_each(eye, batches, turned=turned)]
    if not parts:
        seen = next(eye([np.zeros((1, len(model.stains), model.side, model.side), np.uint8)]))
        parts = [Seen(seen.logits[:, :0], seen.embeddings[:0])]  # nothing, of the right shape
    return joined(parts)


def joined(parts: Sequence[Seen]) -> Seen:
    """Join what was made of several batches, one at least."""
    logits, embeddings = [part.logits for part in parts], [part.embeddings for part in parts]
    return Seen(np.concatenate(logits, axis=1), np.concatenate(embeddings))


def see_each(eye: Eye, batches: Iterable[Fields], *, turned: bool) -> Iterator[Seen]:
    """Yield what is made of each batch, turned with the mean of its logits over the poses."""
    if not turned:
        yield from eye(batches)
        return
    looks = eye(pose for batch in batches for pose in poses(batch))
    for straight in looks:
        total = straight.logits
        for other in islice(looks, POSES - 1):
            total = total + other.logits
        yield Seen(total / np.float32(POSES), straight.embeddings)


def poses(images: Fields) -> Iterator[Fields]:
    """Yield square fields (fields, stains, side, side) in their eight poses, as they came first."""
    for mirrored in (images, images[..., ::-1]):
        yield from (np.ascontiguousarray(np.rot90(mirrored, turns, (-2, -1))) for turns in range(4))


def poses_of(rule: AnswerRule, *, tta: bool | None) -> int:
    """Return how many poses of a field are looked at."""
    return rule.poses if tta is None else POSES if tta else 1
