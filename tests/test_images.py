"""Reading image files: formats, bit depths, colours, damage, limits."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from protloc.atlas import images
from protloc.atlas.containers import open_container
from protloc.atlas.images import (
    FieldFiles,
    cut_tiles,
    find_fields,
    read_plane,
    read_planes,
    readable,
    shrink,
)
from protloc.atlas.stains import COLOURS, HPA_STAINS, Stain, parse_stains
from protloc.errors import ImageError

GREEN = Stain("green", "_green")
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def noise(side: int = 24, *, top: int = 256, dtype: type = np.uint8) -> Pixels:
    """Return random gray pixels that no encoder can flatten, the brightest at ``top`` - 1."""
    pixels = np.random.default_rng(1).integers(0, top, (side, side)).astype(dtype)
    pixels[0, 0] = top - 1
    return pixels


def encoded(pixels: NDArray[np.generic], extension: str, *options: int) -> bytes:
    """Return a file's bytes; colours stand as R, G, B as in the rest of the tests."""
    ordered = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    return cv2.imencode(extension, ordered, list(options))[1].tobytes()


def by_pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def coloured(pixels: Pixels, colour: str) -> Pixels:
    """Return the pixels as the HPA site colours them."""
    return np.stack([pixels * (level > 0) for level in COLOURS[colour]], axis=2).astype(pixels.dtype)


def written(folder: Path, name: str, content: bytes | Pixels) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else encoded(content, file.suffix))
    return file


def whole_field(folder: Path, planes: dict[str, Pixels], field: str = "f1") -> FieldFiles:
    return FieldFiles(field, folder, {s: (written(folder, f"{field}_{s}.png", p).name,) for s, p in planes.items()})


# formats


@pytest.mark.parametrize("name", ["a_green.png", "a_green.tif", "a_green.tiff", "A_green.PNG", "a_green.TIFF"])
@pytest.mark.parametrize(("top", "dtype"), [(256, np.uint8), (4096, np.uint16), (65536, np.uint16)])
def test_gray_files_are_read_as_they_are(tmp_path: Path, name: str, top: int, dtype: type) -> None:
    pixels = noise(top=top, dtype=dtype)
    assert np.array_equal(read_plane(written(tmp_path, name, pixels), GREEN), pixels)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_every_tiff_compression_gives_the_same_pixels(tmp_path: Path, compression: int) -> None:
    pixels = noise(top=4096, dtype=np.uint16)
    content = encoded(pixels, ".tif", cv2.IMWRITE_TIFF_COMPRESSION, compression)
    assert np.array_equal(read_plane(written(tmp_path, "a_green.tif", content), GREEN), pixels)


def test_big_tiff_and_its_other_byte_order_are_read(tmp_path: Path) -> None:
    image = Image.fromarray(noise())
    assert read_plane(written(tmp_path, "a.tif", by_pillow(image, "TIFF", big_tiff=True)), GREEN).shape == (24, 24)
    motorola = read_plane(written(tmp_path, "b.tif", _big_endian_tiff(noise())), GREEN)
    assert np.array_equal(motorola, noise())


def _big_endian_tiff(pixels: Pixels, *, photometric: int = 1, bits: int = 8) -> bytes:
    """Return the smallest TIFF in Motorola's byte order: one strip, no compression."""
    height, width = pixels.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, height), (279, pixels.size)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    directory = struct.pack(">H", len(tags)) + entries + struct.pack(">I", 0)
    return b"MM\x00*" + struct.pack(">I", 8 + pixels.size) + pixels.tobytes() + directory


def test_a_file_is_told_by_its_content_not_by_its_extension(tmp_path: Path) -> None:
    pixels = noise()
    assert np.array_equal(read_plane(written(tmp_path, "a_green.jpg", encoded(pixels, ".png")), GREEN), pixels)


def test_gray_jpeg_is_read_within_its_loss(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    plane = read_plane(written(tmp_path, "a_green.jpg", smooth), GREEN)
    assert plane.dtype == np.uint8
    assert np.abs(plane.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "LA"), *((kind, mode) for kind in ("PNG", "TIFF") for mode in ("1", "P", "RGB", "RGBA"))],
)
def test_gray_pixels_in_other_modes_are_read_as_gray(tmp_path: Path, mode: str, kind: str) -> None:
    pixels = noise()
    image = Image.fromarray(pixels)
    content = by_pillow(image.convert(mode), kind)
    expected = np.asarray(image.convert("1")).astype(np.uint8) * 255 if mode == "1" else pixels
    assert np.array_equal(read_plane(written(tmp_path, "a_green.png", content), GREEN), expected)


