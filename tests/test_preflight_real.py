"""Preflight of real fields of the Human Protein Atlas."""

from pathlib import Path

import protloc
from protloc.apply.checks.finding import Fault
from protloc.apply.preflight import preflight
from protloc.atlas.stains import parse_stains


def test_real_fields_raise_nothing_but_what_is_true(real_data: Path):
    four = preflight(protloc.starter(), real_data / "fields").findings
    raised = {field: {each.fault for each in found} for field, found in four.items() if found}
    assert len(four) == 6
    assert raised == {"89_B5_1": {Fault.COMPRESSED}}  # which was saved as JPEG


def test_real_green_fields_raise_nothing(real_data: Path):
    found = preflight(protloc.starter(), real_data / "green", stains=parse_stains(["green"]))
    assert len(found.sound) == len(found.findings) == 20
