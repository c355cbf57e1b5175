"""On-the-fly gradient modulation with generalisation enhancement (Peng et al., CVPR 2022, Eq. 8 to 12).

Authority: GeWu-Lab/OGM-GE_CVPR2022 (MIT). The modality that is ahead learns more slowly: with r the ratio of the two branches' summed probabilities
of the right class, its convolutions' gradients are scaled by 1 − tanh(alpha·r); both get noise of their own gradient's deviation.
B batch, K classes.
"""

import torch
from torch import Tensor, nn

from training.nets.output import Opinions


def discrepancy(opinions: Opinions, target_B: Tensor) -> float:
    """How far pictures are ahead of sound: the ratio of the summed probabilities of the right class."""
    if opinions.video_logits is None or opinions.audio_logits is None:
        raise ValueError("gradient modulation needs the opinions of both branches; this network has only one")
    video, audio = (
        logits.detach().float().softmax(dim=1).gather(1, target_B[:, None]).sum()
        for logits in (opinions.video_logits, opinions.audio_logits)
    )
    return float(video / audio)


def modulate(branch: nn.Module, ratio: float, alpha: float, generator: torch.Generator | None = None) -> None:
    """Scale and blur the gradients of the branch's convolutions in place; ratio: how far this branch is ahead of the other."""
    scale = 1 - float(torch.tanh(torch.tensor(alpha * ratio))) if ratio > 1 else 1.0
    for parameter in branch.parameters():
        if parameter.grad is None or parameter.grad.ndim != 4:
            continue
        noise = torch.randn(parameter.grad.shape, generator=generator, device=parameter.grad.device)
        parameter.grad.mul_(scale).add_(noise * (parameter.grad.std() + 1e-8))
