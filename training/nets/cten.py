"""CTEN [36]: cross-modal temporal erasing. Non-local context in each modality, attention between them, temporal attention at the end.

Authority: Zhang et al., CVPR 2023, nku-zhichengzhang/CTEN; 135.3 M with eight classes, 50.0 M of them trained (the 3D-ResNet101 is frozen). Input
adaption: 8 frames a snippet in place of 16, MFCC-32 chunks in place of fbank-128. Table IV lists CTEN among the visual methods while its released
code also hears: `sound=False` is the visual stream alone, as in that table.
Erasing: in training the features of the key snippets are taken away and, in a second pass, all others; the mean of the three opinions' losses is its
objective. The released code erases frames and runs the frozen backbone three times; here the frozen backbone's features are erased, which is cheaper and
differs in what a blank snippet's features are.
B batch, S snippets, C channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from training.nets.attention_pool import SequenceAttention
from training.nets.backbones import AudioResNet
from training.nets.inputs import fold, unfold
from training.nets.output import Opinions
from training.nets.resnet3d import DEPTHS_101, ResNet3d

SMALL = {"depths": (1, 1, 1, 1), "backbone_width": 2, "audio_width": 8, "inner": 8}
KEY_SHARE = 0.7  # a snippet is a key one above 0.7 max + 0.3 min of the temporal weights
HEADS = 8


class NonLocal(nn.Module):
    """Attention among the snippets of one modality through a narrow inner space."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Linear(dim, inner) for _ in range(3))
        self.out = nn.Linear(inner, dim)
        self.norm = nn.BatchNorm1d(dim)
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x_BSC: Tensor) -> Tensor:
        seen = scaled_dot_product_attention(self.theta(x_BSC), self.phi(x_BSC), self.g(x_BSC))
        return unfold(self.norm(fold(self.out(seen))), len(x_BSC)) + self.alpha * x_BSC


class CrossAttention(nn.Module):
    """Multi-head attention with a ReLU after each of its four linear layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, query_BSC: Tensor, context_BSC: Tensor) -> Tensor:
        q, k, v = (
            torch.relu(linear(x)).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for linear, x in ((self.q, query_BSC), (self.k, context_BSC), (self.v, context_BSC))
        )
        return torch.relu(self.o(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)))


class CTEN(nn.Module):
    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_snippets: int = 16,
        sound: bool = True,
        erasing: bool = True,
        depths: tuple[int, ...] = DEPTHS_101,
        backbone_width: int = 64,
        audio_width: int = 64,
        inner: int = 256,
    ) -> None:
        super().__init__()
        self.uses = ("video", "audio") if sound else ("video",)
        self.sound, self.erasing = sound, erasing
        self.resnet = ResNet3d(depths, width=backbone_width).requires_grad_(False)
        dim = self.resnet.dim
        self.non_local = NonLocal(dim, inner)
        if sound:
            self.audio_resnet = AudioResNet(depth=18, width=audio_width)
            self.audio_fc = nn.Sequential(nn.Linear(self.audio_resnet.out_channels, dim), nn.BatchNorm1d(dim), nn.Tanh())
            self.audio_non_local = NonLocal(dim, inner)
            self.audio_asks_video, self.video_asks_audio = CrossAttention(dim), CrossAttention(dim)
        joined = dim * (2 if sound else 1)
        self.temporal = SequenceAttention(joined, num_snippets)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(joined, num_classes)

    def train(self, mode: bool = True) -> "CTEN":
        """The frozen backbone keeps its batch statistics."""
        super().train(mode)
        self.resnet.eval()
        return self

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        with torch.no_grad():
            video_BSC = unfold(self.resnet(fold(video)).mean(dim=(2, 3, 4)), len(video))
        audio_BSC = self._hear(audio) if self.sound and audio is not None else None
        logits, weight_BS, embedding = self._judge(video_BSC, audio_BSC)
        if not (self.training and self.erasing):
            return Opinions(logits, embedding_BC=embedding)
        key_BS1 = key_snippets(weight_BS).unsqueeze(2)
        without_keys, only_keys = (self._judge(video_BSC * kept, audio_BSC)[0] for kept in (~key_BS1, key_BS1))
        # The loss of Opinions is that of all logits it holds: here the whole clip's and those of its two erased forms.
        return Opinions(logits, without_keys, only_keys, embedding)

    def _hear(self, audio: Tensor) -> Tensor:
        return self.audio_non_local(unfold(self.audio_fc(self.audio_resnet(fold(audio))), len(audio)))

    def _judge(self, video_BSC: Tensor, audio_BSC: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, the snippets' temporal weights, the embedding."""
        both = self.non_local(video_BSC)
        if audio_BSC is not None:
            heard = audio_BSC + self.video_asks_audio(both, audio_BSC)
            both = torch.cat([both + self.audio_asks_video(audio_BSC, both), heard], dim=2)
        weight_BS = torch.relu(self.temporal(both.transpose(1, 2)))
        embedding = (both * weight_BS.unsqueeze(2)).mean(dim=1)
        return self.classifier(self.dropout(embedding)), weight_BS, embedding


def key_snippets(weight_BS: Tensor) -> Tensor:
    """True where a snippet's temporal weight lies in the upper part of its clip's range."""
    high, low = weight_BS.amax(dim=1, keepdim=True), weight_BS.amin(dim=1, keepdim=True)
    return weight_BS > KEY_SHARE * high + (1 - KEY_SHARE) * low
