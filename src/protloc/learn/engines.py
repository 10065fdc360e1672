"""Engines that compute exports, by name: light, for the command line asks."""

from __future__ import annotations

from typing import Literal, get_args

Engine = Literal["onnx", "openvino"]
Precision = Literal["float32", "bf16", "int8"]
# the faster ones last
ENGINES: tuple[Engine, ...] = get_args(Engine)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
