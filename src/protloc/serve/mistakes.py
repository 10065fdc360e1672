"""The mistakes that the interface tells, as OpenAPI lists them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

MEANINGS = {
    400: "The request cannot be read.",
    401: "This server asks for a token: Authorization: Bearer TOKEN.",
    403: "A page of another origin asked.",
    404: "Nothing is called so.",
    413: "More bytes than a request may have.",
    415: "Expected multipart/form-data.",
    421: "This server is not called so.",
    422: "What was sent cannot be answered; the detail tells why.",
    503: "Too many requests wait: come back after as many seconds as Retry-After says.",
    504: "It took longer than a request may.",
}
OF_QUESTIONS = (404, 413, 415, 422, 503, 504)


class Mistake(BaseModel):
    """What is wrong, and what to do."""

    detail: str


def told_as(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe answers of these statuses, as FastAPI takes it."""
    return {status: {"model": Mistake, "description": MEANINGS[status]} for status in statuses}
