"""Two encoders, a fusion module and Mid-Concat: what an audio-visual baseline becomes when its own fusion is replaced (Table VI, Fig. 7).

B batch, S snippets, C channels.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from training.nets.avcanet import AudioBranch, MidConcat, VideoBranch
from training.nets.fusion_modules import FUSION_MODULES
from training.nets.output import Opinions

SMALL = {
    "width": 16,
    "video": {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window": (4, 4, 4)},
    "audio": {"depth": 18, "base_width": 8},
}


class FusionHead(nn.Module):
    """(B, S, video_dim), (B, S, audio_dim) → Opinions: to one width, through FUSION_MODULES[name], to Mid-Concat."""

    def __init__(self, name: str, video_dim: int, audio_dim: int, num_classes: int, *, width: int = 512, num_snippets: int = 16) -> None:
        super().__init__()
        if name not in FUSION_MODULES:
            raise ValueError(f"unknown fusion module {name!r}; choose one of {', '.join(FUSION_MODULES)}")
        self.video_project = nn.Identity() if video_dim == width else nn.Linear(video_dim, width)
        self.audio_project = nn.Identity() if audio_dim == width else nn.Linear(audio_dim, width)
        self.module = FUSION_MODULES[name](width, num_snippets)
        self.classifier = MidConcat(width, num_classes)

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> Opinions:
        return self.classifier(*self.module(self.video_project(video_BSC), self.audio_project(audio_BSC)))


class FusionNet(nn.Module):
    """AV-CANet's two branches under another fusion module, the rows of Table VI."""

    uses = ("video", "audio")

    def __init__(
        self,
        *,
        num_classes: int = 6,
        fusion: str = "self_attention",
        width: int = 512,
        num_snippets: int = 16,
        video: Mapping[str, Any] | None = None,
        audio: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.video_branch = VideoBranch(width=width, **(video or {}))
        self.audio_branch = AudioBranch(width=width, **(audio or {}))
        self.head = FusionHead(fusion, width, width, num_classes, width=width, num_snippets=num_snippets)

    def forward(self, video: Tensor, audio: Tensor) -> Opinions:
        return self.head(self.video_branch(video), self.audio_branch(audio))
