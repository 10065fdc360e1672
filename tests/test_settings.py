"""Frozen settings, in and out of TOML, with errors that name the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PositiveInt

from protloc.errors import SettingsError
from protloc.settings import Settings


class Brewing(Settings):
    """Settings of a coffee machine."""

    cups: PositiveInt = 2
    strength: float = 0.5
    bean: Literal["arabica", "robusta"] = "arabica"
    extras: tuple[str, ...] = ()
    note: str = ""
    hot: bool = True


@given(
    st.builds(
        Brewing,
        cups=st.integers(1, 2**31),
        strength=st.floats(allow_nan=False, allow_infinity=False),
        extras=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3).map(tuple),
        note=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, brewing: Brewing) -> None:
    file = tmp_path_factory.mktemp("settings") / "brewing.toml"
    brewing.to_toml(file)
    assert Brewing.from_toml(file) == brewing
    assert [path.name for path in file.parent.iterdir()] == ["brewing.toml"]


def test_overrides_are_toml_or_plain_words() -> None:
    changed = Brewing().with_overrides(
        ["cups=4", "strength=3e-1", "bean=robusta", 'extras=["milk", "sugar"]', "note=a = b", "hot=false"]
    )
    assert changed == Brewing(cups=4, strength=0.3, bean="robusta", extras=("milk", "sugar"), note="a = b", hot=False)
    assert Brewing().cups == 2


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("cup=4", ["--set cup=4", "'cup'", "Did you mean cups?", "bean, cups, extras, hot, note, strength"]),
        ("cups=0", ["--set cups=0", "cups is 0", "greater than 0"]),
        ("cups=many", ["cups is 'many'", "integer"]),
        ("bean=mocha", ["bean is 'mocha'", "'arabica' or 'robusta'"]),
        ("strength=inf", ["strength is inf", "finite"]),
        ("cups", ["--set cups", "expected name=value"]),
        ("=4", ["--set =4", "expected name=value"]),
    ],
)
def test_a_wrong_override_is_told_with_what_is_known(assignment: str, parts: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        Brewing().with_overrides([assignment])
    for part in parts:
        assert part in str(raised.value)


def test_a_wrong_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "brewing.toml"
    with pytest.raises(SettingsError, match=r"brewing.toml: cannot be read .* existing TOML file"):
        Brewing.from_toml(file)
    file.write_text("cups = ")
    with pytest.raises(SettingsError, match=r"brewing.toml: not TOML"):
        Brewing.from_toml(file)
    file.write_bytes(b'note = "\xff"')
    with pytest.raises(SettingsError, match=r"brewing.toml: not TOML"):
        Brewing.from_toml(file)
    file.write_text("cups = -1")
    with pytest.raises(SettingsError, match=r"brewing.toml: cups is -1"):
        Brewing.from_toml(file)


def test_a_missing_value_is_named() -> None:
    class Needy(Settings):
        water: int

    with pytest.raises(SettingsError, match="kitchen: the setting 'water' is missing"):
        Needy.from_mapping({}, place="kitchen")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Brewing().cups = 3  # pyright: ignore[reportAttributeAccessIssue]
