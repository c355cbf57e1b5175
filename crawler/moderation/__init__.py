"""Detectors of unsafe or unclear content: a registry of small looks at a video, each answering pass, review or "unable". None drops anything."""

from crawler.moderation.feeling import emotion_shift
from crawler.moderation.finding import Detector, Finding
from crawler.moderation.image import image_nsfw
from crawler.moderation.onscreen import onscreen_text
from crawler.moderation.text import text_lexicon
from crawler.moderation.violence import violence

DETECTORS: tuple[Detector, ...] = (
    Detector("text-lexicon", 1, text_lexicon),
    Detector("onscreen-text", 1, onscreen_text),
    Detector("image-nsfw", 2, image_nsfw),
    Detector("violence", 2, violence),
    Detector("emotion-shift", 1, emotion_shift),
)

__all__ = ["DETECTORS", "Detector", "Finding"]
