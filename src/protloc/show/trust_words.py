"""What a report says of leaks, thresholds, probabilities, certain answers."""

from __future__ import annotations

from protloc.curate.groups import Leaks
from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.judge.evaluation import TRUST_METRICS, Evaluation, PartEvaluation
from protloc.judge.metrics import sigmoid
from protloc.judge.reliability import calibration_error
from protloc.judge.thresholds import DEFAULT
from protloc.show.page import Table, number, percent, plural
from protloc.show.report_content import OUT_OF_FOLD, ReportContent
from protloc.show.report_words import estimate_in_words

THRESHOLD_RULES = {
    "fixed": "0.5 for every class, not tuned",
    "one": "one for all classes, tuned for macro-F1",
    "per class": "one a class, tuned for macro-F1 and shrunk to the shared one where few fields speak for it",
    "prevalence": "such that each class is called as often as it occurs, shrunk likewise",
}


def fitted_on(evaluation: Evaluation, rule: AnswerRule) -> str:
    """Say what calibration, thresholds and cuts were fitted on."""
    part = OUT_OF_FOLD if evaluation.judged == OUT_OF_FOLD else "validation"
    return plural(rule.fields, f"{part} field")


def leaks_in_words(leaks: Leaks | None, name: str) -> str:
    """Say what the judged fields share with those the run learnt from, by training or validation, and what that means.

    Args:
        leaks: What was counted, or None if the store was never audited.
        name: Of the judged part.
    """
    if leaks is None:
        return (
            f"The store was never audited, so it is not known how many of the {name} fields have a near-duplicate, or "
            "another field of the same antibody, among the training or validation fields. If some have, every score "
            "here is too high for fields of new proteins. To find out: protloc audit STORE"
        )
    fields = plural(leaks.judged, f"{name} field")
    if not leaks.with_group:
        return (
            f"The store was audited: none of the {fields} has a near-duplicate, or any field of "
            "its group, among the training or validation fields. No score here rests on fields that were found to be "
            "alike."
        )
    return (
        f"Of the {fields}, {_counted(leaks.with_group, leaks.judged)} {'is' if leaks.with_group == 1 else 'are'} in "
        f"one group with training or validation fields, and {_counted(leaks.with_twin, leaks.judged)} "
        f"{'has' if leaks.with_twin == 1 else 'have'} a near-duplicate among them. What a network remembers of a field "
        "counts there as if it had been recognised, so the scores are likely too high for fields of new proteins. To "
        "judge without: protloc split STORE --by groups, then train again."
    )


def leak_note(leaks: Leaks | None, name: str) -> str:
    """Return the sentence that must stand beside scores that may rest on leaks; empty where none was found."""
    if leaks is None:
        return f"It is not known what the {name} fields share with the training and validation fields."
    if not leaks.with_group:
        return ""
    share = percent(leaks.with_group / max(leaks.judged, 1))
    return f"{share} of the {name} fields are in one group with training or validation fields."


def _counted(count: float, of: int) -> str:
    return f"{count:,.0f} ({percent(count / max(of, 1))})"


def rule_table(content: ReportContent) -> Table | None:
    """Set out what each rule for thresholds scored where it was not fitted; None if none was tried."""
    thresholds = content.rule.thresholds
    if not thresholds.scores:
        return None
    rows = tuple((name, THRESHOLD_RULES.get(name, "–"), number(score)) for name, score in thresholds.scores.items())
    chosen = frozenset(place for place, name in enumerate(thresholds.scores) if name == thresholds.rule)
    apart = (
        "A field that is judged here was answered by a rule chosen and fitted without its fold."
        if content.folds
        else f"No {content.evaluation.judged} field had a part in it."
    )
    caption = (
        "Every rule was fitted on some blocks of groups and scored on the block left out; the one in use is shaded. "
        f"“{DEFAULT}” gives way only to a rule that is better by more than a standard error. {apart}"
    )
    return Table(caption, ("rule", "threshold", "macro-F1"), rows, marked=chosen, text=frozenset({1}))


def answer_table(content: ReportContent) -> Table:
    """Set out from which probabilities each class is called, said to be absent, said to be present."""
    rule = content.rule
    rows = tuple(
        (name, percent(share), f"{called:.3f}", _cut(absent, never=0.0), _cut(present, never=1.0))
        for name, share, called, absent, present in zip(
            content.vocabulary.names,
            rule.prevalences,
            rule.thresholds.values,
            rule.cuts.absent_below,
            rule.cuts.present_from,
            strict=True,
        )
    )
    header = ("class", "in % of fields", "called from", "absent for certain below", "present for certain from")
    caption = f"Calibrated probabilities at which answers change, found on {fitted_on(content.evaluation, rule)}."
    return Table(caption, header, rows)


def _cut(value: float, *, never: float) -> str:
    at_end = value > never if never else value <= never
    return "never" if at_end else f"{value:.3f}"


def threshold_rule_in_words(content: ReportContent) -> str:
    """Say which rule sets the thresholds and what it was fitted on."""
    rule = content.rule
    if not rule.fields:
        return "Thresholds were not fitted: a class is called from a probability of 0.5."
    how = THRESHOLD_RULES.get(rule.thresholds.rule, rule.thresholds.rule)
    tried = (
        f" It was chosen among {len(rule.thresholds.scores)} by macro-F1 on fields where they were not fitted."
        if rule.thresholds.scores
        else " It was told, not chosen."
    )
    return f"The rule is “{rule.thresholds.rule}”: {how}. Fitted on {fitted_on(content.evaluation, rule)}.{tried}"


def answered_apart(content: ReportContent) -> str:
    """Say which fields were answered by other thresholds than the bundle's; empty where none were fitted."""
    if not content.rule.fields or content.rule.thresholds.rule == "fixed":
        return ""
    who = "Out-of-fold" if content.folds else "Validation"
    return f" {who} fields were answered by thresholds fitted without them."


def calibration_kind(calibration: Calibration) -> str:
    """Name what was fitted: ``no calibration``, ``temperature scaling``, ``Platt scaling``."""
    if calibration == Calibration.plain(len(calibration.slopes)):
        return "no calibration"
    return "Platt scaling" if any(calibration.intercepts) else "temperature scaling"


def calibration_in_words(content: ReportContent) -> str:
    """Say how far probabilities are off, as they are and as the network gave them."""
    part, said = content.judged, content.predictions
    raw = calibration_error(said.truth, sigmoid(said.logits))
    kind = calibration_kind(content.rule.calibration)
    as_given = f" As the network gave them, without {kind}, it would be {number(raw, digits=4)}."
    return (
        f"On the {content.evaluation.judged} part the probabilities are off by {_error(part)} on average over all "
        f"questions (a question is a field and a class).{'' if kind == 'no calibration' else as_given} The Brier "
        f"score, their mean squared distance from the truth, is {estimate_in_words(part.brier, digits=4)}."
    )


def _error(part: PartEvaluation) -> str:
    return estimate_in_words(part.calibration_error, digits=4)


def trust_table(evaluation: Evaluation) -> Table:
    """Set out calibration and certain answers of every part."""
    rows = tuple(
        (name, *(estimate_in_words(getattr(part, key), digits=4) for key in TRUST_METRICS))
        for name, part in evaluation.parts.items()
    )
    return Table("With 95 % intervals in brackets.", ("part", *TRUST_METRICS.values()), rows)
