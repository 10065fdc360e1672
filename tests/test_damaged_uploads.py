"""Damaged images, as anyone may send them: no crash, no 500, no worker left dead."""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.uploads import Upload
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.serve.app import create_app
from protloc.serve.decoding import DecodePool, Job
from protloc.serve.limits import Limits
from protloc.serve.models import Model

SIDE = 32
CORPUS = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "damaged_images.py"))
SOUND = "png_green.png"


def damaged(count: int) -> list[tuple[str, bytes]]:
    return list(CORPUS["damaged_images"](count, np.random.default_rng(7)))


def sound() -> bytes:
    return CORPUS["sound_images"](np.random.default_rng(7))[SOUND]


@pytest.fixture
def client(tiny_world) -> Iterator[TestClient]:
    """Ask a network with random weights."""
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    bundle = Bundle(
        backbone="baseline-cnn", vocabulary=tiny_world.vocabulary, stains=HPA_STAINS, side=SIDE,
        rule=AnswerRule.plain(3), settings={"stain_dropout": 0.5, "protein_stain": "green"}, protloc_version="0",
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
    )  # fmt: skip
    with TestClient(create_app({"tiny": Model("tiny", bundle)}, Limits()), base_url="http://127.0.0.1:8000") as client:
        yield client


def test_sound_images_of_every_format_are_answered(client: TestClient) -> None:
    for file in CORPUS["sound_images"](np.random.default_rng(7)).items():
        assert client.post("/v1/predict", files=[("files", file)]).status_code == 200, file[0]


def test_500_damaged_images_are_decoded_or_rejected_with_a_reason() -> None:
    pool = DecodePool(2, seconds=60, memory=Limits().decoder_bytes)
    reading = Reading(HPA_STAINS, side=SIDE, max_pixels=Limits().pixels)

    def decoded(name: str, content: bytes) -> tuple[int, dict[str, str]]:
        result = pool.submit(Job((Upload.named(name, content),), reading, ("green",))).result()
        return len(result.fields), result.rejected

    try:
        decoded(SOUND, sound())  # the workers live from here on
        workers = set(pool.pids())
        for name, content in damaged(500):
            fields, rejected = decoded(name, content)
            assert (fields, len(rejected)) in {(1, 0), (0, 1)}, name
            for reason in rejected.values():
                assert reason.endswith("."), reason
        assert decoded(SOUND, sound()) == (1, {})
        assert workers <= set(pool.pids())  # none died of an image
    finally:
        pool.close()


def test_the_server_answers_damaged_images_as_mistakes(client: TestClient) -> None:
    statuses = Counter(client.post("/v1/predict", files=[("files", file)]).status_code for file in damaged(110))
    assert set(statuses) == {200, 422}
    assert statuses[422] > statuses[200]
    assert client.post("/v1/predict", files=[("files", (SOUND, sound()))]).status_code == 200
    assert client.get("/healthz").json()["status"] == "ok"
