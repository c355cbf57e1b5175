"""The Local-Global Fusion module of Sec. IV-B, in the order of Eq. 4 to 13.

Shapes: B clips, S snippets, C channels, L pyramid levels, h heads. video_BSC and audio_BSC are the two modalities.
Each choice the paper leaves open is a field of LGFOptions, by its number in docs/av-canet.md (A8 ... A14).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class LGFOptions:
    width: int = 512  # C
    num_heads: int = 8  # A11
    levels: int = 2  # L
    windows: Sequence[int] = ()  # A8: half-width d of each level; empty: 1, 2, 4, ...; -1: the whole clip
    dropout: float = 0.5  # A11: after attention and feed-forward
    attention_dropout: float = 0.1
    norm: str = "query"  # A9: LayerNorm on the query only, or on query and context ("full")
    share_cma: bool = True  # A10: one cross-modal block a level for both directions
    selection: str = "block"  # A12: the whole size-1 CMA block, or attention and residual alone ("plain")
    share_global: bool = True  # A13: one global attention for both directions
    share_global_linear: bool = False  # A14: one linear after it for both modalities

    def __post_init__(self) -> None:
        if self.norm not in ("query", "full") or self.selection not in ("block", "plain"):
            raise ValueError(f"norm is query or full, selection is block or plain; got {self.norm!r}, {self.selection!r}")
        if self.levels < 1:
            raise ValueError(f"levels is {self.levels}; the pyramid needs one at least")
        if self.windows and len(self.windows) != self.levels:
            raise ValueError(f"{self.levels} pyramid levels need as many windows, got {list(self.windows)}")
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")

    @property
    def half_widths(self) -> list[int]:
        return list(self.windows) or [2**level for level in range(self.levels)]


def lgf_options(values: dict) -> tuple[LGFOptions, dict]:
    """The LGF's own options out of a network's, and the rest."""
    own = {f.name for f in fields(LGFOptions)}
    return LGFOptions(**{k: v for k, v in values.items() if k in own}), {k: v for k, v in values.items() if k not in own}


# ---- Eq. 4-8: attention inside a window -----------------------------------------------------------------------------


def window_mask(num_snippets: int, half_width: int, device: torch.device | None = None) -> Tensor | None:
    """True where snippet t may look at snippet u, |t - u| <= half_width; None: everywhere. Shape (S, S)."""
    if half_width < 0 or half_width >= num_snippets - 1:
        return None
    place = torch.arange(num_snippets, device=device)
    return (place[:, None] - place[None, :]).abs() <= half_width


class MultiHeadAttention(nn.Module):
    """softmax(q k' / sqrt(d)) v in every head, concatenated and projected (Eq. 6, 7, 8)."""

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query_BSC: Tensor, context_BSC: Tensor, mask_SS: Tensor | None = None) -> Tensor:
        q, k, v = (self._heads(x) for x in (self.query(query_BSC), self.key(context_BSC), self.value(context_BSC)))
        dropout = self.dropout if self.training else 0.0
        x_BhSd = functional.scaled_dot_product_attention(q, k, v, mask_SS, dropout)
        return self.out(x_BhSd.transpose(1, 2).flatten(2))

    def _heads(self, x_BSC: Tensor) -> Tensor:
        return x_BSC.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class AttentionBlock(nn.Module):
    """An SA block when context is the input itself, a CMA block when it is the other modality (Eq. 4, 5).

    x + drop(attention(LN(x), context)), then x + drop(FFN(LN(x))).
    """

    def __init__(self, width: int, num_heads: int, *, dropout: float, attention_dropout: float, norm: str = "query") -> None:
        super().__init__()
        self.norm = norm
        self.query_norm, self.context_norm, self.ffn_norm = (nn.LayerNorm(width) for _ in range(3))
        # Kept though unused with norm="query", as in the released code, so that its weights fit; frozen, since DDP waits
        # for the gradient of every trainable parameter.
        self.context_norm.requires_grad_(norm == "full")
        self.attention = MultiHeadAttention(width, num_heads, attention_dropout)
        self.ffn = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BSC: Tensor, context_BSC: Tensor, mask_SS: Tensor | None = None) -> Tensor:
        context_BSC = self.context_norm(context_BSC) if self.norm == "full" else context_BSC
        x_BSC = x_BSC + self.dropout(self.attention(self.query_norm(x_BSC), context_BSC, mask_SS))
        return x_BSC + self.dropout(self.ffn(self.ffn_norm(x_BSC)))


# ---- Eq. 9: the gate, and the dilated residual block ----------------------------------------------------------------


class Gate(nn.Module):
    """sigma(W_s [F_s; F_c]) F_s + sigma(W_c [F_s; F_c]) F_c (Eq. 9)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.within, self.across = nn.Linear(2 * width, width), nn.Linear(2 * width, width)

    def forward(self, within_BSC: Tensor, across_BSC: Tensor) -> Tensor:
        both = torch.cat((within_BSC, across_BSC), -1)
        return self.within(both).sigmoid() * within_BSC + self.across(both).sigmoid() * across_BSC


class DilatedResidual(nn.Module):
    """relu(x + W_1 relu(conv_3(x))), the convolution dilated along the snippets."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x_BSC: Tensor) -> Tensor:
        x_BCS = x_BSC.transpose(1, 2)
        return functional.relu(x_BCS + self.point(functional.relu(self.conv(x_BCS)))).transpose(1, 2)


