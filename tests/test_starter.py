"""The starter model: found, loaded light, shipped only if it is fit to be."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

import protloc
from protloc.atlas.stains import HPA_STAINS
from protloc.atlas.vocabulary import load_vocabulary
from protloc.errors import BundleError
from protloc.judge.answering import AnswerRule
from protloc.learn import starter
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.network import Normalisation

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


def test_a_run_becomes_the_starter_model(
    script: ModuleType,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle.save(tmp_path / "run/bundle")
    (tmp_path / "run/bundle/README.md").write_text("# run: model card\n\n## Judged on\n\nSimulated fields.\n")
    (tmp_path / "run/log.csv").write_text("epoch,seconds\n1,2\n")
    monkeypatch.setattr(sys, "argv", ["ship_starter.py", str(tmp_path / "run"), "--out", str(tmp_path / "out")])
    script.main()
    assert "out: 7.09 MB; half precision changes a logit by 0.00" in capsys.readouterr().out
    shipped = Bundle.load(tmp_path / "out")
    assert shipped.caution == script.CAUTION
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("# The starter model\n\nThe starter model learnt from simulated fields only")
    assert card.endswith("stands in `docs/starter.md`.\n\n## Judged on\n\nSimulated fields.\n")
    assert (tmp_path / "out/log.csv").read_text() == "epoch,seconds\n1,2\n"
    assert shipped.prior is not None
    assert shipped.prior.name == "Kaggle 2018 training table (31,072 fields)"
    shares = dict(zip(bundle.vocabulary.names, shipped.prior.prevalences, strict=True))
    # the table has 12,885 fields with Nucleoplasm and 11 with rods & rings
    assert shares["Nucleoplasm"] == pytest.approx(12885 / 31072)
    assert shares["Rods & rings"] == pytest.approx(11 / 31072)


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
