"""Exports: made of a bundle, held against it, refused if they differ."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.special import expit
from torch import Tensor, nn

from protloc.apply.export_eye import export_eye, silent_openvino
from protloc.apply.given import Fields, batch_of
from protloc.apply.network_eye import look
from protloc.apply.see import Seen, joined
from protloc.atlas.files import atomic_folder
from protloc.errors import BundleError, MissingExtraError, SettingsError
from protloc.learn.bundle import Bundle, bundle_hash
from protloc.learn.engines import Engine, Precision
from protloc.learn.export import FILES, PACKAGES, TEST_FILE, Distance, Export, Verified, is_export
from protloc.learn.network import Ensemble
from protloc.learn.reference import read_references, write_references

TEST_FIELDS = 32
# largest difference from the bundle's logits and embeddings, in shares of the largest of them, at least of 1
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "bf16": 0.05, "int8": 0.2}
# what makes an export; ONNX Runtime has no bf16 on processors, and its int8 took twice the time of its float32
MAKERS: dict[tuple[Engine, Precision], Sequence[str]] = {
    ("onnx", "float32"): ("onnx", "onnxscript"),
    ("openvino", "float32"): ("openvino",),
    ("openvino", "bf16"): ("openvino",),
    ("openvino", "int8"): ("openvino", "nncf"),
}

UNKNOWN = Distance(np.inf, 0.0)
TALKATIVE = ("nncf", "torch.onnx", "torch.utils.cpp_extension", "onnxscript", "onnx_ir")

Score = Callable[[Export, Verified], Verified]


def make_export(
    bundle: Bundle,
    out: Path,
    *,
    engine: Engine,
    precision: Precision,
    calibration: Sequence[Fields] = (),
    score: Score | None = None,
) -> Export:
    """Write an export of a bundle, once its answers are held against the bundle's.

    Args:
        bundle: What to export; all its networks go into one file.
        out: Folder to make; an export that stands there is replaced.
        engine: What is to compute it.
        precision: Of the numbers it computes with.
        calibration: For int8: fields of which the ranges are measured, uint8 (1, stains, side, side) each.
        score: Judges the export, and adds to what was verified; may refuse it by an error.

    Returns:
        The export, as it lies in its folder.

    Raises:
        SettingsError: if the engine does not compute in this precision, or there are no fields to measure ranges of.
        MissingExtraError: if what makes the export is not installed.
        BundleError: if a logit or an embedding differs by more than the precision explains, or something else stands
            at ``out``.
    """
    out = out.resolve()
    _check(engine, precision, calibration, out)
    network, images = bundle.network(), trial_fields(bundle)
    with atomic_folder(out) as partial:
        with _quiet():
            _convert(network, images, partial, engine=engine, precision=precision, calibration=calibration)
        export = _unverified(bundle, partial, engine=engine, precision=precision, calibration=len(calibration))
        verified = _verify(network, images, export, partial)
        export = replace(export, verified=verified if score is None else score(export, verified))
        export.write_description(partial)
        if bundle.folder is not None:
            write_references(partial, read_references(bundle.folder))
    return replace(export, folder=out)


def trial_fields(bundle: Bundle, *, fields: int = TEST_FIELDS, seed: int = 0) -> Fields:
    """Draw fields on which an export is held against its bundle: as bright as those it learnt from, of all grain.

    In the last quarter the stains that the model can do without are black.

    Returns:
        Array of shape (fields, stains, side, side), uint8; the same for the same seed.
    """
    generator, side, usual = np.random.default_rng(seed), bundle.side, bundle.members[0].normalisation
    drawn = np.empty((fields, len(bundle.stains), side, side), np.float32)
    for field in range(fields):
        for stain, (mean, deviation) in enumerate(zip(usual.means, usual.deviations, strict=True)):
            grain = generator.standard_normal((generator.integers(2, side + 1),) * 2, np.float32)
            shape = cv2.resize(grain, (side, side), interpolation=cv2.INTER_CUBIC)
            drawn[field, stain] = mean + deviation * shape
    spared = [stain.name not in bundle.needed for stain in bundle.stains]
    drawn[fields * 3 // 4 :, spared] = 0
    return np.clip(drawn, 0, 255).round().astype(np.uint8)


class _Outputs(nn.Module):
    """Networks as engines are given them: fields in, logits and embeddings out."""

    def __init__(self, network: Ensemble) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (members, fields, classes) and embeddings (fields, dimensions)."""
        return look(self.network, images)


