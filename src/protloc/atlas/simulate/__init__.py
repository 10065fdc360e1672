"""Synthetic fields with known truth: geometry, then clean stains, then the camera."""

from protloc.atlas.simulate.atlas import SimulatedAtlas, simulate
from protloc.atlas.simulate.camera import Camera, expose
from protloc.atlas.simulate.draw import FieldPlan, plan_fields
from protloc.atlas.simulate.staining import CleanField, render_clean

__all__ = ["Camera", "CleanField", "FieldPlan", "SimulatedAtlas", "expose", "plan_fields", "render_clean", "simulate"]
