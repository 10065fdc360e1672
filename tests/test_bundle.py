"""Bundles: the same networks back, and no half or damaged one taken for whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from protloc.atlas.stains import Stain
from protloc.atlas.vocabulary import Compartment, Vocabulary
from protloc.errors import BundleError
from protloc.judge.answering import AnswerRule
from protloc.judge.calibration import Calibration
from protloc.judge.prior import Prior
from protloc.judge.three_way import Cuts
from protloc.judge.thresholds import Thresholds
from protloc.learn.backbones import BASELINE_CNN, build_network
from protloc.learn.bundle import Bundle, Member, ensemble, portable_state, write_rule
from protloc.learn.lite import LITE_BACKBONE, LiteNetwork
from protloc.learn.model import Normalisation
from protloc.learn.network import FieldNetwork

USUAL = Normalisation(means=(12.5, 33.1), deviations=(20.0, 41.7))
FITTED = AnswerRule(
    Calibration((1.5, 0.75, 1.0), (0.25, -1.0, 0.0), ((0.5, 0.25, 1.0), (0.125, 0.0, 0.25), (1.0, -0.5, 2.0))),
    Thresholds(
        (0.5, 0.25, 0.75),
        "per class",
        {"fixed": 0.5, "per class": 0.625},
        hits=(0.5, 0.75, 1.0),
        alarms=(0.0, 0.25, 0.5),
    ),
    Cuts((0.1, 0.0, 0.05), (0.9, 2.0, 0.8), 0.1),
    prevalences=(0.5, 0.125, 0.25),
    fields=80,
    poses=8,
)

GREEN_ALONE = replace(FITTED, prevalences=(0.25, 0.25, 0.5))
PRIOR = Prior("three shapes", (0.5, 0.25, 0.125))


def trained(*, seed: int, usual: Normalisation = USUAL, macro_f1: float = 0.5) -> Bundle:
    """Return a bundle of one network with random weights."""
    network = build_network(BASELINE_CNN, stains=2, classes=3, side=16, dropout=0.5, seed=seed)
    metrics = {"epoch": seed, "macro_f1": macro_f1, "mean_average_precision": None}
    return Bundle(
        backbone=BASELINE_CNN,
        vocabulary=Vocabulary("shapes", tuple(Compartment(number, f"shape {number}") for number in range(3))),
        stains=(Stain("green", "_green"), Stain("dapi", "_ch00")),
        side=16,
        rule=FITTED,
        members=(Member(usual, metrics, portable_state(network.state_dict())),),
        settings={"backbone": BASELINE_CNN, "epochs": 3},
        protloc_version="0.1.0",
    )


def some_fields() -> torch.Tensor:
    return torch.randint(0, 256, (5, 2, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return trained(seed=7)


@pytest.fixture(scope="module")
def three() -> list[Bundle]:
    """Three networks that learnt from fields of other brightness."""
    return [
        trained(seed=seed, usual=Normalisation((mean, 30.0), (20.0, 40.0)), macro_f1=mean / 40)
        for seed, mean in ((1, 10.0), (2, 20.0), (6, 30.0))
    ]


@pytest.fixture(scope="module")
def dropping() -> Bundle:
    """Return a bundle that learnt to do without dapi, and was judged so."""
    settings = {"stain_dropout": 0.5, "protein_stain": "green"}
    return replace(trained(seed=7), settings=settings, rules={"green": GREEN_ALONE}, prior=PRIOR)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_is_saved_is_loaded(bundle: Bundle, folder: Path) -> None:
    loaded = Bundle.load(folder)
    for name in ("backbone", "vocabulary", "stains", "side", "rule", "settings", "metrics"):
        assert getattr(loaded, name) == getattr(bundle, name), name
    assert loaded.protloc_version == "0.1.0"
    assert [member.normalisation for member in loaded.members] == [USUAL]
    ours, theirs = bundle.members[0].state, loaded.members[0].state
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())


def test_the_network_takes_stored_fields_and_is_ready_to_predict(bundle: Bundle, folder: Path) -> None:
    fields = some_fields()
    network = build_network(BASELINE_CNN, stains=2, classes=3, side=16)
    network.load_state_dict(dict(bundle.members[0].state))
    expected = FieldNetwork(network, USUAL).eval()(fields)
    network = Bundle.load(folder).network()
    assert not network.training
    logits = network(fields)
    assert logits.dtype == torch.float32
    assert logits.shape == (5, 3)
    assert torch.equal(logits, expected)


def test_saving_twice_gives_the_same_bytes_and_no_other_file(bundle: Bundle, folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    Bundle.load(folder).save(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert before.keys() == {"model.safetensors", "model.json"}
    assert bundle.members[0].state["head.1.weight"].dtype == torch.float32


def test_what_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere/model.json: cannot be read .* such as RUN/bundle"):
        Bundle.load(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model.safetensors: cannot be read"):
        Bundle.load(folder)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:-1] + b"\x7f", lambda _: b""])
def test_damaged_weights_are_refused(folder: Path, damage) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(BundleError, match=r"model.safetensors: not the weights that model.json describes .*--resume"):
        Bundle.load(folder)


def test_new_weights_with_an_old_description_are_refused(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    # what a kill between the two files leaves
    (member,) = bundle.members
    changed = replace(member, state={name: tensor + 1 for name, tensor in member.state.items()})
    replace(bundle, members=(changed,)).save(tmp_path / "new")
    (tmp_path / "new/model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(BundleError, match=r"not the weights that model.json describes"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "model.json: damaged"),
        ("[]", "model.json: format None, expected 2"),
        ('{"format": 1}', "model.json: format 1, expected 2. Use the protloc version that wrote .* or train again"),
    ],
)
def test_a_damaged_description_is_refused(folder: Path, written: str, words: str) -> None:
    (folder / "model.json").write_text(written)
    with pytest.raises(BundleError, match=words):
        Bundle.load(folder)


@pytest.mark.parametrize("part", ["vocabulary", "answers", "members"])
def test_a_description_without_a_part_is_refused(folder: Path, part: str) -> None:
    file = folder / "model.json"
    described = json.loads(file.read_text())
    del described[part]
    file.write_text(json.dumps(described))
    with pytest.raises(BundleError, match=rf"{folder}: not a bundle of this version \({part} is missing\)"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("answers", "thresholds", "values"), ["half", 0.5, 0.5], "values: 'half', expected numbers from 0 to 1"),
        (("answers", "thresholds", "values"), ["0.5", 0.5, 0.5], "values: '0.5', expected numbers from 0 to 1"),
        (("answers", "thresholds", "values"), [0.5, 0.5], "values: of length 2, expected 3"),
        (("answers", "thresholds", "hits"), [1.0], "hits: of length 1, expected 3"),
        (("answers", "thresholds", "alarms"), [0.0, 0.0, 1.5], "alarms: 1.5, expected numbers from 0 to 1"),
        (("answers", "thresholds", "scores"), {"fixed": "good"}, "scores: 'good', expected finite numbers"),
        (("answers", "prevalences"), [0.5] * 4, "prevalences: of length 4, expected 3"),
        (("answers", "prevalences"), [0.5, -1, 0.5], "prevalences: -1, expected numbers from 0 to 1"),
        (("answers", "prevalences"), 0.5, "not iterable"),
        (("answers", "calibration", "slopes"), [1.0, float("nan"), 1.0], "slopes: nan, expected numbers from 0 to inf"),
        (("answers", "calibration", "slopes"), [1.0, -1.0, 1.0], "slopes: -1.0, expected numbers from 0 to inf"),
        (
            ("answers", "calibration", "intercepts"),
            [0.0, float("inf"), 0.0],
            "intercepts: inf, expected finite numbers",
        ),
        (
            ("answers", "calibration", "covariances"),
            [[1.0, 2.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]],
            "covariances: -1.0, expected numbers from -1e-09 to inf",
        ),
        (("answers", "calibration", "covariances"), [[1.0, 2.0]], "not enough values to unpack"),
        (("answers", "cuts", "absent_below"), [0.1, 0.1, 2], "absent_below: 2, expected numbers from 0 to 1"),
        (("answers", "cuts", "present_from"), [0.9, None, 2], "present_from: None, expected numbers from 0 to inf"),
        (("answers", "cuts", "error_rate"), True, "error_rate: True, expected numbers from 0 to 1"),
        (("answers", "poses"), 3, "poses: 3, expected 1 or 8"),
        (("answers", "fields"), 1.5, "fields: 1.5, expected a whole number"),
        (("answers",), "none", "string indices must be integers"),
        (("side",), "16", "side: '16', expected a whole number"),
        (("vocabulary", "classes"), [], "no class given"),
        (("stains",), [{"name": "green", "suffix": "_green"}], "means: of length 2, expected 1"),
        (("settings", "stain_dropout"), "often", "stain_dropout: 'often', expected numbers from 0 to 1"),
    ],
)
def test_an_edited_description_is_refused_in_words(
    folder: Path, keys: tuple[str, ...], value: object, told: str
) -> None:
    edit(folder / "model.json", keys, value)
    with pytest.raises(BundleError) as refused:
        Bundle.load(folder)
    assert str(refused.value).startswith(f"{folder}: not a bundle of this version (")
    assert told in str(refused.value)
    assert str(refused.value).endswith("Copy the bundle again, or train it again.")


def edit(file: Path, keys: tuple[str, ...], value: object) -> None:
    described = json.loads(file.read_text())
    within = described
    for key in keys[:-1]:
        within = within[key]
    within[keys[-1]] = value
    file.write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("rules", "green", "prevalences"), [0.5, -1, 0.5], "prevalences: -1, expected numbers from 0 to 1"),
        (("rules", "green", "poses"), 3, "poses: 3, expected 1 or 8"),
        (("rules", "green"), {}, "calibration is missing"),
        (("rules",), [], "no attribute 'items'"),
        (("rules", "dapi"), FITTED.to_json(), "rules: 'dapi', expected some of the stains dapi+green, green among"),
        (("rules", "dapi+green"), FITTED.to_json(), "rules: 'dapi+green', expected some"),
        (("rules", "green+green"), FITTED.to_json(), "rules: 'green+green', expected some"),
        (("rules", "green+red"), FITTED.to_json(), "rules: 'green+red', expected some"),
        (("settings", "stain_dropout"), 0, "rules: 'green', expected some of the stains dapi+green, dapi+green among"),
        (("prior", "prevalences"), [0.5, 0.5], "prior: of length 2, expected 3"),
        (("prior", "prevalences"), [0.5, 0.5, 1.5], "prior: 1.5, expected numbers from 0 to 1"),
        (("prior", "name"), 5, "prior: 5, expected a name"),
        (("caution",), ["no"], "caution: ['no'], expected words"),
    ],
)
def test_edited_rules_and_priors_are_refused_in_words(
    dropping: Bundle, tmp_path: Path, keys: tuple[str, ...], value: object, told: str
) -> None:
    dropping.save(tmp_path)
    assert Bundle.load(tmp_path).rule_for(["green"]) == GREEN_ALONE
    edit(tmp_path / "model.json", keys, value)
    with pytest.raises(BundleError) as refused:
        Bundle.load(tmp_path)
    assert told in str(refused.value)


def test_rules_prior_and_caution_come_back(dropping: Bundle, tmp_path: Path) -> None:
    replace(dropping, caution="Only for the brave.").save(tmp_path)
    loaded = Bundle.load(tmp_path)
    assert loaded.caution == "Only for the brave."
    assert loaded.rules == {"green": GREEN_ALONE}
    assert loaded.prior == PRIOR
    assert loaded.rule_for({"green"}) == GREEN_ALONE
    assert loaded.rule_for(["green", "dapi"]) == FITTED
    assert loaded.with_rule(FITTED).rule_for({"green"}) == FITTED


def test_a_bundle_without_them_has_none(folder: Path) -> None:
    assert not {"rules", "prior", "caution", "half"} & set(json.loads((folder / "model.json").read_text()))
    loaded = Bundle.load(folder)
    assert (loaded.rules, loaded.prior, loaded.caution) == ({}, None, "")
    assert loaded.rule_for({"green"}) == FITTED


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, ("green", "dapi")),
        ({"stain_dropout": 0.0, "protein_stain": "green"}, ("green", "dapi")),
        ({"stain_dropout": 0.5, "protein_stain": "green"}, ("green",)),
        ({"stain_dropout": 0.5, "protein_stain": "red"}, ("green", "dapi")),
    ],
)
def test_stains_are_needed_that_it_never_learnt_without(
    bundle: Bundle, settings: dict[str, object], needed: tuple[str, ...]
) -> None:
    assert replace(bundle, settings=settings).needed == needed


def test_half_precision_is_float32_again_when_loaded(bundle: Bundle, folder: Path) -> None:
    whole = (folder / "model.safetensors").stat().st_size
    bundle.save(folder, half=True)
    assert (folder / "model.safetensors").stat().st_size < 0.55 * whole
    assert json.loads((folder / "model.json").read_text())["half"] is True
    loaded = Bundle.load(folder)
    for name, tensor in bundle.members[0].state.items():
        found = loaded.members[0].state[name]
        assert found.dtype == tensor.dtype, name
        assert torch.equal(found, tensor.half().float() if tensor.ndim > 1 else tensor), name
    whole, halved = (one.network()(some_fields()) for one in (bundle, loaded))
    torch.testing.assert_close(halved, whole, atol=2e-3, rtol=0)
    loaded.save(folder, half=True)
    assert torch.equal(Bundle.load(folder).network()(some_fields()), halved)


def test_what_half_precision_cannot_hold_is_refused(bundle: Bundle, folder: Path) -> None:
    (member,) = bundle.members
    huge = member.state | {"head.7.weight": member.state["head.7.weight"].index_fill(0, torch.tensor([1]), 70_000.0)}
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(BundleError, match=r"head.7.weight: holds 70000, half precision nothing above 65504"):
        replace(bundle, members=(replace(member, state=huge),)).save(folder, half=True)
    assert (folder / "model.safetensors").read_bytes() == before


def test_variances_of_batch_norm_may_be_larger_than_half_precision_holds(bundle: Bundle, folder: Path) -> None:
    (member,) = bundle.members
    name = "blocks.0.1.running_var"
    variances = torch.full_like(member.state[name], 1e6)
    replace(bundle, members=(replace(member, state=member.state | {name: variances}),)).save(folder, half=True)
    assert torch.equal(Bundle.load(folder).members[0].state[name], variances)


def test_a_network_is_built_without_drawing_random_numbers(bundle: Bundle) -> None:
    state = portable_state(LiteNetwork(stains=2, classes=3).state_dict())
    lite = replace(bundle, backbone=LITE_BACKBONE, members=(replace(bundle.members[0], state=state),))
    for one in (bundle, lite):
        before = torch.get_rng_state()
        one.network()
        assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(BundleError, match=r"tensors differ, such as conv_stem\.weight"):
        replace(lite, stains=bundle.stains[:1]).network()


def test_a_rule_that_was_never_fitted_is_loaded(folder: Path) -> None:
    write_rule(folder, AnswerRule.plain(3))
    assert Bundle.load(folder).rule.thresholds.hits == ()


def test_an_edited_side_is_told_in_one_line_with_the_folder(folder: Path) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"side": 32}))
    with pytest.raises(BundleError) as refused:
        Bundle.load(folder).network()
    assert str(refused.value) == (
        f"{folder}: its weights are not those of baseline-cnn for 2 stains, 3 classes and 32 px "
        "(1 of 34 tensors differ, such as head.1.weight). Copy the bundle again, or train it again."
    )


@pytest.mark.parametrize("other", [{"side": 32}, {"backbone": "resnet10t"}, {"backbone": "no-such-net"}, {"side": 8}])
def test_weights_of_another_network_are_refused(bundle: Bundle, other: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="its weights are not those of"):
        replace(bundle, **other).network()


def test_a_rule_is_replaced_without_touching_the_weights(bundle: Bundle, folder: Path) -> None:
    plain = AnswerRule.plain(3)
    before = (folder / "model.safetensors").stat()
    write_rule(folder, plain)
    after = (folder / "model.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    loaded = Bundle.load(folder)
    assert loaded.rule == plain
    assert loaded.with_rule(FITTED).rule == FITTED
    loaded.with_rule(FITTED).save(folder.parent / "again")
    bundle.save(folder)
    for name in ("model.json", "model.safetensors"):
        assert (folder.parent / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_rules_are_replaced_together(dropping: Bundle, tmp_path: Path) -> None:
    dropping.save(tmp_path)
    write_rule(tmp_path, GREEN_ALONE, {"green": FITTED})
    loaded = Bundle.load(tmp_path)
    assert (loaded.rule, loaded.rules, loaded.prior) == (GREEN_ALONE, {"green": FITTED}, PRIOR)
    write_rule(tmp_path, FITTED)  # of rules fitted beside another, none is left
    assert (Bundle.load(tmp_path).rule, Bundle.load(tmp_path).rules) == (FITTED, {})


def test_a_rule_is_given_only_to_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere/model.json: cannot be read"):
        write_rule(tmp_path / "nowhere", FITTED)


def test_an_ensemble_answers_with_the_mean_of_its_members(three: list[Bundle], tmp_path: Path) -> None:
    ensemble(three, rule=FITTED).save(tmp_path / "joined")
    joined = Bundle.load(tmp_path / "joined")
    apart = np.stack([one.network()(some_fields()).detach().numpy() for one in three])
    network = joined.network()
    assert not network.training
    np.testing.assert_array_equal(network.each(some_fields()).detach().numpy(), apart)
    np.testing.assert_allclose(network(some_fields()).detach().numpy(), (apart[0] + apart[1] + apart[2]) / 3, atol=1e-6)
    assert np.ptp(apart, axis=0).min() > 0
    assert [member.normalisation.means[0] for member in joined.members] == [10.0, 20.0, 30.0]
    assert joined.rule == FITTED


def test_the_figures_of_an_ensemble_are_the_means_of_its_members(three: list[Bundle]) -> None:
    metrics = ensemble(three, rule=FITTED).metrics
    assert metrics == {"epoch": 3.0, "macro_f1": pytest.approx(0.5), "mean_average_precision": None}


def test_half_an_ensemble_is_never_read_as_a_whole(three: list[Bundle], tmp_path: Path) -> None:
    ensemble(three, rule=FITTED).save(tmp_path / "three")
    ensemble(three[:2], rule=FITTED).save(tmp_path / "two")
    (tmp_path / "two/model.safetensors").replace(tmp_path / "three/model.safetensors")
    with pytest.raises(BundleError, match=r"not the weights that model.json describes"):
        Bundle.load(tmp_path / "three")


@pytest.mark.parametrize("members", [0, 1, 2, 4])
def test_another_number_of_members_than_weights_is_refused(three: list[Bundle], tmp_path: Path, members: int) -> None:
    ensemble(three, rule=FITTED).save(tmp_path)
    file = tmp_path / "model.json"
    described = json.loads(file.read_text())
    described["members"] = (described["members"] * 2)[:members]
    file.write_text(json.dumps(described))
    with pytest.raises(BundleError, match=rf"{tmp_path}: (not a bundle of this version|its weights are not those of)"):
        Bundle.load(tmp_path).network()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"side": 32}, "the side of bundle 3 is 32, of the first 16; expected the same"),
        ({"tile": 64}, "the tile of bundle 3 is 64, of the first None"),
        ({"bit_depth": 12}, "the bit_depth of bundle 3"),
        ({"backbone": "resnet10t"}, "the backbone of bundle 3 is resnet10t"),
        ({"stains": (Stain("dapi", "_ch00"), Stain("green", "_green"))}, "the stains of bundle 3"),
        ({"vocabulary": Vocabulary("other", (Compartment(0, "a"),))}, "the vocabulary of bundle 3"),
    ],
)
def test_bundles_that_differ_are_not_joined(three: list[Bundle], other: dict[str, object], told: str) -> None:
    with pytest.raises(BundleError, match=told):
        ensemble([*three[:2], replace(three[2], **other)], rule=FITTED)


def test_the_state_of_a_bundle_stays_as_it_was_while_training_goes_on() -> None:
    network = build_network(BASELINE_CNN, stains=1, classes=2, side=16).to(torch.bfloat16)
    state = portable_state(network.state_dict())
    before = state["head.7.bias"].clone()
    with torch.no_grad():
        network.get_parameter("head.7.bias").add_(1)
    assert torch.equal(state["head.7.bias"], before)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
