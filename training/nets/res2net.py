"""Res2Net on sound [59]: bottlenecks whose 3x3 convolution is split into a chain of smaller ones.

Authority: Res2Net/Res2Net-PretrainedModels, in the audio form of yeyupiaoling/AudioClassification-Pytorch (Apache-2.0): first convolution 7x7 of
stride 3, 32 channels, scale 2, attentive statistics, 192-d embedding; 5.6 M at 80 bands. Input adaption: the joined MFCC sequence as a picture,
32 x 4096, in place of 80 log-mel bands (fewer rows reach the pooling, so the pooling is smaller).
B batch, C channels, F rows (coefficients), T columns (frames).
"""

import torch
from torch import Tensor, nn

from training.nets.inputs import audio_sequence
from training.nets.output import Opinions
from training.nets.pooling import AttentiveStatistics
from training.nets.resnet2d import STAGE_CHANNELS, init_convolutions

SMALL = {"depths": (1, 1, 1, 1), "width": 4, "base_width": 64, "embedding": 16}
EXPANSION = 4


class Res2Bottleneck(nn.Module):
    def __init__(self, channels_in: int, planes: int, stride: int, *, first: bool, base_width: int, scale: int) -> None:
        super().__init__()
        part, channels = max(1, planes * base_width // 64), planes * EXPANSION
        self.first, self.scale = first, scale
        self.conv1 = nn.Conv2d(channels_in, part * scale, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(part * scale)
        self.convs = nn.ModuleList(nn.Conv2d(part, part, 3, stride, 1, bias=False) for _ in range(scale - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(part) for _ in range(scale - 1))
        self.pool = nn.AvgPool2d(3, stride, 1) if first else nn.Identity()
        self.conv3 = nn.Conv2d(part * scale, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        *chunks, last = torch.relu(self.bn1(self.conv1(x))).chunk(self.scale, dim=1)
        outputs: list[Tensor] = []
        for conv, norm, chunk in zip(self.convs, self.bns, chunks, strict=True):
            chained = chunk if self.first or not outputs else chunk + outputs[-1]
            outputs.append(torch.relu(norm(conv(chained))))
        y = self.bn3(self.conv3(torch.cat([*outputs, self.pool(last)], dim=1)))
        return torch.relu(y + shortcut)


class Res2NetAudio(nn.Module):
    uses = ("audio",)
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_coefficients: int = 32,
        depths: tuple[int, ...] = (3, 4, 6, 3),
        width: int = 32,
        base_width: int = 32,
        scale: int = 2,
        embedding: int = 192,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 7, 3, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        channels, rows = width, -(-((num_coefficients - 5) // 3 + 1) // 2)
        for stage, (depth, factor) in enumerate(zip(depths, STAGE_CHANNELS, strict=True), start=1):
            planes, stride = factor * width, 1 if stage == 1 else 2
            blocks = [
                Res2Bottleneck(
                    channels if i == 0 else planes * EXPANSION,
                    planes,
                    stride if i == 0 else 1,
                    first=i == 0,
                    base_width=base_width,
                    scale=scale,
                )
                for i in range(depth)
            ]
            channels, rows = planes * EXPANSION, -(-rows // stride)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.pooling = AttentiveStatistics(channels * rows, global_context=True)
        self.bn2 = nn.BatchNorm1d(2 * channels * rows)
        self.linear = nn.Linear(2 * channels * rows, embedding)
        self.bn3 = nn.BatchNorm1d(embedding)
        self.classifier = nn.Linear(embedding, num_classes)
        self.apply(init_convolutions)

    def forward(self, video: Tensor | None, audio: Tensor) -> Opinions:
        x = self.stem(audio_sequence(audio).transpose(1, 2).unsqueeze(1))  # (B, C, F, T)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        embedding_BC = self.bn3(self.linear(self.bn2(self.pooling(x.flatten(1, 2)))))
        return Opinions(self.classifier(embedding_BC), embedding_BC=embedding_BC)
