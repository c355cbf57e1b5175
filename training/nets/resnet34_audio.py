"""ResNet34 on sound alone [54], the first row of Table IV.

Authority: pytorch/vision resnet34 (21.3 M without its classifier). Input adaption: the backbone of AV-CANet's audio branch, each snippet's MFCC
being a picture of one channel, 256 x 32; the snippets' features are averaged.
"""

from torch import Tensor, nn

from training.nets.backbones import AudioResNet
from training.nets.inputs import fold, unfold
from training.nets.output import Opinions

SMALL = {"depth": 18, "width": 8}


class ResNet34Audio(nn.Module):
    uses = ("audio",)

    def __init__(self, *, num_classes: int = 6, depth: int = 34, width: int = 64) -> None:
        super().__init__()
        self.backbone = AudioResNet(depth=depth, width=width)
        self.classifier = nn.Linear(self.backbone.out_channels, num_classes)

    def forward(self, video: Tensor | None, audio: Tensor) -> Opinions:
        audio_BC = unfold(self.backbone(fold(audio)), len(audio)).mean(dim=1)
        return Opinions(self.classifier(audio_BC), embedding_BC=audio_BC)
