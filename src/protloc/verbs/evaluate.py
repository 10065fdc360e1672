"""Judging a run: predictions, answers, numbers, report."""

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

from protloc.atlas.files import StrPath, write_text
from protloc.atlas.photographs import photographs_of
from protloc.atlas.store import Store
from protloc.errors import RunError, SettingsError
from protloc.judge.answering import ERROR_RATE
from protloc.judge.evaluate import evaluate_part
from protloc.judge.evaluation import HEADLINES, STABLE_GROUPS, Evaluation, Floor, PartEvaluation
from protloc.judge.predictions import PartPredictions, predictions_file
from protloc.judge.three_way import deferral
from protloc.judge.thresholds import RULES
from protloc.learn.bundle import write_rule
from protloc.learn.export import exports_in
from protloc.learn.reference import Reference, write_references
from protloc.learn.runs import Run, read_run
from protloc.progress import Progress
from protloc.show.model_card import model_card
from protloc.show.report import write_report
from protloc.show.report_content import Course, ReportContent, ShownFields, StoreFacts
from protloc.show.report_words import estimate_in_words, stable_in_words
from protloc.show.tally import pick_fields
from protloc.show.trust_words import leak_note
from protloc.verbs.judging import How, Judged, judge_run
from protloc.verbs.references import fit_references
from protloc.verbs.split import read_split

SHOWN_FIELDS = 12  # best and worst fields in the report: two rows on a desktop, six on a phone
POSES = 8  # of a field, turned and mirrored


@dataclass(frozen=True)
class Evaluated:
    """What ``evaluate`` found and wrote.

    Attributes:
        run: The run, which now has ``predictions``, ``evaluation.json`` and ``report.html``, and whose bundle answers
            by the rule that was fitted and tells fields unlike those it learnt from.
        evaluation: Every metric.
        report: The page.
        outdated: Exports of the bundle that answer by the rule it had before.
    """

    run: Run
    evaluation: Evaluation
    report: Path
    outdated: tuple[Path, ...] = ()

    @property
    def predictions_file(self) -> Path:
        """Return the file of the answers that were judged."""
        return predictions_file(self.run.folder, self.evaluation.judged)

    @property
    def summary(self) -> str:
        """Return the headline numbers with their intervals beside the floors, and where the report is."""
        judged, rule = self.evaluation.judged, self.evaluation.threshold_rule
        rows = {part: _numbers(found) for part, found in self.evaluation.parts.items()}
        rows |= {f"always {floor.name} ({judged})": _numbers(floor) for floor in self.evaluation.parts[judged].floors}
        table = pd.DataFrame(rows, index=pd.Index(HEADLINES)).rename(HEADLINES).fillna("")
        poses = f", means over {self.evaluation.poses} poses" if self.evaluation.poses > 1 else ""
        part = self.evaluation.parts[judged]
        called = (
            f"Called by thresholds ({rule}) on calibrated probabilities{poses}. Stable macro-F1 is that of "
            f"{stable_in_words(part)}, those in {STABLE_GROUPS} groups or more."
        )
        leaking = leak_note(self.evaluation.leaks, judged)
        former = " and ".join(str(folder) for folder in self.outdated)
        again = f"By the rule before this one still answer {former}: export again." if former else ""
        told = (table.to_string(), called, part.noise_in_words(), leaking, again, f"Report: {self.report}")
        return "\n".join(line for line in told if line)


