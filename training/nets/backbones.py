"""The two backbones of Sec. IV-A: Video Swin-T for snippets of frames, a ResNet for chunks of MFCC.

Shapes: B clips or snippets, T frames (after the patches: time steps), H W height and width, C channels,
G windows, N tokens in a window, h heads, d channels of a head. Video tokens are kept channels last: (B, T, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Size = tuple[int, int, int]


class VideoSwinT(nn.Module):
    """Video Swin Transformer; the defaults are Swin-T with 27,850,470 parameters. (B, 3, T, H, W) -> (B, T/2, H/32, W/32, 8C).

    legacy_rpb_slice: take the relative-position bias of a clipped window as the official code does, from the first N x N
    corner of the full window's index, which is right only while height and width are not clipped. The default looks the
    bias up by 3-D coordinates (docs/av-canet.md).
    """

    def __init__(
        self,
        *,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window: Sequence[int] = (8, 7, 7),
        drop_path: float = 0.1,
        legacy_rpb_slice: bool = False,
    ) -> None:
        super().__init__()
        if len(window) != 3 or any(embed_dim * 2**i % heads for i, heads in enumerate(num_heads)):
            raise ValueError(
                f"window needs three sizes, and each stage's width, from embed_dim {embed_dim} on, a multiple of its num_heads"
            )
        rates = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())  # on the CPU also when built on "meta"
        size: Size = (window[0], window[1], window[2])
        self.patch_embed = PatchEmbed(embed_dim)
        self.layers = nn.ModuleList()
        for i, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            stage = SwinStage(embed_dim * 2**i, heads, size, [next(rates) for _ in range(depth)], legacy_rpb_slice)
            if i < len(depths) - 1:
                stage.downsample = PatchMerging(embed_dim * 2**i)
            self.layers.append(stage)
        self.out_channels = embed_dim * 2 ** (len(depths) - 1)
        self.norm = nn.LayerNorm(self.out_channels)
        self.apply(_swin_init)

    def checkpoint_gradients(self, on: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        for stage in self.stages():
            stage.recompute = on

    def stages(self) -> list[SwinStage]:
        return [stage for stage in self.layers if isinstance(stage, SwinStage)]

    def forward(self, video_BCTHW: Tensor) -> Tensor:
        x = self.patch_embed(video_BCTHW)
        for stage in self.layers:
            x = stage(x)
        return self.norm(x)


class PatchEmbed(nn.Module):
    """Patches of 2 x 4 x 4 pixels to C channels, then LayerNorm. An odd rest is padded with zeros."""

    patch: Size = (2, 4, 4)

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, embed_dim, self.patch, self.patch)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, video_BCTHW: Tensor) -> Tensor:
        t, h, w = (-size % p for size, p in zip(video_BCTHW.shape[2:], self.patch, strict=True))
        if t or h or w:
            video_BCTHW = functional.pad(video_BCTHW, (0, w, 0, h, 0, t))
        # Patches do not overlap, so one matrix product does the convolution; on a CPU it is several times faster.
        B, C, T, H, W = video_BCTHW.shape
        pt, ph, pw = self.patch
        x = video_BCTHW.view(B, C, T // pt, pt, H // ph, ph, W // pw, pw).permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)
        return self.norm(functional.linear(x, self.proj.weight.flatten(1), self.proj.bias))


class PatchMerging(nn.Module):
    """Four neighbours in the plane to one token of twice the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        corners = [x[:, :, i::2, j::2] for j, i in product((0, 1), (0, 1))]  # (0,0) (1,0) (0,1) (1,1) as (h, w)
        return self.reduction(self.norm(torch.cat(corners, -1)))


