"""Section: packing fields into a store, beside decoding alone and a notebook's reading."""

from __future__ import annotations

import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

from bench import material
from bench.contest import BENCHMARKS, Check, Contender, Row, contest, rates

FEW, MANY = 500, 50_000
LIMITS = ("cv2, threads", "cv2, processes", "imagecodecs, threads", "imagecodecs, processes")


def rows(scratch: Path, *, rounds: int) -> list[Row]:
    """Measure packing, reading over ten epochs, and the memory of 500 and of 50,000 fields."""
    folder = material.atlas(scratch)
    told = rates(
        contest(
            {
                "protloc": Contender("prepare_packing", folder, scratch / "packed", 0),
                **{limit: Contender("prepare_decoding", folder / "train", *limit.split(", ")) for limit in LIMITS},
            },
            rounds=rounds,
        )
    )
    packing = Row("prepare, 256 px PNGs to a store of 128 px", "fields/s", told)
    cv2, limit = packing.fastest(LIMITS[:2]), packing.fastest(LIMITS)
    by_cv2 = packing.ratio(cv2, what=f"of {cv2}, whose decoder it uses")
    reason = (
        f"{by_cv2.value:.2f} of the same decoder: checksums, shrinking, statistics and SHA-256 come on top, and "
        "threads wait for Python's lock"
    )
    read = rates(
        contest(
            {
                "protloc": Contender("prepare_packing", folder, scratch / "read", 10),
                "notebook": Contender("prepare_notebook", folder / "train"),
            },
            rounds=rounds,
        )
    )
    reading = Row("reading over 10 epochs, prepare included", "fields/s", read)
    return [
        packing.with_checks(
            packing.ratio(limit, what=f"of the limit, {limit}", target=0.9, reason=reason),
            by_cv2,
            _growth(scratch, folder),
        ),
        reading.with_checks(reading.ratio("notebook", target=3)),
    ]


def _growth(scratch: Path, folder: Path) -> Check:
    """Return by how much the peak memory of prepare grows from few fields to many, hard links of the same."""
    few, many = (_peak(scratch / f"linked{fields}", folder, fields=fields) for fields in (FEW, MANY))
    what = f"peak memory, {MANY:,} fields ({many:.0f} MiB) over {FEW} ({few:.0f} MiB)"
    return Check(what, [many / few], 1.10, at_most=True)


def _peak(linked: Path, folder: Path, *, fields: int) -> float:
    """Return the peak resident memory in MiB of a new process that prepares ``fields`` labelled fields."""
    material.multiply(linked, folder / "train", fields=fields)
    labels = linked.with_suffix(".csv")
    told = [line.partition(",")[2] for line in (folder / "train.csv").read_text("utf-8").splitlines()[1:]]
    lines = [f"f{number:06d},{each}" for number, each in enumerate(islice(cycle(told), fields))]
    labels.write_text("\n".join(["Id,Target", *lines]) + "\n", "utf-8")
    command = [sys.executable, "-m", "bench.prepare_memory", str(linked), str(labels), f"{linked}.store"]
    return float(subprocess.run(command, cwd=BENCHMARKS, check=True, capture_output=True, text=True).stdout)
