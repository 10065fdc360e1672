"""Names of files: safe, unlike, legible."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protloc.atlas.file_names import LONGEST, file_names


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("000a6c98-bb9b-11e8-b2b9-ac1f6b6435d0", "000a6c98-bb9b-11e8-b2b9-ac1f6b6435d0"),
        ("89_B5_1.r0c1", "89_B5_1.r0c1"),
        ("Rods & rings", "Rods_rings"),
        ("../../etc/passwd", "etc_passwd"),
        (".hidden", "hidden"),
        ("a\x00b\nc", "a_b_c"),
    ],
)
def test_what_is_safe_of_a_name_stays(name: str, file: str):
    assert file_names([name]) == {name: file}


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("..", "unnamed-"),
        ("", "unnamed-"),
        ("Кинетохор", "unnamed-"),
        ("CON", "CON-"),
        ("lpt1.png", "lpt1_png-"),
        ("x-0123abcd", "x-0123abcd-"),
        ("long" * 30, "long" * 17 + "lon-"),
    ],
)
def test_what_no_file_can_be_called_gets_digits(name: str, begins: str):
    assert re.fullmatch(re.escape(begins) + "[0-9a-f]{8}", file_names([name])[name])


@pytest.mark.parametrize("names", [("golgi", "Golgi"), ("a b", "a_b"), ("a/b", "a:b")])
def test_names_that_would_be_alike_are_told_apart(names: tuple[str, ...]):
    files = file_names([*names, "ER"])
    assert files["ER"] == "ER"
    assert len({file.casefold() for file in files.values()}) == 3


@settings(deadline=None)
@given(st.lists(st.text(), max_size=8))
def test_no_two_are_alike_and_all_are_safe(called: list[str]):
    files = file_names(called)
    assert set(files) == set(called)
    assert len({file.casefold() for file in files.values()}) == len(set(called))
    for file in files.values():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", file)
        assert len(file) <= LONGEST
        assert "." not in (file[0], file[-1])