class PyramidLevel(nn.Module):
    """SA and CMA side by side inside one window, gated together, then the dilated residual block."""

    def __init__(self, options: LGFOptions, half_width: int, dilation: int) -> None:
        super().__init__()
        self.half_width = half_width
        self.sa_video, self.sa_audio, self.cma = (_block(options) for _ in range(3))
        self.cma_audio = None if options.share_cma else _block(options)
        self.gate_video, self.gate_audio = Gate(options.width), Gate(options.width)
        self.temporal_video = DilatedResidual(options.width, dilation)
        self.temporal_audio = DilatedResidual(options.width, dilation)

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> tuple[Tensor, Tensor]:
        mask = window_mask(video_BSC.shape[1], self.half_width, video_BSC.device)
        cma_audio = self.cma if self.cma_audio is None else self.cma_audio
        video = self.gate_video(self.sa_video(video_BSC, video_BSC, mask), self.cma(video_BSC, audio_BSC, mask))
        audio = self.gate_audio(self.sa_audio(audio_BSC, audio_BSC, mask), cma_audio(audio_BSC, video_BSC, mask))
        return self.temporal_video(video), self.temporal_audio(audio)


def _block(options: LGFOptions) -> AttentionBlock:
    drops = {"dropout": options.dropout, "attention_dropout": options.attention_dropout}
    return AttentionBlock(options.width, options.num_heads, **drops, norm=options.norm)


# ---- Eq. 10, 11: selective cross-aggregative integration -----------------------------------------------------------


class SelectiveIntegration(nn.Module):
    """Each snippet's pyramid levels summed by weights that the two modalities settle between them."""

    def __init__(self, options: LGFOptions) -> None:
        super().__init__()
        self.plain = options.selection == "plain"
        self.weigh_video, self.weigh_audio = nn.Linear(options.width, 1), nn.Linear(options.width, 1)
        self.cma = AttentionBlock(1, 1, dropout=0.0, attention_dropout=0.0)
        if self.plain:
            self.cma.query_norm.requires_grad_(False)
            self.cma.ffn_norm.requires_grad_(False)
            self.cma.ffn.requires_grad_(False)

    def forward(self, video_BSLC: Tensor, audio_BSLC: Tensor) -> tuple[Tensor, Tensor]:
        weight_video = self.weigh_video(video_BSLC).sigmoid().flatten(0, 1)  # (B·S, L, 1), Eq. 10
        weight_audio = self.weigh_audio(audio_BSLC).sigmoid().flatten(0, 1)
        settled_video = self._settle(weight_video, weight_audio).unflatten(0, video_BSLC.shape[:2])
        settled_audio = self._settle(weight_audio, weight_video).unflatten(0, audio_BSLC.shape[:2])
        return (video_BSLC * settled_video).sum(2), (audio_BSLC * settled_audio).sum(2)  # Eq. 11

    def _settle(self, own: Tensor, other: Tensor) -> Tensor:
        # LayerNorm over a vector of size 1 always gives its bias, so the whole block's query says nothing of its input.
        return own + self.cma.attention(own, other) if self.plain else self.cma(own, other)


class LISF(nn.Module):
    """Local-level Interactive-Selective Fusion: the pyramid, then the selective integration."""

    def __init__(self, options: LGFOptions) -> None:
        super().__init__()
        self.pyramid = nn.ModuleList(PyramidLevel(options, d, 2**i) for i, d in enumerate(options.half_widths))
        self.select = SelectiveIntegration(options)

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> tuple[Tensor, Tensor]:
        kept = []
        for level in self.pyramid:
            video_BSC, audio_BSC = level(video_BSC, audio_BSC)
            kept.append((video_BSC, audio_BSC))
        return self.select(torch.stack([v for v, _ in kept], 2), torch.stack([a for _, a in kept], 2))


# ---- Eq. 12, 13: global complementary fusion -----------------------------------------------------------------------


class GLCF(nn.Module):
    """Global-level Complementary Fusion: attention across all snippets, a linear layer, residual, mean over snippets."""

    def __init__(self, options: LGFOptions) -> None:
        super().__init__()
        width, heads = options.width, options.num_heads
        self.attention = MultiHeadAttention(width, heads)
        self.attention_audio = None if options.share_global else MultiHeadAttention(width, heads)
        self.linear_video = nn.Linear(width, width)
        self.linear_audio = self.linear_video if options.share_global_linear else nn.Linear(width, width)

    def forward(self, video_BSC: Tensor, audio_BSC: Tensor) -> tuple[Tensor, Tensor]:
        attention_audio = self.attention if self.attention_audio is None else self.attention_audio
        video = self.linear_video(self.attention(video_BSC, audio_BSC)) + video_BSC
        audio = self.linear_audio(attention_audio(audio_BSC, video_BSC)) + audio_BSC
        return video.mean(1), audio.mean(1)
