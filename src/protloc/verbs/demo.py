"""The whole way from nothing to a judged classifier, on simulated fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protloc.atlas.files import StrPath
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.simulate import simulate
from protloc.verbs.audit import audit
from protloc.verbs.embed import embed
from protloc.verbs.evaluate import Evaluated
from protloc.verbs.split import split_source
from protloc.verbs.train_and_evaluate import train_and_evaluate

FIELDS = 2400
SOURCE_SIDE = 256  # px a field as simulated; half of Kaggle's, a quarter of the time
SIDE = 128  # px a field as stored, the baseline's
EPOCHS = 10  # with FIELDS, five minutes on two cores: more fields gave more than more epochs


@dataclass(frozen=True)
class Demonstration:
    """What ``demo`` made.

    Attributes:
        folder: Holds ``atlas``, ``store``, ``run`` and ``fields.parquet``.
        evaluated: How the classifier was judged.
        index: What the network makes of the labelled fields, to find alike ones in.
    """

    folder: Path
    evaluated: Evaluated
    index: Path

    @property
    def summary(self) -> str:
        """Return the table of numbers, where the report is, and how to ask the classifier."""
        return (
            f"{self.evaluated.summary}\nThese fields are simulated: the numbers say nothing of real ones.\n"
            f"Ask it in the browser: protloc serve {self.evaluated.run.folder} --atlas {self.index}"
        )


def demo(
    out: StrPath,
    *,
    fields: int = FIELDS,
    epochs: int = EPOCHS,
    seed: int = 0,
    recipe: str = "standard",
    say: Callable[[str], None] | None = None,
    show_progress: bool = False,
) -> Demonstration:
    """Simulate, prepare, audit, split, train, evaluate and embed. Interrupted, the same call goes on where it was.

    The recipe ``standard`` starts from the weights of the starter model, which learnt from other simulated fields: from
    ImageNet's these few minutes reach a third of its macro-F1.

    Args:
        out: Folder for everything.
        fields: How many fields to simulate.
        epochs: How long to train.
        seed: Of the atlas, the split and the training.
        recipe: What to train.
        say: Takes a line of text for each step.
        show_progress: Draw bars.
    """
    tell = say or (lambda _line: None)
    out = Path(out)
    tell(f"simulate: {fields} fields of {SOURCE_SIDE} px, about a minute")
    atlas = simulate(out / "atlas", fields=fields, side=SOURCE_SIDE, seed=seed, balanced=True)
    prepared = prepare(atlas.images, out / "store", labels=atlas.labels, reading=Reading(side=SIDE))
    tell(f"prepare: {prepared.summary}")
    tell(f"audit: {audit(prepared.store, keys=atlas.truth).summary}")
    tell(f"split: {split_source(prepared.store, seed=seed).summary}")
    evaluated = train_and_evaluate(
        prepared.store,
        recipe=recipe,
        run=out / "run",
        overrides=[f"seed={seed}", f"epochs={epochs}", *(["weights=starter"] if recipe == "standard" else [])],
        say=say,
        show_progress=show_progress,
    )
    index = embed(evaluated.run.bundle(), prepared.store.folder, out=out / "fields.parquet")
    tell(f"embed: {index.summary}")
    return Demonstration(out, evaluated, index.file)
