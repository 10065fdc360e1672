"""EfficientNet-Lite0 in plain torch, as timm builds it."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor, nn

LITE_BACKBONE = "tf_efficientnet_lite0"
STEM = 32
# Tan & Le 2019, table 1, without squeeze-and-excitation: (repeats, kernel, stride, expansion, channels) of each stage
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
LAST_STAGE = (1, 3, 1, 6, 320)
HEAD = 1280


class LiteNetwork(nn.Module):
    """The network that timm calls ``tf_efficientnet_lite0``: same names, same tensors, same logits.

    It is for prediction. To import timm takes longer than all else that the first answer needs, and all that this
    backbone takes of it are these lines; a test holds the two against each other.

    Args:
        stains: Channels of the input.
        classes: Number of logits.
    """

    def __init__(self, *, stains: int, classes: int) -> None:
        super().__init__()
        self.conv_stem = _convolution(stains, STEM, kernel=3, stride=2)
        self.bn1 = _norm(STEM)
        before, stages = STEM, list[nn.Module]()
        for repeats, kernel, stride, expansion, channels in (*STAGES, LAST_STAGE):
            blocks = list[nn.Module]()
            for repeat in range(repeats):
                shape = {"kernel": kernel, "stride": 1 if repeat else stride}
                blocks.append(
                    _Inverted(before, channels, expansion=expansion, **shape)
                    if expansion > 1
                    else _Separable(before, channels, **shape)
                )
                before = channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _convolution(before, HEAD)
        self.bn2 = _norm(HEAD)
        self.classifier = nn.Linear(HEAD, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (fields, classes) of normalised float32 fields (fields, stains, side, side)."""
        seen = self.blocks(_active(self.bn1(self.conv_stem(images))))
        return self.classifier(_active(self.bn2(self.conv_head(seen))).mean(dim=(2, 3)))


class _Separable(nn.Module):
    """A depthwise convolution, then a pointwise one; what comes in is added where the shapes are the same."""

    def __init__(self, before: int, after: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(before, before, kernel=kernel, stride=stride, groups=before)
        self.bn1 = _norm(before)
        self.conv_pw = _convolution(before, after)
        self.bn2 = _norm(after)
        self.adds = stride == 1 and before == after

    def forward(self, seen: Tensor) -> Tensor:
        made = self.bn2(self.conv_pw(_active(self.bn1(self.conv_dw(seen)))))
        return made + seen if self.adds else made


class _Inverted(nn.Module):
    """A pointwise convolution to more channels, a depthwise one, a pointwise one to few (Sandler 2018, figure 3)."""

    def __init__(self, before: int, after: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.conv_pw = _convolution(before, wide)
        self.bn1 = _norm(wide)
        self.conv_dw = _convolution(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = _convolution(wide, after)
        self.bn3 = _norm(after)
        self.adds = stride == 1 and before == after

    def forward(self, seen: Tensor) -> Tensor:
        wide = _active(self.bn1(self.conv_pw(seen)))
        made = self.bn3(self.conv_pwl(_active(self.bn2(self.conv_dw(wide)))))
        return made + seen if self.adds else made


class _Halving(nn.Conv2d):
    """A convolution of stride 2 padded as TensorFlow does: an odd pixel too many goes to the right and below."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[-2:])
        padded = F.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(padded, self.weight, None, self.stride, groups=self.groups)


def _convolution(before: int, after: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return _Halving(before, after, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)  # TensorFlow's


def _active(seen: Tensor) -> Tensor:
    return F.relu6(seen, inplace=True)
