"""A server that runs until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from protloc.learn.model import Model
from protloc.serve.app import create_app
from protloc.serve.limits import Limits
from protloc.serve.models import named_models


def serve(
    bundles: Sequence[tuple[str, Model]],
    *,
    atlases: Sequence[Path] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve models as a page and an interface until SIGINT or SIGTERM; accepted requests are finished then.

    Args:
        bundles: The models, each with its name.
        atlases: Files that ``protloc embed`` wrote, among whose fields neighbours are searched.
        host: Address to listen on; only this machine can reach 127.0.0.1.
        port: To listen on; 0 takes any that is free.
        limits: What is accepted.
        say: Called with a sentence when it listens.

    Raises:
        BundleError: if an atlas was made with none of the models.
    """
    limits = limits or Limits()
    models = named_models(bundles, atlases, say=say)
    config = uvicorn.Config(
        create_app(models, limits),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        timeout_keep_alive=5,
        server_header=False,
        date_header=False,
    )
    _Server(config, say).run()


class _Server(uvicorn.Server):
    """Says where it listens when it does."""

    def __init__(self, config: uvicorn.Config, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._say = say

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, then say so."""
        await super().startup(sockets)  # pyright: ignore[reportArgumentType]
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                self._say(f"http://{host}:{port} answers. Ctrl-C ends it.")
