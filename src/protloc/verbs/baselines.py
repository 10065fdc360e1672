"""The five recipes on one split, published numbers beside ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from protloc.atlas.files import StrPath, write_csv, write_text
from protloc.atlas.store import Store
from protloc.errors import WeightsError
from protloc.learn.epochs import best_epoch
from protloc.learn.recipes import RECIPES, load_recipe
from protloc.learn.runs import SETTINGS_FILE, read_run
from protloc.learn.weights import check_weights
from protloc.show.baselines_page import write_baselines_page
from protloc.verbs.evaluate import JUDGED, Evaluated
from protloc.verbs.train_and_evaluate import train_and_evaluate

PUBLISHED_NOTE = (
    "Published: a baseline recipe for Kaggle 2018, on other fields than these; no number of one stands against a "
    "number of the other."
)
LOSS_NOTE = (
    "Their loss of 0.691 = ln 2 beside an F1 of 0.5 is the mark of a sigmoid applied twice: probabilities in 0..1, fed "
    "to a loss that expects logits, cannot get much below it when most targets are 0. Ours are fed logits."
)
FIGURES = ("loss", "macro_f1", "samples_f1")


@dataclass(frozen=True, eq=False)
class Baselines:
    """What ``baselines`` made.

    Attributes:
        folder: Holds ``baselines.csv``, ``.md`` and ``.html``, and ``runs``.
        rows: A row a recipe: settings, course, our figures and the published ones.
    """

    folder: Path
    rows: pd.DataFrame

    @property
    def summary(self) -> str:
        """Return the table in short and where it is."""
        shown = self.rows[["recipe", "weights", "test_macro_f1", "test_samples_f1", "seconds", "images_per_second"]]
        return f"{shown.round(3).to_string(index=False)}\nThe whole table: {self.folder / 'baselines.md'}"


def baselines(
    store: Store,
    *,
    out: StrPath,
    split_name: str = "default",
    recipes: Sequence[str] = RECIPES,
    overrides: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
    show_progress: bool = False,
) -> Baselines:
    """Train and judge recipes on one split of a store. Interrupted, the same call goes on where it was.

    Where ImageNet's weights cannot be downloaded, a recipe that asks for them starts from random ones, and its row
    says so.

    Args:
        store: A labelled store.
        out: Folder for the table and the runs.
        split_name: Split of the store; ``default`` is made where it is missing.
        recipes: Names of recipes or TOML files.
        overrides: Settings other than the recipes', ``name=value`` each, for all of them.
        say: Takes a line of text for each epoch.
        show_progress: Draw bars.

    Raises:
        SettingsError: if a recipe or an override is wrong.
        SplitError: if there is no such split.
        WeightsError, MissingExtraError: if weights other than ImageNet's cannot be had.
    """
    out, tell = Path(out), say or (lambda _line: None)
    for recipe in recipes:  # before hours of training
        check_weights(load_recipe(recipe).with_overrides(overrides).weights)
    rows: list[dict[str, Any]] = []
    for recipe in recipes:
        tell(f"{recipe}:")
        run = out / "runs" / Path(recipe).stem
        evaluated = _with_or_without_weights(
            store, recipe, run, split_name=split_name, overrides=overrides, say=tell, show_progress=show_progress
        )
        rows.append(_row(evaluated))
        _write(out, pd.DataFrame(rows), store)
    return Baselines(out, pd.DataFrame(rows))


def _write(out: Path, rows: pd.DataFrame, store: Store) -> None:
    write_csv(out / "baselines.csv", rows)
    write_text(out / "baselines.md", _markdown(rows, store))
    notes = (PUBLISHED_NOTE, LOSS_NOTE)
    simulated = bool(store.source["simulated"])
    write_baselines_page(out / "baselines.html", rows, store=store.folder.name, simulated=simulated, notes=notes)


def _with_or_without_weights(
    store: Store,
    recipe: str,
    run: Path,
    *,
    overrides: Sequence[str],
    say: Callable[[str], None],
    **how: Any,  # noqa: ANN401 - passed on
) -> Evaluated:
    settings = load_recipe(recipe).with_overrides(overrides)
    begun_without = (run / SETTINGS_FILE).is_file() and read_run(run).settings.weights == "none"
    if settings.weights == "imagenet" and not begun_without:
        try:
            return train_and_evaluate(store, recipe=recipe, run=run, overrides=overrides, say=say, **how)
        except WeightsError as error:
            say(f"{error} Going on with random initial weights; the table says so.")
    if settings.weights == "imagenet":
        overrides = [*overrides, "weights=none"]
    return train_and_evaluate(store, recipe=recipe, run=run, overrides=overrides, say=say, **how)


def _row(evaluated: Evaluated) -> dict[str, Any]:
    run, parts = evaluated.run, evaluated.evaluation.parts
    settings, history = run.settings, run.history
    return {
        "recipe": settings.recipe,
        "backbone": settings.backbone,
        "weights": settings.weights,
        "epochs": len(history),
        "best_epoch": best_epoch(history).epoch,
        "seconds": round(sum(epoch.seconds for epoch in history), 1),
        "images_per_second": round(sum(epoch.images_per_second for epoch in history) / len(history), 1),
        **{f"{part}_{name}": getattr(parts[part], name).value for part in parts for name in FIGURES},
        **_published(settings.recipe),
    }


def _published(recipe: str) -> dict[str, Any]:
    with resources.files("protloc.verbs").joinpath("published.csv").open("r", encoding="utf-8") as stream:
        table = pd.read_csv(stream, index_col="recipe").add_prefix("published_")
    return table.reindex([recipe]).iloc[0].to_dict()  # nan where nothing was published


def _markdown(rows: pd.DataFrame, store: Store) -> str:
    kind = "simulated fields" if store.source["simulated"] else "fields"
    columns = ["recipe", "weights", "epochs", "seconds", "images/s"] + [
        f"{part} {name}" for part in ("validation", "test") for name in ("loss", "macro-F1", "samples-F1")
    ]
    lines = [f"# Baselines on {len(store):,} {kind}", "", _line(columns), _line(["---"] * len(columns))]
    for row in rows.to_dict("records"):
        course = [
            row["recipe"],
            row["weights"],
            row["epochs"],
            f"{row['seconds']:.0f}",
            f"{row['images_per_second']:.0f}",
        ]
        figures = [
            _beside(row[f"{part}_{name}"], row[f"published_{part}_{name}"]) for part in JUDGED for name in FIGURES
        ]
        lines.append(_line([*course, *figures]))
    return "\n".join([*lines, "", "In brackets what was published.", "", f"- {PUBLISHED_NOTE}", f"- {LOSS_NOTE}", ""])


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _beside(ours: float, published: float) -> str:
    return f"{ours:.4f}" if pd.isna(published) else f"{ours:.4f} ({published:.4f})"
