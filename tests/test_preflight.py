"""Preflight of a folder: ids, findings, tables, distance, files."""

from __future__ import annotations

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, TiffImagePlugin

from protloc.apply.checks.finding import Fault, Finding, Severity
from protloc.apply.embed import embeddings
from protloc.apply.given import fields_given
from protloc.apply.preflight import Preflight, check_distance, check_field, preflight, reference_for
from protloc.atlas.images import FieldPlanes
from protloc.atlas.reading import Reading
from protloc.atlas.stains import HPA_STAINS
from protloc.errors import BundleError, ImageError, SettingsError
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.model import Normalisation
from protloc.learn.reference import fit_reference, write_references
from protloc.verbs.preflight import preflight_fields

SIDE = 32
ALL = "blue+green+red+yellow"


@pytest.fixture(scope="module")
def bundle(tiny_world, tmp_path_factory) -> Bundle:
    """Return an untrained network, saved with a reference of the fields of the tiny world."""
    network = build_network("baseline-cnn", stains=4, classes=3, side=SIDE, seed=3)
    made = Bundle(
        backbone="baseline-cnn",
        vocabulary=tiny_world.vocabulary,
        stains=HPA_STAINS,
        side=SIDE,
        rule=AnswerRule.plain(3),
        members=(Member(Normalisation((10.0,) * 4, (20.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"},
        protloc_version="0",
    )
    folder = tmp_path_factory.mktemp("bundle")
    made.save(folder)
    seen = embeddings(made, fields_given(made, tiny_world.images).batches())
    write_references(folder, {ALL: [fit_reference(seen[:20], np.tile(seen, (2, 1)))]})
    return Bundle.load(folder)


@pytest.fixture
def images(tiny_world, tmp_path):
    """Return a folder with the first four fields of the tiny world, to change."""
    folder = tmp_path / "images"
    folder.mkdir()
    for field in range(4):
        for stain in HPA_STAINS:
            shutil.copy(tiny_world.images / f"f{field:03d}{stain.suffix}.png", folder)
    return folder


def faults(checked: Preflight, field: str) -> list[Fault]:
    return [finding.fault for finding in checked.findings[field]]


def test_every_field_of_a_folder_is_checked_in_order(bundle, images):
    seen: list[tuple[int, int]] = []
    checked = preflight(bundle, images, progress=lambda done, total: seen.append((done, total)))
    assert list(checked.findings) == ["f000", "f001", "f002", "f003"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_cannot_be_read_is_a_finding_and_no_error(bundle, images):
    (images / "f001_red.png").write_bytes(b"nothing")
    (images / "f002_yellow.png").unlink()
    checked = preflight(bundle, images)
    (damaged,), (missing,) = checked.findings["f001"], checked.findings["f002"]
    assert (damaged.fault, damaged.severity) == (Fault.UNREADABLE, Severity.SERIOUS)
    assert "f001_red.png: damaged" in damaged.sentence
    assert (missing.fault, missing.stains) == (Fault.MISSING, ("yellow",))
    assert missing.sentence.startswith("f002: no yellow image")
    assert "--stains" in missing.remedy


def test_a_folder_of_which_nothing_can_be_read_is_told_of_too(bundle, images):
    for file in images.glob("*_green.png"):
        file.write_bytes(b"nothing")
    assert all(faults(preflight(bundle, images), f"f00{field}") == [Fault.UNREADABLE] for field in range(4))


def test_stains_the_model_goes_without_are_told_once(bundle, images):
    for file in images.glob("*_red.png"):
        file.unlink()
    checked = preflight(bundle, images)
    assert checked.notes[0].startswith("No red image was given")
    assert "no reference for green and blue and yellow" in checked.notes[1]
    assert not any(Fault.MISSING in faults(checked, field) for field in checked.findings)


def test_a_field_unlike_the_atlas_is_far_from_it(bundle, images):
    rng = np.random.default_rng(0)
    for stain in HPA_STAINS:
        strange = cv2.GaussianBlur(rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8), (0, 0), 1)
        cv2.imwrite(str(images / f"f001{stain.suffix}.png"), strange)
    reference = reference_for(bundle, ["red", "green", "blue", "yellow"])
    checked = preflight(bundle, images)
    assert [field for field in checked.findings if Fault.FAR in faults(checked, field)] == ["f001"]
    for field, found in checked.findings.items():
        planes = tuple(cv2.imread(str(images / f"{field}{s.suffix}.png"), -1) for s in HPA_STAINS)
        alone = check_field(bundle, FieldPlanes(planes, 8), HPA_STAINS, reference=reference)
        assert alone == found


def test_distance_is_told_from_one_in_a_hundred_on():
    learnt = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    reference = [fit_reference(learnt, learnt)]
    assert list(check_distance(reference, learnt.mean(axis=0))) == []
    (finding,) = check_distance(reference, np.full(4, 99, np.float32))
    assert finding.fault is Fault.FAR
    assert "about one in 301 lies as far" in finding.sentence
    tiles = np.stack([learnt.mean(axis=0)] * 2 + [np.full(4, 99, np.float32)])
    assert list(check_distance(reference, tiles)) == []  # the middle one of three counts
    assert list(check_distance(reference, tiles[:0])) == []


def test_a_bundle_without_a_folder_or_reference_tells_no_distance(bundle):
    assert reference_for(bundle, ["green"]) == ()
    assert reference_for(replace(bundle, folder=None), ["green", "blue", "red", "yellow"]) == ()
    assert len(reference_for(bundle.with_rule(bundle.rule), ["green", "blue", "red", "yellow"])) == 1
    assert list(check_distance((), np.zeros(4, np.float32))) == []


def test_a_reference_of_too_few_held_out_fields_tells_no_distance_and_says_so(bundle, images, tmp_path):
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    seen = embeddings(bundle, fields_given(bundle, images).batches())
    seen = np.tile(seen, (30, 1)) + np.random.default_rng(0).normal(0, 0.1, (120, seen.shape[1])).astype(np.float32)
    told = []
    for held_out in (98, 99):
        write_references(tmp_path / "bundle", {ALL: [fit_reference(seen[:20], seen[:held_out])]})
        told += preflight(Bundle.load(tmp_path / "bundle"), images).notes
    (note,) = told
    assert "98 held-out fields, of which none tells one in 100" in note


def test_the_pixel_size_of_a_file_is_believed_unless_another_is_said(bundle, images):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[296] = 3
    for field, resolution in (("f000", 5_000.0), ("f001", 10_000.0), ("f002", 1_000.0)):  # pixels a centimetre
        tags[282] = resolution
        for stain in HPA_STAINS:
            file = images / f"{field}{stain.suffix}.png"
            Image.fromarray(cv2.imread(str(file), -1)).save(file.with_suffix(".tif"), tiffinfo=tags)
            file.unlink()
    widths = [wide(preflight(bundle, images), field) for field in ("f000", "f001", "f002", "f003")]
    assert widths == ["", "32 µm wide (32 px of 1 µm)", "", ""]  # 64 µm are enough, 10 µm a pixel no microscope's
    assert wide(preflight(bundle, images, pixel_size=0.5), "f001") == "16 µm wide (32 px of 0.5 µm)"


def wide(checked: Preflight, field: str) -> str:
    """Return what is said of the width of a field, up to the semicolon."""
    told = [finding.sentence for finding in checked.findings[field] if finding.fault is Fault.SCALE]
    return told[0].partition(";")[0].removeprefix("The field is ") if told else ""


def test_tiles_are_seen_as_the_model_sees_them(bundle, images):
    checked = preflight(bundle, images, reading=Reading(tile=16), pixel_size=2.0)
    assert wide(checked, "f000") == "32 µm wide (16 px of 2 µm)"
    too_large = preflight(bundle, images, reading=Reading(tile=64))
    assert all(faults(too_large, field) == [Fault.UNREADABLE] for field in too_large.findings)
    assert "smaller than a tile of 64 px" in too_large.findings["f000"][0].sentence


def test_the_summary_counts_fields_and_gives_an_example():
    dark = Finding(Fault.DARK, Severity.SERIOUS, "It is dark.", "Light it.", ("red",))
    note = Finding(Fault.COMPRESSED, Severity.NOTE, "It has squares.", "Never mind.")
    checked = Preflight({"a": (dark,), "b": (dark, note), "c": (note,), "d": ()}, ("Mind this.",))
    assert checked.sound == ("c", "d")
    assert checked.summary.splitlines() == [
        "4 fields checked; nothing to say against 2 of them.",
        "Mind this.",
        "- dark (2: a, b). It is dark. Light it.",
        "- compressed (2: b, c). It has squares. Never mind.",
    ]
    assert checked.table().to_dict("list") == {
        "id": ["a", "b", "b", "c"],
        "fault": ["dark", "dark", "compressed", "compressed"],
        "severity": ["serious", "serious", "note", "note"],
        "stains": ["red", "red", "", ""],
        "sentence": ["It is dark.", "It is dark.", "It has squares.", "It has squares."],
        "remedy": ["Light it.", "Light it.", "Never mind.", "Never mind."],
    }


@pytest.mark.parametrize(("ending", "read"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_findings_are_written_a_line_each(bundle, images, tmp_path, ending, read):
    (images / "f002_yellow.png").unlink()
    made = preflight_fields(bundle, images, out=tmp_path / f"found{ending}")
    table = read(tmp_path / f"found{ending}")
    assert len(table) == len(made.found.table())
    assert table.loc[table["id"] == "f002", "fault"].tolist() == ["missing stain"]
    assert f"found{ending}" in made.summary.splitlines()[-1]


def test_nothing_is_written_unasked(bundle, images):
    assert preflight_fields(bundle, images).summary.startswith("4 fields checked")


def test_mistakes_are_told_before_any_work(bundle, images, tmp_path, decoded):
    with pytest.raises(SettingsError, match=r"--out: .* ends in '\.txt', expected \.csv or \.parquet"):
        preflight_fields(bundle, images, out=tmp_path / "found.txt")
    with pytest.raises(SettingsError, match=r"--pixel-size: 80 µm, expected 0\.005 to 5 µm"):
        preflight(bundle, images, pixel_size=80)
    with pytest.raises(BundleError, match="--stains"):
        preflight(bundle, images, stains=HPA_STAINS[:1])
    with pytest.raises(ImageError, match="not a folder"):
        preflight(bundle, tmp_path / "nowhere")
    assert decoded == []
