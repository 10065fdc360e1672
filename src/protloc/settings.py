"""Settings: frozen, validated once, written to TOML."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from protloc.errors import SettingsError


class Settings(BaseModel):
    """Named values that cannot change once checked; an unknown name is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, place: str) -> Self:
        """Check values by name; those not given have their default.

        Args:
            values: Value of each setting.
            place: Where the values were written, for the error message.

        Raises:
            SettingsError: if a name is unknown or a value is none that the setting can have.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SettingsError(f"{place}: {_first_mistake(error, sorted(cls.model_fields))}") from error

    @classmethod
    def from_toml(cls, file: Path) -> Self:
        """Read settings from a TOML file.

        Raises:
            SettingsError: if the file cannot be read, is no TOML, or holds an unknown name or a wrong value.
        """
        return cls.from_mapping(read_toml(file), place=str(file))

    def to_toml(self, file: Path) -> None:
        """Write all settings to a TOML file, as a whole or not at all."""
        unfinished = file.with_name(f".{file.name}.{os.getpid()}.partial")
        unfinished.write_bytes(tomli_w.dumps(self.model_dump(mode="json")).encode())
        unfinished.replace(file)

    def with_overrides(self, assignments: Sequence[str]) -> Self:
        """Return a copy in which some settings have another value.

        Args:
            assignments: ``name=value`` each; the value as in TOML (``3e-4``, ``true``, ``["Lysosomes"]``), and a
                word that is no TOML is taken as text (``backbone=resnet50``).

        Raises:
            SettingsError: if there is no ``=``, the name is unknown or the value is none that the setting can have.
        """
        changed = dict(_assignment(text) for text in assignments)
        return self.from_mapping(self.model_dump() | changed, place=f"--set {' '.join(assignments)}")


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file into plain values.

    Raises:
        SettingsError: if the file cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}). Give an existing TOML file.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file}: not TOML ({error}). Write one setting a line, as in epochs = 20.") from error


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {text}: expected name=value, as in --set epochs=20.")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _first_mistake(error: ValidationError, known: Sequence[str]) -> str:
    mistake = error.errors()[0]
    name = ".".join(str(part) for part in mistake["loc"]) or "the settings together"
    if mistake["type"] == "extra_forbidden":
        alike = difflib.get_close_matches(name, known, n=3)
        meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
        return f"there is no setting {name!r}.{meant} The settings are {', '.join(known)}."
    if mistake["type"] == "missing":
        return f"the setting {name!r} is missing. Give it a value."
    expected = mistake["msg"].removeprefix("Value error, ")
    return f"{name} is {mistake['input']!r}: {expected}. Correct the value."
