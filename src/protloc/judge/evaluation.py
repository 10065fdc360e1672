"""What ``evaluation.json`` holds: every metric with its interval.

What is undefined: a class that no field of the part has is *absent*; its recall, F1 and average precision are
undefined, and means over classes leave it out. The precision of a class that was never called is undefined, as is the
stable macro-F1 where no class has enough groups and the error among certain answers where there is none. It is nan here
and left out of the file, where nothing is ever null. The interval of a mean over classes is for those of the part: of
the others its fields say nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protloc.atlas.files import write_json
from protloc.curate.groups import Leaks
from protloc.errors import RunError

HEADLINES = {  # each score of a part, with what people call it
    "macro_f1": "macro-F1",
    "stable_macro_f1": "stable macro-F1",
    "samples_f1": "samples-F1",
    "micro_f1": "micro-F1",
    "mean_average_precision": "mean average precision",
    "loss": "loss",
}
TRUST_METRICS = {  # how far its probabilities and certain answers can be trusted
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
    "answered": "share answered for certain",
    "error_among_certain": "errors among certain answers",
}
METRICS = (*HEADLINES, *TRUST_METRICS)
CLASS_METRICS = ("precision", "recall", "f1", "average_precision")
FLOOR_METRICS = ("macro_f1", "stable_macro_f1", "samples_f1", "micro_f1")
_COUNTS = ("fields", "groups", "resamples", "classes_present", "stable_classes")
_SETTINGS = ("protloc_version", "vocabulary", "judged", "threshold_rule", "poses")
STABLE_GROUPS = 10  # a class that ten groups have is missing from a resample with chance e**-10


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The number; nan where it is not defined, such as the recall of an absent class.
        low: Lower end of its 95 % interval, at most ``value``; None where it was not resampled.
        high: Upper end, at least ``value``; likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def noise(self) -> float:
        """Return the difference from a score on *other* fields of the same kind under which nothing is shown.

        It is 1.96 times the root of 2 times the standard deviation, which is the width of the interval over 2 x 1.96;
        nan without an interval.
        """
        return math.nan if self.low is None or self.high is None else (self.high - self.low) / math.sqrt(2)

    def to_json(self) -> dict[str, float]:
        """Return ``{"value", "low", "high"}``; without ``low`` and ``high`` where it was not resampled."""
        ends = {"low": self.low, "high": self.high}
        return {"value": self.value, **{name: end for name, end in ends.items() if end is not None}}

    @classmethod
    def from_json(cls, written: Mapping[str, float]) -> Estimate:
        """Read what :meth:`to_json` wrote."""
        return cls(written["value"], written.get("low"), written.get("high"))


@dataclass(frozen=True)
class ClassEvaluation:
    """How well one class was called in a part; undefined estimates are nan.

    Attributes:
        id: Class id in label tables.
        name: Name of the compartment.
        go: Gene Ontology id, or empty.
        precision: Share of the calls that are right; undefined if never called.
        recall: Share of the fields with the class that were called; undefined if the class is absent.
        f1: Harmonic mean of the two; undefined if the class is absent.
        average_precision: Area under the precision-recall curve; undefined if the class is absent.
        positives: Fields with the class.
        called: Fields for which it was called.
        groups: Groups with the class.
    """

    id: int
    name: str
    go: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    positives: int
    called: int
    groups: int

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``per_class``; ``go`` stands there only if the class has a GO id."""
        go = {"go": self.go} if self.go else {}
        counts = {"positives": self.positives, "called": self.called, "groups": self.groups}
        return {"id": self.id, "name": self.name, **go, **_written(self, CLASS_METRICS), **counts}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> ClassEvaluation:
        """Read what :meth:`to_json` wrote."""
        plain: dict[str, Any] = {key: written[key] for key in ("id", "name", "positives", "called", "groups")}
        return cls(**plain, go=written.get("go", ""), **_read(written, CLASS_METRICS))


