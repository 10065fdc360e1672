"""Peak memory of preparing a labelled folder, in MiB; ``python -m bench.prepare_memory FOLDER LABELS STORE``."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from protloc.atlas.prepare import prepare


def main() -> None:
    """Prepare, and print the peak of this process alone: ``ru_maxrss`` would begin with that of the parent."""
    folder, labels, store = map(Path, sys.argv[1:])
    prepare(folder, store, labels=labels)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    print(int(peak.group(1)) / 1024 if peak else float("nan"))
    shutil.rmtree(store)


if __name__ == "__main__":
    main()
