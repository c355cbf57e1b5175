"""PANNs CNN14 [57]: twelve 3x3 convolutions over a long spectrogram.

Authority: qiuqiangkong/audioset_tagging_cnn `Cnn14` (MIT), 80.8 M with 527 classes; the attribute names are its own (conv_block1.conv1 ...).
Input adaption: the 16 snippets' MFCC are joined to one picture, 4096 x 32, in place of 64 log-mel bands; `num_coefficients` normalises each
coefficient as its bn0 does each band. The waveform front end and SpecAugment are not part of the network here.
B batch, T frames, F coefficients, C channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, dropout

from training.nets.inputs import audio_sequence
from training.nets.output import Opinions

SMALL = {"width": 4}
BLOCKS = (1, 2, 4, 8, 16, 32)  # channels in units of the width


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, then average pooling."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, pool: int) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return avg_pool2d(torch.relu(self.bn2(self.conv2(x))), pool)


class CNN14(nn.Module):
    uses = ("audio",)

    def __init__(self, *, num_classes: int = 6, num_coefficients: int = 32, width: int = 64) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(num_coefficients)
        channels = [1, *(width * factor for factor in BLOCKS)]
        for i in range(len(BLOCKS)):
            self.add_module(f"conv_block{i + 1}", ConvBlock(channels[i], channels[i + 1]))
        self.fc1 = nn.Linear(channels[-1], channels[-1])
        self.classifier = nn.Linear(channels[-1], num_classes)

    def forward(self, video: Tensor | None, audio: Tensor) -> Opinions:
        x = audio_sequence(audio).unsqueeze(1)  # (B, 1, T, F)
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        for i in range(1, 7):
            x = self.get_submodule(f"conv_block{i}")(x, pool=2 if i < 6 else 1)
            x = dropout(x, 0.2, self.training)
        x_BCT = x.mean(dim=3)
        x_BC = dropout(x_BCT.amax(dim=2) + x_BCT.mean(dim=2), 0.5, self.training)
        x_BC = torch.relu(self.fc1(x_BC))
        return Opinions(self.classifier(dropout(x_BC, 0.5, self.training)), embedding_BC=x_BC)
