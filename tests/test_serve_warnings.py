"""Warnings over the interface: what is wrong with a field, and none where nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.embed import embeddings
from protloc.atlas.images import FieldPlanes, shrink
from protloc.atlas.simulate import expose, plan_fields, render_clean
from protloc.atlas.stains import HPA_STAINS
from protloc.errors import BundleError
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.learn.reference import fit_reference, write_references
from protloc.serve.app import create_app
from protloc.serve.limits import Limits
from protloc.serve.models import Model
from protloc.serve.replies import warnings_of

SIDE = 32
ALL = "blue+green+red+yellow"
RED, GREEN, BLUE, YELLOW = range(4)


@pytest.fixture(scope="module")
def pictures():
    """Return a simulated field of 256 px whose protein is not nuclear."""
    plan = next(plan for plan in plan_fields(40, side=256, seed=2) if is_plain(plan))
    return expose(render_clean(plan, seed=2).stains, plan.camera, rng=np.random.default_rng(0))


def is_plain(plan) -> bool:
    return max(plan.camera.level) < 255 and min(plan.antibody.labels) > 6


@pytest.fixture(scope="module")
def bundle(tiny_world, pictures, tmp_path_factory) -> Bundle:
    """Return an untrained network with a reference of fields like the simulated one."""
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    made = Bundle(
        backbone="baseline-cnn",
        vocabulary=tiny_world.vocabulary,
        stains=HPA_STAINS,
        side=SIDE,
        rule=replace(AnswerRule.plain(3), fields=9),
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"},
        protloc_version="0",
    )
    folder = tmp_path_factory.mktemp("bundle")
    made.save(folder)
    field = shrink(FieldPlanes(tuple(pictures), 8), side=SIDE)
    noise = np.random.default_rng(0).integers(-20, 20, (400, *field.shape))
    seen = embeddings(made, [np.clip(field + noise, 0, 255).astype(np.uint8), field[np.newaxis]])
    write_references(folder, {ALL: [fit_reference(seen[:200], seen[200:])]})
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def client(bundle: Bundle) -> Iterator[TestClient]:
    app = create_app({"tiny": Model("tiny", bundle)}, Limits(decoders=1))
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def asked(client: TestClient, planes, *, ending: str = ".png", options=()) -> dict[str, dict[str, str]]:
    """Send a field and return its warnings by their codes."""
    files = [
        ("files", (f"a{stain.suffix}{ending}", cv2.imencode(ending, plane, options)[1].tobytes()))
        for stain, plane in zip(HPA_STAINS, planes, strict=True)
    ]
    reply = client.post("/v1/predict", files=files)
    assert reply.status_code == 200, reply.text
    (field,) = reply.json()["fields"]
    return {each["code"]: each for each in field["warnings"]}


def test_a_sound_field_raises_no_warning(client: TestClient, pictures) -> None:
    assert asked(client, pictures) == {}


def test_exchanged_stains_are_told_with_a_remedy(client: TestClient, pictures) -> None:
    told = asked(client, pictures[[BLUE, GREEN, RED, YELLOW]])["stain order"]
    assert told["severity"] == "serious"
    assert told["sentence"] == "The blue image does not look like nuclei, but the red image does."
    assert "blue=_red,red=_blue" in told["remedy"]


def test_a_field_unlike_the_atlas_is_told_by_the_embedding(client: TestClient, pictures) -> None:
    told = asked(client, 255 - pictures)
    assert told["far from the atlas"]["severity"] == "warning"
    assert "about one in 202 lies as far" in told["far from the atlas"]["sentence"]


def test_the_pixel_size_that_a_file_states_is_believed(client: TestClient, pictures) -> None:
    tags = (cv2.IMWRITE_TIFF_XDPI, cv2.IMWRITE_TIFF_YDPI)
    inches = [cv2.IMWRITE_TIFF_RESUNIT, 2]
    printers = [number for tag in tags for number in (tag, 300)] + inches
    assert asked(client, pictures, ending=".tiff", options=printers) == {}
    two_micrometres = [number for tag in tags for number in (tag, 12700)] + inches
    told = asked(client, pictures, ending=".tiff", options=two_micrometres)
    assert told["pixel size"]["sentence"].startswith("With 2 µm a pixel the nuclei would be")


def test_the_gravest_comes_first() -> None:
    found = [
        Finding(fault, severity, "It is.", "Help.") for fault, severity in zip(Fault, reversed(Severity), strict=False)
    ]
    assert [each.severity for each in warnings_of(found)] == ["serious", "warning", "note"]


def test_a_server_says_at_once_that_a_reference_is_of_other_weights(bundle: Bundle, tmp_path) -> None:
    bundle.save(tmp_path)
    write_references(tmp_path, {ALL: [fit_reference(*np.random.default_rng(0).normal(size=(2, 9, 4)).astype("f"))]})
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(BundleError, match="made with other weights"):
        Model("tiny", replace(bundle, folder=tmp_path))


def test_a_worker_decodes_and_checks_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys, protloc.serve.decoding; print([m for m in ('torch', 'pandas', 'scipy') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert "torch" not in ran.stdout
