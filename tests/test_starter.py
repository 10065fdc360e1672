"""The starter model: found, loaded light, shipped only if it is fit to be."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from sklearn.metrics import roc_auc_score

import protloc
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.store import Store
from protloc.atlas.vocabulary import load_vocabulary
from protloc.curate.split import Split
from protloc.curate.split import split as split_fields
from protloc.errors import BundleError
from protloc.judge.answering import AnswerRule
from protloc.learn import starter
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.epochs import Epoch
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.model import Normalisation
from protloc.learn.recipes import load_recipe
from protloc.learn.runs import write_run

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "ship_starter.py"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Return a bundle like the starter model, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        state = portable_state(LiteNetwork(stains=4, classes=28).state_dict())
    return Bundle(
        backbone=LITE_BACKBONE,
        vocabulary=load_vocabulary("kaggle2018"),
        stains=HPA_STAINS,
        side=32,
        rule=replace(AnswerRule.plain(28), fields=100),
        members=(Member(Normalisation((9.0,) * 4, (20.0,) * 4), {"epoch": 1}, state),),
        settings={"stain_dropout": 0.5, "protein_stain": "green"},
        protloc_version="0.1.0",
    )


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("ship_starter", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_starter_model_is_the_shipped_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "SHIPPED", tmp_path)
    with pytest.raises(BundleError, match=r"the starter model is missing, though it comes with protloc\. Install"):
        protloc.starter()
    bundle.save(tmp_path, half=True)
    loaded = protloc.starter()
    assert (loaded.folder, loaded.vocabulary, loaded.needed) == (tmp_path, bundle.vocabulary, ("green",))


def test_what_is_shipped_is_small_and_says_what_it_is() -> None:
    shipped = protloc.starter()
    assert shipped.folder == starter.SHIPPED
    assert (shipped.backbone, shipped.needed, shipped.prior is None) == (LITE_BACKBONE, ("green",), False)
    assert "simulated fields only" in shipped.caution
    assert len(shipped.rules) == 7  # every set of stains that holds green, but all four
    assert sum(file.stat().st_size for file in starter.SHIPPED.iterdir()) < 10e6
    package = starter.SHIPPED.parents[1]
    assert sum(file.stat().st_size for file in package.rglob("*") if "__pycache__" not in file.parts) < 15e6
    card = (starter.SHIPPED / "README.md").read_text("utf-8")
    assert "trained on 21,600 simulated fields" in card
    assert len((starter.SHIPPED / "log.csv").read_text("utf-8").splitlines()) == 1 + shipped.settings["epochs"]


@pytest.mark.parametrize("stains", [("green",), ("red", "green", "blue", "yellow")])
def test_what_is_shipped_knows_simulated_fields(tmp_path: Path, stains: tuple[str, ...]) -> None:
    atlas = protloc.simulate(tmp_path / "atlas", fields=24, side=320, seed=123, balanced=True, jobs=1)
    said = protloc.predict(protloc.starter(), atlas.images, stains=protloc.parse_stains(stains))
    labels = protloc.read_labels(atlas.labels, said.vocabulary)
    truth = labels.targets[[labels.ids.index(field) for field in said.ids]]
    assert roc_auc_score(truth.ravel(), said.answers.probabilities.ravel()) > 0.9
    assert 0.5 < said.answers.called.sum() / truth.sum() < 2


def test_a_folder_called_starter_is_meant_only_if_it_holds_a_model(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(starter, "SHIPPED", tmp_path / "shipped")
    bundle.save(tmp_path / "shipped", half=True)
    (tmp_path / "starter").mkdir()  # of images, or a run of folds that is being trained from it
    assert starter.named_bundle("starter") == tmp_path / "shipped"
    assert starter.named_bundle(tmp_path / "starter") == tmp_path / "starter"
    bundle.save(tmp_path / "starter/bundle")
    assert starter.named_bundle("starter") == Path("starter/bundle")


def test_it_answers_without_the_libraries_of_training(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path, half=True)
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "import torch, protloc\n"
        "from protloc.learn import starter\n"
        "starter.SHIPPED = Path(sys.argv[1])\n"
        "logits = protloc.starter().network()(torch.zeros(1, 4, 32, 32, dtype=torch.uint8))\n"
        "heavy = ('timm', 'torchvision', 'huggingface_hub', 'lightning', 'matplotlib')\n"
        "print(json.dumps([list(logits.shape), [name for name in heavy if name in sys.modules]]))"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True
    )
    assert json.loads(ran.stdout) == [[1, 28], []]


def test_a_judged_bundle_becomes_the_starter_model(script: ModuleType, bundle: Bundle, tmp_path: Path) -> None:
    size, change = script.ship(bundle, tmp_path)
    assert size == pytest.approx(7.09e6, rel=0.01)
    assert 0 <= change < 0.01
    shipped = Bundle.load(tmp_path)
    assert shipped.caution == script.CAUTION
    assert shipped.prior is not None
    assert shipped.prior.name == "Kaggle 2018 training table (31,072 fields)"
    shares = dict(zip(bundle.vocabulary.names, shipped.prior.prevalences, strict=True))
    # the table has 12,885 fields with Nucleoplasm and 11 with rods & rings
    assert shares["Nucleoplasm"] == pytest.approx(12885 / 31072)
    assert shares["Rods & rings"] == pytest.approx(11 / 31072)


def test_it_brings_its_card_and_its_log(
    script: ModuleType, bundle: Bundle, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_fields(tiny_store.table, seed=0)
    split.write(tmp_path / "split.parquet")
    monkeypatch.setattr(script, "read_split", lambda *_: Split.read(tmp_path / "split.parquet"))
    run = write_run(
        tmp_path / "run", settings=load_recipe("starter"), store=tiny_store, split=split, split_name="default"
    )
    bundle.save(run.bundle_folder)
    row = "1,2.0,0.5,0.4,0.3,0.3,0.3,0.2,0.001,50.0"
    (run.folder / "log.csv").write_text(f"{','.join(field.name for field in fields(Epoch))}\n{row}\n")

    def judging(folder: Path) -> SimpleNamespace:
        (folder / "bundle" / "README.md").write_text(
            "# run: card\n\n## Intended use\n\nResearch.\n\n## Trained on\n\n2 fields.\n\n## Judged on\n\nOthers.\n"
        )
        return SimpleNamespace(summary="judged")

    monkeypatch.setattr(protloc, "evaluate", judging)
    judged = script.judged_at(run, tiny_store)
    assert judged.bundle().side == tiny_store.side
    (tmp_path / "out").mkdir()
    script.document(run, judged, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("# The starter model\n\nThe starter model learnt from simulated fields only")
    assert "## Intended use\n\nResearch.\n\n## Trained on\n\nThe recipe starter was trained on 59 simulated" in card
    assert card.endswith("chosen on simulated fields and the 26 real ones.\n\n## Judged on\n\nOthers.\n")
    assert (tmp_path / "out/log.csv").read_text().endswith(f"{row}\n")


def twice(bundle: Bundle) -> Bundle:
    """Return a bundle of two such networks."""
    (member,) = bundle.members
    copied = {name: tensor.clone() for name, tensor in member.state.items()}
    return replace(bundle, members=(member, replace(member, state=copied)))


def huge(bundle: Bundle) -> Bundle:
    """Return the same bundle with weights that half precision rounds by whole units."""
    (member,) = bundle.members
    large = {"bn2.bias": torch.ones(1280), "classifier.weight": torch.full((28, 1280), 5000.7)}
    return replace(bundle, members=(replace(member, state=member.state | large),))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda bundle: replace(bundle, rule=AnswerRule.plain(28)), "never judged. Run protloc evaluate first"),
        (
            lambda bundle: replace(bundle, vocabulary=replace(bundle.vocabulary, name="mine")),
            "its classes are mine, expected kaggle2018",
        ),
        (twice, "MB, expected 10 at most"),
        (huge, "half precision changes a logit by"),
    ],
)
def test_what_is_not_fit_to_be_shipped_is_refused(
    script: ModuleType, bundle: Bundle, tmp_path: Path, changed: Callable[[Bundle], Bundle], told: str
) -> None:
    with pytest.raises(SystemExit, match=told):
        script.ship(changed(bundle), tmp_path / "out")
    assert not (tmp_path / "out").exists()