def test_alpha_is_ignored(tmp_path: Path) -> None:
    pixels = noise()
    alpha = np.full_like(pixels, 7)
    rgba = np.dstack([pixels, pixels, pixels, alpha])
    assert np.array_equal(read_plane(written(tmp_path, "a_green.png", rgba), GREEN), pixels)


def test_16_bit_rgba_keeps_16_bits(tmp_path: Path) -> None:
    pixels = noise(top=65536, dtype=np.uint16)
    rgba = np.dstack([0 * pixels, pixels, 0 * pixels, np.full_like(pixels, 65535)])
    assert np.array_equal(read_plane(written(tmp_path, "a_green.png", rgba), GREEN), pixels)


def test_text_and_profiles_in_a_png_are_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain = encoded(noise(), ".png")
    chunks = b"".join(_chunk(kind, b"\x00damaged\x00profile") for kind in (b"iCCP", b"eXIf", b"tEXt", b"tRNS"))
    content = plain[:33] + chunks + plain[33:]
    assert np.array_equal(read_plane(written(tmp_path, "a_green.png", content), GREEN), noise())
    assert capfd.readouterr() == ("", "")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_unknown_tags_in_a_tiff_are_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = by_pillow(Image.fromarray(noise()), "TIFF", tiffinfo={65000: "a microscope's own"})
    assert np.array_equal(read_plane(written(tmp_path, "a.tif", content), GREEN), noise())
    assert capfd.readouterr() == ("", "")


def test_exif_in_a_jpeg_is_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain = by_pillow(Image.fromarray(noise()), "JPEG")
    exif = b"Exif\x00\x00II*\x00\xff\xff\xff\xff damaged"
    content = plain[:2] + b"\xff\xff\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]  # FF pads
    expected = read_plane(written(tmp_path, "a.jpg", plain), GREEN)
    assert np.array_equal(read_plane(written(tmp_path, "b.jpg", content), GREEN), expected)
    assert capfd.readouterr() == ("", "")


# colours


