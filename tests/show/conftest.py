"""What the tests of figures and pages share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

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
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in page.all("img"))
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
