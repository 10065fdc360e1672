"""Judging a run: predictions, numbers, report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protloc.apply.predict import predict_rows
from protloc.atlas.files import StrPath
from protloc.atlas.store import Store
from protloc.curate.split import rows_of
from protloc.errors import SplitError
from protloc.judge.evaluate import Evaluation, Floor, PartEvaluation, evaluate_part
from protloc.judge.evaluation import HEADLINES
from protloc.judge.predictions import PartPredictions
from protloc.learn.bundle import Bundle
from protloc.learn.runs import Run, read_run
from protloc.progress import Progress
from protloc.show.report import write_report
from protloc.show.report_content import PartAnswers, ReportContent, ShownFields, StoreFacts
from protloc.show.tally import pick_fields
from protloc.verbs.split import read_split

JUDGED = ("validation", "test")
SHOWN_FIELDS = 12  # best and worst fields in the report: two rows on a desktop, six on a phone


@dataclass(frozen=True)
class Evaluated:
    """What ``evaluate`` found and wrote.

    Attributes:
        run: The run, which now has ``predictions``, ``evaluation.json`` and ``report.html``.
        evaluation: Every metric.
        report: The page.
    """

    run: Run
    evaluation: Evaluation
    report: Path

    @property
    def summary(self) -> str:
        """Return the headline numbers beside the two floors, and where the report is."""
        rows = {part: _numbers(judged) for part, judged in self.evaluation.parts.items()}
        rows |= {f"always {floor.name} (test)": _numbers(floor) for floor in self.evaluation.parts["test"].floors}
        table = pd.DataFrame(rows, index=pd.Index(HEADLINES)).rename(HEADLINES).T
        shown = table.to_string(float_format=lambda number: f"{number:.4f}", na_rep="")
        return f"{shown}\nReport: {self.report}"


def evaluate(folder: StrPath, *, progress: Progress | None = None) -> Evaluated:
    """Predict the validation and test part of a run, judge both, and write numbers and report into the run.

    Args:
        folder: A run that ``train`` made; its store must lie where it was.
        progress: Called after each batch.

    Raises:
        RunError: if the folder is no run, or the split was made anew since.
        BundleError, StoreError, SplitError: if what the run refers to is missing or does not fit.
    """
    folder = Path(folder)
    run = read_run(folder)
    store = Store.open(run.store)
    split = read_split(store, run.split_name)
    run.check_fields(store, split)
    bundle, rows = run.bundle(), rows_of(split, store.ids)
    predictions = _predict(bundle, store, rows, progress)
    training_truth = store.targets[rows["train"]]
    judged = {
        part: evaluate_part(
            said.truth,
            said.logits,
            vocabulary=store.vocabulary,
            thresholds=bundle.thresholds,
            training_truth=training_truth,
        )
        for part, said in predictions.items()
    }
    evaluation = Evaluation(judged, store.vocabulary.name, bundle.thresholds, metadata.version("protloc"))
    for part, said in predictions.items():
        said.write(folder / "predictions" / f"{part}.parquet")
    evaluation.write(folder / "evaluation.json")
    sizes = {part: len(members) for part, members in rows.items()}
    content = _content(run, bundle.metrics["epoch"], store, sizes, evaluation, predictions["test"])
    return Evaluated(run, evaluation, write_report(folder / "report.html", content))


def _predict(
    bundle: Bundle, store: Store, rows: Mapping[str, NDArray[np.intp]], progress: Progress | None
) -> dict[str, PartPredictions]:
    for part in JUDGED:
        if not len(rows[part]):
            raise SplitError(f"{store.folder}: the {part} part of the split is empty. Split more fields.")
    logits = predict_rows(bundle, store, np.concatenate([rows[part] for part in JUDGED]), progress=progress)
    by_part = dict(zip(JUDGED, np.split(logits, [len(rows[JUDGED[0]])]), strict=True))
    return {
        part: PartPredictions(
            ids=tuple(store.ids[row] for row in rows[part]), truth=store.targets[rows[part]], logits=by_part[part]
        )
        for part in JUDGED
    }


def _content(
    run: Run, kept_epoch: int, store: Store, sizes: Mapping[str, int], evaluation: Evaluation, test: PartPredictions
) -> ReportContent:
    picked = pick_fields(test.truth, test.logits, thresholds=evaluation.thresholds, count=SHOWN_FIELDS)
    recipe = ["protloc", "train", run.record.store, "--recipe", str(run.folder / "settings.toml")]
    return ReportContent(
        run=run.folder.resolve().name,
        recipe=run.settings.recipe,
        vocabulary=store.vocabulary,
        store=StoreFacts(store.folder.name, bool(store.source["simulated"]), store.side, store.stains, sizes),
        evaluation=evaluation,
        test=PartAnswers(test.truth, test.logits),
        log=pd.DataFrame([asdict(epoch) for epoch in run.history]),
        best_epoch=kept_epoch,
        best=_shown(store, test, picked.best),
        worst=_shown(store, test, picked.worst),
        settings=run.settings.model_dump(),
        provenance=_provenance(run),
        command=shlex.join([*recipe, "--split", run.split_name, "--out", f"{run.folder}-again"]),
    )


def _shown(store: Store, test: PartPredictions, picked: NDArray[np.intp]) -> ShownFields:
    ids = tuple(test.ids[place] for place in picked)
    images = store.images([store.table.rows[field] for field in ids])
    return ShownFields(ids, images, PartAnswers(test.truth[picked], test.logits[picked]))


def _provenance(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "store": record.store,
        "split": f"{record.split} (SHA-256 {record.split_digest[:12]}…)",
        "python": record.python,
        **record.versions,
        **({"commit": record.commit} if record.commit else {}),
    }


def _numbers(judged: PartEvaluation | Floor) -> dict[str, float]:
    return {name: getattr(judged, name).value for name in HEADLINES if hasattr(judged, name)}
