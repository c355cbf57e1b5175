"""The pre-norm transformer layer that Former-DFER and DFER-CLIP share, with their tanh GELU and their bias-free query, key, value.

Authority: zengqunzhao/Former-DFER and zengqunzhao/DFER-CLIP (MIT). B batch, N tokens, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    def __init__(self, dim: int, *, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.to_out = nn.Linear(heads * head_dim, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.to_qkv(x_BND).chunk(3, dim=-1))
        return self.to_out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TokenLayer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, dim: int, *, heads: int, head_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads=heads, head_dim=head_dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(approximate="tanh"), nn.Linear(mlp_dim, dim))

    def forward(self, x_BND: Tensor) -> Tensor:
        x_BND = x_BND + self.attention(self.norm1(x_BND))
        return x_BND + self.mlp(self.norm2(x_BND))


class TemporalTransformer(nn.Module):
    """(B, N, D) frame features → (B, D): the class token after `depth` layers."""

    def __init__(self, dim: int, *, num_tokens: int, depth: int, heads: int, head_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embedding = nn.Parameter(torch.randn(1, num_tokens + 1, dim))
        self.layers = nn.Sequential(*(TokenLayer(dim, heads=heads, head_dim=head_dim, mlp_dim=mlp_dim) for _ in range(depth)))

    def forward(self, x_BND: Tensor) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(x_BND), -1, -1), x_BND], dim=1)
        return self.layers(tokens + self.pos_embedding[:, : tokens.shape[1]])[:, 0]
