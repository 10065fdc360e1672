"""What a trained model is, whoever computes it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Vocabulary
from protloc.errors import BundleError
from protloc.judge.answering import AnswerRule
from protloc.judge.prior import Prior
from protloc.learn.bundle_checks import check_prior, check_rule, check_subset, check_vector, check_whole, subset_name

FORMAT = 2  # 1 had thresholds instead of a rule for answers
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"  # of a bundle
EXPORT = "export"  # what it has of an export and not of a bundle


@dataclass(frozen=True)
class Normalisation:
    """What brightness counts as usual.

    Attributes:
        means: Mean of each stain in grey levels of 255.
        deviations: Standard deviation of each stain in grey levels of 255.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Training:
    """Where one network of a model comes from.

    Attributes:
        normalisation: Usual brightness of each stain among the fields it learnt from.
        metrics: Validation figures of the epoch it comes from.
    """

    normalisation: Normalisation
    metrics: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Model:
    """One or more trained networks of one architecture: how they are fed, and how their logits are read.

    Attributes:
        backbone: Name of the architecture.
        vocabulary: What the logits mean, in order.
        stains: What the channels show, in order.
        side: Height and width of the fields in px.
        rule: How logits become answers.
        members: Its networks; its logits are the mean of theirs.
        settings: What the run was told.
        protloc_version: Version that trained it.
        tile: Side in source px of the tiles it was trained on, or None for whole fields.
        bit_depth: Bits that 16-bit files were said to have, or None where each field told it.
        rules: How logits become answers where only some of the stains are given, by their sorted names joined by
            ``+``, as in ``blue+green``.
        prior: How often classes are to be expected in fields nobody said more about, or None.
        caution: What whoever uses its answers must know, in sentences; empty if nothing.
        folder: Where it was loaded from, or None.
    """

    backbone: str
    vocabulary: Vocabulary
    stains: tuple[Stain, ...]
    side: int
    rule: AnswerRule
    members: tuple[Training, ...]
    settings: Mapping[str, Any]
    protloc_version: str
    tile: int | None = None
    bit_depth: int | None = None
    rules: Mapping[str, AnswerRule] = field(default_factory=dict[str, AnswerRule])
    prior: Prior | None = None
    caution: str = ""
    folder: Path | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the names of the stains that must be given.

        They are all, unless it learnt to do without: then the protein's alone.
        """
        names = tuple(stain.name for stain in self.stains)
        protein = self.settings.get("protein_stain")
        return (protein,) if self.settings.get("stain_dropout", 0) > 0 and protein in names else names

    @property
    def metrics(self) -> dict[str, Any]:
        """Return the members' mean of each validation figure, ``epoch`` among them; None where one has none."""
        figures = [each.metrics for each in self.members]
        return dict(figures[0]) if len(figures) == 1 else {name: _mean(figures, name) for name in figures[0]}

    def rule_for(self, stains: Collection[str]) -> AnswerRule:
        """Return how logits become answers where these stains are given; if none was fitted to them, that of all."""
        return self.rules.get(subset_name(stains), self.rule)

    def with_rule(self, rule: AnswerRule, rules: Mapping[str, AnswerRule] | None = None) -> Self:
        """Return a model of the same networks that answers by another rule, and by others where stains are missing."""
        return replace(self, rule=rule, rules=rules or {})

    def description(self) -> dict[str, Any]:
        """Return all of it as ``model.json`` holds it."""
        return {
            "format": FORMAT,
            "protloc_version": self.protloc_version,
            "backbone": self.backbone,
            "side": self.side,
            "tile": self.tile,
            "bit_depth": self.bit_depth,
            "stains": [asdict(stain) for stain in self.stains],
            "vocabulary": self.vocabulary.to_json(),
            **answers_json(self.rule, self.rules),
            **({"prior": self.prior.to_json()} if self.prior else {}),
            **({"caution": self.caution} if self.caution else {}),
            "members": [
                {"normalisation": asdict(each.normalisation), "metrics": dict(each.metrics)} for each in self.members
            ],
            "settings": dict(self.settings),
        }


def read_description(file: Path) -> dict[str, Any]:
    """Read ``model.json``.

    Raises:
        BundleError: if it is missing, damaged, or of another format.
    """
    try:
        described = json.loads(read_bytes(file))
    except ValueError as error:
        raise BundleError(f"{file}: damaged ({error}). Copy the bundle again, or train it again.") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        found = described.get("format") if isinstance(described, dict) else None
        raise BundleError(
            f"{file}: format {found}, expected {FORMAT}. Use the protloc version that wrote the bundle, or train again."
        )
    return described


def read_bytes(file: Path) -> bytes:
    """Read a file of a bundle.

    Raises:
        BundleError: if it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file}: cannot be read ({error.strerror}). Name a bundle folder, such as RUN/bundle, with "
            f"{DESCRIPTION_FILE} and its weights in it."
        ) from error


def facts_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a :class:`Model` but its folder, from what ``model.json`` holds.

    Raises:
        LookupError, TypeError, ValueError, AttributeError, VocabularyError: if it is not what a run writes.
    """
    prior = described.get("prior")
    return {
        "backbone": described["backbone"],
        "vocabulary": Vocabulary.from_json(described["vocabulary"]),
        "stains": tuple(Stain(**stain) for stain in described["stains"]),
        "side": described["side"],
        "rule": AnswerRule.from_json(described["answers"]),
        "members": tuple(_training(member) for member in described["members"]),
        "settings": described["settings"],
        "protloc_version": described["protloc_version"],
        "tile": described["tile"],
        "bit_depth": described["bit_depth"],
        "rules": {name: AnswerRule.from_json(rule) for name, rule in described.get("rules", {}).items()},
        "prior": None if prior is None else Prior.from_json(prior),
        "caution": described.get("caution", ""),
    }


def check_numbers(model: Model) -> None:
    """Refuse what no run writes: it would fail far from here, or answer wrongly without a word.

    Raises:
        ValueError: naming the number and what was expected.
    """
    classes, stains = len(model.vocabulary), [stain.name for stain in model.stains]
    check_whole("side", model.side)
    check_vector("stain_dropout", (model.settings.get("stain_dropout", 0),), length=1, least=0, most=1)
    for member in model.members:
        check_vector("means", member.normalisation.means, length=len(stains))
        check_vector("deviations", member.normalisation.deviations, length=len(stains), least=0)
    check_rule(model.rule, classes=classes)
    for name, rule in model.rules.items():
        check_subset(name, stains=stains, needed=model.needed)
        check_rule(rule, classes=classes)
    if model.prior is not None:
        check_prior(model.prior, classes=classes)
    if type(model.caution) is not str:
        raise ValueError(f"caution: {model.caution!r}, expected words")


def answers_json(rule: AnswerRule, rules: Mapping[str, AnswerRule]) -> dict[str, Any]:
    """Return the part of ``model.json`` that tells how logits become answers."""
    fitted = {name: each.to_json() for name, each in rules.items()}
    return {"answers": rule.to_json()} | ({"rules": fitted} if fitted else {})


def in_words(error: Exception) -> str:
    """Return what was wrong with a file's content in a line."""
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())


def _training(member: Mapping[str, Any]) -> Training:
    usual = member["normalisation"]
    return Training(Normalisation(tuple(usual["means"]), tuple(usual["deviations"])), member["metrics"])


def _mean(figures: Sequence[Mapping[str, Any]], name: str) -> float | None:
    numbers = [each[name] for each in figures if each[name] is not None]
    return fmean(numbers) if len(numbers) == len(figures) else None
