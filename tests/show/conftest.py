"""What the tests of figures and pages share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.curate.groups import Leaks
from protloc.judge.answering import AnswerRule, answer
from protloc.judge.calibration import Calibration
from protloc.judge.evaluate import evaluate_part
from protloc.judge.evaluation import Evaluation
from protloc.judge.predictions import PartPredictions
from protloc.judge.three_way import Bands, Cuts, Deferral
from protloc.judge.thresholds import Thresholds
from protloc.learn.recipes import TrainSettings
from protloc.show.report_content import Course, ReportContent, ShownFields, StoreFacts
from protloc.show.tally import pick_fields

VOCABULARY = Vocabulary("shapes", (Compartment(0, "Disc"), Compartment(4, "Ring & rod"), Compartment(9, "<i>Bars</i>")))
RULE = AnswerRule(
    Calibration((0.8, 0.9, 1.0), (0.1, 0.0, -0.1)),
    Thresholds((0.5, 0.4, 0.3), "per class", {"fixed": 0.51, "one": 0.52, "per class": 0.58}),
    Cuts((0.05, 0.1, 0.0), (0.9, 0.95, 2.0), 0.1),
    prevalences=(0.6, 0.4, 0.0),
    fields=15,
)
STORE = StoreFacts(
    "demo-store", simulated=False, side=16, stains=HPA_STAINS, parts={"train": 70, "validation": 15, "test": 40}
)

VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class ReadPage(HTMLParser):
    """What a browser would find in a page; made by feeding it the page.

    Attributes:
        tags: Name and attributes of each element.
        mistakes: Elements that are closed in the wrong order.
    """

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element and await its end."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        if self.open_tags and self.open_tags[-1] == tag:
            self.open_tags.pop()
        else:
            self.mistakes.append(tag)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of this name."""
        return [attributes for name, attributes in self.tags if name == tag]


def read_checked(html: str) -> ReadPage:
    """Read a page and check what holds of every page of ours."""
    page = ReadPage()
    page.feed(html)
    page.close()
    assert html.startswith("<!doctype html>")
    assert page.mistakes == page.open_tags == []
    assert not page.all("script") + page.all("link") + page.all("iframe")
    assert not re.search(r"url\(|@import|https?://", html)
    kinds = ("data:image/png;base64,", "data:image/jpeg;base64,")
    assert all((image["src"] or "").startswith(kinds) for image in page.all("img"))
    assert all(image.get("alt") for image in page.all("img"))
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    assert {link["href"] for link in page.all("a")} <= {f"#{name}" for name in names}
    assert [len(page.all(tag)) for tag in ("title", "h1", "main")] == [1, 1, 1]
    return page


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], ReadPage]:
    """Return the function that reads a page and checks what holds of every page of ours."""
    return read_checked


@pytest.fixture(scope="session")
def log_of() -> Callable[[int], pd.DataFrame]:
    """Return the function that makes a training log of so many epochs, in which everything gets better."""

    def make(epochs: int) -> pd.DataFrame:
        steps = np.arange(1, epochs + 1)
        scores = ("macro_f1", "samples_f1", "micro_f1", "mean_average_precision")
        losses = {"train_loss": 1 / steps, "validation_loss": 1 / steps + 0.1}
        return pd.DataFrame({"epoch": steps, **losses, **dict.fromkeys(scores, 1 - 1 / (1 + steps))})

    return make


def make_predictions(truth: np.ndarray, *, seed: int = 0, groups: int | None = None) -> PartPredictions:
    """Return answers that are mostly right, of fields that are alike in so many groups (None: all are unlike)."""
    generator = np.random.default_rng(seed)
    logits = (4.0 * truth - 2 + generator.normal(0, 1.5, truth.shape)).astype(np.float32)
    said = answer(RULE, logits)
    ids = tuple(f"field{row}" for row in range(len(truth)))
    alike = ids if groups is None else tuple(f"field{row % groups}" for row in range(len(truth)))
    return PartPredictions(ids, alike, truth, logits, said.probabilities.astype(np.float32), said.called, said.verdicts)


def make_truth(fields: int, *, seed: int = 0) -> np.ndarray:
    """Return the truth of so many fields, in which the third class is absent."""
    return (np.random.default_rng(seed).random((fields, 3)) < (0.6, 0.4, 0.0)).astype(np.uint8)


def make_evaluation(parts: dict[str, PartPredictions], *, judged: str = "test") -> Evaluation:
    """Return every metric of some parts, with intervals from few resamples."""
    return Evaluation(
        parts={
            name: evaluate_part(said, vocabulary=VOCABULARY, training_truth=make_truth(70), resamples=200)
            for name, said in parts.items()
        },
        vocabulary=VOCABULARY.name,
        thresholds=RULE.thresholds.values,
        threshold_rule=RULE.thresholds.rule,
        judged=judged,
        poses=1,
        protloc_version="0.1.0",
    )


def shown(said: PartPredictions, rows: np.ndarray) -> ShownFields:
    """Return random pictures of some fields."""
    images = np.random.default_rng(1).integers(0, 255, (len(rows), 4, 16, 16), dtype=np.uint8)
    return ShownFields(said.rows(rows), images)


def make_deferral(*, wrong: float) -> Deferral:
    """Return what is asked at error rates of 5 and 10 %; a share of the answers *present* is wrong, ± 2 %."""

    def bands(value: float) -> Bands:
        middle = np.full(2, value)
        return Bands(middle, middle - 0.02, middle + 0.02)

    return Deferral((0.05, 0.1), bands(0.4), bands(0.2), bands(0.03), bands(wrong))


@pytest.fixture(scope="session")
def truth_of() -> Callable[..., np.ndarray]:
    """Return the function that makes the truth of a part."""
    return make_truth


@pytest.fixture(scope="session")
def predictions_of() -> Callable[..., PartPredictions]:
    """Return the function that answers the fields of a part."""
    return make_predictions


@pytest.fixture(scope="session")
def evaluation_of() -> Callable[..., Evaluation]:
    """Return the function that evaluates parts."""
    return make_evaluation


@pytest.fixture(scope="session")
def deferral_of() -> Callable[..., Deferral]:
    """Return the function that makes a deferral curve."""
    return make_deferral


@pytest.fixture(scope="session")
def content(log_of: Callable[[int], pd.DataFrame]) -> ReportContent:
    """Return what the report of a small run shows: 40 test fields, three classes, one of them absent."""
    test = make_predictions(make_truth(40))
    picked = pick_fields(test, count=3)
    return ReportContent(
        run="my-run",
        recipe="standard",
        vocabulary=VOCABULARY,
        store=STORE,
        evaluation=make_evaluation({"validation": make_predictions(make_truth(15, seed=1), seed=1), "test": test}),
        predictions=test,
        rule=RULE,
        leaks=Leaks(40, 0, 0),
        deferral=make_deferral(wrong=0.06),
        courses=(Course(log_of(5), 4),),
        best=shown(test, picked.best),
        worst=shown(test, picked.worst),
        settings=TrainSettings(recipe="standard", seed=7).model_dump(),
        provenance={"python": "3.12.1", "torch": "2.14.0"},
        command="protloc train demo-store --recipe standard --out my-run",
    )
