"""SlowFast R50 [62]: a slow pathway of few frames and many channels, a fast one of all frames and an eighth of the channels.

Authority: facebookresearch/SlowFast (Apache-2.0) 8x8, as pytorchvideo `slowfast_r50`, 34.6 M with 400 classes. Input adaption: each snippet of 8
frames is one clip, all 8 to the fast pathway and every fourth to the slow one. N clips, C channels, T frames, H height, W width.
"""

import torch
from torch import Tensor, nn

from training.nets.clip_consensus import ClipConsensus
from training.nets.output import Opinions
from training.nets.resnet2d import STAGE_CHANNELS, init_convolutions

SMALL = {"depths": (1, 1, 1, 1), "width": 8, "beta": 4}
Size = tuple[int, int, int]
SLOW_KERNELS = (1, 1, 3, 3)  # frames that the first convolution of a bottleneck sees, stage by stage
FAST_STEM, FAST_KERNEL, FUSION_KERNEL = 5, 3, 7


class Bottleneck(nn.Module):
    """(kernel, 1, 1), (1, 3, 3), (1, 1, 1) beside a shortcut."""

    def __init__(self, channels_in: int, inner: int, kernel: int, stride: int) -> None:
        super().__init__()
        channels = 4 * inner
        self.a = conv_norm(channels_in, inner, (kernel, 1, 1))
        self.b = conv_norm(inner, inner, (1, 3, 3), (1, stride, stride))
        self.c = conv_norm(inner, channels, (1, 1, 1))
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.shortcut = conv_norm(channels_in, channels, (1, 1, 1), (1, stride, stride))

    def forward(self, x: Tensor) -> Tensor:
        y = self.c(torch.relu(self.b(torch.relu(self.a(x)))))
        return torch.relu(y + self.shortcut(x))


class SlowFastR50(nn.Module):
    uses = ("video",)

    def __init__(
        self, *, num_classes: int = 6, depths: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, alpha: int = 4, beta: int = 8
    ) -> None:
        super().__init__()
        self.alpha = alpha
        thin = width // beta  # the fast pathway's width
        self.slow_stem = stem(width, 1)
        self.fast_stem = stem(thin, FAST_STEM)
        self.laterals, self.slow, self.fast = nn.ModuleList([self._lateral(thin)]), nn.ModuleList(), nn.ModuleList()
        slow_in, fast_in = width + 2 * thin, thin
        for stage, (depth, factor) in enumerate(zip(depths, STAGE_CHANNELS, strict=True)):
            stride = 1 if stage == 0 else 2
            self.slow.append(pathway(slow_in, factor * width, depth, SLOW_KERNELS[stage], stride))
            self.fast.append(pathway(fast_in, factor * thin, depth, FAST_KERNEL, stride))
            fast_in = 4 * factor * thin
            slow_in = 4 * factor * width + 2 * fast_in
            if stage < len(depths) - 1:
                self.laterals.append(self._lateral(fast_in))
        self.consensus = ClipConsensus(4 * factor * width + fast_in, num_classes)
        self.apply(init_convolutions)

    def _lateral(self, channels: int) -> nn.Sequential:
        """Every alpha-th step of the fast features, twice as many channels, to be joined to the slow ones."""
        return nn.Sequential(conv_norm(channels, 2 * channels, (FUSION_KERNEL, 1, 1), (self.alpha, 1, 1)), nn.ReLU())

    def encode(self, clips: Tensor) -> Tensor:
        slow, fast = self.slow_stem(clips[:, :, :: self.alpha]), self.fast_stem(clips)
        for lateral, slow_stage, fast_stage in zip(self.laterals, self.slow, self.fast, strict=True):
            slow = slow_stage(torch.cat([slow, lateral(fast)], dim=1))
            fast = fast_stage(fast)
        return torch.cat([slow.mean(dim=(2, 3, 4)), fast.mean(dim=(2, 3, 4))], dim=1)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        return self.consensus(video, self.encode)


def stem(width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(conv_norm(3, width, (kernel, 7, 7), (1, 2, 2)), nn.ReLU(), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))


def pathway(channels_in: int, inner: int, depth: int, kernel: int, stride: int) -> nn.Sequential:
    """One stage of one pathway: `depth` bottlenecks, the first with the stride."""
    later = (Bottleneck(4 * inner, inner, kernel, 1) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(channels_in, inner, kernel, stride), *later)


def conv_norm(channels_in: int, channels: int, kernel: Size, stride: Size = (1, 1, 1)) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(nn.Conv3d(channels_in, channels, kernel, stride, padding, bias=False), nn.BatchNorm3d(channels))
