"""Exports: the bundle's answers by other engines."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from protloc.apply.embed import model_hash
from protloc.apply.export import trial_fields
from protloc.apply.export_eye import OpenVinoEye, export_eye
from protloc.apply.predict import predict
from protloc.apply.predictions import write_predictions
from protloc.apply.see import eye_of, see, see_each
from protloc.atlas.store import Store
from protloc.cli import main
from protloc.curate.split import Folds, Split
from protloc.errors import BundleError, MissingExtraError, RunError, SettingsError, SplitError
from protloc.judge.answering import AnswerRule, answer
from protloc.judge.calibration import Calibration
from protloc.judge.metrics import macro_f1
from protloc.learn.bundle import Bundle, ensemble
from protloc.learn.export import Export, fastest_export, load_model
from protloc.learn.recipes import load_recipe
from protloc.learn.reference import fit_reference, read_references, write_references
from protloc.learn.runs import write_run
from protloc.learn.starter import starter
from protloc.serve.decoding import Decoded, DecodedField
from protloc.serve.models import Model, named_models
from protloc.verbs.embed import embed
from protloc.verbs.export import export_bundle, trained_on
from protloc.verbs.split import read_split

SIDE = 32
RULE = replace(AnswerRule.plain(3), calibration=Calibration((8.0, 8.0, 8.0), (0.0, 0.5, -0.5)), fields=60)


def untrained(tiny_world, *, seed: int) -> Bundle:
    return tiny_world.untrained(seed=seed, rule=RULE)


@pytest.fixture(scope="module")
def bundle(tiny_world, tmp_path_factory) -> Bundle:
    """Return two networks that answer together, from a folder."""
    made = ensemble([untrained(tiny_world, seed=seed) for seed in (3, 4)], rule=RULE)
    folder = tmp_path_factory.mktemp("two")
    made.save(folder)
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def onnx(bundle, tmp_path_factory) -> Export:
    return export_bundle(bundle, engine="onnx", out=tmp_path_factory.mktemp("exports") / "onnx").export


@pytest.fixture(scope="module")
def openvino(bundle, tmp_path_factory) -> Export:
    return export_bundle(bundle, engine="openvino", out=tmp_path_factory.mktemp("exports") / "openvino").export


@pytest.fixture
def copied(openvino, tmp_path) -> Path:
    """Return the folder of an export that may be damaged."""
    return Path(shutil.copytree(openvino.folder, tmp_path / "copied"))


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize("tta", [False, True])
def test_an_export_sees_what_its_bundle_sees(bundle, tiny_store, engine, tta, request):
    export = load_model(request.getfixturevalue(engine).folder)
    batches = [tiny_store.images(rows) for rows in (np.arange(3), np.arange(3, 84), np.array([7]))]
    expected, found = see(bundle, batches, tta=tta), see(export, batches, tta=tta)
    assert found.logits.shape == (2, 85, 3)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-4)
    alone = see(export, batches, tta=tta, embeddings=False)
    assert alone.embeddings.shape == (85, 0)
    np.testing.assert_array_equal(alone.logits, found.logits)
    nothing = see(export, [])
    assert (nothing.logits.shape, nothing.embeddings.shape) == ((2, 0, 3), (0, found.embeddings.shape[1]))


def test_an_export_holds_all_that_the_bundle_answers_by(bundle, onnx):
    export = load_model(onnx.folder)
    assert isinstance(export, Export)
    for name in ("backbone", "stains", "side", "rule", "rules", "settings", "needed", "tile"):
        assert getattr(export, name) == getattr(bundle, name)
    assert len(export.members) == 2
    assert export.verified == onnx.verified
    assert model_hash(export) == model_hash(bundle)


def test_test_fields_and_their_logits_lie_beside_the_network(bundle, openvino):
    kept = load_file(openvino.folder / "test.safetensors")
    np.testing.assert_array_equal(kept["images"], trial_fields(bundle))
    assert not kept["images"][24:, [0, 2, 3]].any(), "the last can do without all but green"
    expected, found = (see(model, [kept["images"]], tta=False) for model in (bundle, openvino))
    for name in ("logits", "embeddings"):
        of_bundle, of_export = getattr(expected, name), getattr(found, name)
        np.testing.assert_allclose(kept[name], of_bundle, atol=1e-6)
        distance = getattr(openvino.verified, name)
        assert distance.farthest == pytest.approx(np.abs(of_export - kept[name]).max(), abs=1e-6)
        assert 0 < distance.tolerance <= 1e-4 * max(1, np.abs(of_bundle).max()) * 1.001


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (lambda seen: replace(seen, logits=seen.logits[::-1]), "a logit"),
        (lambda seen: replace(seen, embeddings=seen.embeddings + 0.01 * seen.embeddings.max()), "an embedding"),
        (lambda seen: replace(seen, embeddings=seen.embeddings * np.float32(np.nan)), "an embedding"),
    ],
)
def test_an_export_that_sees_otherwise_is_not_written(bundle, tmp_path, monkeypatch, wrong, what):
    looks = OpenVinoEye.__call__
    monkeypatch.setattr(OpenVinoEye, "__call__", lambda self, batches: map(wrong, looks(self, batches)))
    with pytest.raises(BundleError, match=rf"32 test fields {what} of openvino in float32 lies .*Nothing was written"):
        export_bundle(bundle, engine="openvino", out=tmp_path / "made")
    assert not [*tmp_path.iterdir()]


def test_bf16_that_was_verified_in_float32_is_not_trusted(bundle, tiny_store, tmp_path, monkeypatch):
    monkeypatch.setattr("protloc.apply.export.export_eye", lambda export: export_eye(replace(export, precision="int8")))
    made = export_bundle(bundle, engine="openvino", precision="bf16", store=tiny_store, out=tmp_path, force=True)
    assert (made.export.verified.computed_in, made.export.verified.forced) == ("int8", False)
    assert not made.export.trusted
    assert "This processor computed it in int8: make it on one that has bf16" in made.summary


def test_a_bundle_that_is_no_network_leaves_nothing(bundle, tmp_path):
    member = replace(bundle.members[0], state={})
    with pytest.raises(BundleError):
        export_bundle(replace(bundle, members=(member,)), engine="openvino", out=tmp_path / "made")
    assert not [*tmp_path.iterdir()]


def test_what_is_no_export_is_not_overwritten_and_an_export_is(bundle, copied, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="exists and is no export"):
        export_bundle(bundle, engine="openvino", out=tmp_path / "mine")
    shutil.copy(copied / "test.safetensors", tmp_path / "mine")
    with pytest.raises(BundleError, match="exists and is no export"):
        export_bundle(bundle, engine="openvino", out=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    (copied / "model.bin").write_bytes(b"damaged")
    export_bundle(bundle, engine="openvino", out=copied)
    assert load_model(copied).folder == copied


@pytest.mark.parametrize(
    "damage", ["model.bin", "model.xml", "test.safetensors", "missing", "precision", "slopes", "json"]
)
def test_a_damaged_export_is_refused(copied, damage):
    described = json.loads((copied / "model.json").read_text())
    if damage == "missing":
        (copied / "model.bin").unlink()
    elif damage == "precision":
        described["export"]["precision"] = "float8"
    elif damage == "slopes":
        described["answers"]["calibration"]["slopes"] = [1.0]
    elif damage != "json":
        (copied / damage).write_bytes((copied / damage).read_bytes()[:-7])
    (copied / "model.json").write_text(json.dumps(described) if damage != "json" else "{")
    with pytest.raises(BundleError, match=str(copied)):
        load_model(copied)


def test_networks_of_folds_are_judged_on_what_each_did_not_learn(tiny_world, tiny_store, tmp_path, monkeypatch):
    folds = Folds(tiny_store.ids, tuple(number // 28 for number in range(84)))
    monkeypatch.setattr("protloc.verbs.export.read_split", lambda *_: folds)
    three = ensemble([untrained(tiny_world, seed=seed) for seed in (3, 4, 5)], rule=RULE)
    how = {"engine": "openvino", "store": tiny_store, "split_name": "cv"}
    verified = export_bundle(three, **how, out=tmp_path / "made").export.verified
    rows = np.arange(0, 84, 3)
    held_out = see(three, [tiny_store.images(rows)], tta=False).logits[rows // 28, np.arange(28)]
    assert verified.scored == 28
    assert verified.macro_f1 == pytest.approx(macro_f1(tiny_store.targets[rows], answer(RULE, held_out).called))
    with pytest.raises(SplitError, match="cv has 3 folds, the bundle networks of 2"):
        export_bundle(replace(three, members=three.members[:2]), **how, out=tmp_path / "made")


def test_a_run_is_judged_on_what_it_was_trained_with_and_nothing_else(tiny_store, tmp_path):
    store = Store.open(shutil.copytree(tiny_store.folder, tmp_path / "store"))
    split = read_split(store, "default")
    write_run(tmp_path / "run", settings=load_recipe("baseline-cnn"), store=store, split=split, split_name="default")
    found, name = trained_on(tmp_path / "run", store=None, split_name=None)
    assert (getattr(found, "folder", None), name) == (store.folder, "default")
    turned = Split(split.ids, tuple({"train": "validation", "validation": "train"}.get(p, p) for p in split.parts))
    turned.write(store.folder / "splits" / "turned.parquet")
    with pytest.raises(RunError, match="the split default has been made anew"):
        trained_on(tmp_path / "run", store=None, split_name="turned")
    shutil.rmtree(store.folder)
    assert trained_on(tmp_path / "run", store=None, split_name=None) == (None, "default")
    assert trained_on(tmp_path, store=None, split_name=None) == (None, "default")
    with pytest.raises(SettingsError, match=r"--split: mine is a split of a store, and there is none"):
        trained_on(tmp_path, store=None, split_name="mine")


def test_the_starter_is_not_written_into():
    with pytest.raises(BundleError, match="the starter lies where protloc is installed"):
        export_bundle(starter(), engine="openvino")


def test_a_rule_that_was_never_fitted_is_told(tiny_world, tiny_store, tmp_path):
    made = export_bundle(tiny_world.untrained(), engine="openvino", store=tiny_store, out=tmp_path)
    assert "Thresholds were never fitted" in made.summary, "into an empty folder that was there"


def test_what_an_engine_cannot_do_is_told(bundle, tiny_store, tmp_path):
    with pytest.raises(SettingsError, match="onnx computes in float32, not in bf16"):
        export_bundle(bundle, engine="onnx", precision="bf16", out=tmp_path / "made")
    with pytest.raises(SettingsError, match="int8 needs fields"):
        export_bundle(bundle, engine="openvino", precision="int8", out=tmp_path / "made")
    with pytest.raises(BundleError, match="Name a place by --out"):
        export_bundle(replace(bundle, folder=None), engine="openvino", store=tiny_store)


def test_an_empty_part_is_told(bundle, tiny_store, tmp_path, monkeypatch):
    lopsided = Split(tiny_store.ids, ("train",) * len(tiny_store))
    monkeypatch.setattr("protloc.verbs.export.read_split", lambda *_: lopsided)
    with pytest.raises(SplitError, match="the validation part of lopsided is empty"):
        export_bundle(bundle, engine="openvino", store=tiny_store, split_name="lopsided", out=tmp_path / "made")


def test_an_engine_that_cannot_read_its_file_says_so(onnx, tmp_path):
    folder = Path(shutil.copytree(onnx.folder, tmp_path / "copied"))
    (folder / "model.onnx").write_bytes(b"no network")
    onnx.write_description(folder)
    with pytest.raises(BundleError, match=r"model.onnx: cannot be read"):
        eye_of(load_model(folder))


def test_an_engine_that_is_not_installed_is_named(bundle, onnx, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'protloc\[openvino\]'"):
        export_bundle(bundle, engine="openvino", out=tmp_path / "made")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'protloc\[onnx\]'"):
        eye_of(onnx)


def test_int8_is_calibrated_and_judged_and_refused_where_it_costs_too_much(bundle, tiny_store, tmp_path, monkeypatch):
    told: list[tuple[int, int]] = []
    how = {"engine": "openvino", "precision": "int8", "store": tiny_store, "out": tmp_path / "made"}
    export = export_bundle(bundle, **how, force=True, progress=lambda done, of: told.append((done, of))).export
    verified = export.verified
    assert told[-1] == (2 * verified.scored, 2 * verified.scored)
    assert export.calibration > 0
    assert 0 < verified.logits.farthest <= verified.logits.tolerance
    assert 0 < verified.embeddings.farthest <= verified.embeddings.tolerance
    assert verified.macro_f1 is not None
    assert 0.5 < (verified.agreement or 0) <= 1
    assert model_hash(export) != model_hash(bundle)
    shutil.rmtree(tmp_path / "made")
    monkeypatch.setattr("protloc.verbs.export.MOST_LOST", verified.macro_f1_lost - 0.01)
    with pytest.raises(BundleError, match=r"of macro-F1 on \d+ fields it did not learn from"):
        export_bundle(bundle, **how)
    assert not (tmp_path / "made").exists()
    made = export_bundle(bundle, **how, force=True)
    assert made.export.verified.forced
    assert "calls are alike" in made.summary


def test_answers_come_in_the_order_of_the_fields_even_after_an_error(bundle, openvino, tiny_store):
    eye = eye_of(openvino)
    images = tiny_store.images(np.arange(84))

    def broken() -> Iterator[np.ndarray]:
        yield images[:40]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="disk"):
        list(eye(broken()))
    apart = np.concatenate([seen.embeddings for seen in see_each(eye, np.array_split(images, 11), turned=False)])
    np.testing.assert_allclose(apart, see(bundle, [images], tta=False).embeddings, atol=1e-4)


def test_openvino_sends_nobody_word(openvino):
    assert openvino.trusted
    assert sys.modules["openvino"]
    assert sys.modules["openvino_telemetry"] is None


def test_ctrl_c_is_heard_after_two_exports_were_opened_and_closed(openvino):
    opened_and_closed = f"""
