"""The command line: one story from images to answers, then what goes wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from protloc import console
from protloc.cli import main
from protloc.errors import ProtlocError

COMMANDS = (
    "simulate", "prepare", "explore", "audit", "split", "train", "evaluate", "compare", "baselines", "predict", "demo",
    "explain", "embed", "neighbours", "preflight", "serve",
)  # fmt: skip


def run(*arguments: object) -> int:
    """Run a command as the shell would, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_world) -> Path:
    """Return a folder in which the story was told: store, run, answers."""
    folder = tmp_path_factory.mktemp("story")
    store, here = folder / "store", folder / "run"
    images, labels, classes = tiny_world.images, tiny_world.labels, tiny_world.classes
    assert run("prepare", images, store, "--labels", labels, "--vocabulary", classes, "--side", 32) == 0
    assert run("explore", store, "--out", folder / "explore") == 0
    assert run("audit", store, "--keys", write_keys(folder / "fields.csv", tiny_world.store.ids)) == 0
    assert run("split", store) == 0
    assert run("split", store, "--folds", 3, "--name", "cv") == 0
    quick = ("--epochs", 12, "--set", "batch_size=8", "--set", "dropout=0.0")
    assert run("train", store, "--recipe", "baseline-cnn", "--out", here, *quick) == 0
    assert run("evaluate", here) == 0
    assert run("train", store, "--recipe", "baseline-cnn", "--split", "cv", "--out", folder / "cv", *quick) == 0
    assert run("evaluate", folder / "cv", "--tta") == 0
    assert run("audit", store, "--keys", folder / "fields.csv", "--run", folder / "cv", "--out", folder / "audit") == 0
    assert run("compare", here, here, "--out", folder / "compare") == 0
    return folder


def write_keys(file: Path, ids: tuple[str, ...]) -> Path:
    """Write a table in which two fields one after the other are of one antibody."""
    lines = [f"{field},A{number // 2},P1" for number, field in enumerate(ids)]
    file.write_text("\n".join(["id,antibody,plate", *lines]) + "\n", "utf-8")
    return file


def test_the_story_leaves_the_promised_files(trained):
    promised = [
        "store/store.json", "store/fields.parquet", "store/images-00000.npy", "store/rejected.csv",
        "store/splits/default.parquet", "explore/index.html", "run/settings.toml", "run/bundle/model.safetensors",
        "run/bundle/model.json", "run/log.csv", "run/predictions/validation.parquet", "run/predictions/test.parquet",
        "run/evaluation.json", "run/report.html", "run/bundle/README.md", "store/groups.parquet",
        "store/splits/cv.parquet", "store/audit/index.html", "store/audit/pairs.csv", "store/audit/audit.json",
        "audit/suspects.csv",
        "audit/suspects.html", "compare/comparison.html", "compare/comparison.csv", "cv/folds/2/bundle/model.json",
        "cv/bundle/model.safetensors", "cv/predictions/out-of-fold.parquet", "cv/report.html",
    ]  # fmt: skip
    assert [name for name in promised if not (trained / name).is_file()] == []
    assert list(trained.rglob("*.partial")) == []


def test_the_story_is_learnt(trained):
    test = json.loads((trained / "run" / "evaluation.json").read_text())["parts"]["test"]
    assert test["macro_f1"]["value"] > max(floor["macro_f1"]["value"] for floor in test["floors"]) + 0.1
    assert set(test) >= {"loss", "macro_f1", "samples_f1", "micro_f1", "mean_average_precision", "per_class"}


def estimates(written: object) -> list[dict[str, float]]:
    """Return every number with an interval that stands anywhere in ``evaluation.json``."""
    if isinstance(written, dict):
        own = [written] if "value" in written else []
        return own + [each for value in written.values() for each in estimates(value)]
    return [each for value in written for each in estimates(value)] if isinstance(written, list) else []


@pytest.mark.parametrize("name", ["run", "cv"])
def test_every_number_has_its_interval_and_none_is_null(trained, name):
    text = (trained / name / "evaluation.json").read_text()
    numbers = estimates(json.loads(text))
    assert len(numbers) > 20
    assert all(set(number) == {"value", "low", "high"} for number in numbers)
    assert all(number["low"] <= number["value"] <= number["high"] for number in numbers)
    assert "null" not in text


