"""What the interface answers, and how it is made of predictions."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from protloc.apply.checks.finding import Finding, Severity
from protloc.apply.neighbours import Neighbours
from protloc.apply.predictions import VERDICTS, Predictions
from protloc.atlas.stains import Stain
from protloc.learn.export import Export
from protloc.learn.model import Model
from protloc.show.composite import screen_colours


class ClassAnswer(BaseModel):
    """What the model says of one compartment in one field."""

    id: int = Field(description="Number of the class in label tables.")
    name: str
    go: str = Field(description="Gene Ontology cellular component, such as GO:0005654, or empty.")
    probability: float = Field(description="Calibrated, 0 to 1.")
    low: float | None = Field(description="Lower end of the probability's 95 % interval; null if it is not known.")
    high: float | None = Field(description="Upper end of the probability's 95 % interval; null if it is not known.")
    called: bool = Field(description="Whether the probability reaches the class's threshold.")
    verdict: Literal["present", "ask", "absent"] = Field(
        description="present and absent are certain at the model's error rate; ask: look yourself."
    )


class Warned(BaseModel):
    """Something about a field to look at before its answers are believed."""

    code: str = Field(description="What it is about, such as 'stain order' or 'out of focus'.")
    severity: Literal["serious", "warning", "note"] = Field(
        description="serious: the answer means nothing until it is remedied; warning: it may be off; note: no more."
    )
    sentence: str
    remedy: str


class Neighbour(BaseModel):
    """A labelled field of the atlas that the model sees alike."""

    id: str
    similarity: float = Field(description="Cosine of the embeddings, -1 to 1.")
    labels: list[str] | None


class Picture(BaseModel):
    """One stain of a field, to be shown."""

    stain: str
    colour: tuple[int, int, int] = Field(description="R, G, B of the stain on screen, 0 to 255.")
    png: str = Field(description="Gray PNG, base64.")


class FieldAnswer(BaseModel):
    """What the model says of one field."""

    id: str
    source: str = Field(description="The field it is of; another than the id where a model looks at tiles.")
    width: int = Field(description="Of the source, in px.")
    height: int = Field(description="Of the source, in px.")
    bit_depth: int
    classes: list[ClassAnswer] = Field(description="All classes, the most probable first.")
    warnings: list[Warned]
    neighbours: list[Neighbour]
    pictures: list[Picture] = Field(description="Only if asked for with pictures=true.")


class Reply(BaseModel):
    """What the model says of the fields of a request."""

    model: str
    stains: list[str] = Field(description="Stains it looked at.")
    fields: list[FieldAnswer]
    rejected: dict[str, str] = Field(description="Field or file, with the reason why it could not be read.")
    notes: list[str]


class HeatMap(BaseModel):
    """Where the model saw a compartment."""

    name: str
    probability: float
    png: str = Field(description="Gray PNG, base64: 255 where the evidence is strongest.")


class Explained(BaseModel):
    """Where the model looked, in one field."""

    id: str
    maps: list[HeatMap]
    stains: dict[str, dict[str, float | None]] = Field(
        description="Class name to stain to what the stain adds to the log-odds; null where the model needs the stain."
    )


class Explanation(BaseModel):
    """Where the model looked, in each field of a request."""

    model: str
    fields: list[Explained]
    rejected: dict[str, str]


class ModelFacts(BaseModel):
    """What a model is."""

    name: str
    classes: list[str]
    stains: list[str]
    needed: list[str]
    suffixes: list[str] = Field(description="What file names end in for each stain, before the extension.")
    side: int = Field(description="Fields are shrunk to this many px a side.")
    caution: str
    judged_on: int = Field(description="Fields that its answers were fitted on; 0 if it was never judged.")
    error_rate: float
    atlas: int = Field(description="Labelled fields among which neighbours are searched.")
    explains: bool = Field(description="Whether it makes heat maps; an export alone does not.")
    engine: str = Field(description="What computes its answers: pytorch, onnx or openvino.")
    precision: str = Field(description="Of the numbers it answers with: float32, bf16 or int8.")


def class_answers(said: Predictions, row: int) -> list[ClassAnswer]:
    """Put the answers of one field in words, the most probable first.

    Args:
        said: Of all fields.
        row: Which of them.
    """
    answers, band = said.answers, said.intervals
    order = np.argsort(-answers.probabilities[row], kind="stable")
    return [
        ClassAnswer(
            id=said.vocabulary.compartments[place].id,
            name=said.vocabulary.compartments[place].name,
            go=said.vocabulary.compartments[place].go,
            probability=round(float(answers.probabilities[row, place]), 6),
            low=None if band is None else round(float(band[0, row, place]), 6),
            high=None if band is None else round(float(band[1, row, place]), 6),
            called=bool(answers.called[row, place]),
            verdict=VERDICTS[int(answers.verdicts[row, place])],
        )
        for place in order
    ]


def warnings_of(findings: Iterable[Finding]) -> list[Warned]:
    """Put what was found of a field in words, the gravest first."""
    gravest = sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
    return [
        Warned(code=each.fault.value, severity=each.severity.value, sentence=each.sentence, remedy=each.remedy)
        for each in gravest
    ]


def neighbours_of(found: Neighbours | None, row: int) -> list[Neighbour]:
    """Put the neighbours of one field in words; none without an atlas."""
    if found is None:
        return []
    several = zip(found.ids[row], found.similarities[row], found.labels[row], strict=True)
    return [
        Neighbour(id=name, similarity=round(float(cosine), 4), labels=None if labels is None else list(labels))
        for name, cosine, labels in several
    ]


def pictures(preview: NDArray[np.uint8], stains: Sequence[Stain]) -> list[Picture]:
    """Encode the stains of a field, (stains, h, w), each in gray."""
    colours = screen_colours(stains)
    return [
        Picture(stain=stain.name, colour=colour, png=png_of(plane))
        for stain, colour, plane in zip(stains, colours, preview, strict=True)
    ]


def png_of(plane: NDArray[np.uint8]) -> str:
    """Encode a gray picture, (h, w), as PNG in base64."""
    _, encoded = cv2.imencode(".png", plane)
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def facts_of(name: str, bundle: Model, *, atlas: int, by: Model) -> ModelFacts:
    """Tell what a model is.

    Args:
        name: What the server calls it.
        bundle: The model.
        atlas: Labelled fields among which neighbours are searched.
        by: What answers: the bundle, or an export of it.
    """
    return ModelFacts(
        name=name,
        classes=list(bundle.vocabulary.names),
        stains=[stain.name for stain in bundle.stains],
        needed=list(bundle.needed),
        suffixes=[stain.suffix for stain in bundle.stains],
        side=bundle.side,
        caution=bundle.caution,
        judged_on=bundle.rule.fields,
        error_rate=bundle.rule.cuts.error_rate,
        atlas=atlas,
        explains=not isinstance(bundle, Export),
        engine=by.engine if isinstance(by, Export) else "pytorch",
        precision=by.precision if isinstance(by, Export) else "float32",
    )
