"""The five recipes on one split, published numbers beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from protloc.atlas.files import StrPath, check_folder, write_csv, write_text
from protloc.atlas.store import Store
from protloc.errors import SettingsError, WeightsError
from protloc.learn.epochs import best_epoch
from protloc.learn.recipes import BASELINES, load_recipe
from protloc.learn.runs import SETTINGS_FILE, read_run
from protloc.learn.weights import check_weights
from protloc.show.baselines_page import FLATTERY, write_baselines_page
from protloc.show.markdown import markdown_table
from protloc.show.trust_words import leak_note
from protloc.verbs.evaluate import Evaluated
from protloc.verbs.flattery import flattery, flattery_table
from protloc.verbs.split import grouped_table, read_split
from protloc.verbs.train_and_evaluate import train_and_evaluate

PUBLISHED_NOTE = (
    "Published: a baseline recipe for Kaggle 2018, on other fields than these; no number of one stands against a "
    "number of the other."
)
LOSS_NOTE = (
    "Their loss of 0.691 = ln 2 beside an F1 of 0.5 is the mark of a sigmoid applied twice: probabilities in 0..1, fed "
    "to a loss that expects logits, cannot get much below it when most targets are 0. Ours are fed logits."
)
BESIDE_NOTE = (
    "The difference of two splits: each interval stands by itself, and holds for one training and one draw of either "
    "split; another seed would differ a little."
)
FIGURES = ("loss", "macro_f1", "samples_f1")
ENDS = ("", "_low", "_high")  # of the columns of an estimate


@dataclass(frozen=True, eq=False)
class Baselines:
    """What ``baselines`` made.

    Attributes:
        folder: Holds ``baselines.csv``, ``.md`` and ``.html``, and ``runs``.
        rows: A row a recipe: settings, course, our figures with their intervals, and the published ones.
        leaking: What the judged fields share with those learnt from, in words; empty if nothing was found.
        flattered: What the recipes score on the split beside, and how much more; None without one.
    """

    folder: Path
    rows: pd.DataFrame
    leaking: str
    flattered: pd.DataFrame | None = None

    @property
    def summary(self) -> str:
        """Return the table in short and where it is."""
        part = next(part for part in ("test", "out_of_fold") if f"{part}_loss" in self.rows)
        figures = [f"{part}_macro_f1", f"{part}_samples_f1", "seconds", "images_per_second"]
        shown = self.rows[["recipe", "weights", *figures]].round(3)
        tables = [shown, *([self.flattered] if self.flattered is not None else [])]
        told = [table.to_string(index=False) for table in tables]
        told += [self.leaking] if self.leaking else []
        return "\n\n".join([*told, f"The whole table: {self.folder / 'baselines.md'}"])


def baselines(
    store: Store,
    *,
    out: StrPath,
    split_name: str = "default",
    beside: str | None = None,
    recipes: Sequence[str] = BASELINES,
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
        beside: Another split, such as one by single fields, on which every recipe is trained and judged too: the table
            tells by how much it flatters.
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
    if beside == split_name:
        raise SettingsError(
            f"--beside {beside}: the split that is judged already. Name another, such as one made with: "
            f"protloc split {store.folder} --by fields --name by-field"
        )
    check_folder(out)
    folders = {split_name: out / "runs", **({beside: out / f"runs-{beside}"} if beside else {})}
    for recipe in recipes:  # before hours of training
        check_weights(load_recipe(recipe).with_overrides(overrides).weights)
    for name in folders:
        read_split(store, name)
    rows: list[dict[str, Any]] = []
    judged: dict[str, tuple[Path, ...]] = {}
    made = Baselines(out, pd.DataFrame(), leaking="")
    for recipe in recipes:
        evaluated: list[Evaluated] = []
        for name, runs in folders.items():
            tell(f"{recipe}, split {name}:")
            run = runs / Path(recipe).stem
            evaluated.append(
                _with_or_without_weights(
                    store, recipe, run, overrides=overrides, say=tell, split_name=name, show_progress=show_progress
                )
            )
        rows.append(_row(evaluated[0]))
        judged[str(rows[-1]["recipe"])] = tuple(each.predictions_file for each in evaluated)
        first = evaluated[0].evaluation
        leaking, flattered = leak_note(first.leaks, first.judged), _flattered(store, judged, split_name, beside)
        made = Baselines(out, pd.DataFrame(rows), leaking, flattered)
        _write(made, store)
    return made


def _flattered(
    store: Store, judged: Mapping[str, tuple[Path, ...]], split_name: str, beside: str | None
) -> pd.DataFrame | None:
    if beside is None:
        return None
    pairs = {recipe: (files[0], files[1]) for recipe, files in judged.items()}
    return flattery_table(flattery(pairs, groups=grouped_table(store).groups), split=split_name, beside=beside)


def _write(made: Baselines, store: Store) -> None:
    write_csv(made.folder / "baselines.csv", made.rows)
    write_text(made.folder / "baselines.md", _markdown(made, store))
    write_baselines_page(
        made.folder / "baselines.html",
        made.rows,
        flattered=made.flattered,
        store=store.folder.name,
        simulated=bool(store.source["simulated"]),
        notes=_notes(made),
    )


def _notes(made: Baselines) -> tuple[str, ...]:
    said = (made.leaking, *([BESIDE_NOTE] if made.flattered is not None else []), PUBLISHED_NOTE, LOSS_NOTE)
    return tuple(note for note in said if note)


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
        **{
            f"{part.replace('-', '_')}_{name}{end}": value
            for part in parts
            for name in FIGURES
            for end, value in zip(ENDS, astuple(getattr(parts[part], name)), strict=True)
        },
        **_published(settings.recipe),
    }


def _published(recipe: str) -> dict[str, Any]:
    with resources.files("protloc.verbs").joinpath("published.csv").open("r", encoding="utf-8") as stream:
        table = pd.read_csv(stream, index_col="recipe").add_prefix("published_")
    return table.reindex([recipe]).iloc[0].to_dict()  # nan where nothing was published


def _markdown(made: Baselines, store: Store) -> str:
    kind = "simulated fields" if store.source["simulated"] else "fields"
    figures = [column for column in made.rows if column.endswith(FIGURES) and not column.startswith("published_")]
    columns = ["recipe", "weights", "epochs", "seconds", "images/s", *(name.replace("_", " ") for name in figures)]
    rows = [
        [
            *(row[name] for name in ("recipe", "weights", "epochs")),
            *(f"{row[name]:.0f}" for name in ("seconds", "images_per_second")),
            *(_beside(row, name) for name in figures),
        ]
        for row in made.rows.to_dict("records")
    ]
    lines = [f"# Baselines on {len(store):,} {kind}", "", *markdown_table(columns, rows)]
    if made.flattered is not None:
        beside = made.flattered.itertuples(index=False, name=None)
        lines += ["", f"## {FLATTERY}", "", *markdown_table(made.flattered.columns, beside)]
    notes = [f"- {note}" for note in _notes(made)]
    return "\n".join([*lines, "", "After a number its 95 % interval; in brackets what was published.", "", *notes, ""])


def _beside(row: Mapping[str, Any], name: str) -> str:
    if pd.isna(row[name]):
        return "–"
    ours = f"{row[name]:.3f}, {row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f}"
    published = row.get(f"published_{name}")
    return ours if published is None or pd.isna(published) else f"{ours} ({published:.4f})"
