"""The report of a run: one HTML file that holds everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protloc.atlas.files import write_text
from protloc.judge.evaluate import Evaluation
from protloc.judge.metrics import answers_of, field_f1
from protloc.show.figures_answers import (
    ClassScores,
    class_scores_figure,
    learning_curves_figure,
    precision_recall_figures,
)
from protloc.show.figures_matrix import called_instead_figure
from protloc.show.page import Picture, Thumbnail, picture_of, render, thumbnail_of
from protloc.show.report_content import ReportContent, ShownFields
from protloc.show.report_words import (
    class_table,
    headline_table,
    headline_tiles,
    names_of,
    setting_table,
    thresholds_in_words,
    training_in_words,
    verdict,
)

JUDGED = "test"  # the part whose classes and fields are shown


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
        simulated=content.store.simulated,
        verdict=verdict(evaluation.parts[JUDGED]),
        training=training_in_words(
            content.store, content.recipe, epochs=len(content.log), best_epoch=content.best_epoch
        ),
        tiles=headline_tiles(evaluation.parts[JUDGED]),
        headline=headline_table(evaluation, content.vocabulary),
        intervals=evaluation.parts[JUDGED].macro_f1.low is not None,
        thresholds=thresholds_in_words(evaluation.thresholds),
        pictures={picture.name: picture for picture in _pictures(content)},
        classes={name: class_table(part, name, evaluation.thresholds) for name, part in evaluation.parts.items()},
        judged=JUDGED,
        best=_thumbnails(content.best, content),
        worst=_thumbnails(content.worst, content),
        settings=setting_table("Every setting of the run.", content.settings),
        provenance=setting_table("What else it takes to repeat the run.", content.provenance),
        command=content.command,
    )


def _pictures(content: ReportContent) -> tuple[Picture, ...]:
    truth, logits, names = content.test.truth, content.test.logits, content.vocabulary.names
    answers = answers_of(logits, thresholds=content.evaluation.thresholds)
    return (
        picture_of(
            learning_curves_figure(content.log, best_epoch=content.best_epoch),
            "learning_curves",
            alt=f"Loss and validation scores over {len(content.log)} epochs.",
            caption="Left: loss on the training part as it was fed (over-sampled, augmented, in the recipe's own "
            "loss), so not to be compared with that on the validation part. Right: scores on the validation part.",
        ),
        picture_of(
            class_scores_figure(_class_scores(content.evaluation), names),
            "class_scores",
            alt="F1 and average precision of every class on the test part; the table below has the numbers.",
            caption="Classes from the commonest to the rarest, in brackets their test fields. F1 judges the calls "
            "made, average precision the order of the fields whatever the threshold.",
        ),
        *_precision_recall_pictures(truth, logits, answers, names),
        _called_instead_picture(truth, answers, names),
    )


def _called_instead_picture(truth: NDArray[np.uint8], answers: NDArray[np.bool_], names: tuple[str, ...]) -> Picture:
    return picture_of(
        called_instead_figure(truth, answers, names),
        "called_instead",
        alt="Heat map: what was called wrongly in the test fields where a class was missed.",
        caption="Rows are classes that test fields have; in brackets in how many of these fields the class was "
        "missed. A row tells what was called there though the field does not have it. Several wrong calls count "
        "several times; the last column counts the fields in which nothing was called wrongly.",
    )


def _class_scores(evaluation: Evaluation) -> ClassScores:
    classes = evaluation.parts[JUDGED].per_class
    ends = [(entry.f1.low, entry.f1.high) for entry in classes if entry.f1.low is not None]
    interval = [[np.nan if end is None else end for end in (entry.f1.low, entry.f1.high)] for entry in classes]
    return ClassScores(
        f1=np.array([entry.f1.value for entry in classes]),
        average_precision=np.array([entry.average_precision.value for entry in classes]),
        support=np.array([entry.positives for entry in classes], np.int64),
        f1_interval=np.array(interval).T if ends else None,
    )


def _precision_recall_pictures(
    truth: NDArray[np.uint8], logits: NDArray[np.floating], answers: NDArray[np.bool_], names: tuple[str, ...]
) -> tuple[Picture, ...]:
    figures = precision_recall_figures(truth, logits, answers=answers, names=names)
    return tuple(
        picture_of(
            figure,
            f"precision_recall_{number}",
            alt="Precision against recall on the test part, a panel a class.",
            caption="In brackets the test fields that have the class. The dot is where the calls were made, the dashed "
            "line what guessing gets.",
        )
        for number, figure in enumerate(figures, start=1)
    )


def _thumbnails(shown: ShownFields, content: ReportContent) -> tuple[Thumbnail, ...]:
    truth = shown.answers.truth
    answers = answers_of(shown.answers.logits, thresholds=content.evaluation.thresholds)
    return tuple(
        thumbnail_of(
            image,
            content.store.stains,
            alt=f"Field {field}",
            lines=(
                ("is", names_of(truth[row], content.vocabulary)),
                ("called", names_of(answers[row], content.vocabulary)),
                ("F1", f"{f1:.2f}"),
                ("", field),
            ),
        )
        for row, (field, image, f1) in enumerate(zip(shown.ids, shown.images, field_f1(truth, answers), strict=True))
    )