@dataclass(frozen=True)
class Floor:
    """What an answer scores that looks at no image.

    Attributes:
        name: ``two commonest classes`` or ``all classes``.
        classes: Ids of the classes it always calls.
        macro_f1: Mean F1 of the present classes.
        stable_macro_f1: Mean F1 of the classes that enough groups have.
        samples_f1: Mean F1 of the fields.
        micro_f1: F1 of all calls pooled.
    """

    name: str
    classes: tuple[int, ...]
    macro_f1: Estimate
    stable_macro_f1: Estimate
    samples_f1: Estimate
    micro_f1: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``floors``."""
        return {"name": self.name, "classes": list(self.classes), **_written(self, FLOOR_METRICS)}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Floor:
        """Read what :meth:`to_json` wrote."""
        return cls(written["name"], tuple(written["classes"]), **_read(written, FLOOR_METRICS))


@dataclass(frozen=True)
class PartEvaluation:
    """Every metric of one part, with 95 % intervals by a bootstrap of its groups.

    Attributes:
        fields: Number of fields judged.
        groups: Number of groups they form; as many as fields where no field is like another.
        resamples: Number of resamples behind each interval.
        classes_present: Number of classes that at least one of them has.
        stable_classes: Number of classes that at least :data:`STABLE_GROUPS` groups have.
        macro_f1: Mean F1 of the present classes.
        stable_macro_f1: Mean F1 of the stable classes.
        samples_f1: Mean F1 of the fields.
        micro_f1: F1 of all calls pooled.
        mean_average_precision: Mean average precision of the present classes.
        loss: Mean binary cross-entropy of the logits, in nats.
        brier: Mean squared distance of the calibrated probabilities from the truth, in 0..1.
        calibration_error: Expected calibration error of the calibrated probabilities, in 0..1.
        answered: Share of the questions (a field and a class) that were answered present or absent for certain.
        error_among_certain: Share of these answers that are wrong.
        per_class: Every class in column order.
        floors: What the two trivial answers score on the same fields.
    """

    fields: int
    groups: int
    resamples: int
    classes_present: int
    stable_classes: int
    macro_f1: Estimate
    stable_macro_f1: Estimate
    samples_f1: Estimate
    micro_f1: Estimate
    mean_average_precision: Estimate
    loss: Estimate
    brier: Estimate
    calibration_error: Estimate
    answered: Estimate
    error_among_certain: Estimate
    per_class: tuple[ClassEvaluation, ...]
    floors: tuple[Floor, ...]

    def noise_in_words(self, metric: str = "macro_f1") -> str:
        """Say which differences in a metric, one of :data:`METRICS`, are noise on so few fields."""
        number = f"{self.fields:,} {'field' if self.fields == 1 else 'fields'}"
        if self.groups < self.fields:
            number += f" in {self.groups:,} {'group' if self.groups == 1 else 'groups'}"
        name, noise = (HEADLINES | TRUST_METRICS)[metric], getattr(self, metric).noise
        if math.isnan(noise):
            return f"With {number}, {name} is not defined."
        return (
            f"With {number}, a difference in {name} under {noise:.2g} is noise if the other score is of other fields "
            "of the same kind. Runs judged on the same fields are told apart more finely by protloc compare."
        )

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``parts``."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            **_written(self, METRICS),
            "per_class": [entry.to_json() for entry in self.per_class],
            "floors": [floor.to_json() for floor in self.floors],
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> PartEvaluation:
        """Read what :meth:`to_json` wrote."""
        counts: dict[str, Any] = {name: written[name] for name in _COUNTS}
        return cls(
            **counts,
            per_class=tuple(ClassEvaluation.from_json(entry) for entry in written["per_class"]),
            floors=tuple(Floor.from_json(entry) for entry in written["floors"]),
            **_read(written, METRICS),
        )


@dataclass(frozen=True)
class Evaluation:
    """The content of ``evaluation.json``.

    Attributes:
        parts: The evaluation of each part, by its name (``validation``, ``test``).
        vocabulary: Name of the vocabulary.
        thresholds: The probability from which the bundle calls each class, in column order. Validation and out-of-fold
            fields were answered by thresholds fitted without them.
        threshold_rule: How the bundle's were found, such as ``per class``.
        judged: Name of the part whose numbers are to be reported: ``test`` or ``out-of-fold``.
        poses: Poses of a field that were averaged: 1, or 8 with flips and quarter turns.
        protloc_version: Version that computed it.
        leaks: What the judged fields share with training and validation fields; None if the store was never audited.
    """

    parts: Mapping[str, PartEvaluation]
    vocabulary: str
    thresholds: tuple[float, ...]
    threshold_rule: str
    judged: str
    poses: int
    protloc_version: str
    leaks: Leaks | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``json`` writes and :meth:`from_json` reads."""
        return {
            **{name: getattr(self, name) for name in _SETTINGS},
            "thresholds": list(self.thresholds),
            **({"leaks": asdict(self.leaks)} if self.leaks else {}),
            "parts": {name: part.to_json() for name, part in self.parts.items()},
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Evaluation:
        """Read what :meth:`to_json` wrote."""
        settings: dict[str, Any] = {name: written[name] for name in _SETTINGS}
        parts = {name: PartEvaluation.from_json(part) for name, part in written["parts"].items()}
        leaks = Leaks(**written["leaks"]) if "leaks" in written else None
        return cls(parts=parts, thresholds=tuple(written["thresholds"]), leaks=leaks, **settings)

    def write(self, file: Path) -> None:
        """Write ``evaluation.json``, whole or not at all."""
        write_json(file, self.to_json())

    @classmethod
    def read(cls, file: Path) -> Evaluation:
        """Read what :meth:`write` wrote.

        Raises:
            RunError: if the file is missing or is no evaluation.
        """
        try:
            return cls.from_json(json.loads(file.read_text("utf-8")))
        except OSError as error:
            raise RunError(f"{file}: cannot be read ({error.strerror}). Make it with: protloc evaluate RUN") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{file}: not an evaluation ({type(error).__name__}: {error}). Make it anew with: protloc evaluate RUN"
            ) from error


def _written(scored: object, metrics: Iterable[str]) -> dict[str, Any]:
    """Write the estimates that are defined."""
    estimates = {name: getattr(scored, name) for name in metrics}
    return {name: estimate.to_json() for name, estimate in estimates.items() if not math.isnan(estimate.value)}


def _read(written: Mapping[str, Any], metrics: Iterable[str]) -> dict[str, Any]:
    """Read estimates; one that is not there is undefined."""
    return {name: Estimate.from_json(written[name]) if name in written else Estimate(math.nan) for name in metrics}
