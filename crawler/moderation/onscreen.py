"""Words that are written in the pictures: captions, stickers, banners."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from django.conf import settings

from crawler.models import Check, Video
from crawler.moderation import text
from crawler.moderation.finding import Finding, pictures_of
from crawler.rules import lexicon

LOOKED_AT = 3  # pictures; each takes a third of a second
SURE = 0.6  # of a line, by the reader's own account
LINES = 40  # stored as evidence


def onscreen_text(video: Video) -> Finding:
    """Listed words in what the pictures say, read by RapidOCR (Chinese and English); unable where it is not installed."""
    if not settings.ONSCREEN_TEXT:
        return Finding(Check.Verdict.UNABLE, "switched off: ONSCREEN_TEXT")
    if find_spec("rapidocr") is None:
        return Finding(Check.Verdict.UNABLE, "no reader: install rapidocr")
    pictures = pictures_of(video)
    if isinstance(pictures, Finding):
        return pictures
    lines = read(pictures)
    found = text.judged(lexicon.screen(" ".join(lines), tuple(lines)), "on screen")
    return Finding(found.verdict, found.reason, {**found.evidence, "lines": lines[:LINES]})


def read(pictures: np.ndarray) -> list[str]:
    """The lines of text in a few of the pictures, each once."""
    places = np.unique(np.linspace(0, len(pictures) - 1, min(LOOKED_AT, len(pictures))).round().astype(int))
    found: dict[str, None] = {}
    for place in places:
        answer = _reader()(np.ascontiguousarray(pictures[place][:, :, ::-1]))
        for line, score in zip(answer.txts or (), answer.scores or (), strict=True):
            if score >= SURE:
                found[line.strip()] = None
    return list(found)


@cache
def _reader() -> Any:
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it warns of every picture without words
    one_thread = {"EngineConfig.onnxruntime.intra_op_num_threads": 1, "EngineConfig.onnxruntime.inter_op_num_threads": 1}
    return RapidOCR(params={"Global.log_level": "error", **one_thread})
