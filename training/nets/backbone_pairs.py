"""The two general-backbone rows of Table IV: 3D-ResNet50 + ResNet34 [54], [65] and ConvNeXt + CSP-DarkNet53 [66], [67].

Authorities: kenshohara/3D-ResNets-PyTorch (MIT, 46.2 M) and pytorch/vision resnet34 (21.3 M); facebookresearch/ConvNeXt, here `transformers.ConvNextModel`
(Tiny, 27.8 M), and WongKinYiu/CrossStagePartialNetworks (26.6 M without its head). The paper names neither sizes nor fusion: Tiny and Vanilla are our
reading. Input adaption: 3D-ResNet50 takes each snippet as a clip, ConvNeXt its middle frame; both audio networks take each snippet's MFCC picture.
B batch, S snippets, C channels.
"""

from collections.abc import Callable

from torch import Tensor, nn
from transformers import ConvNextConfig, ConvNextModel

from training.nets.backbones import AudioResNet
from training.nets.csp_darknet import CSPDarkNet53
from training.nets.fused_pair import FusionHead
from training.nets.inputs import fold, middle_frames, unfold
from training.nets.output import Opinions
from training.nets.resnet3d import DEPTHS_50, ResNet3d

SMALL_RESNETS = {"depths": (1, 1, 1, 1), "width": 4, "audio_width": 8, "audio_depth": 18, "fusion_width": 32}
SMALL_CONVNEXT = {"sizes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "audio_width": 4, "audio_depths": (1, 1, 1, 1, 1), "fusion_width": 32}


class BackbonePair(nn.Module):
    """Any two backbones under a fusion module; the subclass says what each sees."""

    uses = ("video", "audio")

    def __init__(
        self, visual: nn.Module, visual_dim: int, sound: nn.Module, sound_dim: int, head: Callable[[int, int], FusionHead]
    ) -> None:
        super().__init__()
        self.visual, self.sound = visual, sound
        self.head = head(visual_dim, sound_dim)

    def encode_video(self, video: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, video: Tensor, audio: Tensor) -> Opinions:
        return self.head(unfold(self.encode_video(video), len(video)), unfold(self.sound(fold(audio)), len(audio)))


class ResNet3D50ResNet34(BackbonePair):
    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_snippets: int = 16,
        depths: tuple[int, ...] = DEPTHS_50,
        width: int = 64,
        audio_depth: int = 34,
        audio_width: int = 64,
        fusion: str = "vanilla",
        fusion_width: int = 512,
    ) -> None:
        visual, sound = ResNet3d(depths, width=width), AudioResNet(depth=audio_depth, width=audio_width)
        super().__init__(
            visual,
            visual.dim,
            sound,
            sound.out_channels,
            lambda v, a: FusionHead(fusion, v, a, num_classes, width=fusion_width, num_snippets=num_snippets),
        )

    def encode_video(self, video: Tensor) -> Tensor:
        return self.visual(fold(video)).mean(dim=(2, 3, 4))


class ConvNeXtCSPDarkNet53(BackbonePair):
    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_snippets: int = 16,
        sizes: tuple[int, ...] = (96, 192, 384, 768),
        depths: tuple[int, ...] = (3, 3, 9, 3),
        audio_width: int = 32,
        audio_depths: tuple[int, ...] = (1, 2, 8, 8, 4),
        fusion: str = "vanilla",
        fusion_width: int = 512,
    ) -> None:
        visual = ConvNextModel(ConvNextConfig(hidden_sizes=list(sizes), depths=list(depths), drop_path_rate=0.1))
        sound = CSPDarkNet53(audio_depths, width=audio_width)
        super().__init__(
            visual,
            sizes[-1],
            sound,
            sound.dim,
            lambda v, a: FusionHead(fusion, v, a, num_classes, width=fusion_width, num_snippets=num_snippets),
        )

    def encode_video(self, video: Tensor) -> Tensor:
        return self.visual(fold(middle_frames(video))).pooler_output
