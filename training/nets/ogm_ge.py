"""OGM-GE [41]: two ResNet18s and a concatenation, trained with modulated gradients.

Authority: GeWu-Lab/OGM-GE_CVPR2022 (MIT), 22.4 M. Input adaption: one frame of each snippet and each snippet's MFCC picture (its own: three frames and
one spectrogram a clip); features are averaged over the snippets. The training loop calls after_backward once the gradients are there.
B batch, S snippets, C channels.
"""

from torch import Tensor, nn

from training.nets.avcanet import MidConcat
from training.nets.fused_pair import FusionHead
from training.nets.inputs import fold, middle_frames, unfold
from training.nets.modulation import discrepancy, modulate
from training.nets.output import Opinions
from training.nets.resnet2d import DEPTHS_18, ResNet2d

SMALL = {"depths": (1, 1, 1, 1), "width": 4}
MODULATION_ALPHA = 0.8  # the authors' value for CREMA-D


class TwoResNets(nn.Module):
    """A ResNet18 on one frame of each snippet, another on each snippet's MFCC: shared by OGM-GE and MMCosine."""

    uses = ("video", "audio")

    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_snippets: int = 16,
        depths: tuple[int, ...] = DEPTHS_18,
        width: int = 64,
        fusion: str | None = None,
    ) -> None:
        super().__init__()
        self.visual_net = ResNet2d(depths, width=width)
        self.audio_net = ResNet2d(depths, channels_in=1, width=width)
        dim = self.visual_net.dim
        self.head = FusionHead(fusion, dim, dim, num_classes, width=dim, num_snippets=num_snippets) if fusion else None
        if self.head is None:
            self.classifier = self.own_classifier(dim, num_classes)

    def own_classifier(self, dim: int, num_classes: int) -> nn.Module:
        return MidConcat(dim, num_classes)

    def forward(self, video: Tensor, audio: Tensor) -> Opinions:
        video_BSC = unfold(self.visual_net(fold(middle_frames(video))), len(video))
        audio_BSC = unfold(self.audio_net(fold(audio)), len(audio))
        if self.head is not None:
            return self.head(video_BSC, audio_BSC)
        return self.classifier(video_BSC.mean(dim=1), audio_BSC.mean(dim=1))


class OGMGE(TwoResNets):
    modulation_alpha = MODULATION_ALPHA

    def after_backward(self, opinions: Opinions, target_B: Tensor) -> None:
        ratio = discrepancy(opinions, target_B)
        modulate(self.visual_net, ratio, self.modulation_alpha)
        modulate(self.audio_net, 1 / ratio, self.modulation_alpha)
