"""The figures of a report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protloc.judge.evaluation import PartEvaluation
from protloc.judge.reliability import Reliability, reliability
from protloc.show.figures_answers import (
    ClassScores,
    class_scores_figure,
    learning_curves_figure,
    precision_recall_figures,
)
from protloc.show.figures_matrix import called_instead_figure
from protloc.show.figures_trust import deferral_figure, reliability_figure
from protloc.show.page import Picture, picture_of, plural
from protloc.show.report_content import ReportContent

RELIABILITY_CLASSES = 8  # the commonest: three rows of panels with the pooled one; of rarer ones the bands say nothing


def report_pictures(content: ReportContent) -> tuple[Picture, ...]:
    """Draw every figure of a report; the same content gives the same bytes."""
    return (
        _learning_curves(content),
        _class_scores(content),
        *_precision_recall(content),
        _called_instead(content),
        _reliability(content),
        *_deferral(content),
    )


def _learning_curves(content: ReportContent) -> Picture:
    several = " Thin lines: one a fold." if len(content.courses) > 1 else ""
    return picture_of(
        learning_curves_figure(
            [course.log for course in content.courses], best_epochs=[course.best_epoch for course in content.courses]
        ),
        "learning_curves",
        alt=f"Loss and validation scores over {plural(max(len(course.log) for course in content.courses), 'epoch')}.",
        caption="Left: loss on the training part as it was fed (over-sampled, augmented, in the recipe's own "
        f"loss), not to be compared with that on the validation part. Right: scores on the validation part.{several}",
    )


def _class_scores(content: ReportContent) -> Picture:
    name = content.evaluation.judged
    return picture_of(
        class_scores_figure(class_scores(content.judged), content.vocabulary.names),
        "class_scores",
        alt=f"F1 and average precision of every class on the {name} part; the table below has the numbers.",
        caption=f"Classes from the commonest to the rarest, in brackets their {name} fields. F1 judges the calls "
        "made, average precision the order of the fields whatever the threshold. Lines are 95 % intervals: where two "
        "overlap widely, the order of the two classes may be chance.",
    )


def class_scores(part: PartEvaluation) -> ClassScores:
    """Take from a part what the figure of its classes shows."""
    f1, area = ([getattr(entry, key) for entry in part.per_class] for key in ("f1", "average_precision"))
    ends = [
        np.array([[np.nan if end is None else end for end in (each.low, each.high)] for each in scores], np.float64).T
        for scores in (f1, area)
    ]
    return ClassScores(
        f1=np.array([score.value for score in f1]),
        average_precision=np.array([score.value for score in area]),
        support=np.array([entry.positives for entry in part.per_class], np.int64),
        f1_interval=ends[0] if np.isfinite(ends[0]).any() else None,
        average_precision_interval=ends[1] if np.isfinite(ends[1]).any() else None,
    )


def _precision_recall(content: ReportContent) -> tuple[Picture, ...]:
    said, name = content.predictions, content.evaluation.judged
    apart = " (by thresholds fitted without the field's own fold)" if content.folds else ""
    figures = precision_recall_figures(
        said.truth, said.probabilities, answers=said.called, names=content.vocabulary.names
    )
    return tuple(
        picture_of(
            figure,
            f"precision_recall_{number}",
            alt=f"Precision against recall on the {name} part, a panel a class.",
            caption=f"In brackets the {name} fields that have the class. The dot is where the calls were made{apart}, "
            "the dashed line what guessing gets.",
        )
        for number, figure in enumerate(figures, start=1)
    )


def _called_instead(content: ReportContent) -> Picture:
    said, name = content.predictions, content.evaluation.judged
    return picture_of(
        called_instead_figure(said.truth, said.called, content.vocabulary.names),
        "called_instead",
        alt=f"Heat map: what was called wrongly in the {name} fields where a class was missed.",
        caption=f"Rows are classes that {name} fields have; in brackets in how many of these fields the class was "
        "missed. A row tells what was called there though the field does not have it. Several wrong calls count "
        "several times; the last column counts the fields in which nothing was called wrongly.",
    )


def _reliability(content: ReportContent) -> Picture:
    return picture_of(
        reliability_figure(_reliability_panels(content)),
        "reliability",
        alt="How often classes are there against how probable they were said to be: near the diagonal where "
        "probabilities can be believed.",
        caption="Points on the dashed line: what is said with 80 % is so in 80 %. Above it the network is too "
        "cautious, under it too sure. Shaded: 95 % bands. The first panel pools all classes; the others are the "
        "commonest, in brackets their fields.",
    )


def _reliability_panels(content: ReportContent) -> dict[str, Reliability]:
    said, names = content.predictions, content.vocabulary.names
    support = said.truth.sum(axis=0, dtype=np.int64)
    commonest: list[int] = [int(column) for column in np.argsort(-support, kind="stable") if support[column]]
    panels = {f"all classes ({support.sum():,})": list(range(len(names)))}
    panels |= {f"{names[column]} ({support[column]:,})": [column] for column in commonest[:RELIABILITY_CLASSES]}
    return {title: _reliability_of(content, np.array(columns)) for title, columns in panels.items()}


def _reliability_of(content: ReportContent, columns: NDArray[np.intp]) -> Reliability:
    said = content.predictions
    return reliability(said.truth[:, columns], said.probabilities[:, columns], groups=said.groups)


def _deferral(content: ReportContent) -> tuple[Picture, ...]:
    if content.deferral is None:
        return ()
    name = content.evaluation.judged
    folds = ", fitted on every other fold and judged on the rest" if content.folds else ""
    picture = picture_of(
        deferral_figure(content.deferral, chosen=content.rule.cuts.error_rate),
        "deferral",
        alt=f"What an expert is asked, and what goes wrong in the rest, on the {name} part at several error rates; the "
        "table below has the numbers.",
        caption=f"On the {name} part{folds}. Left: the share of questions (a field and a class) that an expert is "
        "asked, and of fields in which none is. Right: errors among the answers said to be certain; under the dashed "
        "line the error rate was kept. Shaded: 95 % bands.",
    )
    return (picture,)
