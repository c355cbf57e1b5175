"""A 2-D ResNet on pictures (He et al., CVPR 2016), its stages open to be used one by one. The audio branches use backbones.AudioResNet.

Authority: pytorch/vision resnet18 and resnet34; the attribute names are theirs, so that their checkpoints load key by key.
N pictures, C channels, H height, W width.
"""

from torch import Tensor, nn

from training.nets.backbones import BasicBlock

STAGE_CHANNELS = (1, 2, 4, 8)  # in units of the width
DEPTHS_18 = (2, 2, 2, 2)


class ResNet2d(nn.Module):
    """(N, C, H, W) → (N, 8·width) after global average pooling."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, depths: tuple[int, ...] = DEPTHS_18, *, channels_in: int = 3, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = width
        for stage, (depth, factor) in enumerate(zip(depths, STAGE_CHANNELS, strict=True), start=1):
            blocks = [
                BasicBlock(channels if i == 0 else factor * width, factor * width, 2 if i == 0 and stage > 1 else 1) for i in range(depth)
            ]
            channels = factor * width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.dim = channels
        self.apply(init_convolutions)

    def until_layer3(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer3(self.layer2(self.layer1(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer4(self.until_layer3(x)).mean(dim=(2, 3))


def init_convolutions(module: nn.Module) -> None:
    """Kaiming's normal initialisation for every convolution, as in all ResNets here."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
