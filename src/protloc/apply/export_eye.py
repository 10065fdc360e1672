"""Exports, looking at fields by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from protloc.apply.given import Fields
from protloc.apply.see import Seen, joined
from protloc.errors import BundleError, MissingExtraError
from protloc.learn.engines import Precision
from protloc.learn.export import Export

PIECE_PIXELS = 2**17  # of a stain that one request of OpenVINO takes: 8 fields of 128 px


def export_eye(export: Export) -> OnnxEye | OpenVinoEye:
    """Make an export ready to look.

    Raises:
        MissingExtraError: if its engine is not installed.
        BundleError: if its engine cannot read it.
    """
    try:
        return OpenVinoEye(export) if export.engine == "openvino" else OnnxEye(export)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{export.folder}: made for {export.engine}, which is not installed. pip install 'protloc[{export.engine}]'"
        ) from error
    except Exception as error:  # engines raise whatever they like on what they cannot read
        raise BundleError(f"{export.file}: cannot be read ({error}). Make it again: protloc export.") from error


def silent_openvino() -> Any:  # noqa: ANN401 - a module
    """Import OpenVINO without the package by which it and NNCF send word of their use, unasked, to their makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType] - as if not installed
    return import_module("openvino")


@cache
def _processor() -> Any:  # noqa: ANN401 - OpenVINO's
    """Return OpenVINO's one core of this process.

    Each core puts a signal stack of its own in place of the last. Of two that go in the order they came, the second
    puts back the first's, which is freed: the next Ctrl-C then ends Python by a segmentation fault.
    """
    return silent_openvino().Core()


class OnnxEye:
    """An export to ONNX, on the processor.

    Attributes:
        precision: What it computes in.
    """

    def __init__(self, export: Export) -> None:
        import onnxruntime

        self.precision: Precision = export.precision
        self._session: Any = onnxruntime.InferenceSession(export.file, providers=["CPUExecutionProvider"])

    def __call__(self, batches: Iterable[Fields]) -> Iterator[Seen]:
        """Yield what is made of each batch, uint8 (fields, stains of the model, side, side), in their order."""
        for batch in batches:
            yield Seen(*self._session.run(["logits", "embeddings"], {"images": batch}))


class OpenVinoEye:
    """An export to OpenVINO, on the processor: as many requests at a time as keep every core busy by itself.

    Attributes:
        precision: What it computes in: not bf16 where the processor has none.
    """

    def __init__(self, export: Export) -> None:
        told = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if export.precision == "bf16" else "f32",
        }
        compiled: Any = _processor().compile_model(export.file, "CPU", told)
        rounds = compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"
        self.precision: Precision = "float32" if export.precision == "bf16" and not rounds else export.precision
        requests: int = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = [compiled.create_infer_request() for _ in range(requests)]
        self._size = max(PIECE_PIXELS // export.side**2, 1)

    def __call__(self, batches: Iterable[Fields]) -> Iterator[Seen]:
        """Yield what is made of each batch, uint8 (fields, stains of the model, side, side), in their order."""
        parts: list[Seen] = []
        for part, ends in self._parts(batches):
            parts.append(part)
            if ends:
                yield joined(parts)
                parts.clear()

    def _parts(self, batches: Iterable[Fields]) -> Iterator[tuple[Seen, bool]]:
        """Yield what is made of each piece of a batch, and whether it is the batch's last."""
        idle, busy = deque(self._requests), deque[tuple[Any, bool]]()
        try:
            for piece, ends in self._pieces(batches):
                if not idle:
                    done, last = busy.popleft()
                    idle.append(done)
                    yield _result(done), last
                busy.append((idle.popleft(), ends))
                busy[-1][0].start_async([piece])
            while busy:
                done, last = busy.popleft()
                yield _result(done), last
        finally:
            for request, _ in busy:  # left by an error: they must be free when asked again
                request.wait()

    def _pieces(self, batches: Iterable[Fields]) -> Iterator[tuple[Fields, bool]]:
        for batch in batches:
            for start in range(0, len(batch), self._size):
                yield batch[start : start + self._size], start + self._size >= len(batch)


def _result(request: Any) -> Seen:  # noqa: ANN401 - OpenVINO's
    """Wait for a request, and copy what it holds until it is asked again."""
    request.wait()
    logits, embeddings = (request.get_output_tensor(number).data.copy() for number in range(2))
    return Seen(logits, embeddings)