class SwinStage(nn.Module):
    """Blocks at one resolution, every second one with shifted windows, then a merging of patches."""

    recompute = False

    def __init__(self, dim: int, heads: int, window: Size, drop_path: Sequence[float], legacy_rpb_slice: bool) -> None:
        super().__init__()
        self.window, self.legacy_rpb_slice = window, legacy_rpb_slice
        self.blocks = nn.ModuleList(SwinBlock(dim, heads, window, rate) for rate in drop_path)
        self.downsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        sizes = (x.shape[1], x.shape[2], x.shape[3])
        # A window is clipped to the map, and a clipped axis is not shifted.
        window, shift = clipped_window(sizes, self.window)
        index = bias_index(window, self.window, legacy_slice=self.legacy_rpb_slice, device=x.device)
        mask = shift_mask(padded(sizes, window), window, shift, x.device) if any(shift) else None
        for number, block in enumerate(self.blocks):
            turn = (shift, mask) if number % 2 else ((0, 0, 0), None)
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, window, index, *turn, use_reentrant=False)
            else:
                x = block(x, window, index, *turn)
        return x if self.downsample is None else self.downsample(x)


class SwinBlock(nn.Module):
    """x + W-MSA(LN(x)), then x + MLP(LN(x)), each branch dropped for a whole sample at the rate drop_path."""

    def __init__(self, dim: int, heads: int, window: Size, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = drop_path

    def forward(self, x: Tensor, window: Size, index_NN: Tensor, shift: Size, mask_GNN: Tensor | None) -> Tensor:
        x = x + drop_path(self._attend(self.norm1(x), window, index_NN, shift, mask_GNN), self.drop_path, self.training)
        return x + drop_path(self.mlp(self.norm2(x)), self.drop_path, self.training)

    def _attend(self, x: Tensor, window: Size, index_NN: Tensor, shift: Size, mask_GNN: Tensor | None) -> Tensor:
        _, T, H, W, _ = x.shape
        PT, PH, PW = padded((T, H, W), window)
        if (PT, PH, PW) != (T, H, W):
            x = functional.pad(x, (0, 0, 0, PW - W, 0, PH - H, 0, PT - T))
        if any(shift):
            x = torch.roll(x, (-shift[0], -shift[1], -shift[2]), (1, 2, 3))
        x = to_windows(x, window)  # (B, G, N, C)
        x = from_windows(self.attn(x, index_NN, mask_GNN), window, (PT, PH, PW))
        if any(shift):
            x = torch.roll(x, shift, (1, 2, 3))
        return x[:, :T, :H, :W]


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with a learnt bias for each relative position.

    fused: by torch's fused kernel, or step by step; None: the faster, which is the kernel on a GPU, and on a processor not,
    since a bias that is learnt keeps torch from fusing there.
    """

    fused: bool | None = None

    def __init__(self, dim: int, heads: int, window: Size) -> None:
        super().__init__()
        self.heads = heads
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BGNC: Tensor, index_NN: Tensor, mask_GNN: Tensor | None) -> Tensor:
        B, G, N, C = x_BGNC.shape
        q, k, v = self.qkv(x_BGNC).view(B, G, N, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5).unbind()  # (B, G, h, N, d) each
        bias = self.relative_position_bias_table.index_select(0, index_NN.flatten()).view(1, N, N, self.heads).permute(0, 3, 1, 2)
        if mask_GNN is not None:
            bias = bias + mask_GNN[:, None]  # (G, h, N, N)
        fused = x_BGNC.is_cuda if self.fused is None else self.fused
        x = (fused_attention if fused else stepwise_attention)(q, k, v, bias)
        return self.proj(x.transpose(2, 3).reshape(B, G, N, C))


def stepwise_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d) + bias) v. q, k, v (B, G, h, N, d); bias (1 or G, h, N, N)."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return scores.to(bias.dtype).add_(bias).softmax(-1).to(v.dtype) @ v  # in place: on a processor another 2 % would go into the copy


def fused_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """The same by torch's kernel."""
    B, G, h, N, d = q.shape
    # Where windows differ they move beside the heads, so that one bias serves every clip of the batch without a copy.
    shape = (B * G, h, N, d) if len(bias) == 1 else (B, G * h, N, d)
    q, k, v = (x.reshape(shape) for x in (q, k, v))
    x = functional.scaled_dot_product_attention(q, k, v, bias.reshape(1, -1, N, N).to(q.dtype))
    return x.view(B, G, h, N, d)


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


def clipped_window(sizes: Size, window: Size) -> tuple[Size, Size]:
    """The window that fits a map of this size, and its shift: half a window, but 0 along an axis it covers whole."""
    fit = (min(sizes[0], window[0]), min(sizes[1], window[1]), min(sizes[2], window[2]))
    shift = tuple(w // 2 if size > w else 0 for size, w in zip(sizes, window, strict=True))
    return fit, (shift[0], shift[1], shift[2])


def padded(sizes: Size, window: Size) -> Size:
    """The map's size rounded up to whole windows."""
    t, h, w = (size + -size % win for size, win in zip(sizes, window, strict=True))
    return t, h, w


def to_windows(x: Tensor, window: Size) -> Tensor:
    """(B, T, H, W, C) -> (B, G, N, C)."""
    B, T, H, W, C = x.shape
    t, h, w = window
    return x.view(B, T // t, t, H // h, h, W // w, w, C).permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(B, -1, t * h * w, C)


def from_windows(x_BGNC: Tensor, window: Size, sizes: Size) -> Tensor:
    """(B, G, N, C) -> (B, T, H, W, C)."""
    B, C = x_BGNC.shape[0], x_BGNC.shape[-1]
    (t, h, w), (T, H, W) = window, sizes
    return x_BGNC.view(B, T // t, H // h, W // w, t, h, w, C).permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(B, T, H, W, C)


def bias_index(window: Size, full: Size, *, legacy_slice: bool = False, device: torch.device | None = None) -> Tensor:
    """Row of the full window's bias table for each pair of tokens of a (clipped) window, shape (N, N)."""
    base = full if legacy_slice else window
    axes = [torch.arange(size, device=device) for size in base]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)  # (3, N)
    apart = place[:, :, None] - place[:, None, :]
    t, h, w = (apart[axis] + full[axis] - 1 for axis in range(3))
    index = (t * (2 * full[1] - 1) + h) * (2 * full[2] - 1) + w
    n = window[0] * window[1] * window[2]
    return index[:n, :n]


def shift_mask(sizes: Size, window: Size, shift: Size, device: torch.device) -> Tensor:
    """-100 between tokens that only rolling brought into one window, else 0; shape (G, N, N)."""
    region = torch.zeros(1, *sizes, 1, device=device)
    for axis, (size, win, by) in enumerate(zip(sizes, window, shift, strict=True)):
        place = torch.arange(size, device=device)
        part = (place >= size - win).long() + (place >= size - by).long() if by else torch.zeros_like(place)
        shape = [1] * 5
        shape[axis + 1] = size
        region = region * 3 + part.view(shape)
    ids = to_windows(region, window)[0, :, :, 0]  # (G, N)
    return (ids[:, :, None] != ids[:, None, :]).float() * -100.0


def drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """x, or nothing for a random share of the samples, the rest scaled up to keep the mean."""
    if not training or rate == 0:
        return x
    kept = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), device=x.device, dtype=x.dtype) >= rate
    return x * kept / (1 - rate)


def _swin_init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)


BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class AudioResNet(nn.Module):
    """ResNet-18 or -34 on chunks of MFCC, one channel each: (B, 1, 256, 32) -> (B, 8 * width). 34: 21,275,712 parameters.

    The first convolution looks along time only: kernel (7, 1), stride (2, 1), padding (3, 0).
    """

    def __init__(self, *, depth: int = 34, width: int = 64, in_channels: int = 1) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"AudioResNet has no depth {depth}; choose one of {sorted(BLOCKS)}")
        self.out_channels = 8 * width
        self.conv1 = nn.Conv2d(in_channels, width, (7, 1), (2, 1), (3, 0), bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stages = [_residual_stage(width * 2 ** max(i - 1, 0), width * 2**i, n, 1 if i == 0 else 2) for i, n in enumerate(BLOCKS[depth])]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, chunk_B1TF: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(chunk_B1TF))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean((2, 3))


def _residual_stage(width_in: int, width: int, num_blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(width_in, width, stride)
    return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(num_blocks - 1)))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; names as in torchvision, so that its weights load."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or width_in != width:
            self.downsample = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)))
