"""3-D ResNets and ResNeXts of bottlenecks (Hara et al., CVPR 2018): one file for VAANet, CTEN, MSAF and 3D-R50 + R34.

Authority: kenshohara/3D-ResNets-PyTorch (MIT), whose attribute names are kept so that the Kinetics checkpoints load key by key.
Input adaption: each snippet (8 frames of 112 x 112) is one clip; the four halvings of time end at one frame.
N clips, C channels, T frames, H height, W width.
"""

from torch import Tensor, nn

from training.nets.resnet2d import STAGE_CHANNELS, init_convolutions

DEPTHS_50 = (3, 4, 6, 3)
DEPTHS_101 = (3, 4, 23, 3)


class Bottleneck3d(nn.Module):
    """1x1x1, 3x3x3, 1x1x1; with a cardinality above one the middle convolution is grouped (ResNeXt)."""

    def __init__(self, channels_in: int, inner: int, channels: int, stride: int, cardinality: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(inner)
        self.conv2 = nn.Conv3d(inner, inner, 3, stride, 1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm3d(inner)
        self.conv3 = nn.Conv3d(inner, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv3d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm3d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return self.relu(y + shortcut)


class ResNet3d(nn.Module):
    """(N, 3, T, H, W) → (N, 32·width, t, h, w); `cardinality` 1 is ResNet, 32 is ResNeXt (inner planes twice as wide)."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, depths: tuple[int, ...] = DEPTHS_50, *, width: int = 64, cardinality: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, width, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, 2, 1)
        channels = width
        for stage, (depth, factor) in enumerate(zip(depths, STAGE_CHANNELS, strict=True), start=1):
            inner = factor * width * (1 if cardinality == 1 else 2)
            outer = 4 * factor * width
            blocks = [
                Bottleneck3d(channels if i == 0 else outer, inner, outer, 2 if i == 0 and stage > 1 else 1, cardinality)
                for i in range(depth)
            ]
            channels = outer
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.dim = channels
        self.apply(init_convolutions)

    def stem(self, x: Tensor) -> Tensor:
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
