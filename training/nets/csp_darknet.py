"""CSP-DarkNet53 [67] on MFCC pictures: DarkNet53 whose stages let half of the channels pass by.

Authority: WongKinYiu/CrossStagePartialNetworks; layer sizes as timm `cspdarknet53`, 26.6 M without its head. N pictures, C channels, Q frames, F coefficients.
"""

import torch
from torch import Tensor, nn

STAGE_CHANNELS = (2, 4, 8, 16, 32)  # in units of the width
SLOPE = 0.01


class CSPDarkNet53(nn.Module):
    """(N, C, Q, F) → (N, 32·width) after global average pooling."""

    def __init__(self, depths: tuple[int, ...] = (1, 2, 8, 8, 4), *, channels_in: int = 1, width: int = 32) -> None:
        super().__init__()
        stages: list[nn.Module] = [conv(channels_in, width, 3)]
        channels = width
        for number, (depth, factor) in enumerate(zip(depths, STAGE_CHANNELS, strict=True)):
            stages.append(CSPStage(channels, factor * width, depth, first=number == 0))
            channels = factor * width
        self.stages = nn.Sequential(*stages)
        self.dim = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x).mean(dim=(2, 3))


class CSPStage(nn.Module):
    """Halve the map, widen, send one half of the channels through the blocks, join both halves."""

    def __init__(self, channels_in: int, channels: int, depth: int, *, first: bool) -> None:
        super().__init__()
        both = channels * (2 if first else 1)  # the first stage works at full width
        inner = channels // 2 if first else both // 2
        self.down = conv(channels_in, channels, 3, 2)
        self.expand = conv(channels, both, 1)
        self.blocks = nn.Sequential(*(DarkBlock(both // 2, inner) for _ in range(depth)))
        self.after_blocks = conv(both // 2, both // 2, 1)
        self.join = conv(both, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        passed, worked = self.expand(self.down(x)).chunk(2, dim=1)
        return self.join(torch.cat([passed, self.after_blocks(self.blocks(worked))], dim=1))


class DarkBlock(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, inner, 1), conv(inner, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def conv(channels_in: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE, inplace=True))
