"""What a server counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Tally:
    """Counters of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("protloc_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self.refused = Counter("protloc_refused", "Requests told to come back.", registry=self.registry)
        self.waiting = Gauge("protloc_waiting", "Requests in work or waiting.", registry=self.registry)
        self.fields = Counter("protloc_fields", "Fields sent.", ("outcome",), registry=self.registry)
        self.seconds = Histogram(
            "protloc_seconds", "Time from admission to answer.", ("route",), buckets=SECONDS, registry=self.registry
        )


class Counted:
    """Counts the answers of an application by route and status.

    Args:
        app: What is counted.
        tally: Where.
    """

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self._app, self._tally = app, tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._tally.requests.labels(route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, seen)
