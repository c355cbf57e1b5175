"""Pooling a sequence of audio features into one vector by statistics. B batch, C channels, T frames."""

import torch
from torch import Tensor, nn


class AttentiveStatistics(nn.Module):
    """(B, C, T) → (B, 2C): mean and standard deviation under learnt weights over time (Okabe et al., 2018).

    global_context: the weights also see the plain mean and deviation of the whole sequence (Desplanques et al., 2020).
    """

    def __init__(self, channels: int, bottleneck: int = 128, *, global_context: bool = False) -> None:
        super().__init__()
        self.global_context = global_context
        self.linear1 = nn.Conv1d(channels * (3 if global_context else 1), bottleneck, 1)
        self.linear2 = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x_BCT: Tensor) -> Tensor:
        seen = x_BCT
        if self.global_context:
            seen = torch.cat([x_BCT, statistics(x_BCT).unsqueeze(2).expand(-1, -1, x_BCT.shape[2])], dim=1)
        weight = torch.softmax(self.linear2(torch.tanh(self.linear1(seen))), dim=2)
        mean = (weight * x_BCT).sum(dim=2)
        variance = (weight * x_BCT**2).sum(dim=2) - mean**2
        return torch.cat([mean, variance.clamp(min=1e-9).sqrt()], dim=1)


def statistics(x_BCT: Tensor) -> Tensor:
    """(B, C, T) → (B, 2C): mean and standard deviation over time."""
    return torch.cat([x_BCT.mean(dim=2), (x_BCT.var(dim=2) + 1e-9).sqrt()], dim=1)
