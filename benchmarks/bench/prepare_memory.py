"""Peak memory of preparing a folder of hard links; run in a process of its own."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from itertools import cycle, islice
from pathlib import Path

from protloc.atlas.prepare import prepare


def main() -> None:
    """Prepare and tell the peak in MiB; ``python -m bench.prepare_memory LINKED TABLE``."""
    linked, table = Path(sys.argv[1]), Path(sys.argv[2])
    labels, store = linked.with_suffix(".csv"), linked.with_suffix(".store")
    shutil.rmtree(store, ignore_errors=True)
    if not labels.exists():
        write_labels(labels, table, fields=sum(1 for _ in linked.glob("*_green.png")))
    prepare(linked, store, labels=labels)
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    shutil.rmtree(store)


def write_labels(file: Path, table: Path, *, fields: int) -> None:
    """Write a label table for linked fields, with the label sets of ``table`` over and over."""
    with table.open(encoding="utf-8") as lines:
        told = [line.rstrip("\n").partition(",")[2] for line in lines][1:]
    with file.open("w", encoding="utf-8") as stream:
        stream.write("Id,Target\n")
        stream.writelines(f"f{number:06d},{labels}\n" for number, labels in enumerate(islice(cycle(told), fields)))


if __name__ == "__main__":
    main()
