"""The methods paragraph of a run, ready for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from protloc.judge.evaluation import HEADLINES, STABLE_GROUPS
from protloc.show.page import percent, plural
from protloc.show.report_content import ReportContent
from protloc.show.report_words import estimate_in_words, fields_in_words, stable_in_words
from protloc.show.trust_words import THRESHOLD_RULES, calibration_kind, fitted_on

CAMERA = (
    "They were photographed by a simulated camera: for training with other settings at every step, else each by one."
)
VERSIONS = ("python", "torch", "timm", "lightning", "numpy")  # of the provenance


def methods(content: ReportContent) -> tuple[str, ...]:
    """Write what was done and found, a paragraph each: fields, network, training, answers, results, software.

    Every sentence follows from the settings and the evaluation of this very run.
    """
    return (
        f"{_fields(content)} {_division(content)} {_leaks(content)}",
        f"{_network(content.settings)} {_loss(content.settings)} {_course(content)} {_augmentation(content.settings)}",
        _answers(content),
        f"{_intervals(content)} {_results(content)}",
        _software(content),
    )


def _fields(content: ReportContent) -> str:
    store, classes = content.store, len(content.vocabulary)
    stains = ", ".join(stain.name for stain in store.stains)
    kind = "simulated field" if store.simulated else "field"
    return (
        f"{plural(store.fields, kind)} ({store.side} × {store.side} px; {plural(len(store.stains), 'stain')}: "
        f"{stains}) carried any number of {plural(classes, 'label')} of the vocabulary {content.vocabulary.name}."
        + (f" {CAMERA}" if store.clean else "")
    )


def _division(content: ReportContent) -> str:
    parts = content.store.parts
    if content.folds:
        return (
            f"They were divided into {content.folds} folds. For each fold a network was trained without it and without "
            "the next one, which chose the epoch, and answered the fields of its fold; all fields were judged together."
        )
    sizes = ", ".join(f"{count:,} for {_purpose(part)}" for part, count in parts.items())
    return f"They were divided into three parts: {sizes}."


def _purpose(part: str) -> str:
    return {"train": "training", "validation": "validation", "test": "testing"}.get(part, part)


def _leaks(content: ReportContent) -> str:
    leaks, name = content.leaks, content.evaluation.judged
    if leaks is None:
        return "Near-duplicates and shared antibodies between the parts were not looked for."
    if not leaks.with_group:
        return (
            f"No {name} field was a near-duplicate of a training or validation field or in one group with any (groups "
            "join near-duplicates, found by perceptual hashes, and fields with the same known keys)."
        )
    return (
        f"Of the {leaks.judged:,} {name} fields, {leaks.with_twin:,.0f} had a near-duplicate among the training and "
        f"validation fields (found by perceptual hashes) and {leaks.with_group:,.0f} were in one group with some."
    )


def _network(settings: Mapping[str, Any]) -> str:
    weights = settings["weights"]
    begun = {
        "none": "random initial weights",
        "imagenet": "initial weights from ImageNet",
        "efficientnet-lite0": "initial weights from ImageNet (efficientnet-lite0)",
        "starter": "initial weights from the starter model of protloc",
    }.get(weights, f"initial weights from {PurePath(weights).name}")
    return f"The network was {settings['backbone']} with {begun} and dropout of {settings['dropout']:g}."


def _loss(settings: Mapping[str, Any]) -> str:
    losses = {
        "bce": "binary cross-entropy",
        "weighted": "binary cross-entropy in which the positives of a class weigh as many times more as it has "
        "negatives per positive, at most {positive_weight_cap:g} times",
        "focal": "focal loss (gamma {focal_gamma:g}, alpha {focal_alpha:g})",
        "asymmetric": "asymmetric loss (gamma {asymmetric_negative_gamma:g} for negatives, "
        "{asymmetric_positive_gamma:g} for positives, clip {asymmetric_clip:g})",
    }
    return f"The loss was {losses[settings['loss']].format(**settings)}."


def _course(content: ReportContent) -> str:
    told = content.settings
    clip = f", gradients clipped at a norm of {told['gradient_clip']:g}" if told["gradient_clip"] else ""
    schedule = "falling along a cosine" if told["schedule"] == "cosine" else "constant"
    warmup = f" after a warm-up over {percent(told['warmup'])} of the steps" if told["warmup"] else ""
    ran = [len(course.log) for course in content.courses]
    epochs = f"{ran[0]} {'was' if ran[0] == 1 else 'were'}" if len(set(ran)) == 1 else f"{min(ran)} to {max(ran)} were"
    kept = [course.best_epoch for course in content.courses if course.best_epoch is not None]
    which = f" ({', '.join(map(str, kept))})" if kept else ""
    average = (
        f" What was judged and kept is the moving average of the weights (decay {told['averaging']:g})."
        if told["averaging"]
        else ""
    )
    return (
        f"It was trained with AdamW (learning rate {told['learning_rate']:g}, {schedule}{warmup}; weight decay "
        f"{told['weight_decay']:g}; batches of {told['batch_size']}{clip}) for at most "
        f"{plural(told['epochs'], 'epoch')}, or until neither macro-F1 nor samples-F1 on the validation fields had "
        f"risen for {told['patience']}; {epochs} run, and the epoch of the highest validation macro-F1 was kept{which}."
        f"{average}"
    )


def _augmentation(settings: Mapping[str, Any]) -> str:
    told = settings
    done = [
        words
        for words in (
            f"rotated by up to ±{told['rotation_degrees']:g}°" if told["rotation_degrees"] else "",
            f"shifted by up to {percent(told['width_shift'])} of their width" if told["width_shift"] else "",
            f"shifted by up to {percent(told['height_shift'])} of their height" if told["height_shift"] else "",
            f"enlarged or shrunk by a factor of up to {1 + told['zoom']:g}" if told["zoom"] else "",
            f"cropped to {told['crop']} × {told['crop']} px" if told["crop"] else "",
            "mirrored" if told["flips"] else "",
            "turned by quarter turns" if told["quarter_turns"] else "",
            f"changed in the brightness of each stain by up to {percent(told['intensity_jitter'])}"
            if told["intensity_jitter"]
            else "",
            f"robbed of each stain but {told['protein_stain']} with a chance of {percent(told['stain_dropout'])}"
            if told["stain_dropout"]
            else "",
        )
        if words
    ]
    moved = f"Training fields were at random {', '.join(done)}." if done else "Training fields were not augmented."
    return f"{moved} {_oversampling(told)}"


def _oversampling(told: Mapping[str, Any]) -> str:
    factor = round(told["oversampling_factor"])
    if factor == 1:
        return "No class was over-sampled."
    named = ", ".join(told["minority_classes"]) or f"classes in under {percent(told['minority_below'])} of them"
    return f"Training fields with minority classes ({named}) were drawn up to {factor} times an epoch."


def _answers(content: ReportContent) -> str:
    rule, fitted = content.rule, fitted_on(content.evaluation, content.rule)
    poses = f"Logits are means over {rule.poses} poses of a field (flips, quarter turns). " if rule.poses > 1 else ""
    if not rule.fields:
        return f"{poses}Probabilities are the sigmoid of the logits; a class was called from 0.5."
    fold = "; the answers judged here come from rules fitted in the same way without the field's own fold"
    kind = calibration_kind(rule.calibration)
    how = THRESHOLD_RULES.get(rule.thresholds.rule, rule.thresholds.rule)
    certain = (
        f" Answers said to be certain were fitted to an error rate of {100 * rule.cuts.error_rate:g} % by conformal "
        "risk control (approximately: validation fields chose the epoch too); all else is left to an expert."
        if rule.cuts.error_rate
        else ""
    )
    return (
        f"{poses}Logits were turned into probabilities by {'the sigmoid alone' if kind == 'no calibration' else kind}, "
        f"and classes called from a threshold ({rule.thresholds.rule}: {how}), fitted on {fitted}"
        f"{fold if content.folds else ''}.{certain}"
    )


def _intervals(content: ReportContent) -> str:
    part = content.judged
    alike = part.groups < part.fields
    over = f"{plural(part.groups, 'group')} of fields" if alike else plural(part.fields, "field")
    stable = (
        f"; stable macro-F1 is that of {stable_in_words(part)}, those in at least {STABLE_GROUPS} groups"
        if part.stable_classes
        else ""
    )
    return (
        f"Intervals are 95 % intervals from {part.resamples:,} bootstrap resamples of the {over}, expanded for few; "
        "those of rare classes are no narrower than the exact interval of a share. Macro-F1 is the mean F1 of the "
        f"{plural(part.classes_present, 'class')} that occur{'s' if part.classes_present == 1 else ''}{stable}."
    )


def _results(content: ReportContent) -> str:
    part = content.judged
    scores = ", ".join(f"{name} {estimate_in_words(getattr(part, key))}" for key, name in HEADLINES.items())
    return (
        f"On the {fields_in_words(part, content.evaluation.judged)} the scores were: {scores}, expected calibration "
        f"error {estimate_in_words(part.calibration_error, digits=4)}."
    )


def _software(content: ReportContent) -> str:
    known = ", ".join(f"{name} {content.provenance[name]}" for name in VERSIONS if name in content.provenance)
    seed = content.settings["seed"]
    seeds = f"Seeds were {seed} to {seed + content.folds - 1}" if content.folds else f"The seed was {seed}"
    protloc = f"protloc {content.evaluation.protloc_version}"
    return f"Trained and judged with {protloc}{f' ({known})' if known else ''}. {seeds}."
