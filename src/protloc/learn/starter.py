"""The starter model: a bundle that comes with protloc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protloc.atlas.files import StrPath
from protloc.errors import BundleError
from protloc.learn.model import DESCRIPTION_FILE

if TYPE_CHECKING:
    from protloc.learn.bundle import Bundle

STARTER = "starter"
SHIPPED = Path(__file__).with_name("starter")


def starter() -> Bundle:
    """Load the starter model, which learnt from simulated fields alone.

    It takes fields of the Human Protein Atlas's four stains, of which only green, the protein's, must be given.

    Raises:
        BundleError: if it is missing or damaged.
    """
    from protloc.learn.bundle import Bundle  # who only asks where it lies needs no PyTorch

    return Bundle.load(_shipped())


def named_bundle(name: StrPath) -> Path:
    """Return the folder of a bundle, or of a run's; ``starter`` is protloc's own, unless a folder so named holds one.

    A folder that holds none is returned as it is.

    Raises:
        BundleError: if the starter model is meant and missing.
    """
    folder = Path(name)
    held = next((inside for inside in (folder, folder / "bundle") if (inside / DESCRIPTION_FILE).is_file()), None)
    return held or (_shipped() if str(name) == STARTER else folder)


def _shipped() -> Path:
    if not (SHIPPED / DESCRIPTION_FILE).is_file():
        raise BundleError(
            f"{SHIPPED}: the starter model is missing, though it comes with protloc. "
            "Install protloc again, or name a bundle folder, such as RUN/bundle."
        )
    return SHIPPED
