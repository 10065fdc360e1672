"""Training followed by judging, gone on with where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from protloc.atlas.store import Store
from protloc.verbs.evaluate import Evaluated, evaluate
from protloc.verbs.train import train_recipe


def train_and_evaluate(
    store: Store,
    *,
    recipe: str | Path,
    run: Path,
    split_name: str = "default",
    overrides: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
    show_progress: bool = False,
) -> Evaluated:
    """Train a recipe and judge it; a run that was begun before with these settings is gone on with.

    The arguments and errors are those of :func:`protloc.verbs.train.train_recipe`. Ctrl-C while training is passed on
    as KeyboardInterrupt: what was trained is kept, and the same call goes on with it.
    """
    trained = train_recipe(
        store,
        recipe=recipe,
        run=run,
        split_name=split_name,
        overrides=overrides,
        resume=True,
        say=say,
        show_progress=show_progress,
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    return evaluate(run)
