"""The image files of a folder, sorted into fields."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from protloc.atlas.stains import Stain

_WHOLE = "/"  # no file name holds one: what follows it is a whole name


@dataclass(frozen=True, slots=True)
class FieldFiles:
    """The image files of one field.

    Attributes:
        id: Field id, the part of the file names before the stain suffix.
        folder: Where the files lie.
        names: Stain name to the names of every file found for it; one each when all is well.
    """

    id: str
    folder: Path
    names: Mapping[str, tuple[str, ...]]

    @property
    def file_names(self) -> tuple[str, ...]:
        """Return the names of all the files."""
        return tuple(name for names in self.names.values() for name in names)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return all the files."""
        return tuple(self.folder / name for name in self.file_names)


class FieldListing(Sequence[FieldFiles]):
    """The fields of a folder by id, in about 120 bytes each: a folder may hold 100,000.

    Most fields differ by their ids alone, so the endings of their file names are kept once.

    Args:
        folder: Where the files lie.
        names: Names of image files, each with its ending, in any order; those of no stain are left out.
        stains: By which suffix each stain is known.
    """

    def __init__(self, folder: Path, names: Iterable[str], stains: Sequence[Stain]) -> None:
        endings: dict[str, tuple[tuple[str, str], ...]] = {}
        kept_once: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}
        for name in names:
            found = field_and_stain(name[: name.rindex(".")], stains)
            if found is not None:
                field, stain = found
                ending = name[len(field) :] if name.startswith(field) else _WHOLE + name
                several = (*endings.get(field, ()), (ending, stain.name))
                endings[field] = kept_once.setdefault(several, several)
        self._folder = folder
        self.ids = sorted(endings)
        self._endings = [endings[field] for field in self.ids]

    def row_of(self, field: str) -> int | None:
        """Return the place of a field, or None where there is no file of it."""
        row = bisect_left(self.ids, field)
        return row if row < len(self.ids) and self.ids[row] == field else None

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> FieldFiles: ...

    @overload
    def __getitem__(self, index: slice) -> list[FieldFiles]: ...

    def __getitem__(self, index: int | slice) -> FieldFiles | list[FieldFiles]:
        if isinstance(index, slice):
            return [self._files(row) for row in range(*index.indices(len(self)))]
        return self._files(index)

    def __iter__(self) -> Iterator[FieldFiles]:
        return map(self._files, range(len(self)))

    def _files(self, row: int) -> FieldFiles:
        field = self.ids[row]
        found = sorted(
            (ending[1:] if ending.startswith(_WHOLE) else field + ending, stain) for ending, stain in self._endings[row]
        )
        names: dict[str, tuple[str, ...]] = {}
        for name, stain in found:
            names[stain] = (*names.get(stain, ()), name)
        return FieldFiles(field, self._folder, names)


def field_and_stain(stem: str, stains: Sequence[Stain]) -> tuple[str, Stain] | None:
    """Return what a file name without its ending tells, by its longest matching suffix; None where it is no stain's."""
    matching = [stain for stain in stains if stem.endswith(stain.suffix) and len(stem) > len(stain.suffix)]
    if not matching:
        return None
    stain = matching[0] if len(matching) == 1 else max(matching, key=lambda stain: len(stain.suffix))
    return readable(stem.removesuffix(stain.suffix)), stain


def readable(name: str) -> str:
    r"""Return a file name that every file and terminal takes: bytes that are not UTF-8 become ``\xff`` and the like."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