def _check(engine: Engine, precision: Precision, calibration: Sequence[Fields], out: Path) -> None:
    if (engine, precision) not in MAKERS:
        offered = ", ".join(precision for each, precision in MAKERS if each == engine)
        raise SettingsError(f"--precision: {engine} computes in {offered}, not in {precision}. Choose one of these.")
    if precision == "int8" and not calibration:
        raise SettingsError("--precision: int8 needs fields to measure ranges of. Name their store by --store.")
    for package in (*MAKERS[engine, precision], PACKAGES[engine]):
        try:
            silent_openvino() if package == "openvino" else import_module(package)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"--to {engine}: {error.name} is not installed. pip install 'protloc[{engine}]'"
            ) from error
    taken = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if taken and not is_export(out):
        raise BundleError(f"{out}: exists and is no export. Remove it, or name another --out.")


def _convert(
    network: Ensemble,
    images: Fields,
    folder: Path,
    *,
    engine: Engine,
    precision: Precision,
    calibration: Sequence[Fields],
) -> None:
    """Write the files that the engine reads, for any number of such fields."""
    shapes = {"images": {0: torch.export.Dim("fields", min=1)}}
    with torch.no_grad():
        program = torch.export.export(
            _Outputs(network), (torch.from_numpy(images[:2]),), dynamic_shapes=shapes, strict=False
        )
    file = folder / FILES[engine][0]
    if engine == "onnx":
        named = {"input_names": ["images"], "output_names": ["logits", "embeddings"]}
        made: Any = torch.onnx.export(program, dynamo=True, verbose=False, **named)  # pyright: ignore[reportArgumentType]
        made.save(file, external_data=False)
        return
    openvino = silent_openvino()
    model = openvino.convert_model(program)
    model.reshape([-1, *images.shape[1:]])
    if precision == "int8":
        nncf = import_module("nncf")
        preset = nncf.QuantizationPreset.MIXED  # activations may lie on one side of zero
        model = nncf.quantize(model, nncf.Dataset(calibration), preset=preset, subset_size=len(calibration))
    openvino.save_model(model, file, compress_to_fp16=False)


def _unverified(bundle: Bundle, folder: Path, *, engine: Engine, precision: Precision, calibration: int) -> Export:
    facts: dict[str, Any] = {name: getattr(bundle, name) for name in Bundle.__dataclass_fields__} | {"folder": folder}
    return Export(
        **facts,
        engine=engine,
        precision=precision,
        made_of=bundle_hash(bundle),
        verified=Verified(fields=0, computed_in=precision, logits=UNKNOWN, embeddings=UNKNOWN, max_probability=1.0),
        calibration=calibration,
    )


def _verify(network: Ensemble, images: Fields, export: Export, folder: Path) -> Verified:
    """Hold the export's logits and embeddings against the network's, and keep the fields with the network's beside it.

    The network is on the processor: a GPU rounds convolutions of float32 by itself.
    """
    eye, parts = export_eye(export), np.array_split(images, -(-len(images) // batch_of(export)))
    with torch.inference_mode():
        looks = [look(network, torch.from_numpy(part)) for part in parts]
    expected = joined([Seen(logits.numpy(), embeddings.numpy()) for logits, embeddings in looks])
    found = joined(list(eye(parts)))
    save_file({"images": images, **vars(expected)}, folder / TEST_FILE)
    return Verified(
        fields=len(images),
        computed_in=eye.precision,
        logits=_distance("a logit", found.logits, expected.logits, export),
        embeddings=_distance("an embedding", found.embeddings, expected.embeddings, export),
        max_probability=float(np.abs(expit(found.mean_logits) - expit(expected.mean_logits)).max()),
    )


def _distance(what: str, found: NDArray[np.float32], expected: NDArray[np.float32], export: Export) -> Distance:
    """Return how far the export's numbers lie from the network's.

    Raises:
        BundleError: if that is farther than its precision explains.
    """
    tolerance = TOLERANCES[export.precision] * max(1.0, float(np.abs(expected).max()))
    farthest = float(np.abs(found - expected).max())
    if not farthest <= tolerance:  # nan is not
        raise BundleError(
            f"export: on {TEST_FIELDS} test fields {what} of {export.engine} in {export.precision} lies {farthest:.3g} "
            f"from the bundle's, expected at most {tolerance:.3g}. Nothing was written; choose another precision."
        )
    return Distance(farthest, tolerance)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep what converters say of their own inner life from the user."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
