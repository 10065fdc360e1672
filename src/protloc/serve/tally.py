"""What a server counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
