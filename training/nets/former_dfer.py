"""Former-DFER [32]: a ResNet18 with a transformer between its third and fourth stage, then a transformer over the frames.

Authority: zengqunzhao/Former-DFER (MIT), 18.0 M with seven classes. Input adaption: its 16 frames of 112 x 112 are the middle frames of our 16
snippets, the whole picture in place of an aligned face. B batch, S frames, C channels, H height, W width.
"""

import torch
from torch import Tensor, nn

from training.nets.inputs import fold, middle_frames, unfold
from training.nets.output import Opinions
from training.nets.resnet2d import DEPTHS_18, ResNet2d
from training.nets.tokens import TemporalTransformer, TokenLayer

SMALL = {"depths": (1, 1, 1, 1), "width": 8, "temporal_depth": 1}
PLACES = 7 * 7  # of the third stage's map


class FormerDFER(nn.Module):
    uses = ("video",)

    def __init__(
        self, *, num_classes: int = 6, depths: tuple[int, ...] = DEPTHS_18, width: int = 64, temporal_depth: int = 3, num_frames: int = 16
    ) -> None:
        super().__init__()
        self.resnet = ResNet2d(depths, width=width)
        spatial, dim = 4 * width, 8 * width
        self.pos_embedding = nn.Parameter(torch.randn(1, PLACES, spatial))
        self.spatial = TokenLayer(spatial, heads=8, head_dim=width // 2, mlp_dim=2 * spatial)
        self.temporal = TemporalTransformer(dim, num_tokens=num_frames, depth=temporal_depth, heads=8, head_dim=width, mlp_dim=2 * dim)
        self.classifier = nn.Linear(dim, num_classes)

    def encode(self, frames: Tensor) -> Tensor:
        x = self.resnet.until_layer3(frames)  # (N, C, 7, 7)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = self.spatial(tokens + self.pos_embedding[:, : tokens.shape[1]])
        return self.resnet.layer4(tokens.transpose(1, 2).unflatten(2, x.shape[2:])).mean(dim=(2, 3))

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        frames_BSC = unfold(self.encode(fold(middle_frames(video))), len(video))
        video_BC = self.temporal(frames_BSC)
        return Opinions(self.classifier(video_BC), embedding_BC=video_BC)
