"""A server under load, beside offline prediction; and what damaged images do to it.

    python benchmarks/serve.py load [--bundle starter] [--requests 1000] [--connections 32]
    python benchmarks/serve.py fuzz [--bundle starter] [--images 500]

``load`` starts ``protloc serve``, sends simulated fields of 512 px, one a request, from many connections, kills a
decoding process in the middle, and prints how many were answered, fields a second beside ``protloc.predict`` on the
same files, the 50th and 95th percentile of the time to an answer, and how much memory grew. ``fuzz`` sends mutated
images (flipped bits, cuts, joined formats, sizes that lie) and counts the answers by status: none may be 500.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np

import protloc
from protloc.options import bundle_folder

FIELDS = 64
KILLED_AFTER = 0.5  # of the requests
SIDE = 512


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
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in tree_of(int(child)))]


def memory_of(pid: int) -> float:
    """Return the resident memory of a process and its children in MiB."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in tree_of(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def decoders_of(pid: int) -> list[int]:
    """Return the processes that decode."""
    return [each for each in tree_of(pid)[1:] if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


async def load(
    address: str, pid: int, fields: list[list[tuple[str, bytes]]], *, requests: int, connections: int
) -> None:
    """Send the requests and print what came of them."""
    waiting, seconds, statuses = iter(range(requests)), [], Counter[int | str]()
    before, peak, killed = memory_of(pid), 0.0, False
    limits = httpx.Limits(max_connections=connections)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:

        async def connection() -> None:
            nonlocal peak, killed
            for number in waiting:
                files = [("files", file) for file in fields[number % len(fields)]]
                started = time.perf_counter()
                while True:
                    reply = await client.post("/v1/predict", files=files)
                    if reply.status_code != 503:
                        break
                    await asyncio.sleep(float(reply.headers["retry-after"]))
                seconds.append(time.perf_counter() - started)
                statuses[reply.status_code if reply.status_code != 422 else reply.json()["detail"][:60]] += 1
                if number % 50 == 0:
                    peak = max(peak, memory_of(pid))
                    before_half = number < KILLED_AFTER * requests
                    if not killed and not before_half:
                        killed = True
                        os.kill(decoders_of(pid)[0], signal.SIGKILL)

        await asyncio.gather(*(connection() for _ in range(connections)))
    whole = sum(seconds) / connections
    middle, late = np.quantile(seconds, (0.5, 0.95))
    print(f"answers: {dict(statuses)}; asked {requests}, lost {requests - sum(statuses.values())}")
    print(f"{requests / whole:.1f} fields/s from {connections} connections; p50 {middle:.2f} s, p95 {late:.2f} s")
    print(f"memory: {before:.0f} MiB before, {peak:.0f} MiB at most, {memory_of(pid):.0f} MiB after")


def offline(bundle: Path, folder: Path, repeats: int) -> float:
    """Return fields a second of predicting the same files."""
    model = protloc.Bundle.load(bundle)
    protloc.predict(model, folder)
    started = time.perf_counter()
    for _ in range(repeats):
        protloc.predict(model, folder)
    return FIELDS * repeats / (time.perf_counter() - started)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage an image in one of many ways."""
    way, data = rng.integers(7), bytearray(content)
    if way == 0:
        for place in rng.integers(len(data), size=rng.integers(1, 20)):
            data[place] ^= 1 << int(rng.integers(8))
    elif way == 1:
        del data[int(rng.integers(len(data))) :]
    elif way == 2:  # a PNG whose size lies, with a right checksum
        data[16:24] = rng.integers(2**31, size=2, dtype=np.uint32).byteswap().tobytes()
        data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    elif way == 3:
        start = int(rng.integers(len(data)))
        data[start:start] = rng.bytes(int(rng.integers(1, 2000)))
    elif way == 4:  # two formats in one
        data = bytearray(rng.choice([b"GIF89a", b"%PDF-1.4", b"PK\x03\x04", b"<svg>", b"II*\x00"])) + data
    elif way == 5:
        data = data + data[: int(rng.integers(len(data)))]
    else:
        data = bytearray(rng.bytes(int(rng.integers(1, 5000))))
    return bytes(data)


def images(rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Return sound images of all formats."""
    picture = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    made = [(f"a_green{ending}", cv2.imencode(ending, picture)[1].tobytes()) for ending in (".png", ".jpg", ".tif")]
    stack = cv2.imencodemulti(".tif", [picture] * 4)[1].tobytes()
    zeros = np.zeros((4096, 4096), np.uint8)
    return [*made, ("stack.tif", stack), ("bomb_green.png", cv2.imencode(".png", zeros)[1].tobytes())]


async def fuzz(address: str, pid: int, count: int) -> None:
    """Send mutated images, and print the answers by status."""
    rng, statuses = np.random.default_rng(0), Counter[int]()
    sound = images(rng)
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        for _ in range(count):
            name, content = sound[rng.integers(len(sound))]
            reply = await client.post("/v1/predict", files=[("files", (name, io.BytesIO(mutated(content, rng))))])
            statuses[reply.status_code] += 1
        reply = await client.post("/v1/predict", files=[("files", sound[0])])
        health = (await client.get("/healthz")).json()
    print(
        f"{count} damaged images, answers by status: {dict(sorted(statuses.items()))}; a sound one: {reply.status_code}"
    )
    print(f"after: {health}; memory {memory_of(pid):.0f} MiB")
    if statuses[500] or reply.status_code != 200:
        raise SystemExit("an answer was 500, or the server no longer answers")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("load", "fuzz"))
    parser.add_argument("--bundle", type=Path, default=Path("starter"))
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--images", type=int, default=500)
    told = parser.parse_args()
    bundle = bundle_folder(told.bundle)
    with tempfile.TemporaryDirectory() as folder:
        if told.what == "fuzz":
            with serving(bundle) as (address, pid):
                asyncio.run(fuzz(address, pid, told.images))
            return
        atlas = protloc.simulate(Path(folder) / "atlas", fields=FIELDS, side=SIDE, seed=3)
        alone = offline(bundle, atlas.images, repeats=3)
        print(f"offline: {alone:.1f} fields/s")
        ids = sorted({path.name.rsplit("_", 1)[0] for path in atlas.images.iterdir()})
        fields = [[(p.name, p.read_bytes()) for p in sorted(atlas.images.glob(f"{name}_*.png"))] for name in ids]
        with serving(bundle) as (address, pid):
            asyncio.run(load(address, pid, fields, requests=told.requests, connections=told.connections))


if __name__ == "__main__":
    main()
