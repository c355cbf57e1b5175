"""Video Swin-T on pictures alone [12].

Authority: SwinTransformer/Video-Swin-Transformer (Apache-2.0), 27.85 M without its head; the backbone is AV-CANet's. Input adaption: each snippet is
one clip, pooled over time and place; the snippets' features are averaged (the TSN consensus of the paper's 16 segments).
"""

from typing import Any

from torch import Tensor, nn

from training.nets.backbones import VideoSwinT
from training.nets.clip_consensus import ClipConsensus
from training.nets.output import Opinions

SMALL = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window": (4, 4, 4)}


class VideoSwinClassifier(nn.Module):
    uses = ("video",)

    def __init__(self, *, num_classes: int = 6, **backbone: Any) -> None:
        super().__init__()
        self.backbone = VideoSwinT(**backbone)
        self.consensus = ClipConsensus(self.backbone.out_channels, num_classes)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        return self.consensus(video, lambda clips: self.backbone(clips).mean(dim=(1, 2, 3)))
