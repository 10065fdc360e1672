"""What a server accepts, and what every answer of it says."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protloc.settings import Settings

MIB = 2**20
HEADERS = {
    # the page's own files only: no inline script, nobody else's anything, in nobody's frame
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Limits(Settings):
    """What a server accepts.

    Attributes:
        upload_bytes: The most bytes of a request.
        files: The most files of a request.
        pixels: The most pixels of an image; 4096 x 4096 if not said.
        seconds: How long a request may take, its upload included.
        requests: How many requests may be in work or wait; one more is told to come back.
        decoders: Processes that decode.
        decoder_bytes: Memory each of them may take beyond what it needs to start.
        token: What ``Authorization: Bearer`` must hold; nothing is asked for if empty.
        hosts: Names under which the server may be addressed, against DNS rebinding; ``*`` for any.
    """

    upload_bytes: PositiveInt = 256 * MIB
    files: PositiveInt = 256
    pixels: PositiveInt = 2**24
    seconds: PositiveFloat = 60.0
    requests: PositiveInt = 64
    decoders: Annotated[int, Field(ge=1, le=64)] = 2
    decoder_bytes: PositiveInt = 1024 * MIB
    token: str = ""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Refuses what is not for us before anything of a request is read, and adds headers to every answer.

    Args:
        app: What is guarded.
        limits: What is accepted.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with_headers = _adding_headers(send)
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, with_headers)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await with_headers(message)

        try:
            await self._app(scope, _counting(receive, self._limits.upload_bytes), noted)
        except Exception:
            logging.getLogger("uvicorn.error").exception("A request failed.")
            if begun:
                raise
            await told(500, "This is a mistake of the server's own. Its log tells more.")(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        named = headers.get("host", "")
        host = named[: named.index("]") + 1] if named.startswith("[") and "]" in named else named.rsplit(":", 1)[0]
        if "*" not in self._limits.hosts and host not in self._limits.hosts:
            return told(421, f"This server is not called {host!r}. Name it with --host.")
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin and origin.split("://")[-1] != headers.get("host"):
            return told(403, "A page of another origin asked. Use the server's own page, or no browser.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18:
            return told(400, "Content-Length is no number.")
        if int(length) > self._limits.upload_bytes:
            return told(413, _too_large(self._limits.upload_bytes))
        return self._without_token(scope, headers)

    def _without_token(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        open_to_all = not scope["path"].startswith(("/v1/", "/metrics"))
        if not self._limits.token or open_to_all:
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self._limits.token.encode()):
            return None
        return told(401, "This server asks for a token: Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"})


class TooLargeError(Exception):
    """A request brought more bytes than it may."""


def told(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error as every error of the interface is returned."""
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _too_large(most: int) -> str:
    return f"More than {most / MIB:g} MiB. Send fewer fields at a time."


def _counting(receive: Receive, most: int) -> Callable[[], Awaitable[Message]]:
    """Count the bytes of a body that may not say, or lie about, how long it is."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise TooLargeError(_too_large(most))
        return message

    return counted


def _adding_headers(send: Send) -> Send:
    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return added
