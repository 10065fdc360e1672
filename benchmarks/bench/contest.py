"""Contenders that take turns, each in a process of its own, and what comes of it.

A contender is a module of this folder that is run as ``python -m bench.NAME ...`` and calls :func:`take_turns` with the
work of one run. It is started once, so that imports, compiling and warming up are not counted, and then told to go, one
contender after another, round after round: what else the machine does meets all of them alike. Nothing that one does
to its process, such as telling the allocator to keep memory, reaches another.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import TracebackType

BENCHMARKS = Path(__file__).parents[1]
ROUNDS = 5


@dataclass(frozen=True)
class Check:
    """A figure with its target.

    Attributes:
        what: In words, such as ``over the notebook`` or ``peak memory, 50,000 fields over 500``.
        values: One a round.
        target: What the median is to reach, or None where it is only told.
        at_most: Whether it is to stay below the target instead.
        unit: Written after the number.
        reason: Why the target is missed where it is, found by profiling; docs/performance.md says more.
    """

    what: str
    values: Sequence[float]
    target: float | None = None
    at_most: bool = False
    unit: str = "×"
    reason: str = ""

    @property
    def value(self) -> float:
        """Return the median over the rounds."""
        return median(self.values)

    @property
    def met(self) -> bool:
        """Tell whether the target is reached; true where there is none."""
        if self.target is None:
            return True
        return self.value <= self.target if self.at_most else self.value >= self.target


@dataclass(frozen=True)
class Row:
    """One work with all who did it.

    Attributes:
        work: What was done.
        unit: What the rates count, such as ``fields/s``.
        rates: By contender, one a round; protloc's first, limits last.
        checks: Ratios and other figures, with their targets.
    """

    work: str
    unit: str
    rates: Mapping[str, Sequence[float]]
    checks: Sequence[Check] = ()

    def with_checks(self, *checks: Check) -> Row:
        """Return the row with these checks."""
        return replace(self, checks=checks)

    def fastest(self, among: Iterable[str]) -> str:
        """Return the contender of these whose median rate is the highest."""
        return max(among, key=lambda name: median(self.rates[name]))

    def ratio(
        self, over: str, *, of: str | None = None, what: str = "", target: float | None = None, reason: str = ""
    ) -> Check:
        """Return by how much one contender, the first if not said, is faster than another, round by round."""
        ours, theirs = self.rates[of or next(iter(self.rates))], self.rates[over]
        ratios = [mine / their for mine, their in zip(ours, theirs, strict=True)]
        return Check(what or f"over {over}", ratios, target, reason=reason)


class Contender:
    """A process that works when it is told to.

    Args:
        module: Module of this folder.
        arguments: Of its command line.
    """

    def __init__(self, module: str, *arguments: object) -> None:
        self._command = [sys.executable, "-W", "ignore", "-m", f"bench.{module}", *map(str, arguments)]

    def __enter__(self) -> Contender:
        self._told = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            self._command, cwd=BENCHMARKS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._told, text=True
        )
        try:
            self._reply()  # that it is ready: the others wait, so that each warms up alone
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=60)  # the end of its input is its end
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._told.close()

    def go(self) -> dict[str, float]:
        """Let it work once; return what it tells: ``rate``, and whatever else it measured."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, float]:
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self._process.wait()
        self._told.seek(0)
        raise RuntimeError(f"{self._process.args}: ended without a reply\n{self._told.read()}")


def take_turns(run: Callable[[], int | dict[str, float]]) -> None:
    """Work whenever the parent says so; in the child.

    Args:
        run: Does the work once and returns how many things it did, or figures that hold ``count`` and, where only a
            part of the time counts, ``seconds``.
    """
    run()
    print(json.dumps({"ready": 1}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        told = run()
        seconds = time.perf_counter() - began
        figures = {"count": told} if isinstance(told, int) else told
        print(json.dumps({"rate": figures["count"] / figures.get("seconds", seconds)} | figures), flush=True)


def contest(contenders: Mapping[str, Contender], *, rounds: int = ROUNDS) -> dict[str, list[dict[str, float]]]:
    """Let all work in turn, in the other direction every second round; return what each told, round by round."""
    told: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    with ExitStack() as stack:
        for contender in contenders.values():
            stack.enter_context(contender)
        for turn in range(rounds):
            for name in list(contenders)[:: 1 if turn % 2 == 0 else -1]:
                told[name].append(contenders[name].go())
    return told


def rates(told: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, list[float]]:
    """Return the rates of a contest, by contender."""
    return {name: [each["rate"] for each in figures] for name, figures in told.items()}
