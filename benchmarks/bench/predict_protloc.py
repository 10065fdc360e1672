"""protloc in prediction; ``python -m bench.predict_protloc MODEL SOURCE``, see ``predict_peers`` for SOURCE.

MODEL is a bundle or an export. ``decode:FOLDER`` as SOURCE reads and decodes the images as ``predict`` does, and
answers nothing: what is left of ``predict`` without its network.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bench.contest import take_turns
from protloc.apply.given import batch_of, fields_given
from protloc.apply.predict import predict
from protloc.apply.see import eye_of
from protloc.learn.export import load_model

IN_MEMORY = 512  # fields of a run


def main() -> None:
    """Answer whenever told to."""
    place, source = sys.argv[1:]
    model = load_model(place)
    if source == "memory":
        size = batch_of(model)
        held = np.random.default_rng(0).integers(0, 256, (size, len(model.stains), model.side, model.side), np.uint8)
        eye = eye_of(model)
        take_turns(lambda: sum(seen.logits.shape[1] for seen in eye(held for _ in range(IN_MEMORY // size))))
    elif source.startswith("decode:"):
        folder = Path(source.removeprefix("decode:"))
        take_turns(lambda: sum(len(batch) for batch in fields_given(model, folder).batches()))
    else:
        take_turns(lambda: len(predict(model, source, tta=False).ids))


if __name__ == "__main__":
    main()
