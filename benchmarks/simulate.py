"""Print simulated fields a second, PNGs included.

python benchmarks/simulate.py --fields 300 --side 256
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from protloc.atlas.simulate import simulate


def main() -> None:
    """Simulate an atlas into a temporary folder and print the speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=300)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        simulate(Path(scratch) / "atlas", fields=options.fields, side=options.side)
        rate = options.fields / (time.perf_counter() - began)
    print(f"simulate {options.side} px, {os.cpu_count()} processors: {rate:.1f} fields/s")


if __name__ == "__main__":
    main()
