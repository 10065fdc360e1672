"""The verdict on a run: what its margins over blind answers support."""

from __future__ import annotations

import numpy as np

from protloc.judge.evaluation import HEADLINES, Estimate, PartEvaluation
from protloc.show.page import plural
from protloc.show.report_content import FLOORED, ReportContent
from protloc.show.report_words import estimate_in_words, fields_in_words

STEADY_GROUPS = 20  # from fewer the ends of an interval move about by as much as it is wide

BLIND = "the better of the two blind answers"


def verdict(content: ReportContent) -> str:
    """Say whether the judged scores are above the better of two answers that look at no image, as far as can be told.

    A score is above when the 95 % interval of the paired difference is: two intervals of their own may overlap though
    on the same fields one answer is nearly always better.
    """
    part, name = content.judged, content.evaluation.judged
    if not np.isfinite(part.macro_f1.value):
        return f"No {name} field has a label, so F1 over classes is not defined."
    told = {
        1: "It beats both answers that look at no image",
        0: "It is not shown to beat answers that look at no image",
        -1: "It does worse than the better of two answers that look at no image",
        None: "Whether it beats answers that look at no image cannot be told",
    }[standing(content, "macro_f1")]
    others = "".join(_not_beaten(content, key) for key in FLOORED[1:])
    return (
        f"{told}: macro-F1 on the {fields_in_words(part, name)} is {estimate_in_words(part.macro_f1)}, "
        f"{_beside(content, 'macro_f1')}.{others}{_few_groups(part, name)}"
    )


def standing(content: ReportContent, key: str) -> int | None:
    """Tell whether a score is above (1) or below (-1) the better blind answer, 0 if the interval holds no difference.

    Returns:
        None where all fields are one group, of which nothing can be said of others.
    """
    margin = content.margins[key]
    if margin.low is None or margin.high is None or content.judged.groups < 2:
        return None
    return int(margin.low > 0) - int(margin.high < 0)


def _beside(content: ReportContent, key: str) -> str:
    floor = max((getattr(floor, key) for floor in content.judged.floors), key=lambda score: score.value)
    return f"that of {BLIND} {estimate_in_words(floor)}, the difference {_signed(content.margins[key])}"


def _signed(margin: Estimate) -> str:
    if margin.low is None or margin.high is None:
        return f"{margin.value:+.3f}"
    return f"{margin.value:+.3f} ({margin.low:+.3f} to {margin.high:+.3f})".replace("-", "−")


def _not_beaten(content: ReportContent, key: str) -> str:
    words = {0: "is not shown to beat", -1: "does worse than"}
    above = standing(content, key)
    if above not in words:
        return ""
    score = estimate_in_words(getattr(content.judged, key))
    return f" In {HEADLINES[key]} it {words[above]} {BLIND}: it has {score}, {_beside(content, key)}."


def _few_groups(part: PartEvaluation, name: str) -> str:
    if part.groups >= STEADY_GROUPS:
        return ""
    what = plural(part.groups, "group" if part.groups < part.fields else "field")
    return f" The {name} part is only {what}: its intervals are themselves uncertain."
