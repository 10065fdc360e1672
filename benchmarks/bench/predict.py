"""Prediction: the network alone, and from image files to answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median

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
WORK = 2 * 1.36e9  # operations of ResNet50 a field of 128 px and four stains, two a multiplication with its addition
EDGES = (1024, 2048, 4096)  # of the matrices by which the machine's limit is measured, the fastest of which counts
PEERS = {f"{name}, batch {size}": (name, size) for name, size in product(("eager", "onnxruntime"), (1, 8, 32))}
FIELDS = 3072  # of a run from files: enough that what a call costs once (compiling, .1 to .2 s) shows less than 2 %
EXPORTS: tuple[tuple[str, Precision], ...] = (
    ("OpenVINO float32", "float32"),
    ("OpenVINO bf16", "bf16"),
    ("OpenVINO int8", "int8"),
)


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Compare prediction with ResNet50 at 128 px."""
    models = untrained_models(scratch)
    alone = network_alone(models, rounds)
    peers = [best_of(alone, "eager"), best_of(alone, "onnxruntime")]
    return [alone, *(from_files(models, peers if side == SIDES[-1] else [], scratch, side, rounds) for side in SIDES)]


def best_of(row: Row, peer: str) -> str:
    """Return the contender of a peer that was fastest: with the batch that suits it."""
    return row.fastest(name for name, (of, _) in PEERS.items() if of == peer)


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
    """Compare the networks on fields in memory, beside what the processor multiplies in bf16."""
    ours = {f"protloc, {name}": Contender("predict_protloc", folder, "memory") for name, folder in models.items()}
    peers = {name: Contender("predict_peers", *each, "memory") for name, each in PEERS.items()}
    most = {"bf16 products": Contender("predict")}
    row = Row("predict, ResNet50 at 128 px, in memory", "fields/s", rates(contest(ours | peers | most, rounds=rounds)))
    bf16, int8 = "protloc, OpenVINO bf16", "protloc, OpenVINO int8"
    eager, onnxruntime = best_of(row, "eager"), best_of(row, "onnxruntime")
    multiplied = row.ratio("bf16 products", of=bf16, what="bf16 over what the processor multiplies")
    bound = f"bf16 is at {multiplied.value:.2f} of what the processor multiplies"
    twice = f"{bound}, and int8 is {row.ratio(bf16, of=int8).value:.2f} times bf16"
    return row.with_checks(
        row.ratio(eager, of=bf16, what=f"bf16 over {eager}", target=3.0, reason=bound),
        row.ratio(eager, of=int8, what=f"int8 over {eager}", target=6.0, reason=twice),
        row.ratio(onnxruntime, of=bf16, what=f"bf16 over {onnxruntime}"),
        multiplied,
    )


def from_files(models: Mapping[str, Path], peers: Sequence[str], scratch: Path, side: int, rounds: int) -> Row:
    """Compare from image files to answers, against the slower of decoding and the network, and against both."""
    atlas, folder = material.atlas(scratch, side=side) / "train", scratch / f"files{side}"
    material.multiply(folder, atlas, fields=FIELDS)
    contenders = {}
    for name in ("OpenVINO bf16", "OpenVINO int8"):
        contenders[f"protloc, {name}"] = Contender("predict_protloc", models[name], folder)
        contenders[f"network, {name}"] = Contender("predict_protloc", models[name], "memory")
    contenders["decoding"] = Contender("predict_protloc", models["OpenVINO bf16"], f"decode:{folder}")
    contenders |= {name: Contender("predict_peers", *PEERS[name], atlas) for name in peers}
    row = Row(f"predict, PNGs of {side} px to answers", "fields/s", rates(contest(contenders, rounds=rounds)))
    checks: list[Check] = []
    for name in ("OpenVINO bf16", "OpenVINO int8"):
        ours = row.rates[f"protloc, {name}"]
        parts = list(zip(row.rates["decoding"], row.rates[f"network, {name}"], strict=True))
        slower, both = [min(each) for each in parts], [1 / (1 / one + 1 / other) for one, other in parts]
        summed = Check(f"{name}: time over decoding and network after each other", _over(ours, both))
        shared = (
            f"both need all cores: after each other they take {median(_over(both, slower)):.2f} times the slower, and "
            f"protloc {summed.value:.2f} times that"
        )
        over = f"{name}: time over the slower of decoding and network"
        checks += [Check(over, _over(ours, slower), 1.3, at_most=True, reason=shared), summed]
    bf16 = "protloc, OpenVINO bf16"
    return row.with_checks(*checks, *(row.ratio(peer, of=bf16, what=f"bf16 over {peer}") for peer in peers))


def _over(ours: Sequence[float], limit: Sequence[float]) -> list[float]:
    """Return how many times as long ours takes, round by round."""
    return [there / here for here, there in zip(ours, limit, strict=True)]


def multiply() -> dict[str, float]:
    """Multiply matrices in bf16 on all cores; return how many fields' work that is, in how many seconds."""
    return max(map(_multiply, EDGES), key=lambda told: told["count"] / told["seconds"])


def _multiply(edge: int) -> dict[str, float]:
    left, right, out = (torch.ones(edge, edge, dtype=torch.bfloat16) for _ in range(3))
    began, products = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < 0.5:
        torch.mm(left, right, out=out)
        products += 1
    return {"count": products * 2 * edge**3 / WORK, "seconds": seconds}


if __name__ == "__main__" and len(sys.argv) == 1:
    take_turns(multiply)
