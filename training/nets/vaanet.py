"""VAANet [10]: spatial, channel-wise and temporal attention on pictures, temporal attention on sound, concatenated.

Authority: Zhao et al., AAAI 2020, maysonma/VAANet; 97.9 M with eight classes, of which the frozen 3D-ResNet101 holds 85.2 M. Input adaption: its
snippets of 16 frames have 8 here (time ends at one frame either way); 16 chunks of 256 x 32 MFCC are its own input.
B batch, S snippets, C channels, N places of the last map.
"""

import torch
from torch import Tensor, nn

from training.nets.attention_pool import SequenceAttention
from training.nets.backbones import AudioResNet
from training.nets.fused_pair import FusionHead
from training.nets.inputs import fold, unfold
from training.nets.output import Opinions
from training.nets.resnet3d import DEPTHS_101, ResNet3d

SMALL = {"depths": (1, 1, 1, 1), "backbone_width": 4, "audio_width": 8, "width": 16, "audio_embedding": 16}


class VAANet(nn.Module):
    """fusion: None for its own, else a name in FUSION_MODULES (Fig. 7)."""

    uses = ("video", "audio")

    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_snippets: int = 16,
        depths: tuple[int, ...] = DEPTHS_101,
        backbone_width: int = 64,
        frozen: bool = True,
        width: int = 512,
        num_places: int = 16,
        audio_width: int = 64,
        audio_embedding: int = 256,
        fusion: str | None = None,
    ) -> None:
        super().__init__()
        self.frozen, side = frozen, round(num_places**0.5)
        self.resnet = ResNet3d(depths, width=backbone_width).requires_grad_(not frozen)
        self.to_places = nn.AdaptiveAvgPool3d((1, side, side))  # does nothing at 112 x 112
        self.reduce = nn.Sequential(nn.Conv1d(self.resnet.dim, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU())
        self.spatial = SequenceAttention(width, num_places)
        self.channelwise = SequenceAttention(num_places, width)
        self.audio_resnet = AudioResNet(depth=18, width=audio_width)
        self.audio_fc = nn.Sequential(
            nn.Linear(self.audio_resnet.out_channels, audio_embedding), nn.BatchNorm1d(audio_embedding), nn.Tanh()
        )
        self.head = FusionHead(fusion, width, audio_embedding, num_classes, width=width, num_snippets=num_snippets) if fusion else None
        if self.head is None:
            self.temporal = SequenceAttention(width, num_snippets)
            self.audio_temporal = SequenceAttention(audio_embedding, num_snippets)
            self.classifier = nn.Linear(width + audio_embedding, num_classes)

    def train(self, mode: bool = True) -> "VAANet":
        """A frozen backbone also keeps its batch statistics."""
        super().train(mode)
        self.resnet.train(mode and not self.frozen)
        return self

    def encode_video(self, video: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.to_places(self.resnet(fold(video)))
        x_NCP = self.reduce(maps.flatten(2))  # N = B·S clips, P places
        x_NCP = x_NCP * self.spatial(x_NCP).softmax(dim=1).unsqueeze(1) * x_NCP.shape[2]
        x_NCP = x_NCP * self.channelwise(x_NCP.transpose(1, 2)).softmax(dim=1).unsqueeze(2) * x_NCP.shape[1]
        return unfold(x_NCP.mean(dim=2), len(video))

    def encode_audio(self, audio: Tensor) -> Tensor:
        return unfold(self.audio_fc(self.audio_resnet(fold(audio))), len(audio))

    def forward(self, video: Tensor, audio: Tensor) -> Opinions:
        video_BSC, audio_BSC = self.encode_video(video), self.encode_audio(audio)
        if self.head is not None:
            return self.head(video_BSC, audio_BSC)
        both = torch.cat([attended(video_BSC, self.temporal), attended(audio_BSC, self.audio_temporal)], dim=1)
        return Opinions(self.classifier(both), embedding_BC=both)


def attended(x_BSC: Tensor, attention: SequenceAttention) -> Tensor:
    """The mean over snippets under rectified weights."""
    weight_BS = torch.relu(attention(x_BSC.transpose(1, 2)))
    return (x_BSC * weight_BS.unsqueeze(2)).mean(dim=1)
