"""Stains: how they are named and told apart."""

from __future__ import annotations

import re

import pytest

from protloc.atlas.stains import COLOURS, HPA_STAINS, Stain, parse_stains
from protloc.errors import SettingsError


def test_the_four_stains_of_the_atlas_in_their_order() -> None:
    assert parse_stains(["red", "green", "blue", "yellow"]) == HPA_STAINS
    assert [stain.suffix for stain in HPA_STAINS] == ["_red", "_green", "_blue", "_yellow"]


@pytest.mark.parametrize(
    ("word", "stain"),
    [
        ("green", Stain("green", "_green")),
        (" dapi=_ch00 ", Stain("dapi", "_ch00")),
        ("green=", Stain("green", "")),
        ("x=a=b", Stain("x", "a=b")),
        ("anti-tubulin_2", Stain("anti-tubulin_2", "_anti-tubulin_2")),
    ],
)
def test_a_stain_is_a_name_or_a_name_and_a_suffix(word: str, stain: Stain) -> None:
    assert parse_stains([word]) == (stain,)


def test_one_to_eight_stains_may_be_given() -> None:
    names = [f"s{number}" for number in range(8)]
    assert [stain.name for stain in parse_stains(names)] == names
    for wrong in ([], [*names, "s8"]):
        with pytest.raises(SettingsError, match=f"--stains: {len(wrong)} stains given, expected 1 to 8"):
            parse_stains(wrong)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["green", "green=_x"], "--stains: the name 'green' comes twice. Give every stain its own name."),
        (["green=_x", "red=_x"], "--stains: the suffix '_x' comes twice. Give every stain its own suffix."),
        ([""], "--stains: '' is not a stain; expected NAME or NAME=SUFFIX"),
        (["=_x"], "'=_x' is not a stain"),
        (["green,blue"], "'green,blue' is not a stain"),
        (["--"], "'--' is not a stain"),
    ],
)
def test_wrong_stains_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        parse_stains(words)


def test_a_stain_shows_in_its_colour_and_else_white() -> None:
    assert {name: Stain(name, "").colour for name in COLOURS} == COLOURS
    assert Stain("dapi", "").colour == (255, 255, 255)
