"""AV-CANet (Sec. IV): two branches, the Local-Global Fusion module, a fusion strategy, and an opinion of each branch.

Shapes: B clips, S snippets, T frames, C channels, K classes. video (B, S, 3, T, H, W), audio (B, S, 1, chunk, coefficients).
With the defaults and K = 6: 69,237,568 parameters, row by row as in docs/av-canet.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nets.backbones import AudioResNet, VideoSwinT
from training.nets.lgf import GLCF, LISF, lgf_options
from training.nets.output import Opinions


class VideoBranch(nn.Module):
    """Video Swin-T on each snippet, mean over its tokens, dropout and a linear layer: (B, S, 3, T, H, W) -> (B, S, C)."""

    def __init__(self, *, width: int = 512, dropout: float = 0.5, **swin: Any) -> None:
        super().__init__()
        self.backbone = VideoSwinT(**swin)
        self.dropout = nn.Dropout(dropout)  # A18
        self.project = nn.Linear(self.backbone.out_channels, width)

    def forward(self, video: Tensor) -> Tensor:
        tokens = self.backbone(video.flatten(0, 1))  # (B·S, T/2, H/32, W/32, 8C)
        return self.project(self.dropout(tokens.mean((1, 2, 3)))).unflatten(0, video.shape[:2])


class AudioBranch(nn.Module):
    """The MFCC ResNet on each chunk, then Linear, BatchNorm and tanh: (B, S, 1, chunk, coefficients) -> (B, S, C)."""

    def __init__(self, *, width: int = 512, squash: bool = True, depth: int = 34, base_width: int = 64) -> None:
        super().__init__()
        self.backbone = AudioResNet(depth=depth, width=base_width)
        self.project = nn.Linear(self.backbone.out_channels, width)
        self.norm = nn.BatchNorm1d(width)
        self.squash = squash  # A18

    def forward(self, audio: Tensor) -> Tensor:
        x = self.norm(self.project(self.backbone(audio.flatten(0, 1))))
        return (x.tanh() if self.squash else x).unflatten(0, audio.shape[:2])


class AVCANet(nn.Module):
    """local, global_: whether LISF and GLCF take part (Tab. VI); fusion: a name in FUSIONS (Tab. VIII)."""

    uses = ("video", "audio")

    def __init__(
        self,
        *,
        num_classes: int = 6,
        local: bool = True,
        global_: bool = True,
        fusion: str = "mid_concat",
        legacy_rpb_slice: bool = False,
        video: Mapping[str, Any] | None = None,
        audio: Mapping[str, Any] | None = None,
        **lgf: Any,
    ) -> None:
        super().__init__()
        options, unknown = lgf_options(lgf)
        if unknown:
            raise TypeError(f"AV-CANet has no option {', '.join(sorted(unknown))}")
        if fusion not in FUSIONS:
            raise ValueError(f"unknown fusion {fusion!r}; choose one of {', '.join(FUSIONS)}")
        self.video_branch = VideoBranch(width=options.width, legacy_rpb_slice=legacy_rpb_slice, **(video or {}))
        self.audio_branch = AudioBranch(width=options.width, **(audio or {}))
        self.lisf = LISF(options) if local else None
        self.glcf = GLCF(options) if global_ else None
        self.classifier = FUSIONS[fusion](options.width, num_classes)

    def forward(self, video: Tensor, audio: Tensor) -> Opinions:
        video_BSC, audio_BSC = self.video_branch(video), self.audio_branch(audio)
        if self.lisf is not None:
            video_BSC, audio_BSC = self.lisf(video_BSC, audio_BSC)
        if self.glcf is not None:
            video_BC, audio_BC = self.glcf(video_BSC, audio_BSC)
        else:
            video_BC, audio_BC = video_BSC.mean(1), audio_BSC.mean(1)
        return self.classifier(video_BC, audio_BC)


# ---- Eq. 14 and Tab. VIII: fusion strategies ------------------------------------------------------------------------


class MidConcat(nn.Module):
    """W [a; v] + b; a branch's opinion is its half of W with half of b (Eq. 14, A15, A16)."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width, num_classes)

    def forward(self, video_BC: Tensor, audio_BC: Tensor) -> Opinions:
        both = torch.cat((audio_BC, video_BC), 1)
        weight_audio, weight_video = self.linear.weight.chunk(2, 1)
        half = self.linear.bias / 2
        video_logits = functional.linear(video_BC, weight_video, half)
        return Opinions(self.linear(both), video_logits, functional.linear(audio_BC, weight_audio, half), both)


