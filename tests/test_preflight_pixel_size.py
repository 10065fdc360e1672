"""Pixel sizes that image files state."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from protloc.apply.checks.pixel_size import stated_pixel_size

OME = '<OME><Image><Pixels SizeX="4" PhysicalSizeX="{size}"{unit}/></Image></OME>'


def tiff(file, *, description: str | None = None, resolution: float | None = None, unit: int | None = None):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if description is not None:
        tags[270] = description
    if resolution is not None:
        tags[282] = resolution
    if unit is not None:
        tags[296] = unit
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(file, tiffinfo=tags)
    return file


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"resolution": 125_000.0, "unit": 3}, 0.08),  # pixels a centimetre
        ({"resolution": 317_500.0, "unit": 2}, 0.08),  # an inch
        ({"resolution": 12.5, "unit": 1, "description": "ImageJ=1.54f\nunit=micron\nmin=0"}, 0.08),
        ({"description": OME.format(size="0.08", unit="")}, 0.08),
        ({"description": OME.format(size="80", unit=' PhysicalSizeXUnit="nm"')}, 0.08),
        ({"description": OME.format(size="0.08", unit=""), "resolution": 72.0, "unit": 2}, 0.08),
        ({"resolution": 72.0, "unit": 2}, None),  # of a printer
        ({"resolution": 12.5, "unit": 1}, None),
        ({"resolution": 12.5, "unit": 1, "description": "ImageJ=1.54f\nunit=furlong"}, None),
        ({}, None),
    ],
)
def test_what_a_tiff_states(tmp_path, tags, expected):
    stated = stated_pixel_size(tiff(tmp_path / "field.tif", **tags))
    assert stated == (None if expected is None else pytest.approx(expected, rel=1e-4))


def test_what_a_big_endian_tiff_states(tmp_path):
    entries = struct.pack(">HHIIHHIHH", 282, 5, 1, 38, 296, 3, 1, 3, 0)
    content = b"MM\x00*" + struct.pack(">IH", 8, 2) + entries + struct.pack(">I", 0) + struct.pack(">II", 125_000, 1)
    (tmp_path / "field.tif").write_bytes(content)
    assert stated_pixel_size(tmp_path / "field.tif") == pytest.approx(0.08)


@pytest.mark.parametrize(("dots_an_inch", "expected"), [(317_500, 0.08), (72, None), (None, None)])
def test_what_a_png_states(tmp_path, dots_an_inch, expected):
    dpi = {} if dots_an_inch is None else {"dpi": (dots_an_inch, dots_an_inch)}
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "field.png", **dpi)
    stated = stated_pixel_size(tmp_path / "field.png")
    assert stated == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_a_file_that_is_not_there_states_nothing(tmp_path):
    assert stated_pixel_size(tmp_path / "nothing.tif") is None


@given(content=st.binary(max_size=80), start=st.sampled_from([b"", b"II*\x00\x08\x00\x00\x00", b"\x89PNGpHYs"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_an_error(tmp_path, content, start):
    file = tmp_path / "any"
    file.write_bytes(start + content)
    size = stated_pixel_size(file)
    assert size is None or 0.005 <= size <= 5
