"""Whatever the interface says it takes, it answers as it says."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from protloc.atlas.stains import HPA_STAINS
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.serve.app import create_app
from protloc.serve.limits import Limits
from protloc.serve.models import Model

SIDE = 32
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
)


@pytest.fixture
def interface(tiny_world) -> schemathesis.BaseSchema:
    """Return what a server of a network with random weights says of itself."""
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    bundle = Bundle(
        backbone="baseline-cnn", vocabulary=tiny_world.vocabulary, stains=HPA_STAINS, side=SIDE,
        rule=AnswerRule.plain(3), settings={"stain_dropout": 0.5, "protein_stain": "green"}, protloc_version="0",
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
    )  # fmt: skip
    app = create_app({"tiny": Model("tiny", bundle)}, Limits(hosts=(asgi.HOST,), upload_bytes=100_000))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def answers_as_it_says(operation: schemathesis.APIOperation, mode: GenerationMode) -> None:
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=25 if operation.body else 5, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=list(CHECKS))

    asked()


def test_it_answers_as_it_says(interface: schemathesis.BaseSchema) -> None:
    asked = [each.ok() for each in interface.get_all_operations()]  # in one test: schemathesis stops servers after each
    assert {operation.label for operation in asked} == {
        "POST /v1/predict", "POST /v1/explain", "GET /v1/models", "GET /v1/examples", "GET /v1/examples/{name}",
        "GET /healthz", "GET /metrics",
    }  # fmt: skip
    for operation in asked:
        answers_as_it_says(operation, GenerationMode.POSITIVE)
        if operation.body:  # the others take nothing that could be wrong
            answers_as_it_says(operation, GenerationMode.NEGATIVE)


def test_every_mistake_is_described(interface: schemathesis.BaseSchema) -> None:
    asked = interface.raw_schema["paths"]
    for path in ("/v1/predict", "/v1/explain"):
        described = asked[path]["post"]["responses"]
        assert set(described) == {"200", "400", "401", "403", "404", "413", "415", "421", "422", "503", "504"}
        for status in set(described) - {"200"}:
            assert described[status]["content"]["application/json"]["schema"]["$ref"].endswith("/Mistake")
