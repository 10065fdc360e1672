"""Peers in prediction, each as its own users write it; ``python -m bench.predict_peers NAME BATCH SOURCE``.

``eager`` is the loop of SubCellPortable: PyTorch as it comes, a field at a time read by Pillow, answered in batches;
``onnxruntime`` is the session of its quick start on the same network. SOURCE is a folder of images, read from disk and
answered, or ``memory``, where one batch is answered over and over: the network alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import resnet50

from bench.contest import take_turns

STAINS = ("red", "green", "blue", "yellow")
SIDE, CLASSES = 128, 28
FIELDS = 256  # of a run

Answer = Callable[[np.ndarray], np.ndarray]


def network() -> torch.nn.Module:
    """Return ResNet50 for four stains."""
    torch.manual_seed(0)
    made = resnet50(num_classes=CLASSES)
    made.conv1 = torch.nn.Conv2d(len(STAINS), 64, kernel_size=7, stride=2, padding=3, bias=False)
    return made.eval()


def eager() -> Answer:
    """Answer by PyTorch as it comes: float32, its own order of channels, its own allocator."""
    made = network()

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.sigmoid(made(torch.from_numpy(images))).numpy()

    return answer


def onnxruntime() -> Answer:
    """Answer by ONNX Runtime in float32."""
    import onnxruntime as runtime

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.onnx")
        example = torch.zeros(2, len(STAINS), SIDE, SIDE)
        fields = ({0: torch.export.Dim("fields", min=1)},)
        torch.onnx.export(network(), (example,), file, dynamo=True, dynamic_shapes=fields, verbose=False)
        session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def read(folder: Path, field: str) -> np.ndarray:
    """Read a field by Pillow, float32 (stains, side, side) in 0..1."""
    stains = [
        Image.open(folder / f"{field}_{stain}.png").resize((SIDE, SIDE), Image.Resampling.BILINEAR) for stain in STAINS
    ]
    return np.stack([np.asarray(stain, np.float32) for stain in stains]) / 255


def main() -> None:
    """Answer whenever told to."""
    name, size, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answer = {"eager": eager, "onnxruntime": onnxruntime}[name]()
    held = np.random.default_rng(0).random((size, len(STAINS), SIDE, SIDE), np.float32)
    folder = Path(source)
    fields = [] if source == "memory" else sorted({file.name.rpartition("_")[0] for file in folder.iterdir()})[:FIELDS]

    def run() -> int:
        if source == "memory":
            for _ in range(FIELDS // size):
                answer(held)
            return FIELDS
        for start in range(0, len(fields), size):
            answer(np.stack([read(folder, field) for field in fields[start : start + size]]))
        return len(fields)

    take_turns(run)


if __name__ == "__main__":
    main()
