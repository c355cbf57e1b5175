"""Whether the emotion changes within the clip, by what a trained network said of its windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from django.conf import settings

from crawler.models import Check, Video
from crawler.moderation.finding import Finding
from crawler.rules import transitions
from crawler.rules.transitions import EMOTIONS


def emotion_shift(video: Video) -> Finding:
    """Review when the posteriors change their class, or decide for none; unable before a network has seen the clip.

    EMOTION_WINDOWS is a folder of <sha256>.npy files, (windows, 6) probabilities each: written by training.services.windows_write, read here without torch.
    """
    path = windows_path(video.sha256)
    if not path.parent.is_dir():
        return Finding(Check.Verdict.UNABLE, "no network has been trained: manage.py emotion_windows has one look at the clips")
    posteriors = read(path)
    if isinstance(posteriors, str):
        return Finding(Check.Verdict.UNABLE, posteriors)
    evidence = {"windows": [[round(float(share), 3) for share in row] for row in posteriors]}
    shift = transitions.emotion_shift(posteriors)
    if shift:
        before, after = (EMOTIONS[place] for place in shift)
        return Finding(Check.Verdict.REVIEW, f"transition: {before} to {after}", evidence)
    if transitions.unclear(posteriors):
        return Finding(Check.Verdict.REVIEW, "transition: no emotion is clear", evidence)
    return Finding(Check.Verdict.PASS, "", evidence)


def windows_path(sha256: str) -> Path:
    return Path(settings.EMOTION_WINDOWS) / f"{sha256}.npy"


def read(path: Path) -> np.ndarray | str:
    """(windows, 6) probabilities, or what is wrong with the file."""
    try:
        rows = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return "the network has not seen this clip"
    except (OSError, ValueError, EOFError) as error:
        return f"{path.name} cannot be read: {error}"[:200]
    if rows.ndim != 2 or rows.shape[1] != len(EMOTIONS) or not len(rows) or not np.allclose(rows.sum(axis=1), 1, atol=0.01):
        return f"{path.name}: {rows.shape} is not (windows, {len(EMOTIONS)}) probabilities"
    return np.asarray(rows, np.float64)
