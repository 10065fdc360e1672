"""What ``evaluation.json`` holds: every metric with its interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protloc.atlas.files import write_json
from protloc.errors import RunError

HEADLINES = {  # each metric of a part, with what people call it
    "macro_f1": "macro-F1",
    "samples_f1": "samples-F1",
    "micro_f1": "micro-F1",
    "mean_average_precision": "mean average precision",
    "loss": "loss",
}
CLASS_METRICS = ("precision", "recall", "f1", "average_precision")
FLOOR_METRICS = ("macro_f1", "samples_f1", "micro_f1")


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The number; nan where it is not defined (``null`` in JSON), such as the recall of an absent class.
        low: Lower end of its 95 % interval, or None where none was computed.
        high: Upper end, likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Return ``{"value", "low", "high"}``, with None for what is not defined."""
        return {"value": _finite(self.value), "low": _finite(self.low), "high": _finite(self.high)}

    @classmethod
    def from_json(cls, written: Mapping[str, float | None]) -> Estimate:
        """Read what :meth:`to_json` wrote."""
        value = written["value"]
        return cls(math.nan if value is None else value, written["low"], written["high"])


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

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``per_class``; ``go`` stands there only if the class has a GO id."""
        go = {"go": self.go} if self.go else {}
        counts = {"positives": self.positives, "called": self.called}
        return {"id": self.id, "name": self.name, **go, **_written(self, CLASS_METRICS), **counts}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> ClassEvaluation:
        """Read what :meth:`to_json` wrote."""
        plain: dict[str, Any] = {key: written[key] for key in ("id", "name", "positives", "called")}
        return cls(**plain, go=written.get("go", ""), **_read(written, CLASS_METRICS))


@dataclass(frozen=True)
class Floor:
    """What an answer scores that looks at no image.

    Attributes:
        name: ``two commonest classes`` or ``all classes``.
        classes: Ids of the classes it always calls.
        macro_f1: Mean F1 of the present classes.
        samples_f1: Mean F1 of the fields.
        micro_f1: F1 of all calls pooled.
    """

    name: str
    classes: tuple[int, ...]
    macro_f1: Estimate
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
    """Every metric of one part; the rules for absent classes are those of :mod:`protloc.judge.metrics`.

    Attributes:
        fields: Number of fields judged.
        classes_present: Number of classes that at least one of them has.
        loss: Mean binary cross-entropy of the logits, in nats.
        macro_f1: Mean F1 of the present classes.
        samples_f1: Mean F1 of the fields.
        micro_f1: F1 of all calls pooled.
        mean_average_precision: Mean average precision of the present classes.
        per_class: Every class in column order.
        floors: What the two trivial answers score on the same fields.
    """

    fields: int
    classes_present: int
    loss: Estimate
    macro_f1: Estimate
    samples_f1: Estimate
    micro_f1: Estimate
    mean_average_precision: Estimate
    per_class: tuple[ClassEvaluation, ...]
    floors: tuple[Floor, ...]

    def to_json(self) -> dict[str, Any]:
        """Return one entry of ``parts``."""
        return {
            "fields": self.fields,
            "classes_present": self.classes_present,
            **_written(self, HEADLINES),
            "per_class": [entry.to_json() for entry in self.per_class],
            "floors": [floor.to_json() for floor in self.floors],
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> PartEvaluation:
        """Read what :meth:`to_json` wrote."""
        return cls(
            fields=written["fields"],
            classes_present=written["classes_present"],
            per_class=tuple(ClassEvaluation.from_json(entry) for entry in written["per_class"]),
            floors=tuple(Floor.from_json(entry) for entry in written["floors"]),
            **_read(written, HEADLINES),
        )


@dataclass(frozen=True)
class Evaluation:
    """The content of ``evaluation.json``.

    Attributes:
        parts: The evaluation of each part, by its name (``validation``, ``test``).
        vocabulary: Name of the vocabulary.
        thresholds: The probability from which each class is called, in column order.
        protloc_version: Version that computed it.
    """

    parts: Mapping[str, PartEvaluation]
    vocabulary: str
    thresholds: tuple[float, ...]
    protloc_version: str

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``json`` writes and :meth:`from_json` reads."""
        return {
            "protloc_version": self.protloc_version,
            "vocabulary": self.vocabulary,
            "thresholds": list(self.thresholds),
            "parts": {name: part.to_json() for name, part in self.parts.items()},
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Evaluation:
        """Read what :meth:`to_json` wrote."""
        parts = {name: PartEvaluation.from_json(part) for name, part in written["parts"].items()}
        return cls(parts, written["vocabulary"], tuple(written["thresholds"]), written["protloc_version"])

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
    return {name: getattr(scored, name).to_json() for name in metrics}


def _read(written: Mapping[str, Any], metrics: Iterable[str]) -> dict[str, Any]:
    return {name: Estimate.from_json(written[name]) for name in metrics}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