def test_no_antibody_is_in_two_parts(trained):
    parts = pd.read_parquet(trained / "store" / "splits" / "default.parquet")
    antibody = pd.read_csv(trained / "fields.csv").set_index("id")["antibody"]
    assert parts.groupby(parts["id"].map(antibody))["part"].nunique().max() == 1
    assert parts["part"].nunique() == 3


def test_a_run_compared_with_itself_is_not_resolvable(trained, capsys):
    assert run("compare", trained / "run", trained / "run", "--out", trained / "again") == 0
    told = capsys.readouterr().out
    assert "not resolvable" in told
    assert "better" not in told
    assert "worse" not in told


def test_the_ensemble_of_folds_predicts_like_any_bundle(trained, tiny_world, tmp_path):
    out = tmp_path / "answers.csv"
    assert run("predict", trained / "cv", tiny_world.images, "--out", out, "--adapt") == 0
    answers = pd.read_csv(out)
    assert list(answers.columns) == ["id", *tiny_world.vocabulary.names, "answer", "present", "ask", "spread"]
    assert answers["spread"].between(0, 0.5).all()


def test_answers_are_not_adapted_on_other_poses_than_judged_on(trained, tiny_world, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    assert run("predict", trained / "cv", tiny_world.images, "--out", out, "--adapt", "--no-tta") == 2
    assert "measured on 8 poses of a field, not on 1. Leave --tta or --no-tta out" in capsys.readouterr().err
    assert not out.exists()


def test_predict_answers_in_the_order_of_the_input(trained, tiny_world, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    assert run("predict", trained / "run" / "bundle", tiny_world.images, "--out", out) == 0
    assert "84 fields, 0 of them rejected" in capsys.readouterr().out
    answers = pd.read_csv(out)
    assert list(answers.columns) == ["id", *tiny_world.vocabulary.names, "answer", "present", "ask"]
    assert tuple(answers["id"]) == tiny_world.store.ids


def test_predict_takes_a_run_for_its_bundle(trained, tiny_world, tmp_path):
    by_bundle, by_run = tmp_path / "bundle.csv", tmp_path / "run.csv"
    assert run("predict", trained / "run" / "bundle", tiny_world.images, "--out", by_bundle) == 0
    assert run("predict", trained / "run", tiny_world.images, "--out", by_run) == 0
    assert by_bundle.read_bytes() == by_run.read_bytes()


def test_a_submission_is_written_in_kaggles_form(trained, tiny_world, tmp_path):
    out = tmp_path / "submission.csv"
    assert run("predict", trained / "run", tiny_world.images, "--out", out, "--format", "kaggle") == 0
    submission = pd.read_csv(out, keep_default_na=False)
    assert list(submission.columns) == ["Id", "Predicted"]
    assert {word for cell in submission["Predicted"] for word in cell.split()} <= {"0", "1", "2"}


def test_what_answers_rest_on_is_shown(trained, tiny_world, tmp_path, capsys):
    out, atlas, alike = tmp_path / "why", tmp_path / "atlas.parquet", tmp_path / "alike.csv"
    assert run("preflight", trained / "run", tiny_world.images, "--out", tmp_path / "findings.csv") == 0
    assert "84 fields checked" in capsys.readouterr().out
    assert run("explain", trained / "run", tiny_world.images, "--out", out, "--classes", "Ring") == 0
    why = pd.read_csv(out / "explanations.csv")
    assert tuple(why["id"]) == tiny_world.store.ids
    assert set(why["class"]) == {"Ring"}
    assert len(list((out / "overlays").rglob("Ring.png"))) == 84
    assert run("embed", trained / "run", trained / "store", "--out", atlas) == 0
    assert run("neighbours", trained / "run", tiny_world.images, "--index", atlas, "--k", 2, "--out", alike) == 0
    found = pd.read_csv(alike)
    assert len(found) >= 84
    assert set(found["id"]) == set(tiny_world.store.ids)


def test_serve_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "protloc.serve.run", raising=False)
    assert run("serve", "starter") == 2
    assert "uvicorn is not installed. pip install 'protloc[serve]'" in capsys.readouterr().err


def test_one_stain_alone_goes_the_same_way(tiny_world, tmp_path):
    store, here, out = tmp_path / "store", tmp_path / "run", tmp_path / "answers.parquet"
    images, labels, classes = tiny_world.images, tiny_world.labels, tiny_world.classes
    same = ("--stains", "green")
    assert run("prepare", images, store, "--labels", labels, "--vocabulary", classes, "--side", 32, *same) == 0
    assert run("train", store, "--recipe", "baseline-cnn", "--out", here, "--epochs", 1) == 0
    assert run("evaluate", here) == 0
    assert run("predict", here, images, "--out", out, *same) == 0
    assert len(pd.read_parquet(out)) == 84


def test_a_label_table_is_explored_and_split_without_images(tiny_world, tmp_path, capsys):
    table, classes = tiny_world.labels, tiny_world.classes
    assert run("explore", table, "--out", tmp_path / "explore", "--vocabulary", classes) == 0
    assert run("split", table, "--out", tmp_path / "split.parquet", "--vocabulary", classes) == 0
    assert "No class is further than" in capsys.readouterr().out
    assert list(pd.read_parquet(tmp_path / "split.parquet").columns) == ["id", "part"]


def test_prepare_says_what_it_rejected_and_why(tiny_world, tmp_path, capsys):
    images = shutil.copytree(tiny_world.images, tmp_path / "images")
    (images / "f003_blue.png").unlink()
    assert run("prepare", images, tmp_path / "store", "--side", 32) == 0
    told = capsys.readouterr().out
    assert "83 fields" in told
    assert "1 rejected" in told
    assert "f003: no blue image" in told


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert run(command, "--help") == 0
    assert f"protloc {command} " in capsys.readouterr().out.partition("Example")[2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("prepare", "nowhere", "store"), "nowhere: not a folder; expected one with images"),
        (("train", "nowhere", "--recipe", "standard", "--out", "run"), "nowhere: not a store"),
        (("evaluate", "nowhere"), "nowhere: not a run"),
        (("explore", "nowhere.csv"), "nowhere.csv: does not exist; expected the folder of a store"),
        (("split", "nowhere"), "nowhere: does not exist; expected the folder of a store"),
        (("predict", "nowhere", "images", "--out", "x.csv"), "nowhere/model.json: cannot be read"),
        (("predict", "nowhere", "images", "--out", "x.xlsx"), "x.xlsx ends in '.xlsx', expected .csv or .parquet"),
        (("prepare", "images", "store", "--stains", "green,green"), "the name 'green' comes twice"),
        (("prepare", "images", "store", "--side", "1"), "--side: 1 px, expected 8 to 4096"),
    ],
)
def test_a_mistake_is_told_in_one_paragraph(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    complaint = capsys.readouterr().err
    assert told in complaint
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_cannot_be_leaves_no_run(tiny_world, tmp_path, capsys):
    here = tmp_path / "run"
    base = ("train", tiny_world.store.folder, "--recipe", "baseline-cnn", "--out", here)
    assert run(*base, "--set", "learnig_rate=1") == 2
    assert "Did you mean learning_rate?" in capsys.readouterr().err
    assert run(*base, "--set", "backbone=resnet5000") == 2
    assert "resnet5000" in capsys.readouterr().err
    assert run(*base, "--split", "elsewhere") == 2
    assert "no such split" in capsys.readouterr().err
    assert not here.exists()


def test_a_training_that_was_interrupted_ends_with_the_shells_code(tiny_world, tmp_path, monkeypatch):
    def say(line: str) -> None:
        if line.startswith("epoch"):
            raise KeyboardInterrupt

    monkeypatch.setattr(console, "say", say)
    here = ("--recipe", "baseline-cnn", "--out", tmp_path / "run", "--epochs", 2)
    assert run("train", tiny_world.store.folder, *here) == 130


def test_what_looks_like_an_emoji_is_printed_as_it_is(capsys):
    console.say("runs:fire:x [bold]")
    assert capsys.readouterr().out == "runs:fire:x [bold]\n"


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(ProtlocError, match="not a run"):
        main(["evaluate", str(tmp_path), "--debug"])


def test_an_unknown_option_ends_with_exit_code_2(capsys):
    assert run("prepare", "a", "b", "--sides", 3) == 2
    assert "--sides" in capsys.readouterr().err


def test_the_installed_command_runs():
    command = Path(sys.executable).with_name("protloc")
    shown = subprocess.run([command, "version"], capture_output=True, text=True, check=True)  # noqa: S603
    assert shown.stdout.startswith("protloc ")
