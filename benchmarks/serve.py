"""A server under load, beside offline prediction; and what damaged images do to it.

    python benchmarks/serve.py load [--bundle starter] [--requests 1000] [--connections 32]
    python benchmarks/serve.py fuzz [--bundle starter] [--images 500]

``load`` starts ``protloc serve``, and sends simulated fields of 512 px, one a request, from many connections. It prints
how many were answered, fields a second beside ``protloc.predict`` on the same files before and after, the 50th and 95th
percentile of the time to an answer, and memory; then it sends some more and kills a decoding process that has one. The
client shares the processors with the server. ``fuzz`` sends damaged images and counts the answers by status: none may
be 500.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from damaged_images import damaged_images, sound_images

import protloc
from protloc.options import bundle_folder

FIELDS = 64
SIDE = 512
FORM = "multipart/form-data; boundary=protloc"


@contextmanager
def serving(bundle: Path) -> Iterator[tuple[str, int]]:
    """Start a server; yield its address and process id; stop it as a user would."""
    command = [sys.executable, "-c", "from protloc.cli import main; main()", "serve", str(bundle), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout or ():
            found = re.search(r"http://\S+", line)
            if found:
                yield found.group(), process.pid
                break
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def tree_of(pid: int) -> list[int]:
    """Return a process and its children, of whichever thread."""
    children = [
        int(child) for told in Path(f"/proc/{pid}/task").glob("*/children") for child in told.read_text().split()
    ]
    return [pid, *(each for child in children for each in tree_of(child))]


def memory_of(pid: int) -> float:
    """Return the resident memory of a process and its children in MiB."""
    pages = 0
    for each in tree_of(pid):
        with suppress(OSError):  # it ended meanwhile
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_of(pid: int) -> float:
    """Return the processor seconds of a process and its children, those that ended too."""
    ticks = 0
    for each in tree_of(pid):
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def decoders_of(pid: int) -> list[int]:
    """Return the processes that decode."""
    return [each for each in tree_of(pid)[1:] if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


@dataclass
class Outcome:
    """What came of many requests.

    Attributes:
        seconds: Until each was answered.
        statuses: How many were answered how.
        memory: MiB of the server now and then.
        whole: Seconds they took together.
        server: Processor seconds of the server.
        client: Processor seconds of this process.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    whole: float = 0.0
    server: float = 0.0
    client: float = 0.0

    def words(self, asked: int) -> str:
        """Return what came of them in words."""
        middle, late = np.quantile(self.seconds, (0.5, 0.95))
        return (
            f"{asked} requests, lost {asked - sum(self.statuses.values())}, answers {dict(self.statuses)}; "
            f"{asked / self.whole:.1f} fields/s; p50 {middle:.2f} s, p95 {late:.2f} s; "
            f"processor {1000 * self.server / asked:.0f} ms a field, the client's {1000 * self.client / asked:.0f}; "
            f"memory {self.memory[0]:.0f} MiB at first, {max(self.memory):.0f} at most, {self.memory[-1]:.0f} at last"
        )


async def load(
    address: str,
    pid: int,
    bodies: list[bytes],
    *,
    requests: int,
    connections: int,
    meanwhile: Callable[[int], object],
    preflight: bool,
) -> Outcome:
    """Send requests from so many connections, each the next when its last was answered.

    Args:
        address: Of the server.
        pid: Of the server.
        bodies: A body for each field.
        requests: How many.
        connections: How many.
        meanwhile: Called with the number of each request before it is sent.
        preflight: Whether the fields are to be checked too.
    """
    outcome, waiting = Outcome(memory=[memory_of(pid)]), iter(range(requests))
    limits, path = httpx.Limits(max_connections=connections), f"/v1/predict?preflight={preflight}"
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:

        async def connection() -> None:
            for number in waiting:
                meanwhile(number)
                started = time.perf_counter()
                reply = await client.post(path, content=bodies[number % FIELDS], headers={"content-type": FORM})
                outcome.seconds.append(time.perf_counter() - started)
                outcome.statuses[told(reply)] += 1
                if number % 50 == 0:
                    outcome.memory.append(memory_of(pid))

        started, server, own = time.perf_counter(), processor_of(pid), time.process_time()
        await asyncio.gather(*(connection() for _ in range(connections)))
        outcome.whole = time.perf_counter() - started
        outcome.server, outcome.client = processor_of(pid) - server, time.process_time() - own
    outcome.memory.append(memory_of(pid))
    return outcome


