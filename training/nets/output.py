"""What every network answers."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Opinions:
    """Logits of shape (B, K): the network's own, and each branch's where it has two."""

    logits: Tensor
    video_logits: Tensor | None = None
    audio_logits: Tensor | None = None
    embedding_BC: Tensor | None = None  # the vector before the classifier, for t-SNE (Fig. 10)