@pytest.mark.parametrize("colour", ["red", "green", "blue", "yellow", "cyan", "magenta"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_signal_is_read_from_the_planes_of_the_stains_colour(tmp_path: Path, colour: str, dtype: type) -> None:
    pixels = noise(top=np.iinfo(dtype).max + 1, dtype=dtype)
    stain = Stain(colour, f"_{colour}")
    assert np.array_equal(read_plane(written(tmp_path, "a.png", coloured(pixels, colour)), stain), pixels)


def test_colour_coded_jpeg_is_read_as_its_stain(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    for colour in ("red", "green", "blue", "yellow"):
        file = written(tmp_path, f"a_{colour}.jpg", coloured(smooth, colour))
        plane = read_plane(file, Stain(colour, f"_{colour}"))
        assert np.abs(plane.astype(int) - smooth).mean() < 4, colour


@pytest.mark.parametrize(
    ("coded", "named"), [("green", "red"), ("red", "blue"), ("blue", "yellow"), ("red", "yellow"), ("blue", "green")]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_another_stains_colour_is_refused(tmp_path: Path, coded: str, named: str, dtype: type) -> None:
    pixels = noise(top=np.iinfo(dtype).max + 1, dtype=dtype)
    file = written(tmp_path, f"a_{named}.png", coloured(pixels, coded))
    with pytest.raises(ImageError, match=f"a_{named}.png: coloured {coded}, which is not {named}.*Rename it"):
        read_plane(file, Stain(named, f"_{named}"))


def test_an_almost_black_colour_file_is_not_taken_for_another_stains(tmp_path: Path) -> None:
    dim = noise(top=20)
    assert read_plane(written(tmp_path, "a_red.png", coloured(dim, "green")), Stain("red", "_red")).max() <= 19


def test_a_stain_that_is_no_colour_takes_the_brightest_plane(tmp_path: Path) -> None:
    pixels = noise()
    file = written(tmp_path, "a_dapi.png", coloured(pixels, "blue"))
    assert np.array_equal(read_plane(file, Stain("dapi", "_dapi")), pixels)


# what is no image


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.png", b"", "a.png: empty"),
        ("a.png", b"Id,Target\n1,2\n", "a.png: damaged, or no image .*not a PNG, TIFF or JPEG"),
        ("a.jpg", b"\xff\xd8\xff", "a.jpg: damaged"),
        ("a.tif", b"II*\x00", "ends too early"),
        ("a.tif", b"II*\x00\x00\x00\x00\x00", "size is 0x0"),
        ("a.tif", b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00", "run in a circle"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40, "damaged"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        read_plane(written(tmp_path, name, content), GREEN)


def test_directory_link_to_nothing_and_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d_green.png").mkdir()
    (tmp_path / "l_green.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match=r"d_green\.png: a directory, expected an image file\. Move it away"):
        read_plane(tmp_path / "d_green.png", GREEN)
    with pytest.raises(ImageError, match=r"l_green\.png: cannot be read \(No such file"):
        read_plane(tmp_path / "l_green.png", GREEN)
    with pytest.raises(ImageError, match=r"gone\.png: cannot be read"):
        read_plane(tmp_path / "gone.png", GREEN)


def test_float_signed_and_many_plane_images_are_refused(tmp_path: Path) -> None:
    for dtype in (np.float32, np.float64, np.int16, np.int32):
        file = written(tmp_path, "a.tif", encoded(noise().astype(dtype), ".tif"))
        with pytest.raises(ImageError, match=r"a\.tif: (pixels are|damaged)"):
            read_plane(file, GREEN)


def test_several_stains_in_one_image_are_refused(tmp_path: Path) -> None:
    content = by_pillow(Image.fromarray(noise()).convert("LA"), "TIFF")
    with pytest.raises(ImageError, match=r"a\.tif: 2 stains in one image, expected one\. Save one file a stain"):
        read_plane(written(tmp_path, "a.tif", content), GREEN)


def test_a_decoder_that_contradicts_the_header_is_not_believed() -> None:
    container = open_container(encoded(noise(), ".png"))
    assert images._decode(container, "a.png").shape == (24, 24)
    with pytest.raises(ImageError, match=r"a\.png: damaged, it has not the size its header says"):
        images._decode(replace(container, width=23), "a.png")


def test_white_as_zero_is_read_as_black_or_refused(tmp_path: Path) -> None:
    pixels = noise()
    inverted = written(tmp_path, "a.tif", _big_endian_tiff(pixels, photometric=0))
    assert np.array_equal(read_plane(inverted, GREEN), 255 - pixels)
    of_16_bit = _big_endian_tiff(pixels, photometric=0, bits=16)
    with pytest.raises(ImageError, match="stores white as 0 in more than 8 bits"):
        read_plane(written(tmp_path, "b.tif", of_16_bit), GREEN)


def test_a_stack_is_refused_but_a_thumbnail_is_not_counted(tmp_path: Path) -> None:
    page = Image.fromarray(noise())
    stack = by_pillow(page, "TIFF", save_all=True, append_images=[page, page])
    with pytest.raises(ImageError, match=r"a\.tif: a stack of 3 images, expected one stain"):
        read_plane(written(tmp_path, "a.tif", stack), GREEN)
    assert open_container(stack).images == 3
    small = Image.fromarray(noise(8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    with_thumbnail = by_pillow(page, "TIFF", save_all=True, append_images=[small])
    assert np.array_equal(read_plane(written(tmp_path, "b.tif", with_thumbnail), GREEN), noise())


# bombs


def _png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    image = _chunk(b"IHDR", body) + _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + image


def _large_jpeg() -> bytes:
    content = bytearray(encoded(noise(), ".jpg"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    return bytes(content)


def _large_tiff() -> bytes:
    content = bytearray(_big_endian_tiff(noise()))
    directory = len(content) - (2 + 9 * 12 + 4)
    for entry in range(2):  # width and height come first
        struct.pack_into(">H", content, directory + 2 + 12 * entry + 8, 60000)
    return bytes(content)


@pytest.mark.parametrize(
    "content", [_png_header(60000, 60000), _large_jpeg(), _large_tiff()], ids=("png", "jpeg", "tiff")
)
def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protloc.atlas.images._decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"60000x60000 px, more than the limit of 67108864 px.*raise --max-pixels"):
        read_plane(written(tmp_path, "a_green.png", content), GREEN)


def test_the_limit_on_pixels_is_kept_to_the_pixel(tmp_path: Path) -> None:
    file = written(tmp_path, "a.png", noise(24))
    assert read_plane(file, GREEN, max_pixels=24 * 24).shape == (24, 24)
    with pytest.raises(ImageError, match="24x24 px, more than the limit of 575 px"):
        read_plane(file, GREEN, max_pixels=24 * 24 - 1)


def test_a_highly_compressed_image_within_the_limit_is_read(tmp_path: Path) -> None:
    flat = np.full((2000, 2000), 9, np.uint8)
    file = written(tmp_path, "a.png", encoded(flat, ".png", cv2.IMWRITE_PNG_COMPRESSION, 9))
    assert file.stat().st_size < flat.size / 100
    assert np.array_equal(read_plane(file, GREEN), flat)


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    with file.open("wb") as stream:
        stream.truncate(3 * 2**20)  # sparse: takes no room
    with pytest.raises(ImageError, match=r"a\.png: 3145728 bytes, too large for 100 px"):
        read_plane(file, GREEN, max_pixels=100)


# damage


def _read_or_refused(folder: Path, content: bytes, size_bytes: Iterable[int] = (), place: int = -1) -> bool:
    """Return whether the content was refused; fail unless it is refused or read at its size."""
    try:
        plane = read_plane(written(folder, "a_green.png", content), GREEN, max_pixels=2**22)
    except ImageError:
        return True
    assert plane.shape == (8, 8) or place in size_bytes
    return False


def test_every_damaged_byte_of_a_png_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for content in (encoded(noise(8), ".png"), encoded(coloured(noise(8), "green"), ".png")):
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 0xFF if place % 2 else 1
            assert _read_or_refused(tmp_path, bytes(damaged)), place
    assert capfd.readouterr() == ("", "")


FORMATS: dict[str, Callable[[], bytes]] = {
    "tiff": lambda: encoded(noise(8), ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "tiff-lzw": lambda: encoded(noise(8, top=4096, dtype=np.uint16), ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "tiff-zip": lambda: encoded(noise(8), ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 8),
    "tiff-big": lambda: by_pillow(Image.fromarray(noise(8)), "TIFF", big_tiff=True),
    "jpeg": lambda: encoded(noise(8), ".jpg"),
    "jpeg-colour": lambda: encoded(coloured(noise(8), "green"), ".jpg"),
    "jpeg-progressive": lambda: by_pillow(Image.fromarray(noise(8)), "JPEG", progressive=True),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_byte_never_breaks_more_than_its_field(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = FORMATS[kind]()
    # where the format says its size in bytes without a checksum, damage gives another size and cannot be told
    sizes = {place for place in range(len(content)) if content[place : place + 2] in (b"\x00\x08", b"\x08\x00")}
    sizes |= {place + 1 for place in sizes}
    refused = 0
    for place in range(0, len(content), 2 if kind.startswith("jpeg") else 1):
        damaged = bytearray(content)
        damaged[place] ^= (0xFF, 0x01, 0x10)[place % 3]
        refused += _read_or_refused(tmp_path, bytes(damaged), sizes, place)
    assert refused > 10
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["png", *FORMATS])
def test_a_file_cut_short_is_refused(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    content = encoded(noise(8), ".png") if kind == "png" else FORMATS[kind]()
    for length in range(0, len(content), 3 if kind.startswith("jpeg") else 1):
        assert _read_or_refused(tmp_path, content[:length]), length
    assert not _read_or_refused(tmp_path, content)
    assert capfd.readouterr() == ("", "")


# the fields of a folder


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def _found(folder: Path, *stains: str) -> dict[str, dict[str, list[str]]]:
    fields = find_fields(folder, parse_stains(stains))
    assert all((folder / path.name) == path for field in fields for path in field.paths)
    return {field.id: {stain: list(names) for stain, names in field.names.items()} for field in fields}


def test_fields_come_sorted_with_what_is_missing_and_doubled(tmp_path: Path) -> None:
    _touch(tmp_path, "b_red.png", "a_red.png", "a_green.TIF", "a_green.png", "notes.txt", "c.png", "_red.png")
    assert _found(tmp_path, "red", "green") == {
        "a": {"red": ["a_red.png"], "green": ["a_green.TIF", "a_green.png"]},
        "b": {"red": ["b_red.png"]},
    }


def test_hidden_files_and_subfolders_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    _touch(tmp_path, "a_red.png", "._a_red.png", "inner/b_red.png")
    assert list(_found(tmp_path, "red")) == ["a"]


def test_the_longest_suffix_decides(tmp_path: Path) -> None:
    _touch(tmp_path, "a_red.png", "a_infrared.png", "b_infra_red.png")
    assert _found(tmp_path, "red", "infrared") == {
        "a": {"red": ["a_red.png"], "infrared": ["a_infrared.png"]},
        "b_infra": {"red": ["b_infra_red.png"]},
    }
    assert _found(tmp_path, "red=red", "far=infrared")["a_"] == {"red": ["a_red.png"], "far": ["a_infrared.png"]}


def test_an_empty_suffix_takes_every_file_no_other_suffix_takes(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "a_blue.png", "b.v2.tif")
    assert _found(tmp_path, "green=") == {
        "a": {"green": ["a.png"]},
        "a_blue": {"green": ["a_blue.png"]},
        "b.v2": {"green": ["b.v2.tif"]},
    }
    assert _found(tmp_path, "green=", "blue")["a"] == {"green": ["a.png"], "blue": ["a_blue.png"]}


def test_eight_stains_are_found(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(8)]
    _touch(tmp_path, *(f"a_{name}.png" for name in names))
    assert list(_found(tmp_path, *names)["a"]) == names


def test_names_of_other_scripts_and_of_no_script_are_fields(tmp_path: Path) -> None:
    _touch(tmp_path, "Zellkörper 図_green.png", "a\nb_green.png")
    (tmp_path / os.fsdecode(b"caf\xe9_green.png")).write_bytes(encoded(noise(), ".png"))
    found = find_fields(tmp_path, [GREEN])
    assert [field.id for field in found] == ["Zellkörper 図", "a\nb", r"caf\xe9"]
    assert read_planes(found[2], [GREEN]).planes[0].shape == (24, 24)
    assert readable("Zellkörper 図") == "Zellkörper 図"


def test_a_folder_without_fields_tells_what_was_expected_and_found(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"not a folder; expected one with images named <id>_red\.png"):
        find_fields(tmp_path / "gone", HPA_STAINS)
    (tmp_path / "train").mkdir()
    with pytest.raises(ImageError, match=r"none of 0 image files .* Is it the folder .*train\?"):
        find_fields(tmp_path, HPA_STAINS)
    _touch(tmp_path, "a_ch00.png")
    with pytest.raises(ImageError, match=r"named <id>_red, .*found for example a_ch00\.png.*--stains NAME=SUFFIX"):
        find_fields(tmp_path, HPA_STAINS)


# fields


def test_missing_and_doubled_stains_are_named_with_the_remedy(tmp_path: Path) -> None:
    field = whole_field(tmp_path, {"green": noise(), "blue": noise()})
    with pytest.raises(ImageError, match=r"f1: no red and yellow image .*_red and _yellow, or say --stains green,blue"):
        read_planes(field, HPA_STAINS)
    twice = ("f1_green.png", written(tmp_path, "f1_green.tif", noise()).name)
    with pytest.raises(ImageError, match=r"f1: 2 green images, f1_green\.png and f1_green\.tif\. Keep one"):
        read_planes(FieldFiles("f1", tmp_path, {"green": twice}), [GREEN])


def test_stains_of_different_size_are_refused(tmp_path: Path) -> None:
    field = whole_field(tmp_path, {"green": noise(24), "blue": noise(25)})
    with pytest.raises(ImageError, match=r"f1: the stains differ in size \(green 24x24, blue 25x25 px\)"):
        read_planes(field, parse_stains(["green", "blue"]))


def test_stains_come_in_the_order_asked(tmp_path: Path) -> None:
    field = whole_field(tmp_path, {"green": noise(top=2), "blue": noise(top=99)})
    planes = read_planes(field, parse_stains(["blue", "green"])).planes
    assert [int(plane.max()) for plane in planes] == [98, 1]


@pytest.mark.parametrize(("top", "bits"), [(256, 8), (1024, 10), (4096, 12), (16384, 14), (65536, 16), (300, 10)])
def test_the_true_bit_depth_of_a_16_bit_file_is_found(tmp_path: Path, top: int, bits: int) -> None:
    pixels = noise(8, top=top, dtype=np.uint16)
    field = read_planes(whole_field(tmp_path, {"green": pixels}), [GREEN])
    assert field.bit_depth == bits
    expected = np.round(pixels * (255 / (2**bits - 1)))
    assert np.abs(shrink(field, side=8)[0] - expected).max() <= 1
    if top == 2**bits:
        assert shrink(field, side=8).max() == 255


def test_16_bit_stains_share_one_depth_and_8_bit_stains_keep_theirs(tmp_path: Path) -> None:
    planes: dict[str, Pixels] = {
        "red": np.full((8, 8), 100, np.uint8),
        "green": np.full((8, 8), 4095, np.uint16),
        "blue": np.full((8, 8), 255, np.uint16),
    }
    field = read_planes(whole_field(tmp_path, planes), parse_stains(["red", "green", "blue"]))
    assert field.bit_depth == 12
    assert shrink(field, side=8)[:, 0, 0].tolist() == [100, 255, 16]  # 255 of 4095


def test_a_given_bit_depth_is_used_or_refused(tmp_path: Path) -> None:
    files = whole_field(tmp_path, {"green": np.full((8, 8), 1500, np.uint16)})
    assert read_planes(files, [GREEN], bit_depth=16).bit_depth == 16
    assert read_planes(files, [GREEN], bit_depth=11).bit_depth == 11
    with pytest.raises(ImageError, match=r"f1: .* value 1500, more than 10 bits hold\. Say --bit-depth 12"):
        read_planes(files, [GREEN], bit_depth=10)
    of_8 = whole_field(tmp_path, {"green": np.full((8, 8), 200, np.uint8)}, "f2")
    assert read_planes(of_8, [GREEN], bit_depth=12).bit_depth == 8


# shrinking and cutting


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 256), (np.uint16, 4096)])
def test_shrinking_is_the_mean_of_blocks(tmp_path: Path, dtype: type, top: int) -> None:
    pixels = noise(32, top=top, dtype=dtype)
    field = read_planes(whole_field(tmp_path, {"green": pixels}), [GREEN])
    means = pixels.reshape(8, 4, 8, 4).mean(axis=(1, 3)) * (255 / (top - 1))
    shrunk = shrink(field, side=8)
    assert shrunk.shape == (1, 8, 8)
    assert shrunk.dtype == np.uint8
    assert np.abs(shrunk[0] - means).max() <= 0.6


def test_shrinking_by_a_broken_factor_keeps_the_mean(tmp_path: Path) -> None:
    pixels = noise(50)
    field = read_planes(whole_field(tmp_path, {"green": pixels}), [GREEN])
    assert shrink(field, side=32).mean() == pytest.approx(pixels.mean(), abs=0.5)


def test_a_field_of_the_stores_side_is_untouched_and_a_smaller_one_grows(tmp_path: Path) -> None:
    pixels = noise(16)
    field = read_planes(whole_field(tmp_path, {"green": pixels}), [GREEN])
    assert np.array_equal(shrink(field, side=16)[0], pixels)
    grown = shrink(field, side=48)
    assert grown.shape == (1, 48, 48)
    assert np.array_equal(grown[0, 1::3, 1::3], pixels)


def test_of_an_oblong_field_the_central_square_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((8, 20), np.uint8)
    pixels[:, 6:14] = noise(8)
    wide = read_planes(whole_field(tmp_path, {"green": pixels}), [GREEN])
    high = read_planes(whole_field(tmp_path, {"green": pixels.T.copy()}, "f2"), [GREEN])
    assert (wide.height, wide.width, high.height, high.width) == (8, 20, 20, 8)
    assert np.array_equal(shrink(wide, side=8)[0], noise(8))
    assert np.array_equal(shrink(high, side=8)[0], noise(8).T)


def test_tiles_are_whole_and_named_by_row_and_column(tmp_path: Path) -> None:
    pixels = noise(24)[:20]
    field = read_planes(whole_field(tmp_path, {"green": pixels}), [GREEN])
    tiles = cut_tiles(field, tile=8, side=8)
    assert list(tiles) == ["r0c0", "r0c1", "r0c2", "r1c0", "r1c1", "r1c2"]
    assert np.array_equal(tiles["r1c2"][0], pixels[8:16, 16:24])
    assert cut_tiles(field, tile=21, side=8) == {}
