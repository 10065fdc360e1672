"""Image files in memory, sorted into fields and read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from protloc.atlas.containers import open_container
from protloc.atlas.images import (
    EXTENSIONS,
    FieldPlanes,
    decode_plane,
    decode_stack,
    field_of,
    names_by_field,
    only_name,
    readable,
)
from protloc.atlas.stains import Stain


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sent.

    Attributes:
        name: What it was called there, folders before it cut off; never a name on our disk.
        content: Its bytes.
    """

    name: str
    content: bytes

    @classmethod
    def named(cls, told: str, content: bytes) -> Upload:
        """Make an upload of whatever a browser calls the file."""
        printable = "".join(letter if letter.isprintable() else "_" for letter in told.replace("\\", "/"))
        return cls(readable(PurePosixPath(printable).name or "unnamed"), content)


@dataclass(frozen=True)
class UploadedFields:
    """Uploads sorted into fields.

    Attributes:
        stains: The model's stains of which any field has an image, in the model's order.
        fields: Field id to stain name to the names of the files found for it.
        stacks: Names of the TIFF files that hold all of the model's stains; each is the id of a field.
        rejected: Name of every file of no field, with the reason.
    """

    stains: tuple[Stain, ...]
    fields: Mapping[str, Mapping[str, tuple[str, ...]]]
    stacks: tuple[str, ...]
    rejected: Mapping[str, str]


def sort_uploads(uploads: Sequence[Upload], stains: Sequence[Stain], *, needed: Sequence[str]) -> UploadedFields:
    """Sort uploads into fields by their names; a TIFF of several images is a field of its own.

    Args:
        uploads: The files.
        stains: The model's stains, with their suffixes.
        needed: Names of those it cannot do without.
    """
    stacks: list[str] = []
    rejected: dict[str, str] = {}
    single: list[str] = []
    often = Counter(upload.name for upload in uploads)
    for upload in uploads:
        if often[upload.name] > 1:
            rejected[upload.name] = f"{often[upload.name]} files have this name. Send each field once, under its own."
        elif not upload.name.lower().endswith(EXTENSIONS):
            rejected[upload.name] = "neither PNG, TIFF nor JPEG by its name."
        elif _is_stack(upload.content):
            stacks.append(upload.name)
        else:
            single.append(upload.name)
    fields = names_by_field(single, stains)
    sorted_in = {name for field in fields.values() for names in field.values() for name in names}
    expected = ", ".join(f"<id>{stain.suffix}" for stain in stains)
    rejected |= {
        name: f"its name tells no stain, expected {expected}. Rename it, or say which stain it shows."
        for name in single
        if name not in sorted_in
    }
    there = {name for field in fields.values() for name in field} | set(needed)
    given = tuple(stain for stain in stains if stacks or stain.name in there)
    return UploadedFields(given, fields, tuple(stacks), rejected)


def read_upload(
    field: str,
    sorted_in: UploadedFields,
    contents: Mapping[str, bytes],
    stains: Sequence[Stain],
    *,
    max_pixels: int,
    bit_depth: int | None = None,
) -> FieldPlanes:
    """Decode one field of uploads.

    Args:
        field: Its id.
        sorted_in: What :func:`sort_uploads` found.
        contents: File name to content.
        stains: Those to read, in order; a stack is read in the order of all of the model's stains.
        max_pixels: The most pixels an image may have.
        bit_depth: Bits that 16-bit files have, or None where each field tells.

    Raises:
        ImageError: if a stain is missing, doubled, damaged, too large, or differs in size from the others.
    """
    if field in sorted_in.stacks:
        stack = decode_stack(contents[field], field, images=len(stains), max_pixels=max_pixels)
        return field_of(field, stack, stains, bit_depth=bit_depth)
    names = [only_name(field, sorted_in.fields[field], stain, stains) for stain in stains]
    planes = [
        decode_plane(contents[name], name, stain, max_pixels=max_pixels)
        for name, stain in zip(names, stains, strict=True)
    ]
    return field_of(field, planes, stains, bit_depth=bit_depth)


def _is_stack(content: bytes) -> bool:
    try:
        return open_container(content).images > 1
    except ValueError:
        return False  # told when it is read
