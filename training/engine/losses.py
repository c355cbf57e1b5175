"""EP-CE (Eq. 15): cross-entropy that counts more when the prediction has another polarity than the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.engine.recipes import POLARITIES
from training.nets.output import Opinions


class EPCELoss(nn.Module):
    """polarity: positive, neutral or negative for each class; gamma: the penalty by the label's polarity, in that order,
    or one number for all three, or a mapping by name. With gamma 0 it is cross-entropy.
    """

    side_K: Tensor
    penalty_K: Tensor

    def __init__(
        self, polarity: Sequence[str | int], gamma: float | Sequence[float] | Mapping[str, float] = 0.7, *, reduction: str = "mean"
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "none"):
            raise ValueError(f"reduction is mean or none, got {reduction!r}")
        sides = [_side(p) for p in polarity]
        penalty = _penalties(gamma)
        self.reduction = reduction
        self.register_buffer("side_K", torch.tensor(sides), persistent=False)
        self.register_buffer("penalty_K", torch.tensor([penalty[side] for side in sides]), persistent=False)

    def forward(self, logits: Tensor, target: Tensor, soft_BK: Tensor | None = None) -> Tensor:
        """soft_BK: shares of the classes to be learnt in place of the label alone; the penalty stays that of the label."""
        predicted = logits.detach().argmax(1)
        differs = self.side_K[target] != self.side_K[predicted]  # s(y, y^)
        learnt = target if soft_BK is None else soft_BK
        loss_B = functional.cross_entropy(logits, learnt, reduction="none") * (1 + self.penalty_K[target] * differs)
        return loss_B.mean() if self.reduction == "mean" else loss_B


def _side(polarity: str | int) -> int:
    if polarity in POLARITIES:
        return POLARITIES.index(str(polarity))
    if isinstance(polarity, int) and 0 <= polarity < len(POLARITIES):
        return polarity
    raise ValueError(f"polarity {polarity!r} is none of {', '.join(POLARITIES)}")


def _penalties(gamma: float | Sequence[float] | Mapping[str, float]) -> list[float]:
    if isinstance(gamma, Mapping):
        return [float(gamma[name]) for name in POLARITIES]
    numbers = [float(gamma)] * 3 if isinstance(gamma, int | float) else [float(g) for g in gamma]
    if len(numbers) != len(POLARITIES):
        raise ValueError(f"gamma needs one number, or three for {', '.join(POLARITIES)}; got {len(numbers)}")
    return numbers


def total_loss(loss: EPCELoss, opinions: Opinions, target: Tensor, weights: Sequence[float], soft_BK: Tensor | None = None) -> Tensor:
    """The weighted sum of the losses of the network's opinion and of each branch's, where it has them (A16); shape as loss gives."""
    opinion = (opinions.logits, opinions.video_logits, opinions.audio_logits)
    terms = [weight * loss(logits.float(), target, soft_BK) for weight, logits in zip(weights, opinion, strict=True) if logits is not None]
    return torch.stack(terms).sum(0)
