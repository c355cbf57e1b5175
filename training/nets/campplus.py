"""CAM++ [60]: a small 2-D front end, then a densely connected TDNN whose layers mask themselves by their context.

Authority: modelscope/3D-Speaker (Apache-2.0), 7.2 M at 80 bands and a 512-d embedding. Input adaption: the joined MFCC sequence, 4096 frames of 32
coefficients, in place of 80 log-mel bands. B batch, C channels, F coefficients, T frames.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from training.nets.inputs import audio_sequence
from training.nets.output import Opinions
from training.nets.pooling import statistics

SMALL = {"layers": (2, 2, 2), "growth": 8, "channels": 16, "front": 8, "embedding": 16}
DILATIONS = (1, 2, 2)
SEGMENT = 100  # frames whose mean is the local context


class ResBlock(nn.Module):
    """Two 3x3 convolutions that may halve the coefficients, never the frames."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1, (stride, 1), bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class FrontEnd(nn.Module):
    """(B, F, T) → (B, C·F/8, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(ResBlock(channels, 2), ResBlock(channels, 1), ResBlock(channels, 2), ResBlock(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x_BFT: Tensor) -> Tensor:
        x = self.blocks(torch.relu(self.bn1(self.conv1(x_BFT.unsqueeze(1)))))
        return torch.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class ContextMask(nn.Module):
    """A convolution over time, masked by the mean of the whole sequence plus the mean of each segment."""

    def __init__(self, channels_in: int, channels: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(channels_in, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(channels_in, channels_in // 2, 1)
        self.linear2 = nn.Conv1d(channels_in // 2, channels, 1)

    def forward(self, x_BCT: Tensor) -> Tensor:
        segments = avg_pool1d(x_BCT, SEGMENT, SEGMENT, ceil_mode=True).repeat_interleave(SEGMENT, dim=2)
        context = x_BCT.mean(dim=2, keepdim=True) + segments[..., : x_BCT.shape[2]]
        mask = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        return self.linear_local(x_BCT) * mask


def dense_layer(channels_in: int, growth: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(channels_in),
        nn.ReLU(),
        nn.Conv1d(channels_in, 4 * growth, 1, bias=False),
        nn.BatchNorm1d(4 * growth),
        nn.ReLU(),
        ContextMask(4 * growth, growth, dilation),
    )


class DenseBlock(nn.ModuleList):
    """Every layer sees the outputs of all before it; a 1x1 convolution halves the channels at the end."""

    def __init__(self, num_layers: int, channels: int, growth: int, dilation: int) -> None:
        super().__init__(dense_layer(channels + i * growth, growth, dilation) for i in range(num_layers))
        total = channels + num_layers * growth
        self.transit = nn.Sequential(nn.BatchNorm1d(total), nn.ReLU(), nn.Conv1d(total, total // 2, 1, bias=False))
        self.dim = total // 2

    def forward(self, x_BCT: Tensor) -> Tensor:
        for name, layer in self.named_children():
            if name != "transit":
                x_BCT = torch.cat([x_BCT, layer(x_BCT)], dim=1)
        return self.transit(x_BCT)


class CAMPlusPlus(nn.Module):
    uses = ("audio",)

    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_coefficients: int = 32,
        layers: tuple[int, ...] = (12, 24, 16),
        growth: int = 32,
        channels: int = 128,
        front: int = 32,
        embedding: int = 512,
    ) -> None:
        super().__init__()
        self.front = FrontEnd(front)
        stem = nn.Conv1d(front * (num_coefficients // 8), channels, 5, 2, 2, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm1d(channels), nn.ReLU())
        blocks = []
        for num_layers, dilation in zip(layers, DILATIONS, strict=True):
            blocks.append(DenseBlock(num_layers, channels, growth, dilation))
            channels = blocks[-1].dim
        self.blocks = nn.Sequential(*blocks)
        self.out_nonlinear = nn.Sequential(nn.BatchNorm1d(channels), nn.ReLU())
        self.dense = nn.Linear(2 * channels, embedding, bias=False)
        self.norm = nn.BatchNorm1d(embedding, affine=False)
        self.classifier = nn.Linear(embedding, num_classes)

    def forward(self, video: Tensor | None, audio: Tensor) -> Opinions:
        x_BCT = self.stem(self.front(audio_sequence(audio).transpose(1, 2)))
        x_BCT = self.out_nonlinear(self.blocks(x_BCT))
        embedding_BC = self.norm(self.dense(statistics(x_BCT)))
        return Opinions(self.classifier(embedding_BC), embedding_BC=embedding_BC)
