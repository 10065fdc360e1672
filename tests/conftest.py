"""A tiny world, built in code: fields in which a compartment is a shape."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from protloc.atlas.images import FieldFiles, read_planes
from protloc.atlas.prepare import prepare
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.store import Store
from protloc.atlas.vocabulary import Vocabulary, load_vocabulary
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation

# networks this small are faster on one thread, and far faster where other work is going on
torch.set_num_threads(1)

SIDE = 32
SHAPES = ("Disc", "Ring", "Bars")


@dataclass(frozen=True)
class TinyWorld:
    """Images, a label table and a vocabulary on disk, and the store made of them."""

    images: Path
    labels: Path
    classes: Path
    vocabulary: Vocabulary
    store: Store

    def untrained(self, backbone: str = "baseline-cnn", *, seed: int = 3, **facts: object) -> Bundle:
        """Return a network with random weights that needs green alone; ``facts`` are a bundle's, other than usual."""
        network = build_network(backbone, stains=4, classes=len(SHAPES), side=SIDE, seed=seed)
        usual = {"rule": AnswerRule.plain(len(SHAPES)), "settings": {"stain_dropout": 0.5, "protein_stain": "green"}}
        return Bundle(
            backbone=backbone,
            vocabulary=self.vocabulary,
            stains=HPA_STAINS,
            side=SIDE,
            members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
            protloc_version="0",
            **usual | facts,
        )


def draw_shapes(labels: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one field of shape (4, 32, 32): the shapes stand in green, the other stains are landmarks."""
    planes = generator.integers(0, 20, (4, SIDE, SIDE), dtype=np.uint8)
    cv2.circle(planes[2], (16, 16), 9, 120, -1)
    centre = tuple(int(place) for place in generator.integers(11, 21, 2))
    if 0 in labels:
        cv2.circle(planes[1], centre, 4, 200, -1)
    if 1 in labels:
        cv2.circle(planes[1], centre, 9, 200, 1)
    if 2 in labels:
        planes[1][::4] = 200
    return planes


def write_world(folder: Path, *, fields: int, seed: int = 0) -> None:
    """Write ``fields`` fields, ``train.csv`` and ``classes.csv``."""
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    lines = ["Id,Target"]
    for number in range(fields):
        labels = tuple(label for label in range(3) if number % 7 >> label & 1)
        for stain, plane in zip(HPA_STAINS, draw_shapes(labels, generator), strict=True):
            cv2.imwrite(str(folder / "images" / f"f{number:03d}{stain.suffix}.png"), plane)
        lines.append(f"f{number:03d},{' '.join(map(str, labels))}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n", "utf-8")
    classes = [f"{number},{name},,shapes" for number, name in enumerate(SHAPES)]
    (folder / "classes.csv").write_text("\n".join(["id,name,go,group", *classes]) + "\n", "utf-8")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    """Return 84 fields of 32 px with four stains and three classes."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, fields=84)
    vocabulary = load_vocabulary(folder / "classes.csv")
    images, labels = folder / "images", folder / "train.csv"
    store = prepare(images, folder / "store", labels=labels, vocabulary=vocabulary, reading=Reading(side=SIDE)).store
    return TinyWorld(images, labels, folder / "classes.csv", vocabulary, store)


@pytest.fixture
def tiny_store(tiny_world: TinyWorld) -> Store:
    """Return the store of the tiny world; do not change it."""
    return tiny_world.store


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the fields that are decoded from now on, as they are."""
    fields: list[str] = []

    def counting(field: FieldFiles, *arguments: object, **options: object) -> object:
        fields.append(field.id)
        return read_planes(field, *arguments, **options)

    monkeypatch.setattr("protloc.atlas.reading.read_planes", counting)
    return fields


@pytest.fixture
def real_data() -> Path:
    """Return the folder of real Human Protein Atlas fields and tables."""
    if "PROTLOC_REAL_DATA" not in os.environ:
        pytest.skip("PROTLOC_REAL_DATA is unset: it names the folder of real fields")
    return Path(os.environ["PROTLOC_REAL_DATA"])
