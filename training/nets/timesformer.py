"""TimeSformer-Base with divided space-time attention [63].

Authority: facebookresearch/TimeSformer; the implementation is `transformers.TimesformerModel`, 121.3 M at 8 frames of 224 x 224, so the checkpoints
of the Hub load by its own `from_pretrained`. Input adaption: 8 frames, the middle ones of every second snippet; at 112 x 112 a frame has 49 patches
(a position table smaller by 147 rows). B batch, S frames, D channels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import TimesformerConfig, TimesformerModel

from training.nets.inputs import middle_frames
from training.nets.output import Opinions

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


class TimeSformer(nn.Module):
    uses = ("video",)

    def __init__(self, *, num_classes: int = 6, num_frames: int = 8, image_size: int = 112, **config: Any) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.backbone = TimesformerModel(TimesformerConfig(num_frames=num_frames, image_size=image_size, **config))
        self.classifier = nn.Linear(self.backbone.config.hidden_size, num_classes)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        frames = middle_frames(video)
        chosen = torch.linspace(0, frames.shape[1] - 1, self.num_frames, device=video.device).round().long()
        video_BD = self.backbone(frames[:, chosen]).last_hidden_state[:, 0]
        return Opinions(self.classifier(video_BD), embedding_BC=video_BD)
