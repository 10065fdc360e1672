"""Methods paragraph and model card: only what is true of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.curate.groups import Leaks
from protloc.judge.answering import AnswerRule
from protloc.judge.evaluation import Evaluation
from protloc.judge.predictions import PartPredictions
from protloc.show.methods import methods
from protloc.show.model_card import card_sections, model_card
from protloc.show.report_content import OUT_OF_FOLD, Course, ReportContent
from protloc.show.verdict import verdict

Logs = Callable[[int], pd.DataFrame]


def told(content: ReportContent, **settings: Any) -> str:  # noqa: ANN401 - any setting
    """Return the methods of a run with other settings."""
    return " ".join(methods(replace(content, settings={**content.settings, **settings})))


def section(content: ReportContent, heading: str) -> str:
    """Return what stands under a heading of the model card."""
    (found,) = [each for each in card_sections(content) if each.heading == heading]
    return " ".join(found.paragraphs)


def folded(content: ReportContent, evaluation_of: Callable[..., Evaluation], course: Course) -> ReportContent:
    """Return the content of a run of two folds."""
    return replace(
        content,
        evaluation=evaluation_of({OUT_OF_FOLD: content.predictions}, judged=OUT_OF_FOLD),
        store=replace(content.store, parts={"fold 0": 20, "fold 1": 20}),
        courses=(course, course),
    )


def test_methods_name_fields_parts_and_vocabulary(content: ReportContent) -> None:
    words = told(content)
    assert "125 fields (16 × 16 px; 4 stains: red, green, blue, yellow)" in words
    assert "3 labels of the vocabulary shapes" in words
    assert "70 for training, 15 for validation, 40 for testing" in words
    assert "simulated" not in words
    assert "125 simulated fields" in told(replace(content, store=replace(content.store, simulated=True)))


@pytest.mark.parametrize(
    ("leaks", "words"),
    [
        (None, "between the parts were not looked for"),
        (Leaks(40, 0, 0), "No test field was a near-duplicate of a training or validation field"),
        (Leaks(40, 9, 2), "Of the 40 test fields, 2 had a near-duplicate among the training and validation fields"),
    ],
)
def test_methods_say_what_is_known_of_leaks(content: ReportContent, leaks: Leaks | None, words: str) -> None:
    assert words in told(replace(content, leaks=leaks))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": "none"}, "with random initial weights"),
        ({"weights": "imagenet"}, "with initial weights from ImageNet"),
        ({"weights": "starter"}, "with initial weights from the starter model of protloc"),
        ({"weights": "/home/me/secret/first.safetensors"}, "with initial weights from first.safetensors"),
        ({"loss": "bce"}, "The loss was binary cross-entropy."),
        ({"loss": "weighted", "positive_weight_cap": 5.0}, "at most 5 times"),
        ({"loss": "focal"}, "focal loss (gamma 2, alpha 0.25)"),
        ({"loss": "asymmetric"}, "asymmetric loss (gamma 4 for negatives, 0 for positives, clip 0.05)"),
        ({"flips": False}, "Training fields were not augmented. No class was over-sampled."),
        ({"flips": True, "rotation_degrees": 15.0}, "at random rotated by up to ±15°, mirrored."),
        (
            {"flips": True, "zoom": 0.15, "crop": 192},
            "enlarged or shrunk by a factor of up to 1.15, cropped to 192 × 192 px, m",
        ),
        ({"stain_dropout": 0.5}, "robbed of each stain but green with a chance of 50"),
        (
            {"averaging": 0.999},
            "What was judged and kept is the moving average of the weights (decay 0.999).",
        ),
        ({"oversampling_factor": 4.0}, "classes in under 1.0 % of them) were drawn up to 4 times"),
        ({"oversampling_factor": 4.0, "minority_classes": ("Disc",)}, "minority classes (Disc) were drawn"),
        (
            {"gradient_clip": 0.0, "warmup": 0.0, "schedule": "constant"},
            "0.0003, constant; weight decay 0.01; batches of 32)",
        ),
    ],
)
def test_methods_follow_the_settings(content: ReportContent, settings: dict[str, Any], words: str) -> None:
    assert words in told(content, **settings)


def test_methods_tell_of_the_camera_of_clean_stores(content: ReportContent) -> None:
    assert "camera" not in told(content)
    clean = replace(content, store=replace(content.store, clean=True))
    assert "They were photographed by a simulated camera: for training with other settings at every step" in told(clean)


def test_methods_give_no_path_away(content: ReportContent) -> None:
    assert "secret" not in told(content, weights="/home/me/secret/first.safetensors")


def test_methods_say_how_answers_were_fitted(content: ReportContent) -> None:
    words = told(content)
    assert "by Platt scaling" in words
    assert "(per class: one a class, tuned for macro-F1" in words
    assert "fitted on 15 validation fields" in words
    assert "an error rate of 10 %" in words
    assert "poses" not in words
    assert "means over 8 poses" in told(replace(content, rule=replace(content.rule, poses=8)))
    plain = told(replace(content, rule=AnswerRule.plain(3)))
    assert "sigmoid of the logits; a class was called from 0.5" in plain
    assert "conformal" not in plain


def test_methods_quote_numbers_with_intervals_and_versions(content: ReportContent) -> None:
    words, score = told(content), content.judged.macro_f1
    assert f"the scores were: macro-F1 {score.value:.3f} ({score.low:.3f}–{score.high:.3f})" in words
    assert "200 bootstrap resamples of the 40 fields" in words
    assert words.endswith("protloc 0.1.0 (python 3.12.1, torch 2.14.0). The seed was 7.")


def test_methods_of_folds(content: ReportContent, evaluation_of: Callable[..., Evaluation], log_of: Logs) -> None:
    words = " ".join(methods(folded(content, evaluation_of, Course(log_of(3), 2))))
    assert "divided into 2 folds" in words
    assert "rules fitted in the same way without the field's own fold" in words
    assert "(2, 2)" in words
    assert words.endswith("Seeds were 7 to 8.")


def test_the_card_holds_the_verdict_and_every_class(content: ReportContent) -> None:
    card = model_card(content)
    assert card.startswith("# my-run: model card\n\n## Intended use\n")
    assert verdict(content) in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert {row.count(" | ") for row in rows} == {6}


def test_the_card_says_of_how_many_classes_stable_macro_f1_is(content: ReportContent) -> None:
    words = section(content, "Numbers")
    assert "Over 2 of 3 classes, those found in at least 10 groups of fields, macro-F1 is" in words
    assert "stable macro-F1 is that of 2 of 3 classes, those in at least 10 groups" in told(content)


def test_the_card_escapes_what_would_be_markup(content: ReportContent) -> None:
    odd = Vocabulary("v", (Compartment(0, "a|b"), Compartment(4, "*c*"), Compartment(9, "<i>Bars</i>")))
    classes = tuple(replace(entry, name=name) for entry, name in zip(content.judged.per_class, odd.names, strict=True))
    evaluation = replace(content.evaluation, parts={"test": replace(content.judged, per_class=classes)})
    card = model_card(replace(content, run="# [x](y)\n- z", vocabulary=odd, evaluation=evaluation))
    assert card.splitlines()[0] == r"# \# \[x\](y) - z: model card"
    assert r"| a\|b |" in card
    assert r"| \*c\* |" in card
    assert "<i>" not in card.replace(r"\<i\>", "")


def test_the_card_of_simulated_fields_says_nothing_of_real_ones(content: ReportContent) -> None:
    simulated = replace(content, store=replace(content.store, simulated=True))
    assert "not for real fields" in section(simulated, "Intended use")
    assert "Nothing here tells how it does on fields of any microscope" in section(simulated, "Limits")
    assert "antibodies bind" not in section(simulated, "Before a result is used")
    assert "simulated" not in model_card(content)
    assert "antibodies bind" in section(content, "Before a result is used")


def test_the_card_names_classes_that_are_absent_or_too_rare(
    content: ReportContent, evaluation_of: Callable[..., Evaluation], predictions_of: Callable[..., PartPredictions]
) -> None:
    assert "1 class did not occur there" in section(content, "Judged on")
    assert "(1 class in under 10 groups): <i>Bars</i>." in section(content, "Limits")
    common = evaluation_of({"test": predictions_of(np.ones((20, 3), np.uint8))})
    every = replace(content, evaluation=common)
    assert "did not occur" not in section(every, "Judged on")
    assert "Too rare" not in section(every, "Limits")


def test_the_card_of_folds_says_that_the_mean_was_not_judged(
    content: ReportContent, evaluation_of: Callable[..., Evaluation], log_of: Logs
) -> None:
    assert "The bundle is the network that was judged." in section(content, "Judged on")
    judged_on = section(folded(content, evaluation_of, Course(log_of(3), None)), "Judged on")
    assert "the mean of the 2 networks, which was itself not judged on any field" in judged_on
