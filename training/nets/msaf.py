"""MSAF [38]: a 3D-ResNeXt50 on pictures and a small 1-D network on MFCC, joined by two split-attention blocks.

Authority: anita-hu/MSAF (MIT), RAVDESS variant, 25.9 M with eight classes. Input adaption: each snippet is a clip (its own: 30 frames a clip) with its
own 256 frames of the first 13 MFCC; the snippets' logits are averaged. N = B·S snippets, C channels, G groups of channels.
"""

import torch
from torch import Tensor, nn

from training.nets.fused_pair import FusionHead
from training.nets.inputs import fold, unfold
from training.nets.output import Opinions
from training.nets.resnet3d import DEPTHS_50, ResNet3d

SMALL = {"depths": (1, 1, 1, 1), "width": 4, "cardinality": 2, "fusion_width": 32}
NUM_MFCC, POOL = 13, 8
BLOCK_DROPOUT = 0.2
EARLY, LATE = 32, 64  # channels of the audio network


class SplitAttention(nn.Module):
    """Channels of both modalities in groups of equal size; a shared summary decides how much of each group passes."""

    def __init__(self, channels: tuple[int, int], group: int, reduction: int = 4) -> None:
        super().__init__()
        self.group = group
        num_groups = sum(c // group for c in channels)
        self.joint = nn.Sequential(nn.Linear(group, group // reduction), nn.BatchNorm1d(group // reduction), nn.ReLU())
        self.gates = nn.ModuleList(nn.Linear(group // reduction, group) for _ in range(num_groups))

    def forward(self, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        grouped = [self._drop(x.unflatten(1, (-1, self.group))) for x in (video, audio)]  # (N, G, C, ...)
        summary_NC = torch.stack([x.sum(dim=1).flatten(2).mean(dim=2) for x in grouped]).sum(dim=0)
        joint = self.joint(summary_NC)
        weight_NGC = torch.stack([gate(joint) for gate in self.gates], dim=1).softmax(dim=1)
        weights = weight_NGC.split([x.shape[1] for x in grouped], dim=1)
        scaled = (x * w.reshape(w.shape + (1,) * (x.ndim - 3)) for x, w in zip(grouped, weights, strict=True))
        video, audio = (x.flatten(1, 2) for x in scaled)
        return video, audio

    def _drop(self, x: Tensor) -> Tensor:
        """Whole groups left out while training."""
        if not self.training:
            return x
        kept = torch.rand(x.shape[:2], device=x.device) >= BLOCK_DROPOUT
        return x * (kept / (1 - BLOCK_DROPOUT)).reshape(kept.shape + (1,) * (x.ndim - 2))


class MSAF(nn.Module):
    """fusion: None for split attention, else a name in FUSION_MODULES in its place (Fig. 7)."""

    uses = ("video", "audio")

    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_snippets: int = 16,
        depths: tuple[int, ...] = DEPTHS_50,
        width: int = 64,
        cardinality: int = 32,
        chunk_frames: int = 256,
        fusion: str | None = None,
        fusion_width: int = 512,
    ) -> None:
        super().__init__()
        self.resnext = ResNet3d(depths, width=width, cardinality=cardinality)
        self.audio_early = nn.Sequential(
            nn.Conv1d(NUM_MFCC, EARLY, 7, padding=2), nn.ReLU(), nn.BatchNorm1d(EARLY), nn.Conv1d(EARLY, EARLY, 7, padding=2), nn.ReLU()
        )
        self.audio_pool = nn.MaxPool1d(POOL)
        self.audio_late = nn.Sequential(
            nn.BatchNorm1d(EARLY), nn.Dropout(0.2), nn.Conv1d(EARLY, LATE, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(LATE)
        )
        video_dim, audio_dim = self.resnext.dim, LATE * ((chunk_frames - 4) // POOL)
        self.head = FusionHead(fusion, video_dim, audio_dim, num_classes, width=fusion_width, num_snippets=num_snippets) if fusion else None
        if self.head is None:
            self.attention_early = SplitAttention((video_dim // 2, EARLY), 16)
            self.attention_late = SplitAttention((video_dim, LATE), 32)
            self.video_fc = nn.Linear(video_dim, num_classes)
            self.audio_fc = nn.Sequential(nn.Dropout(0.4), nn.Linear(audio_dim, num_classes))

    def forward(self, video: Tensor, audio: Tensor) -> Opinions:
        clips, mfcc = fold(video), fold(audio).squeeze(1).transpose(1, 2)[:, :NUM_MFCC]
        x = self.resnext.layer3(self.resnext.layer2(self.resnext.layer1(self.resnext.stem(clips))))
        y = self.audio_pool(self.audio_early(mfcc))
        if self.head is None:
            x, y = self.attention_early(x, y)
        x, y = self.resnext.layer4(x), self.audio_late(y)
        if self.head is not None:
            return self.head(unfold(x.mean(dim=(2, 3, 4)), len(video)), unfold(y.flatten(1), len(video)))
        x, y = self.attention_late(x, y)
        video_NC, audio_NC = x.mean(dim=(2, 3, 4)), y.flatten(1)
        video_BK = unfold(self.video_fc(video_NC), len(video)).mean(dim=1)
        audio_BK = unfold(self.audio_fc(audio_NC), len(video)).mean(dim=1)
        embedding = torch.cat([unfold(audio_NC, len(video)).mean(dim=1), unfold(video_NC, len(video)).mean(dim=1)], dim=1)
        return Opinions(video_BK + audio_BK, video_BK, audio_BK, embedding)
