"""The networks: one file each, one registry. `NETS[name](num_classes=6)` builds one; its forward takes (video, audio) and gives Opinions.

video: (B, 16, 3, 8, 112, 112) float, audio: (B, 16, 1, 256, 32) float; a network of one branch ignores the other input.
The baselines also take `small=True`: the same modules at the sizes named SMALL in their file, for tests and smoke runs. Their files are imported
when the network is built, since some of them need `transformers`. docs/networks.md says of each what it is and where it comes from.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn

from training.nets.avcanet import AudioOnly, AVCANet, VideoOnly
from training.nets.output import Opinions


def _baseline(module: str, name: str, sizes: str = "SMALL") -> Callable[..., nn.Module]:
    def build(*, num_classes: int = 6, small: bool = False, **options: Any) -> nn.Module:
        file = import_module(f"training.nets.{module}")
        given = {**getattr(file, sizes), **options} if small else options
        return getattr(file, name)(num_classes=num_classes, **given)

    build.__doc__ = f"training.nets.{module}.{name}, imported when built."
    return build


NETS: dict[str, Callable[..., nn.Module]] = {
    "avcanet": AVCANet,
    "video_branch": VideoOnly,
    "audio_branch": AudioOnly,
    # Table IV, sound
    "resnet34_audio": _baseline("resnet34_audio", "ResNet34Audio"),
    "cnn14": _baseline("cnn14", "CNN14"),
    "ecapa_tdnn": _baseline("ecapa_tdnn", "ECAPA"),
    "res2net": _baseline("res2net", "Res2NetAudio"),
    "campplus": _baseline("campplus", "CAMPlusPlus"),
    # Table IV, pictures
    "video_swin_t": _baseline("video_swin_t", "VideoSwinClassifier"),
    "i3d": _baseline("i3d", "I3D"),
    "slowfast_r50": _baseline("slowfast_r50", "SlowFastR50"),
    "cten": _baseline("cten", "CTEN"),
    "former_dfer": _baseline("former_dfer", "FormerDFER"),
    "timesformer": _baseline("timesformer", "TimeSformer"),
    "dfer_clip": _baseline("dfer_clip", "DFERCLIP"),
    "c3d": _baseline("c3d", "C3D"),
    # Table IV, both
    "vaanet": _baseline("vaanet", "VAANet"),
    "ogm_ge": _baseline("ogm_ge", "OGMGE"),
    "msaf": _baseline("msaf", "MSAF"),
    "mmcosine": _baseline("mmcosine", "MMCosine"),
    "resnet3d50_resnet34": _baseline("backbone_pairs", "ResNet3D50ResNet34", "SMALL_RESNETS"),
    "convnext_cspdarknet53": _baseline("backbone_pairs", "ConvNeXtCSPDarkNet53", "SMALL_CONVNEXT"),
    # Table VI: AV-CANet's branches under any module of fusion_modules.FUSION_MODULES
    "fusion_net": _baseline("fused_pair", "FusionNet"),
}

__all__ = ["NETS", "Opinions"]
