"""One opinion from sixteen clips: every clip through the same network, their features averaged, one linear layer (TSN's segment consensus).

B batch, S snippets, C channels, T frames, H height, W width, N = B·S clips.
"""

from collections.abc import Callable

from torch import Tensor, nn

from training.nets.inputs import fold, unfold
from training.nets.output import Opinions


class ClipConsensus(nn.Module):
    def __init__(self, dim: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, video_BSCTHW: Tensor, encode: Callable[[Tensor], Tensor]) -> Opinions:
        """encode: (N, C, T, H, W) clips → (N, D) features."""
        video_BD = unfold(encode(fold(video_BSCTHW)), len(video_BSCTHW)).mean(dim=1)
        return Opinions(self.classifier(self.dropout(video_BD)), embedding_BC=video_BD)
