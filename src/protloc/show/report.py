"""The report of a run: one HTML file that holds everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protloc.atlas.files import write_text
from protloc.judge.evaluation import STABLE_GROUPS
from protloc.judge.metrics import field_f1
from protloc.show.certainty_words import certainty_in_words, deferral_table, deferral_verdict
from protloc.show.methods import methods
from protloc.show.model_card import card_sections
from protloc.show.page import Thumbnail, render, thumbnail_of
from protloc.show.report_content import ReportContent, ShownFields
from protloc.show.report_pictures import report_pictures
from protloc.show.report_words import (
    class_table,
    headline_table,
    headline_tiles,
    names_of,
    setting_table,
    stable_in_words,
    thresholds_in_words,
    training_in_words,
)
from protloc.show.trust_words import (
    answer_table,
    answered_apart,
    calibration_in_words,
    leak_note,
    leaks_in_words,
    rule_table,
    threshold_rule_in_words,
    trust_table,
)
from protloc.show.verdict import verdict


def write_report(out: Path, content: ReportContent) -> Path:
    """Write ``content`` as one HTML file that needs no other file and no network, whole or not at all.

    Args:
        out: The file, usually ``RUN/report.html``.
        content: What it shows.

    Returns:
        ``out``.
    """
    write_text(out, report_page(content))
    return out


def report_page(content: ReportContent) -> str:
    """Return the report as HTML; the same content gives the same text."""
    evaluation = content.evaluation
    return render(
        "report",
        run=content.run,
        recipe=content.recipe,
        judged=evaluation.judged,
        simulated=content.store.simulated,
        pictures={picture.name: picture for picture in report_pictures(content)},
        **_scores(content),
        **_trust(content),
        best=_thumbnails(content.best, content),
        worst=_thumbnails(content.worst, content),
        methods=methods(content),
        card=card_sections(content),
        settings=setting_table("Every setting of the run.", content.settings),
        provenance=setting_table("What else it takes to repeat the run.", content.provenance),
        command=content.command,
    )


def _scores(content: ReportContent) -> dict[str, Any]:
    part, evaluation = content.judged, content.evaluation
    return {
        "verdict": verdict(content),
        "training": training_in_words(content),
        "tiles": headline_tiles(part),
        "noise": part.noise_in_words(),
        "part": part,
        "stable_groups": STABLE_GROUPS,
        "stable_classes": stable_in_words(part),
        "headline": headline_table(evaluation, content.vocabulary),
        "classes": {name: class_table(each, name) for name, each in evaluation.parts.items()},
    }


def _trust(content: ReportContent) -> dict[str, Any]:
    rule, evaluation, deferral = content.rule, content.evaluation, content.deferral
    chosen = rule.cuts.error_rate
    return {
        "leaks": leaks_in_words(content.leaks, evaluation.judged),
        "leak_note": leak_note(content.leaks, evaluation.judged),
        "thresholds": thresholds_in_words(rule.thresholds.values) + answered_apart(content),
        "threshold_rule": threshold_rule_in_words(content),
        "rules": rule_table(content),
        "answers": answer_table(content),
        "calibration": calibration_in_words(content),
        "trust": trust_table(evaluation),
        "certainty": certainty_in_words(content),
        "deferral": deferral_table(deferral, chosen=chosen) if deferral else None,
        "kept": deferral_verdict(deferral, chosen=chosen, name=evaluation.judged) if deferral else "",
    }


def _thumbnails(shown: ShownFields, content: ReportContent) -> tuple[Thumbnail, ...]:
    said = shown.predictions
    return tuple(
        thumbnail_of(
            image,
            content.store.stains,
            alt=f"Field {field}",
            lines=(
                ("is", names_of(truth, content.vocabulary)),
                ("called", names_of(called, content.vocabulary)),
                ("F1", f"{f1:.2f}"),
                ("", field),
            ),
        )
        for field, image, truth, called, f1 in zip(
            said.ids, shown.images, said.truth, said.called, field_f1(said.truth, said.called), strict=True
        )
    )
