"""VAANet's attention over a sequence, used by VAANet and CTEN. B batch, C channels, N places of a sequence."""

import torch
from torch import Tensor, nn


class SequenceAttention(nn.Module):
    """A weight for every place: tanh(norm(conv)) over the channels, then a linear layer over the places. (B, C, N) → (B, N)."""

    def __init__(self, channels: int, num_places: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 1, 1, bias=False)
        self.norm = nn.BatchNorm1d(1)
        self.linear = nn.Linear(num_places, num_places)

    def forward(self, x_BCN: Tensor) -> Tensor:
        return self.linear(torch.tanh(self.norm(self.conv(x_BCN))).squeeze(1))