class Sum(nn.Module):
    """W_a a + W_v v; each summand is its branch's opinion."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.audio, self.video = nn.Linear(width, num_classes), nn.Linear(width, num_classes)

    def forward(self, video_BC: Tensor, audio_BC: Tensor) -> Opinions:
        video_logits, audio_logits = self.video(video_BC), self.audio(audio_BC)
        return Opinions(video_logits + audio_logits, video_logits, audio_logits, torch.cat((audio_BC, video_BC), 1))


class WithHeads(nn.Module):
    """A fusion whose classifier cannot be split between the branches: each branch has a linear head of its own (A16)."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.video_head, self.audio_head = nn.Linear(width, num_classes), nn.Linear(width, num_classes)

    def forward(self, video_BC: Tensor, audio_BC: Tensor) -> Opinions:
        fused, logits = self.fuse(video_BC, audio_BC)
        return Opinions(logits, self.video_head(video_BC), self.audio_head(audio_BC), fused)

    def fuse(self, video_BC: Tensor, audio_BC: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class Multiply(WithHeads):
    """W (a * v) + b, element by element."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(width, num_classes)
        self.linear = nn.Linear(width, num_classes)

    def fuse(self, video_BC: Tensor, audio_BC: Tensor) -> tuple[Tensor, Tensor]:
        fused = audio_BC * video_BC
        return fused, self.linear(fused)


class Gated(WithHeads):
    """W (sigma(W_g a) * W_h v) + b: the sound gates the picture."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(width, num_classes)
        self.gate, self.value, self.linear = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, num_classes)

    def fuse(self, video_BC: Tensor, audio_BC: Tensor) -> tuple[Tensor, Tensor]:
        fused = self.gate(audio_BC).sigmoid() * self.value(video_BC)
        return fused, self.linear(fused)


class GatedByVideo(Gated):
    """The same with the picture gating the sound."""

    def fuse(self, video_BC: Tensor, audio_BC: Tensor) -> tuple[Tensor, Tensor]:
        return super().fuse(audio_BC, video_BC)


class Neural(WithHeads):
    """A two-layer perceptron on [a; v]; the paper does not define its "Neural" further."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(width, num_classes)
        self.hidden, self.linear = nn.Linear(2 * width, width), nn.Linear(width, num_classes)

    def fuse(self, video_BC: Tensor, audio_BC: Tensor) -> tuple[Tensor, Tensor]:
        fused = functional.relu(self.hidden(torch.cat((audio_BC, video_BC), 1)))
        return fused, self.linear(fused)


FUSIONS: dict[str, type[nn.Module]] = {
    "mid_concat": MidConcat,
    "sum": Sum,
    "multiply": Multiply,
    "gated": Gated,
    "gated_by_video": GatedByVideo,
    "neural": Neural,
}


# ---- The branches alone ---------------------------------------------------------------------------------------------


class VideoOnly(nn.Module):
    """The visual branch and a linear classifier."""

    uses = ("video",)

    def __init__(self, *, num_classes: int = 6, width: int = 512, **swin: Any) -> None:
        super().__init__()
        self.video_branch = VideoBranch(width=width, **swin)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        embedding = self.video_branch(video).mean(1)
        return Opinions(self.classifier(embedding), embedding_BC=embedding)


class AudioOnly(nn.Module):
    """The audio branch and a linear classifier."""

    uses = ("audio",)

    def __init__(self, *, num_classes: int = 6, width: int = 512, **resnet: Any) -> None:
        super().__init__()
        self.audio_branch = AudioBranch(width=width, **resnet)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, video: Tensor | None, audio: Tensor) -> Opinions:
        embedding = self.audio_branch(audio).mean(1)
        return Opinions(self.classifier(embedding), embedding_BC=embedding)
