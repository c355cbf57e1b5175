"""Picture networks given as ONNX files: each gives every picture of a clip a probability."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from crawler.models import Check, Video
from crawler.moderation.finding import Finding, pictures_of

log = logging.getLogger(__name__)
FRAMES = 2  # one frame may be an accident of the light
CROPPED_FROM = 256 / 224  # such networks were trained on the middle of a slightly larger picture
MEAN = np.array([104.0, 117.0, 123.0], np.float32)  # of the pictures they were trained with; blue, green, red


def judged(model: str, video: Video, what: str) -> Finding:
    """Review when at least two pictures of the clip are probable; the scores are the evidence. Unable with a file that is no such network."""
    pictures = pictures_of(video)
    if isinstance(pictures, Finding):
        return pictures
    try:
        found = scores(model, pictures)
    except Exception as error:  # onnxruntime's errors have no common class; else every clip would fail for a setting
        log.warning("%s cannot look at pictures: %s", model, error)
        return Finding(Check.Verdict.UNABLE, f"{Path(model).name} cannot look at pictures: {error}"[:200])
    high = [score for score in found if score >= settings.PICTURE_THRESHOLD]
    evidence = {"model": Path(model).name, "scores": [round(score, 3) for score in found], "threshold": settings.PICTURE_THRESHOLD}
    if len(high) >= min(FRAMES, len(found)):
        return Finding(Check.Verdict.REVIEW, f"{what}: {len(high)} of {len(found)} frames", evidence)
    return Finding(Check.Verdict.PASS, "", evidence)


def scores(model: str, pictures: np.ndarray) -> list[float]:
    """The last output of the network for each of (n, height, width, 3) RGB pictures."""
    session = _session(model)
    entry = session.get_inputs()[0]
    channels_last = entry.shape[-1] == 3
    side = int(entry.shape[1] if channels_last else entry.shape[2])
    batch = np.stack([prepared(picture, side) for picture in pictures])
    batch = batch if channels_last else batch.transpose(0, 3, 1, 2)
    # One at a time: some networks are stored with a batch of one.
    outputs = [session.run(None, {entry.name: np.ascontiguousarray(one[None])})[0] for one in batch]
    return [float(np.ravel(output)[-1]) for output in outputs]


def prepared(picture: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3), blue first, less the mean colour, as Caffe networks want it; through JPEG, which they were trained on."""
    import cv2

    whole = round(side * CROPPED_FROM)
    small = cv2.resize(np.ascontiguousarray(picture[:, :, ::-1]), (whole, whole), interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("a picture that was just encoded as JPEG does not decode")
    edge = (whole - side) // 2
    return decoded[edge : edge + side, edge : edge + side].astype(np.float32) - MEAN


@cache
def _session(model: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
