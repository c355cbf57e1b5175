"""ECAPA-TDNN [58]: dilated Res2 blocks with squeeze-excitation over time, attentive statistics at the end.

Authority: Desplanques et al., Interspeech 2020, as in yeyupiaoling/AudioClassification-Pytorch (Apache-2.0), 6.2 M at 512 channels and 80 bands.
Input adaption: the joined MFCC sequence, 4096 frames of 32 coefficients, takes the place of 80 log-mel bands.
B batch, C channels, T frames.
"""

import torch
from torch import Tensor, nn

from training.nets.inputs import audio_sequence
from training.nets.output import Opinions
from training.nets.pooling import AttentiveStatistics

SMALL = {"channels": 32, "embedding": 16}
DILATIONS = (2, 3, 4)
RES2_SCALE = 8


class ConvReluNorm(nn.Module):
    def __init__(self, channels_in: int, channels: int, kernel: int = 1, padding: int = 0, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x_BCT: Tensor) -> Tensor:
        return self.bn(torch.relu(self.conv(x_BCT)))


class Res2Conv(nn.Module):
    """The channels in eight parts: each but the last convolved after adding the one before."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        part = channels // RES2_SCALE
        self.parts = nn.ModuleList(ConvReluNorm(part, part, 3, dilation, dilation) for _ in range(RES2_SCALE - 1))

    def forward(self, x_BCT: Tensor) -> Tensor:
        *chunks, last = x_BCT.chunk(RES2_SCALE, dim=1)
        outputs: list[Tensor] = []
        for convolve, chunk in zip(self.parts, chunks, strict=True):
            outputs.append(convolve(chunk + outputs[-1] if outputs else chunk))
        return torch.cat([*outputs, last], dim=1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, channels // 2), nn.Linear(channels // 2, channels)

    def forward(self, x_BCT: Tensor) -> Tensor:
        gate_BC = torch.sigmoid(self.linear2(torch.relu(self.linear1(x_BCT.mean(dim=2)))))
        return x_BCT * gate_BC.unsqueeze(2)


def se_res2_block(channels: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        ConvReluNorm(channels, channels), Res2Conv(channels, dilation), ConvReluNorm(channels, channels), SqueezeExcite(channels)
    )


class ECAPA(nn.Module):
    uses = ("audio",)

    def __init__(self, *, num_classes: int = 6, num_coefficients: int = 32, channels: int = 512, embedding: int = 192) -> None:
        super().__init__()
        self.layer1 = ConvReluNorm(num_coefficients, channels, 5, 2)
        self.blocks = nn.ModuleList(se_res2_block(channels, dilation) for dilation in DILATIONS)
        joined = channels * len(DILATIONS)
        self.conv = nn.Conv1d(joined, joined, 1)
        self.pooling = AttentiveStatistics(joined)
        self.bn1 = nn.BatchNorm1d(2 * joined)
        self.linear = nn.Linear(2 * joined, embedding)
        self.bn2 = nn.BatchNorm1d(embedding)
        self.classifier = nn.Linear(embedding, num_classes)

    def forward(self, video: Tensor | None, audio: Tensor) -> Opinions:
        total = self.layer1(audio_sequence(audio).transpose(1, 2))  # (B, C, T)
        outputs = []
        for block in self.blocks:  # each block sees the sum of all before it
            outputs.append(block(total) + total)
            total = total + outputs[-1]
        x_BCT = torch.relu(self.conv(torch.cat(outputs, dim=1)))
        embedding_BC = self.bn2(self.linear(self.bn1(self.pooling(x_BCT))))
        return Opinions(self.classifier(embedding_BC), embedding_BC=embedding_BC)
