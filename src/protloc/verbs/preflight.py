"""Checking fields before prediction, and writing what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protloc.apply.predictions import check_output, write_table
from protloc.apply.preflight import Preflight, preflight
from protloc.atlas.files import StrPath
from protloc.atlas.reading import Reading
from protloc.atlas.stains import Stain
from protloc.learn.model import Model
from protloc.progress import Progress


@dataclass(frozen=True, eq=False)
class Checked:
    """Checked fields.

    Attributes:
        found: What was found.
        file: The table it was written to, or None.
    """

    found: Preflight
    file: Path | None

    @property
    def summary(self) -> str:
        """Return what was found, and where it is written, in words."""
        written = [] if self.file is None else [f"{self.file}: all of it, a line a finding."]
        return "\n".join([self.found.summary, *written])


def preflight_fields(
    bundle: Model,
    source: StrPath,
    *,
    out: StrPath | None = None,
    stains: Sequence[Stain] | None = None,
    reading: Reading | None = None,
    pixel_size: float | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Check the fields of a folder before prediction and write a line a finding.

    Args:
        bundle: The trained model.
        source: Folder of images.
        out: Table to write, .csv or .parquet; nothing is written if not given.
        stains: The stains that are given, as for ``predict``.
        reading: Tiles, bit depth and limits, as for ``predict``.
        pixel_size: Micrometres a pixel of the files; if not said, what each file states.
        jobs: Threads that decode; as many as there are processors if not given.
        progress: Called after each finished field.

    Raises:
        SettingsError: if ``out`` ends otherwise, or the pixel size is not that of a microscope.
        BundleError, ImageError: see :func:`protloc.apply.preflight.preflight`.
    """
    file = None if out is None else Path(out)
    if file is not None:
        check_output(file)
    found = preflight(
        bundle, source, stains=stains, reading=reading, pixel_size=pixel_size, jobs=jobs, progress=progress
    )
    if file is not None:
        write_table(file, found.table())
    return Checked(found, file)
