"""The interface: what is asked, and who answers it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from protloc.atlas.uploads import Upload
from protloc.errors import ProtlocError
from protloc.serve.decoding import Decoded, DecodePool, DecodingError, Job
from protloc.serve.examples import Example, example_names, simulated_example
from protloc.serve.limits import Guard, Limits, TooLargeError, told
from protloc.serve.mistakes import OF_QUESTIONS, told_as
from protloc.serve.models import Model
from protloc.serve.replies import Explanation, ModelFacts, Reply
from protloc.serve.tally import Counted, Tally
from protloc.serve.uploads import FILES, read_uploads

_Result = TypeVar("_Result")

DESCRIPTION = "Tells where in the cell a protein is, from fluorescence images, and says how sure it is."

ModelName = Annotated[str | None, Query(description="One of /v1/models; the first if not said.", max_length=200)]
StainWords = Annotated[
    str | None,
    Query(description="NAME or NAME=SUFFIX, commas between, as in green,blue=_ch00.", max_length=500),
]


def create_app(models: Mapping[str, Model], limits: Limits) -> FastAPI:
    """Make the application.

    Args:
        models: What can be asked, by name; the first is asked where no name is said.
        limits: What is accepted.
    """
    desk = _Desk(models, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        await run_in_threadpool(desk.close)

    app = FastAPI(
        title="protloc",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=told_as(400, 401, 403, 421),  # of the guard
    )
    _add_questions(app, desk)
    _add_state(app, desk)
    _add_errors(app)
    _add_page(app)
    app.add_middleware(Counted, tally=desk.tally)
    app.add_middleware(Guard, limits=limits)
    return app


class _Desk:
    """Who decodes, who answers, and how many may wait."""

    def __init__(self, models: Mapping[str, Model], limits: Limits) -> None:
        self.models, self.limits, self.tally = models, limits, Tally()
        self.pool = DecodePool(limits.decoders, seconds=limits.seconds / 2, memory=limits.decoder_bytes)
        self.waiting = 0

    def close(self) -> None:
        self.pool.close()
        for model in self.models.values():
            model.close()

    def model(self, name: str | None) -> Model:
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise HTTPException(404, f"No model is called {name!r}, expected one of {', '.join(self.models)}.")
        return self.models[name]

    @asynccontextmanager
    async def admitted(self, route: str) -> AsyncGenerator[None, None]:
        """Let a request in if there is room, for as long as a request may take."""
        if self.waiting >= self.limits.requests:
            self.tally.refused.inc()
            raise HTTPException(503, "Too many requests wait. Come back in a moment.", {"Retry-After": "2"})
        self.waiting += 1
        self.tally.waiting.set(self.waiting)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError as error:
            most = self.limits.seconds
            raise HTTPException(504, f"It took longer than {most:g} seconds. Send fewer fields at a time.") from error
        finally:
            self.waiting -= 1
            self.tally.waiting.set(self.waiting)
            self.tally.seconds.labels(route).observe(time.monotonic() - started)

    async def decoded(
        self, request: Request, model: Model, stains: str | None, *, preview: bool, preflight: bool
    ) -> Decoded:
        """Read the uploads of a request."""
        uploads: tuple[Upload, ...] = await read_uploads(request, self.limits)
        reading = model.reading(stains, self.limits.pixels)
        job = Job(uploads, reading, model.bundle.needed, preview=preview, preflight=preflight)
        decoded = await _result(self.pool.submit(job))
        self.tally.fields.labels("read").inc(len(decoded.fields))
        self.tally.fields.labels("rejected").inc(len(decoded.rejected))
        if not decoded.fields:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(decoded.rejected.items())[:5])
            raise HTTPException(422, f"No field could be read. {reasons}")
        return decoded


def _add_questions(app: FastAPI, desk: _Desk) -> None:
    @app.post("/v1/predict", openapi_extra=FILES, responses=told_as(*OF_QUESTIONS))
    async def predict(
        request: Request,
        model: ModelName = None,
        stains: StainWords = None,
        adapt: Annotated[
            bool | None, Query(description="Fit the answers to these fields; as the model wants if not said.")
        ] = None,
        *,
        pictures: Annotated[bool, Query(description="Return the stains of each field, to be shown.")] = False,
        preflight: Annotated[bool, Query(description="Warn of what may be wrong with the fields' pixels.")] = True,
    ) -> Reply:
        """Tell where the proteins of fields are."""
        asked = desk.model(model)
        async with desk.admitted("predict"):
            decoded = await desk.decoded(request, asked, stains, preview=pictures, preflight=preflight)
            looked = await _result(asked.submit(decoded))
            return await run_in_threadpool(asked.reply, decoded, looked, adapt=adapt)

    @app.post("/v1/explain", openapi_extra=FILES, responses=told_as(*OF_QUESTIONS))
    async def explain(
        request: Request,
        model: ModelName = None,
        stains: StainWords = None,
        classes: Annotated[int, Query(description="How many classes, the most probable first.", ge=1, le=28)] = 5,
    ) -> Explanation:
        """Tell where in fields a model sees what it says."""
        asked = desk.model(model)
        async with desk.admitted("explain"):
            decoded = await desk.decoded(request, asked, stains, preview=False, preflight=False)
            return await _result(asked.explain(decoded, classes=classes))

    @app.get("/v1/models")
    async def models() -> list[ModelFacts]:
        """Tell which models can be asked."""
        return [model.facts for model in desk.models.values()]

    @app.get("/v1/examples")
    async def examples() -> list[str]:
        """Name the simulated fields that can be tried."""
        return list(example_names())

    @app.get("/v1/examples/{name}", responses=told_as(404, 422, 503, 504))
    async def example(name: str) -> Example:
        """Return a simulated field: files to be sent to /v1/predict."""
        if name not in example_names():
            raise HTTPException(404, f"No example is called so, expected one of {', '.join(example_names())}.")
        async with desk.admitted("examples"):
            return await run_in_threadpool(simulated_example, name)


def _add_state(app: FastAPI, desk: _Desk) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Tell that the server lives, and what it does."""
        return {"status": "ok", "models": list(desk.models), "waiting": desk.waiting, "decoders": len(desk.pool.pids())}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Return what was counted, for Prometheus."""
        return Response(generate_latest(desk.tally.registry), media_type=CONTENT_TYPE_LATEST)


def _add_page(app: FastAPI) -> None:
    page = Path(str(resources.files("protloc.serve") / "page"))
    files = {file.name: file for file in page.iterdir()}

    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(files["index.html"])

    @app.get("/{name}", include_in_schema=False)
    async def file(name: str) -> FileResponse:
        if name not in files:
            raise HTTPException(404, "There is no such page.")
        return FileResponse(files[name])


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ProtlocError)
    async def mistaken(_: Request, error: ProtlocError) -> Response:
        return told(422, str(error))

    @app.exception_handler(DecodingError)
    async def died(_: Request, error: DecodingError) -> Response:
        return told(422, f"The images could not be read: {error}")

    @app.exception_handler(TooLargeError)
    async def too_large(_: Request, error: TooLargeError) -> Response:
        return told(413, str(error))

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> Response:
        places = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
        return told(422, "; ".join(places))


async def _result(future: Future[_Result]) -> _Result:
    return await asyncio.wrap_future(future)
