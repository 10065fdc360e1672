"""Protein patterns: one function a compartment, found by its name."""

from protloc.atlas.simulate.patterns import cytosol, division, fibres, golgi, membranes, nucleus, vesicles
from protloc.atlas.simulate.scene import PATTERNS

__all__ = ["PATTERNS", "cytosol", "division", "fibres", "golgi", "membranes", "nucleus", "vesicles"]
