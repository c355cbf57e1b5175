"""The overall fusion modules that Table VI compares, one interface: two sequences of snippet features in, one vector of each modality out.

FUSION_MODULES[name](width, num_snippets=16) builds one; forward(video_BSC, audio_BSC) → (video_BC, audio_BC), which Mid-Concat then classifies.
Authorities: LGI-Former sunlicai/MAE-DFER `LGBlock` (MIT); Sun et al. sunlicai/HiCMAE (MIT); LGF is AV-CANet's own.
B batch, S snippets, C channels, R regions, N tokens in a region, M tokens of both modalities.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.nets.lgf import GLCF, LISF, LGFOptions

HEADS, MLP_RATIO, DROPOUT = 8, 4, 0.1
Pair = tuple[Tensor, Tensor]


class Vanilla(nn.Module):
    """No interaction: the mean over the snippets."""

    def __init__(self, width: int, num_snippets: int = 16) -> None:
        super().__init__()

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> Pair:
        return video_BSC.mean(dim=1), audio_BSC.mean(dim=1)


class SelfAttention(nn.Module):
    """One encoder layer [56] over the snippets of both modalities together."""

    def __init__(self, width: int, num_snippets: int = 16) -> None:
        super().__init__()
        self.position = positions(num_snippets, width)
        self.layer = nn.TransformerEncoderLayer(width, heads_for(width), MLP_RATIO * width, DROPOUT, batch_first=True, norm_first=True)

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> Pair:
        tokens_BMC = torch.cat([video_BSC, audio_BSC], dim=1) + self.position
        video_BSC, audio_BSC = self.layer(tokens_BMC).chunk(2, dim=1)
        return video_BSC.mean(dim=1), audio_BSC.mean(dim=1)


class Attend(nn.Module):
    """x + attention(norm(x), norm(context))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_query, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads_for(width), DROPOUT, batch_first=True)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        query = self.norm_query(x)
        keys = query if context is None else self.norm_context(context)
        return x + self.attention(query, keys, keys, need_weights=False)[0]


class FeedForward(nn.Module):
    """x + mlp(norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(x)


class LGIBlock(nn.Module):
    """Inside each region, then among the messengers, then from the messengers to all tokens, then a feed-forward layer for all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local, self.across, self.listen, self.mlp = Attend(width), Attend(width), Attend(width), FeedForward(width)

    def forward(self, messengers_BR1C: Tensor, tokens_BRNC: Tensor) -> Pair:
        num_regions = tokens_BRNC.shape[1]
        regions = self.local(torch.cat([messengers_BR1C, tokens_BRNC], dim=2).flatten(0, 1)).unflatten(0, tokens_BRNC.shape[:2])
        messengers_BRC = self.across(regions[:, :, 0])
        tokens_BMC = self.listen(regions[:, :, 1:].flatten(1, 2), messengers_BRC)
        both = self.mlp(torch.cat([messengers_BRC, tokens_BMC], dim=1))
        return both[:, :num_regions, None], both[:, num_regions:].unflatten(1, (num_regions, -1))


class LGIFormer(nn.Module):
    """Local-global interaction: a messenger token for each region of snippets, the messengers talk, the snippets listen to them."""

    def __init__(self, width: int, num_snippets: int = 16, *, depth: int = 2, region: int = 4) -> None:
        super().__init__()
        if num_snippets % region:
            region = 1 if num_snippets % 2 else 2
        self.num_regions = 2 * num_snippets // region
        self.position = positions(num_snippets, width)
        self.messengers = nn.Parameter(0.02 * torch.randn(1, self.num_regions, 1, width))
        self.blocks = nn.ModuleList(LGIBlock(width) for _ in range(depth))

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> Pair:
        tokens = (torch.cat([video_BSC, audio_BSC], dim=1) + self.position).unflatten(1, (self.num_regions, -1))  # (B, R, N, C)
        messengers = self.messengers.expand(len(tokens), -1, -1, -1)
        for block in self.blocks:
            messengers, tokens = block(messengers, tokens)
        video_BSC, audio_BSC = tokens.flatten(1, 2).chunk(2, dim=1)
        return video_BSC.mean(dim=1), audio_BSC.mean(dim=1)


class CrossBlock(nn.Module):
    """To the other modality, then to one's own, then a feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross, self.own, self.mlp = Attend(width), Attend(width), FeedForward(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.mlp(self.own(self.cross(x, context)))


class HiCMAEFusion(nn.Module):
    """Sun et al. [71]: each modality attends to the other, then to itself, twice; both directions read the un-updated pair."""

    def __init__(self, width: int, num_snippets: int = 16, *, depth: int = 2) -> None:
        super().__init__()
        self.position = positions(num_snippets, width)
        self.video_blocks = nn.ModuleList(CrossBlock(width) for _ in range(depth))
        self.audio_blocks = nn.ModuleList(CrossBlock(width) for _ in range(depth))

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> Pair:
        video, audio = (torch.cat([video_BSC, audio_BSC], dim=1) + self.position).chunk(2, dim=1)
        for for_video, for_audio in zip(self.video_blocks, self.audio_blocks, strict=True):
            video, audio = for_video(video, audio), for_audio(audio, video)
        return video.mean(dim=1), audio.mean(dim=1)


class LGF(nn.Module):
    """AV-CANet's own module (Eq. 4 to 13): LISF, then GLCF."""

    def __init__(self, width: int, num_snippets: int = 16, **options: Any) -> None:
        super().__init__()
        settled = LGFOptions(width=width, num_heads=heads_for(width), **options)
        self.lisf, self.glcf = LISF(settled), GLCF(settled)

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> Pair:
        return self.glcf(*self.lisf(video_BSC, audio_BSC))


def heads_for(width: int) -> int:
    """Eight heads, or as many as a narrow test network can hold."""
    return max(h for h in (1, 2, 4, HEADS) if width % h == 0)


def positions(num_snippets: int, width: int) -> nn.Parameter:
    """A learnt place for every snippet of both modalities."""
    return nn.Parameter(0.02 * torch.randn(1, 2 * num_snippets, width))


FUSION_MODULES: dict[str, Callable[..., nn.Module]] = {
    "vanilla": Vanilla,
    "self_attention": SelfAttention,
    "lgi_former": LGIFormer,
    "hicmae": HiCMAEFusion,
    "lgf": LGF,
}
