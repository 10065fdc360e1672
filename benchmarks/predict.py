"""Print fields a second of predict, from a store and from image files.

python benchmarks/predict.py --fields 256 --backbones tf_efficientnet_lite0 resnet50
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from bench.predict import untrained

from protloc.apply.predict import predict
from protloc.apply.rows import see_rows
from protloc.atlas.prepare import prepare
from protloc.atlas.simulate import simulate


def main() -> None:
    """Print a line a backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=256)
    parser.add_argument("--backbones", nargs="+", default=["baseline-cnn", "tf_efficientnet_lite0", "resnet50"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        atlas = Path(scratch) / "atlas"
        simulate(atlas, fields=options.fields, side=256)
        store = prepare(atlas / "train", Path(scratch) / "store").store
        for backbone in options.backbones:
            bundle = untrained(store, backbone)
            see_rows(bundle, store, np.arange(64))  # the first call settles memory
            began = time.perf_counter()
            see_rows(bundle, store, np.arange(len(store)))
            between = time.perf_counter()
            predict(bundle, atlas / "train")
            ended = time.perf_counter()
            from_store, from_files = (len(store) / span for span in (between - began, ended - between))
            print(
                f"{backbone:24} {from_store:8.1f} fields/s from the store {from_files:8.1f} fields/s from 256 px PNGs"
            )


if __name__ == "__main__":
    main()
