"""MMCosine [42]: the logit of a class is a scaled sum of two cosines, of the sound and of the pictures with that class's weights.

Authority: Xu et al., ICASSP 2023, GeWu-Lab/MMCosine_ICASSP23; 22.4 M, scale 10. Input adaption: as OGM-GE, whose two ResNet18s it shares.
B batch, C channels, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from training.nets.ogm_ge import TwoResNets
from training.nets.output import Opinions

SMALL = {"depths": (1, 1, 1, 1), "width": 4}
SCALE = 10.0


class CosineSum(nn.Module):
    """scale · (cos(v, W_v) + cos(a, W_a)); each summand is its branch's opinion."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.video_weight, self.audio_weight = nn.Parameter(torch.empty(num_classes, dim)), nn.Parameter(torch.empty(num_classes, dim))
        nn.init.xavier_normal_(self.video_weight)
        nn.init.xavier_normal_(self.audio_weight)

    def forward(self, video_BC: Tensor, audio_BC: Tensor) -> Opinions:
        video_BK, audio_BK = (
            SCALE * normalize(x, dim=1) @ normalize(weight, dim=1).T
            for x, weight in ((video_BC, self.video_weight), (audio_BC, self.audio_weight))
        )
        return Opinions(video_BK + audio_BK, video_BK, audio_BK, torch.cat([audio_BC, video_BC], dim=1))


class MMCosine(TwoResNets):
    def own_classifier(self, dim: int, num_classes: int) -> nn.Module:
        return CosineSum(dim, num_classes)
