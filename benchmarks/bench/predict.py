"""Prediction: the network alone, and from image files to answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from bench import material
from bench.contest import Check, Contender, Row, contest, rates, take_turns
from protloc.atlas.store import Store
from protloc.judge.answering import AnswerRule
from protloc.learn.backbones import build_network
from protloc.learn.bundle import Bundle, Member, portable_state
from protloc.learn.engines import Precision
from protloc.learn.model import Normalisation
from protloc.verbs.export import export_bundle

SIDES = (128, 256)  # of the image files
SHARED = "decoding and network share the same cores, so that their sum is the least"
WORK = 2 * 1.36e9  # operations of ResNet50 a field of 128 px and four stains, two a multiplication with its addition
EDGE = 1024  # of the matrices by which the machine's limit is measured
FIELDS = 1024  # of a run from files: enough that what a call costs once does not show
EXPORTS: tuple[tuple[str, Precision], ...] = (
    ("OpenVINO float32", "float32"),
    ("OpenVINO bf16", "bf16"),
    ("OpenVINO int8", "int8"),
)


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Compare prediction with ResNet50 at 128 px."""
    models = untrained_models(scratch)
    return [network_alone(models, rounds), *(from_files(models, scratch, side, rounds) for side in SIDES)]


def untrained_models(scratch: Path) -> dict[str, Path]:
    """Return folders of a ResNet50 with random weights, which are as fast as any, and of its exports."""
    store, folder = material.store(scratch), scratch / "resnet50"
    untrained(store).save(folder)
    bundle, made = Bundle.load(folder), {"PyTorch": folder}
    for name, precision in EXPORTS:
        made[name] = export_bundle(bundle, engine="openvino", precision=precision, store=store, force=True).folder
    return made | {"ONNX Runtime": export_bundle(bundle, engine="onnx").folder}


def untrained(store: Store, backbone: str = "resnet50") -> Bundle:
    """Return a bundle with random weights for the fields of a store."""
    network = build_network(backbone, stains=len(store.stains), classes=len(store.vocabulary), side=store.side)
    return Bundle(
        backbone=backbone,
        vocabulary=store.vocabulary,
        stains=store.stains,
        side=store.side,
        rule=AnswerRule.plain(len(store.vocabulary)),
        members=(Member(Normalisation((20.0,) * 4, (30.0,) * 4), {}, portable_state(network.state_dict())),),
        settings={},
        protloc_version="0",
    )


def network_alone(models: Mapping[str, Path], rounds: int) -> Row:
    """Compare the networks on fields in memory, against what the processor multiplies in bf16."""
    ours = {f"protloc, {name}": Contender("predict_protloc", folder, "memory") for name, folder in models.items()}
    peers = {name: Contender("predict_peers", name, "memory") for name in ("eager", "onnxruntime")}
    limit = {"bf16 products": Contender("predict")}
    row = Row("predict, ResNet50 at 128 px, in memory", "fields/s", rates(contest(ours | peers | limit, rounds=rounds)))
    bf16, int8 = "protloc, OpenVINO bf16", "protloc, OpenVINO int8"
    return row.with_checks(
        row.ratio("eager", of=bf16, what="bf16 over eager PyTorch", target=3.0),
        row.ratio("eager", of=int8, what="int8 over eager PyTorch", target=6.0),
        row.ratio("onnxruntime", of=bf16, what="bf16 over ONNX Runtime"),
        row.ratio("bf16 products", of=bf16, what="bf16 over what the processor multiplies"),
    )


def from_files(models: Mapping[str, Path], scratch: Path, side: int, rounds: int) -> Row:
    """Compare from image files to answers, against the slower of decoding and the network, and against both."""
    atlas, folder = material.atlas(scratch, side=side) / "train", scratch / f"files{side}"
    material.multiply(folder, atlas, fields=FIELDS)
    contenders = {}
    for name in ("OpenVINO bf16", "OpenVINO int8"):
        contenders[f"protloc, {name}"] = Contender("predict_protloc", models[name], folder)
        contenders[f"network, {name}"] = Contender("predict_protloc", models[name], "memory")
    contenders["decoding"] = Contender("predict_protloc", models["OpenVINO bf16"], f"decode:{folder}")
    if side == SIDES[-1]:
        contenders |= {name: Contender("predict_peers", name, atlas) for name in ("eager", "onnxruntime")}
    row = Row(f"predict, PNGs of {side} px to answers", "fields/s", rates(contest(contenders, rounds=rounds)))
    checks: list[Check] = []
    for name in ("OpenVINO bf16", "OpenVINO int8"):
        ours = row.rates[f"protloc, {name}"]
        parts = list(zip(row.rates["decoding"], row.rates[f"network, {name}"], strict=True))
        checks += [
            Check(f"{name}: time over the slower of decoding and network", _over(ours, [min(both) for both in parts]),
                  1.3, at_most=True, reason=SHARED),
            Check(f"{name}: time over decoding and network after each other",
                  _over(ours, [1 / (1 / one + 1 / other) for one, other in parts])),
        ]  # fmt: skip
    if side == SIDES[-1]:
        ours = "protloc, OpenVINO bf16"
        checks += [row.ratio(peer, of=ours, what=f"bf16 over {peer}") for peer in ("eager", "onnxruntime")]
    return row.with_checks(*checks)


def _over(ours: Sequence[float], limit: Sequence[float]) -> list[float]:
    """Return how many times as long ours takes, round by round."""
    return [there / here for here, there in zip(ours, limit, strict=True)]


def multiply() -> int:
    """Multiply matrices in bf16 on all cores; return how many fields' work that is."""
    left, right = (torch.ones(EDGE, EDGE, dtype=torch.bfloat16) for _ in range(2))
    ended, products = time.perf_counter() + 1.0, 0
    while time.perf_counter() < ended:
        torch.mm(left, right)
        products += 1
    return round(products * 2 * EDGE**3 / WORK)


if __name__ == "__main__" and len(sys.argv) == 1:
    take_turns(multiply)
