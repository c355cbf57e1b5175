"""Detectors of unsafe content: a registry of small looks at a video, each answering pass, review or "unable". None drops anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from crawler.models import Check, Video
from crawler.rules import lexicon

FRAMES_LOOKED_AT = 8
NSFW_THRESHOLD = 0.5
NSFW_FRAMES = 2  # one frame may be an accident of the light


@dataclass(frozen=True)
class Finding:
    verdict: str
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Detector:
    name: str
    version: int
    look: Callable[[Video], Finding]


def text_lexicon(video: Video) -> Finding:
    """Listed words in the title and the hashtags, Chinese and English, also spaced, disguised or in pinyin."""
    hits = lexicon.screen(video.title, tuple(video.hashtags))
    if not hits:
        return Finding(Check.Verdict.PASS)
    categories = sorted({hit.category for hit in hits})
    return Finding(Check.Verdict.REVIEW, f"text: {', '.join(categories)}", {"hits": [[hit.category, hit.word] for hit in hits]})


def image_nsfw(video: Video) -> Finding:
    """Nudity by a network given by path (NSFW_MODEL, an ONNX file with one or two outputs per picture); unable without one."""
    path = settings.NSFW_MODEL
    if not path:
        return Finding(Check.Verdict.UNABLE, "no weights: set NSFW_MODEL to an ONNX file")
    if not Path(path).is_file():
        return Finding(Check.Verdict.UNABLE, f"no weights: NSFW_MODEL={path} is not a file")
    scores = list(nsfw_scores(path, video.path))
    high = [score for score in scores if score >= NSFW_THRESHOLD]
    evidence = {"scores": [round(score, 3) for score in scores], "threshold": NSFW_THRESHOLD}
    if len(high) >= NSFW_FRAMES:
        return Finding(Check.Verdict.REVIEW, f"image: {len(high)} of {len(scores)} frames", evidence)
    return Finding(Check.Verdict.PASS, "", evidence)


def violence(video: Video) -> Finding:
    """No usable weights exist without a network; a score for ranking comes from a model by path, else people look."""
    return Finding(Check.Verdict.UNABLE, "no weights: no violence model is configured")


DETECTORS: tuple[Detector, ...] = (
    Detector("text-lexicon", 1, text_lexicon),
    Detector("image-nsfw", 1, image_nsfw),
    Detector("violence", 1, violence),
)


def nsfw_scores(model: str, clip: Path) -> list[float]:
    """The network's probability of nudity for frames spread over the clip."""
    import cv2

    session = _session(model)
    entry = session.get_inputs()[0]
    channels_last = entry.shape[-1] == 3
    side = int(entry.shape[1] if channels_last else entry.shape[2])
    scores = []
    for picture in frames(clip):
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = small - np.array([123.68, 116.78, 103.94], np.float32)  # the mean colour that such networks were trained with
        batch = small[None, :, :, ::-1] if channels_last else small[None].transpose(0, 3, 1, 2)
        output = np.ravel(session.run(None, {entry.name: np.ascontiguousarray(batch)})[0])
        scores.append(float(output[-1]))
    return scores


def frames(clip: Path) -> list[np.ndarray]:
    """A few RGB pictures of a clip that has already been examined."""
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        keys = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    places = np.linspace(0, len(keys) - 1, min(FRAMES_LOOKED_AT, len(keys))).round().astype(int) if keys else np.zeros(0, int)
    return [keys[place] for place in np.unique(places)]


@cache
def _session(model: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