def told(reply: httpx.Response) -> str:
    """Return the status of an answer, with the reason if it is an error."""
    return "200" if reply.status_code == 200 else f"{reply.status_code} {reply.json()['detail'][:70]}"


def form_of(files: list[Path]) -> bytes:
    """Return the body of a request that sends files."""
    parts = [
        f'--protloc\r\nContent-Disposition: form-data; name="files"; filename="{file.name}"\r\n\r\n'.encode()
        + file.read_bytes()
        for file in files
    ]
    return b"\r\n".join([*parts, b"--protloc--\r\n"])


def offline(bundle: Path, folder: Path) -> str:
    """Predict the same files, warmed up; return in words how fast that was."""
    model = protloc.Bundle.load(bundle)
    protloc.predict(model, folder)
    started, processor = time.perf_counter(), time.process_time()
    protloc.predict(model, folder)
    protloc.predict(model, folder)
    whole, processor = time.perf_counter() - started, time.process_time() - processor
    return f"{2 * FIELDS / whole:.1f} fields/s; processor {1000 * processor / FIELDS / 2:.0f} ms a field"


def loaded(bundle: Path, folder: Path, *, requests: int, connections: int) -> None:
    """Print how a server does beside offline prediction."""
    images = protloc.simulate(folder / "atlas", fields=FIELDS, side=SIDE, seed=3).images
    ids = sorted({path.name.rsplit("_", 1)[0] for path in images.iterdir()})
    bodies = [form_of(sorted(images.glob(f"{name}_*.png"))) for name in ids]
    print(f"offline before: {offline(bundle, images)}", flush=True)
    with serving(bundle) as (address, pid):

        def sent(what: str, count: int, meanwhile: Callable[[int], object] = int, *, preflight: bool = True) -> None:
            asked = load(
                address, pid, bodies, requests=count, connections=connections, meanwhile=meanwhile, preflight=preflight
            )
            print(f"{what}: {asyncio.run(asked).words(count)}", flush=True)

        sent("warming up", 4 * connections)  # decoders start, memory is taken
        sent("load", requests)
        sent("load without preflight, as offline", requests // 4, preflight=False)
        signals = {2 * connections: signal.SIGSTOP, 3 * connections: signal.SIGKILL}  # so that it dies with a request
        victim = decoders_of(pid)[0]
        sent("a decoder killed", 6 * connections, lambda number: number in signals and os.kill(victim, signals[number]))
    print(f"offline after: {offline(bundle, images)}")


async def fuzz(address: str, pid: int, count: int) -> None:
    """Send damaged images, and print the answers by status."""
    rng, statuses = np.random.default_rng(0), Counter[int]()
    name, sound = next(iter(sound_images(rng).items()))
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        await client.post("/v1/predict", files=[("files", (name, sound))])
        before, workers = memory_of(pid), set(decoders_of(pid))
        for each in damaged_images(count, rng):
            reply = await client.post("/v1/predict", files=[("files", each)])
            statuses[reply.status_code] += 1
        reply = await client.post("/v1/predict", files=[("files", (name, sound))])
    print(
        f"{count} damaged images, answers by status {dict(sorted(statuses.items()))}; a sound one {reply.status_code}"
    )
    dead = len(workers - set(decoders_of(pid)))
    print(f"decoders that died: {dead}; memory {before:.0f} MiB before, {memory_of(pid):.0f} after")
    if max(statuses) >= 500 or reply.status_code != 200:
        raise SystemExit("an answer was 500 or more, or the server no longer answers")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "fuzz"))
    parser.add_argument("--bundle", type=Path, default=Path("starter"))
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--images", type=int, default=500)
    asked = parser.parse_args()
    bundle = bundle_folder(asked.bundle)
    if asked.what == "fuzz":
        with serving(bundle) as (address, pid):
            asyncio.run(fuzz(address, pid, asked.images))
        return
    with tempfile.TemporaryDirectory() as folder:
        loaded(bundle, Path(folder), requests=asked.requests, connections=asked.connections)


if __name__ == "__main__":
    main()
