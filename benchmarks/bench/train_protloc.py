"""protloc's own training, an epoch a turn; ``python -m bench.train_protloc STORE RUN STEPS BATCH``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.train_turns import Turns
from protloc.atlas.store import Store
from protloc.curate.split import Split
from protloc.learn import classifier
from protloc.learn.data import Batch, Batches, FieldData
from protloc.learn.epochs import read_history
from protloc.learn.recipes import load_recipe
from protloc.learn.runs import LOG_FILE
from protloc.learn.train import train

RECIPE = "baseline-resnet50-augmented"
VALIDATION = 8
FOR_EVER = 100_000


class Clock:
    """Adds up the time that calls take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the work, its calls timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the work takes
            began = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


class TimedBatches:
    """Batches, with the time that the trainer waits for them."""

    def __init__(self, batches: Batches, clock: Clock) -> None:
        self._batches = batches
        self._clock = clock

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self._batches)
        following = self._clock.over(lambda: next(batches, None))
        while (batch := following()) is not None:
            yield batch


def main() -> None:
    """Train for ever, telling after each epoch what its log says."""
    store, run, steps, batch = Store.open(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    clocks = {"wait": Clock(), "augment": Clock(), "clip": Clock()}
    read = FieldData.train_dataloader
    FieldData.train_dataloader = lambda self: TimedBatches(read(self), clocks["wait"])
    classifier.augment = clocks["augment"].over(classifier.augment)
    clip = classifier.Classifier.on_before_optimizer_step
    classifier.Classifier.on_before_optimizer_step = clocks["clip"].over(clip)
    turns = Turns(1)

    def end_epoch(_: str) -> None:
        seconds = steps * batch / read_history(run / LOG_FILE)[-1].images_per_second
        shares = {name: 100 * clock.seconds / seconds for name, clock in clocks.items()}
        for clock in clocks.values():
            clock.seconds = 0.0
        turns.end_step(steps * batch, seconds=seconds, **shares)

    told = (f"epochs={FOR_EVER}", f"patience={FOR_EVER}", f"batch_size={batch}", "device=cpu")
    train(
        store,
        settings=load_recipe(RECIPE).with_overrides(["weights=none", "oversampling_factor=1", *told]),
        run=run,
        split=_split(store, train=steps * batch),
        split_name="bench",
        say=end_epoch,
    )


def _split(store: Store, *, train: int) -> Split:
    rest = len(store) - train - VALIDATION
    return Split(store.ids, ("train",) * train + ("validation",) * VALIDATION + ("test",) * rest)


if __name__ == "__main__":
    main()
