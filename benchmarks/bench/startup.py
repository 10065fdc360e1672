"""Starting: how long a command takes to say anything, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import material
from bench.contest import Check, Row
from bench.predict import untrained
from protloc.learn.bundle import Bundle
from protloc.verbs.export import export_bundle

PROTLOC = str(Path(sys.executable).with_name("protloc"))
TORCH = "import torch, torchvision, PIL"  # what eager prediction imports before it reads a weight

Command = Sequence[str]


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Start ``--help``, and answer one field by an export of ResNet50, in turns with what cannot be gone below."""
    field = scratch / "field"
    material.multiply(field, material.atlas(scratch) / "train", fields=1)
    folder = scratch / "resnet50-to-start"
    untrained(material.store(scratch)).save(folder)
    export = export_bundle(Bundle.load(folder), engine="openvino").folder
    predict = (PROTLOC, "predict", str(export), str(field), "--out", str(scratch / "answers.csv"))
    nothing, idle = (sys.executable, "-c", "pass"), "a Python that does nothing"
    return [
        starts("protloc --help", (PROTLOC, "--help"), {idle: nothing}, target=0.4, rounds=rounds),
        starts(
            "protloc predict, one field, an export of ResNet50", predict,
            {"importing PyTorch alone": (sys.executable, "-c", TORCH), idle: nothing},
            target=3.0, rounds=rounds,
        ),
    ]  # fmt: skip


def starts(work: str, ours: Command, others: Mapping[str, Command], *, target: float, rounds: int) -> Row:
    """Return how long a command takes beside others, after one start of each for the caches."""
    commands = {"protloc": ours, **others}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            seconds = seconds_of(command)
            if turn:
                taken[name].append(seconds)
    row = Row(work, "starts/s", {name: [1 / each for each in every] for name, every in taken.items()})
    time_taken = Check("time", taken["protloc"], target, at_most=True, unit="s")
    return row.with_checks(time_taken, *(row.ratio(other) for other in others))


def seconds_of(command: Command) -> float:
    """Return how long a command takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began
