"""The networks: one file each, one registry. `NETS[name](num_classes=6)` builds one; its forward takes (video, audio) and gives Opinions.

video: (B, 16, 3, 8, 112, 112) float, audio: (B, 16, 1, 256, 32) float; a network of one branch ignores the other input.
"""

from collections.abc import Callable

from torch import nn

from training.nets.avcanet import AudioOnly, AVCANet, VideoOnly
from training.nets.output import Opinions

NETS: dict[str, Callable[..., nn.Module]] = {
    "avcanet": AVCANet,
    "video_branch": VideoOnly,
    "audio_branch": AudioOnly,
}

__all__ = ["NETS", "Opinions"]