import signal
from pathlib import Path
from protloc.apply.see import eye_of
from protloc.learn.export import load_model
first, second = (eye_of(load_model(Path({str(openvino.folder)!r}))) for _ in range(2))
del first
del second
signal.raise_signal(signal.SIGINT)
"""
    told = subprocess.run(  # noqa: S603
        [sys.executable, "-c", opened_and_closed], capture_output=True, text=True, check=False
    )
    assert told.returncode == -signal.SIGINT, told.stderr
    assert told.stderr.rstrip().endswith("KeyboardInterrupt")


def test_references_go_along(bundle, tmp_path):
    folder = tmp_path / "bundle"
    bundle.save(folder)
    seen = np.random.default_rng(0).normal(size=(20, 128)).astype(np.float32)
    write_references(folder, {"green": (fit_reference(seen[:10], seen[10:]),)})
    made = export_bundle(Bundle.load(folder), engine="openvino")
    assert made.folder == folder / "exports" / "openvino-float32"
    assert read_references(made.folder).keys() == {"green"}


def test_the_fastest_export_of_these_weights_is_taken(tiny_world, tmp_path):
    made = untrained(tiny_world, seed=5)
    made.save(tmp_path)
    bundle = Bundle.load(tmp_path)
    assert fastest_export(bundle) is None
    export_bundle(bundle, engine="onnx")
    assert getattr(fastest_export(bundle), "engine", None) == "onnx"
    export_bundle(bundle, engine="openvino")
    made = export_bundle(bundle, engine="openvino", precision="bf16").export
    assert getattr(fastest_export(bundle), "precision", None) == "float32", "what was not judged is not taken unasked"
    replace(made, verified=replace(made.verified, scored=9)).write_description(made.folder)
    fastest = fastest_export(bundle)
    assert getattr(fastest_export(bundle, exact=True), "precision", None) == "float32"
    assert isinstance(fastest, Export)
    assert (fastest.engine, fastest.precision) == ("openvino", "bf16")
    forced = replace(fastest, verified=replace(fastest.verified, forced=True))
    forced.write_description(fastest.folder)
    assert getattr(fastest_export(bundle), "precision", None) == "float32"
    untrained(tiny_world, seed=6).save(tmp_path)
    assert fastest_export(Bundle.load(tmp_path)) is None, "they are of other weights"


def decoded_from(images: np.ndarray) -> Decoded:
    """Return fields as a server has them decoded."""
    fields = [DecodedField(f"f{row}", f"f{row}", image, None, SIDE, SIDE, 8) for row, image in enumerate(images)]
    return Decoded(("red", "green", "blue", "yellow"), tuple(fields), {})


def test_a_server_answers_by_the_export_and_explains_by_the_bundle(tiny_world, tiny_store, tmp_path):
    untrained(tiny_world, seed=5).save(tmp_path)
    bundle = Bundle.load(tmp_path)
    export_bundle(bundle, engine="openvino")
    images = tiny_store.images(np.arange(5))
    answering = fastest_export(bundle)
    served, alone = Model("both", bundle, export=answering), Model("export", answering)
    try:
        for model in (served, alone):
            found = model.submit(decoded_from(images)).result().logits
            np.testing.assert_allclose(found, see(bundle, [images]).logits, atol=1e-4)
        assert len(served.explain(decoded_from(images), classes=1).result().fields) == 5
        assert (served.facts.explains, alone.facts.explains) == (True, False)
        assert (served.facts.engine, served.facts.precision) == ("openvino", "float32")
        with pytest.raises(BundleError, match=r"^export: an export, which answers but has no heat maps"):
            alone.explain(decoded_from(images), classes=1).result()
    finally:
        served.close()
        alone.close()


def test_a_server_answers_by_the_bundle_where_an_engine_cannot_open_the_export(tiny_world, tiny_store, tmp_path):
    untrained(tiny_world, seed=5).save(tmp_path)
    made = export_bundle(Bundle.load(tmp_path), engine="openvino").export
    made.file.write_bytes(b"no network")
    made.write_description(made.file.parent)
    told: list[str] = []
    model = named_models([("run", Bundle.load(tmp_path))], say=told.append)["run"]
    try:
        assert model.facts.engine == "pytorch"
        assert model.submit(decoded_from(tiny_store.images(np.arange(2)))).result().logits.shape == (1, 2, 3)
        assert len(told) == 1
        assert "Make it again: protloc export. Until then run answers by its bundle." in told[0]
    finally:
        model.close()
    with pytest.raises(BundleError, match="cannot be read"):
        named_models([("export", made)])


@pytest.mark.parametrize("command", ["embed", "neighbours", "preflight"])
def test_no_command_by_an_export_imports_what_trains(onnx, tiny_world, tmp_path, command):
    index = tmp_path / "atlas.parquet"
    embed(onnx, tiny_world.images, out=index)
    told = {
        "embed": ["--out", tmp_path / "seen.parquet"],
        "neighbours": ["--index", index, "--out", tmp_path / "near.csv"],
        "preflight": ["--out", tmp_path / "found.csv"],
    }
    assert _imported([command, onnx.folder, tiny_world.images, *told[command]], "torch", "lightning", "timm") == "[]"
    assert (tmp_path / told[command][-1]).is_file()


def _imported(command: list[object], *packages: str) -> str:
    """Return which of some packages a command imports, in a process of its own."""
    script = (
        "import sys; from protloc.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print([name for name in {packages} if name in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", script, *map(str, command)], capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()[-1]


def test_the_command_makes_an_export_that_predict_takes_like_a_bundle(bundle, tiny_world, tmp_path, capsys):
    made, answers = tmp_path / "made", tmp_path / "answers.csv"
    arguments = ["export", bundle.folder, "--to", "onnx", "--store", tiny_world.store.folder, "--out", made, "--force"]
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 0
    assert "100.00% of the calls are alike" in " ".join(capsys.readouterr().out.split())
    told = ["predict", made, tiny_world.images, "--out", answers, "--format", "kaggle"]
    assert _imported(told, "torch", "lightning", "timm", "matplotlib") == "[]"
    write_predictions(predict(bundle, tiny_world.images), tmp_path / "expected.csv", style="kaggle")
    assert answers.read_text() == (tmp_path / "expected.csv").read_text()


def test_an_export_cannot_be_explained(onnx, tiny_world, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(onnx.folder), str(tiny_world.images), "--out", str(tmp_path / "why")])
    assert ended.value.code == 2
    assert "Name the bundle it was made of" in " ".join(capsys.readouterr().err.split())
