"""Synthetic fields with known truth: geometry, then clean stains, then the camera.

1. Geometry: ``plan_fields`` decides antibody, labels, cell line, exposure; the frame places cells and their parts.
2. Clean stains: ``render_clean`` draws the light of every stain without blur and noise, 1 its bright end.
3. Camera: ``expose`` photographs them: lamp, bleed-through, blur, photons, background subtracted, 8 bits.

``simulate`` writes the photographs, or with ``clean`` what step 2 gives, coded in 8 bits (``code_clean``). A network
can then see every clean field in a new photograph each epoch (``protloc.learn.exposure``) and nothing is drawn twice.
"""

from protloc.atlas.simulate.atlas import SimulatedAtlas, simulate
from protloc.atlas.simulate.camera import Camera, code_clean, decode_clean, expose
from protloc.atlas.simulate.draw import FieldPlan, plan_fields
from protloc.atlas.simulate.staining import CleanField, render_clean

__all__ = [
    "Camera",
    "CleanField",
    "FieldPlan",
    "SimulatedAtlas",
    "code_clean",
    "decode_clean",
    "expose",
    "plan_fields",
    "render_clean",
    "simulate",
]
