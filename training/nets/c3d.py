"""C3D [64]: eight 3x3x3 convolutions and two wide linear layers.

Authority: facebookarchive/C3D, 78.0 M with six classes (FC6 and FC7 hold 50.3 M of them). Input adaption: its clips have 16 frames and ours 8, so the
last pooling keeps time as it is (one frame is left by then either way); every weight keeps its shape. N clips, C channels, T frames, H, W size.
"""

from torch import Tensor, nn

from training.nets.clip_consensus import ClipConsensus
from training.nets.output import Opinions

SMALL = {"width": 4, "hidden": 32}
# Convolutions of each stage, channels in units of the width, and the pooling after them.
STAGES = ((1, 1, (1, 2, 2)), (1, 2, (2, 2, 2)), (2, 4, (2, 2, 2)), (2, 8, (2, 2, 2)), (2, 8, (1, 2, 2)))
LAST_MAP = 4 * 4  # places left of 112 x 112, the last pooling padded by one


class C3D(nn.Module):
    uses = ("video",)

    def __init__(self, *, num_classes: int = 6, width: int = 64, hidden: int = 4096) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for number, (depth, factor, pool) in enumerate(STAGES):
            for _ in range(depth):
                layers += [nn.Conv3d(channels, factor * width, 3, padding=1), nn.ReLU()]
                channels = factor * width
            layers.append(nn.MaxPool3d(pool, pool, (0, 1, 1) if number == len(STAGES) - 1 else 0))
        self.convolutions = nn.Sequential(*layers)
        self.squeeze = nn.AdaptiveAvgPool3d((1, 4, 4))  # does nothing at 8 x 112 x 112; lets other sizes in
        self.fc6 = nn.Sequential(nn.Linear(channels * LAST_MAP, hidden), nn.ReLU(), nn.Dropout(0.5))
        self.fc7 = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.consensus = ClipConsensus(hidden, num_classes)

    def encode(self, clips: Tensor) -> Tensor:
        return self.fc7(self.fc6(self.squeeze(self.convolutions(clips)).flatten(1)))

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        return self.consensus(video, self.encode)
