"""The demo, small."""

from __future__ import annotations

import pytest

from protloc.verbs.demo import demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    told: list[str] = []
    out = tmp_path_factory.mktemp("demo")
    return demo(out, fields=40, epochs=1, recipe="baseline-cnn", say=told.append), told


def test_it_tells_every_step_and_ends_with_the_table_and_the_report(shown):
    made, told = shown
    assert [line.split(":")[0] for line in told[:4]] == ["simulate", "prepare", "audit", "split"]
    assert "always all classes (test)" in made.summary
    assert str(made.folder / "run" / "report.html") in made.summary
    assert "simulated" in made.summary
    assert f"protloc serve {made.folder / 'run'} --atlas {made.index}" in made.summary
    assert made.index.is_file()


def test_the_report_says_that_the_fields_are_simulated(shown):
    assert "The fields are simulated." in shown[0].evaluated.report.read_text("utf-8")


def test_called_again_it_goes_on_with_what_is_there(shown):
    made, _ = shown
    before = (made.folder / "run" / "bundle" / "model.safetensors").stat().st_mtime_ns
    demo(made.folder, fields=40, epochs=1, recipe="baseline-cnn")
    assert (made.folder / "run" / "bundle" / "model.safetensors").stat().st_mtime_ns == before
