"""Commands that train and judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from protloc import console
from protloc.options import (
    EpochsOption,
    SeedOption,
    SetOption,
    SplitOption,
    with_settings,
)

# What a command needs is imported when it runs: torch alone takes seconds, and --help shall not.
# ruff: noqa: UP045 - typer reads Optional[...] at run time

INTERRUPTED = 130  # what a shell makes of Ctrl-C


def train(
    store: Annotated[Path, typer.Argument(help="A labelled store.")],
    recipe: Annotated[str, typer.Option("--recipe", help="Name of a recipe, or a .toml file of settings.")],
    out: Annotated[Path, typer.Option("--out", help="Run to write.")],
    split: SplitOption = "default",
    weights: Annotated[
        Optional[str],
        typer.Option("--weights", help="Where to start: starter, imagenet, efficientnet-lite0, none, or a bundle."),
    ] = None,
    epochs: EpochsOption = None,
    set_: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Train a recipe on a split of a store; on folds, one network a fold and the ensemble of them.

    Recipes: baseline-cnn, baseline-resnet50, baseline-resnet50-augmented, baseline-resnet152-augmented, standard,
    starter.

    Example: `protloc train store --recipe standard --out runs/standard --set learning_rate=1e-3`
    """
    from protloc.atlas.store import Store
    from protloc.verbs.train import train_recipe

    made = train_recipe(
        Store.open(store), recipe=recipe, run=out, split_name=split,
        overrides=with_settings(set_, epochs=epochs, weights=weights), resume=resume, say=console.say,
        show_progress=sys.stderr.isatty(),
    )  # fmt: skip
    console.say(made.summary)
    if made.interrupted:
        raise typer.Exit(INTERRUPTED)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A trained run.")],
    tta: Annotated[
        bool, typer.Option("--tta", help="Average the eight poses of each field; predict will too.")
    ] = False,
    error_rate: Annotated[
        float,
        typer.Option(
            "--error-rate", help="Share of a class's fields told absent, and of answers *present*, that may be wrong."
        ),
    ] = 0.10,
    thresholds: Annotated[
        Literal["auto", "fixed", "one", "per-class", "prevalence"],
        typer.Option("--thresholds", help="How they are found; auto tries all on other fields."),
    ] = "auto",
) -> None:
    """Fit how a run answers, and judge it: evaluation.json, report.html.

    Example: `protloc evaluate runs/standard`
    """
    from protloc.verbs.evaluate import evaluate as judge

    with console.bar("evaluating") as progress:
        made = judge(
            run, tta=tta, error_rate=error_rate, threshold_rule=thresholds.replace("-", " "), progress=progress
        )
    console.say(made.summary)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated runs; the first is what the others are set against.")],
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for table and page; beside the first run if not said.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Tell which runs differ on the same fields: better, worse or not resolvable.

    Example: `protloc compare runs/baseline-cnn runs/standard`
    """
    from protloc.verbs.compare import compare_runs

    console.say(compare_runs(runs, out=out, seed=seed).summary)


def baselines(
    store: Annotated[Path, typer.Argument(help="A labelled store.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the table and the runs.")],
    split: SplitOption = "default",
    beside: Annotated[
        Optional[str], typer.Option("--beside", help="Another split, to tell by how much it flatters.")
    ] = None,
    recipe: Annotated[
        Optional[list[str]], typer.Option("--recipe", help="One of the recipes only; repeat it. All five if not said.")
    ] = None,
    epochs: EpochsOption = None,
    set_: SetOption = None,
) -> None:
    """Train and judge the five recipes on one split. Interrupted, the same command goes on.

    Example: `protloc baselines store --out baselines --beside by-field`
    """
    from protloc.atlas.store import Store
    from protloc.learn.recipes import BASELINES
    from protloc.verbs.baselines import baselines as run

    made = run(
        Store.open(store), out=out, split_name=split, beside=beside, recipes=recipe or BASELINES,
        overrides=with_settings(set_, epochs=epochs), say=console.say, show_progress=sys.stderr.isatty(),
    )  # fmt: skip
    console.say(made.summary)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path("demo"),
    fields: Annotated[int, typer.Option("--fields", help="How many fields to simulate.")] = 2400,
    seed: SeedOption = 0,
) -> None:
    """Simulate, prepare, audit, split, train, evaluate and embed: all of it in minutes, without a download.

    Example: `protloc demo --out demo`
    """
    from protloc.verbs.demo import demo as run

    made = run(out, fields=fields, seed=seed, say=console.say, show_progress=sys.stderr.isatty())
    console.say(made.summary)
