"""All checks that need a field's pixels alone."""

from __future__ import annotations

from collections.abc import Sequence

from protloc.apply.checks.finding import Finding
from protloc.apply.checks.focus import check_focus
from protloc.apply.checks.light import check_light
from protloc.apply.checks.look import look_at
from protloc.apply.checks.nuclei import NUCLEI, nuclei_of
from protloc.apply.checks.order import check_order
from protloc.apply.checks.scale import check_scale
from protloc.atlas.images import FieldPlanes
from protloc.atlas.stains import Stain


def check_planes(
    planes: FieldPlanes,
    stains: Sequence[Stain],
    *,
    pixel_size: float | None = None,
    tile: int | None = None,
    any_width: bool = False,
) -> tuple[Finding, ...]:
    """Check one field in memory by its pixels alone, whatever the model.

    Args:
        planes: The field at its full size, one plane a stain.
        stains: What the planes show, in their order.
        pixel_size: Micrometres a pixel, or None where nobody knows.
        tile: Side in source px of the tiles that it is to be cut into, or None.
        any_width: The model learnt from tiles, and nobody knows how wide they should be.
    """
    look = look_at(planes, stains, tile=tile, pixel=pixel_size)
    nuclei = nuclei_of(look)
    return (
        *check_light(look),
        *check_order(look, nuclei),
        *check_scale(look, nuclei.get(NUCLEI), any_width=any_width),
        *check_focus(look),
    )
