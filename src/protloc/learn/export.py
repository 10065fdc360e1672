"""Exports: a bundle's networks for other engines than PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from protloc.atlas.files import StrPath, sha256_of, write_json
from protloc.errors import BundleError, VocabularyError
from protloc.learn.engines import ENGINES, PRECISIONS, Engine, Precision
from protloc.learn.model import (
    DESCRIPTION_FILE,
    EXPORT,
    Model,
    check_numbers,
    facts_of,
    in_words,
    read_description,
)

FILES: Mapping[Engine, tuple[str, ...]] = {"onnx": ("model.onnx",), "openvino": ("model.xml", "model.bin")}
EXPORTED_WEIGHTS = tuple(names[-1] for names in FILES.values())
EXPORTS = "exports"  # folder of a bundle
PACKAGES: Mapping[Engine, str] = {"onnx": "onnxruntime", "openvino": "openvino"}
TEST_FILE = "test.safetensors"  # fields with the logits and embeddings that the bundle gave for them


@dataclass(frozen=True)
class Distance:
    """How far an export's numbers lie from its bundle's.

    Attributes:
        farthest: The largest difference.
        tolerance: What it may be.
    """

    farthest: float
    tolerance: float


@dataclass(frozen=True)
class Verified:
    """How far an export's answers lie from its bundle's.

    Attributes:
        fields: Test tensors: how many fields of ``test.safetensors`` were compared.
        computed_in: In what precision they were: float32 for an export in bf16 where the processor has none.
        logits: Those of each network, on these fields.
        embeddings: Likewise.
        max_probability: Largest difference of a probability before calibration, in 0..1.
        scored: Fields it did not learn from that were judged; 0 if there were none.
        macro_f1: Of the export on these; None where none were judged.
        macro_f1_lost: How much more the bundle reaches there, below 0 where the export reaches more; likewise.
        agreement: Share of the calls, of all classes and of these fields, that both make alike; likewise.
        forced: Whether it was written though it costs more than it may.
    """

    fields: int
    computed_in: Precision
    logits: Distance
    embeddings: Distance
    max_probability: float
    scored: int = 0
    macro_f1: float | None = None
    macro_f1_lost: float | None = None
    agreement: float | None = None
    forced: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Export(Model):
    """A bundle's networks for an engine that answers faster than PyTorch; it cannot be trained or explained.

    Attributes:
        engine: What computes it.
        precision: Of the numbers it computes with. An engine on a processor without bf16 computes in float32 instead.
        made_of: The hash of the bundle, see :func:`protloc.apply.embed.model_hash`.
        verified: How far its answers lie from the bundle's.
        calibration: Fields from which the ranges of int8 were measured; 0 in other precisions.
    """

    engine: Engine
    precision: Precision
    made_of: str
    verified: Verified
    calibration: int = 0

    @property
    def file(self) -> Path:
        """Return the file that its engine reads."""
        if self.folder is None:
            raise BundleError("export: it was never written to a folder. Load it from one.")
        return self.folder / FILES[self.engine][0]

    @property
    def hash(self) -> str:
        """Tell whose embeddings these are: in full precision the bundle's, else its own."""
        if self.precision == "float32":
            return self.made_of
        weights = sha256_of(self.file.with_name(FILES[self.engine][-1]))  # of int8, by which fields it was calibrated
        return hashlib.sha256(f"{self.made_of} {self.engine} {self.precision} {weights}".encode()).hexdigest()

    @property
    def trusted(self) -> bool:
        """Tell whether it may answer unasked: its engine is there, and it was shown not to cost too much."""
        verified = self.verified
        judged = self.precision == "float32" or (verified.scored > 0 and verified.computed_in == self.precision)
        return judged and not verified.forced and find_spec(PACKAGES[self.engine]) is not None

    def write_description(self, folder: Path) -> None:
        """Write ``model.json``, with the SHA-256 of each file of the engine, which must lie there already."""
        own = ("engine", "precision", "made_of", "calibration")
        told = {name: getattr(self, name) for name in own}
        sums = {name: sha256_of(folder / name) for name in (*FILES[self.engine], TEST_FILE)}
        described = told | {"verified": asdict(self.verified), "sha256": sums}
        write_json(folder / DESCRIPTION_FILE, self.description() | {EXPORT: described})

    @classmethod
    def load(cls, folder: StrPath) -> Self:
        """Read an export.

        Raises:
            BundleError: if the folder is no export, or a file of it is missing, damaged, or edited to what cannot be.
        """
        folder = Path(folder)
        described = read_description(folder / DESCRIPTION_FILE)
        try:
            own: dict[str, Any] = described[EXPORT]
            _check_named("engine", own["engine"], ENGINES)
            _check_named("precision", own["precision"], PRECISIONS)
            _check_files(folder, own.pop("sha256"), own["engine"])
            verified: dict[str, Any] = own.pop("verified")
            verified.update({name: Distance(**verified[name]) for name in ("logits", "embeddings")})
            export = cls(**facts_of(described), **own, verified=Verified(**verified), folder=folder)
            check_numbers(export)
        except (LookupError, TypeError, ValueError, AttributeError, VocabularyError) as error:
            raise BundleError(
                f"{folder}: not an export of this version ({in_words(error)}). Make it again: protloc export."
            ) from error
        return export


def load_model(folder: StrPath) -> Model:
    """Load a bundle or an export, whichever lies in a folder; PyTorch is imported for a bundle only.

    Raises:
        BundleError: if the folder is neither, or is damaged.
    """
    if is_export(folder):
        return Export.load(folder)
    from protloc.learn.bundle import Bundle

    return Bundle.load(folder)


def fastest_export(model: Model, *, exact: bool = False) -> Export | None:
    """Return the export in a bundle's ``exports`` that answers fastest, None if there is none that can be used.

    It must be of the bundle's weights as they are and :attr:`Export.trusted`; one that is damaged is passed over.

    Args:
        model: The bundle.
        exact: Whether its embeddings must be those of the bundle.
    """
    if isinstance(model, Export) or model.folder is None or not (found := exports_in(model.folder)):
        return None
    from protloc.learn.bundle import as_bundle, bundle_hash

    own = bundle_hash(as_bundle(model))
    usable = [each for each in found if each.made_of == own and each.trusted and (not exact or each.hash == own)]
    return max(usable, key=lambda each: (ENGINES.index(each.engine), PRECISIONS.index(each.precision)), default=None)


def exports_in(bundle_folder: Path) -> list[Export]:
    """Return the exports in a bundle's ``exports``, but for those that are damaged."""
    place = bundle_folder / EXPORTS
    return [*filter(None, map(_export_in, sorted(place.glob("[!.]*"))))]  # those with a dot are unfinished


def is_export(folder: StrPath) -> bool:
    """Tell whether a folder holds an export; false where it holds nothing readable."""
    try:
        return EXPORT in read_description(Path(folder) / DESCRIPTION_FILE)
    except BundleError:
        return False


def _export_in(folder: Path) -> Export | None:
    try:
        return Export.load(folder) if is_export(folder) else None
    except BundleError:
        return None


def _check_files(folder: Path, sums: Mapping[str, str], engine: Engine) -> None:
    for name in (*FILES[engine], TEST_FILE):
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        if sha256_of(folder / name) != sums[name]:
            raise ValueError(f"{name} is not the file that {DESCRIPTION_FILE} describes, its SHA-256 differs")


def _check_named(what: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"{what}: {name!r}, expected {' or '.join(names)}")