def evaluate(
    folder: StrPath,
    *,
    tta: bool = False,
    error_rate: float = ERROR_RATE,
    threshold_rule: str = "auto",
    progress: Progress | None = None,
) -> Evaluated:
    """Fit how a run answers, judge the answers, and write numbers, report and rule into the run.

    Calibration, thresholds and certain answers are fitted on the validation part and judged on the test part. What is
    said of the validation part itself comes from rules fitted on other groups of it. A run of folds has one part, all
    fields, each answered by the network that did not learn from it and by a rule fitted on the other folds. Written
    too is what the embeddings of such fields are like, for ``preflight``.

    Args:
        folder: A run that ``train`` made; its store must lie where it was.
        tta: Average the logits of the eight poses of each field; the bundle will do so too.
        error_rate: Share of a class's fields that may be told absent, and of the answers *present* that may be wrong.
        threshold_rule: One of :data:`protloc.judge.thresholds.RULES`, or ``auto``, which tries them.
        progress: Called after each batch, first of the judged fields, then of some that it learnt from.

    Raises:
        RunError: if the folder is no run, or the split was made anew since.
        SettingsError: if the error rate or the rule is none.
        BundleError, StoreError, SplitError: if what the run refers to is missing or does not fit.
    """
    if not 0 < error_rate < 1:
        raise SettingsError(f"--error-rate: {error_rate}, expected a share above 0 and below 1, such as 0.1.")
    if threshold_rule not in ("auto", *RULES):
        raise SettingsError(f"--thresholds: {threshold_rule!r}, expected auto, {', '.join(RULES)}.")
    run = read_run(Path(folder))
    if not run.store.is_dir():
        raise RunError(f"{folder}: it was trained on the store {run.store}, which is not there. Bring it back there.")
    store = Store.open(run.store)
    partition = read_split(store, run.split_name)
    run.check_fields(store, partition)
    how = How(error_rate, threshold_rule, POSES if tta else 1)
    judged = judge_run(run, store, partition, how, progress=progress)
    parts = {
        part: evaluate_part(said, vocabulary=store.vocabulary, training_truth=store.targets[judged.learnt])
        for part, said in judged.parts.items()
    }
    evaluation = Evaluation(
        parts,
        vocabulary=store.vocabulary.name,
        thresholds=judged.rule.thresholds.values,
        threshold_rule=judged.rule.thresholds.rule,
        judged=list(parts)[-1],
        poses=judged.rule.poses,
        protloc_version=metadata.version("protloc"),
        leaks=judged.leaks,
    )
    references = fit_references(run, store, partition, judged, progress=progress)
    return _write(run, store, judged, evaluation, references)


def _write(
    run: Run,
    store: Store,
    judged: Judged,
    evaluation: Evaluation,
    references: Mapping[str, tuple[Reference, ...]],
) -> Evaluated:
    for part, said in judged.parts.items():
        said.write(predictions_file(run.folder, part))
    write_rule(run.bundle_folder, judged.rule, judged.rules)
    write_references(run.bundle_folder, references)
    evaluation.write(run.folder / "evaluation.json")
    content = _content(run, store, judged, evaluation)
    write_text(run.bundle_folder / "README.md", model_card(content))
    report = write_report(run.folder / "report.html", content)
    answering = {export.file.parent: (export.rule, export.rules) for export in exports_in(run.bundle_folder)}
    outdated = tuple(folder for folder, rules in answering.items() if rules != (judged.rule, judged.rules))
    return Evaluated(run, evaluation, report, outdated)


def _content(run: Run, store: Store, judged: Judged, evaluation: Evaluation) -> ReportContent:
    said = judged.parts[evaluation.judged]
    picked = pick_fields(said, count=SHOWN_FIELDS)
    recipe = ["protloc", "train", run.record.store, "--recipe", str(run.folder / "settings.toml")]
    return ReportContent(
        run=run.folder.resolve().name,
        recipe=run.settings.recipe,
        vocabulary=store.vocabulary,
        store=_facts(store, judged),
        evaluation=evaluation,
        predictions=said,
        rule=judged.rule,
        leaks=judged.leaks,
        deferral=deferral(
            judged.tested.truth,
            judged.tested.probabilities,
            groups=judged.tested.groups,
            fit_truth=judged.fitted.truth,
            fit_probabilities=judged.fitted.probabilities,
            fit_groups=judged.fitted.groups,
        ),
        courses=tuple(_course(one) for one in run.folds or (run,)),
        best=_shown(run, store, said, picked.best),
        worst=_shown(run, store, said, picked.worst),
        settings=run.settings.model_dump(),
        provenance=_provenance(run),
        command=shlex.join([*recipe, "--split", run.split_name, "--out", f"{run.folder}-again"]),
    )


def _facts(store: Store, judged: Judged) -> StoreFacts:
    simulated = bool(store.source["simulated"])
    return StoreFacts(store.folder.name, simulated, store.side, store.stains, judged.sizes, store.clean)


def _course(run: Run) -> Course:
    return Course(pd.DataFrame([asdict(epoch) for epoch in run.history]), run.bundle().metrics["epoch"])


def _shown(run: Run, store: Store, said: PartPredictions, picked: NDArray[np.intp]) -> ShownFields:
    shown = said.rows(picked)
    rows = [store.table.rows[field] for field in shown.ids]
    return ShownFields(shown, photographs_of(store, rows, seed=run.settings.seed))


def _provenance(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "store": record.store,
        "split": f"{record.split} (SHA-256 {record.split_digest[:12]}…)",
        "python": record.python,
        **record.versions,
        **({"commit": record.commit} if record.commit else {}),
    }


def _numbers(judged: PartEvaluation | Floor) -> dict[str, str]:
    return {name: estimate_in_words(getattr(judged, name)) for name in HEADLINES if hasattr(judged, name)}
