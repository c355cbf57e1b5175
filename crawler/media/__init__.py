"""Files from the Internet are opened only here, each in a child process with limits on time, memory and output."""

from crawler.media.examination import Examination, HostileMedia, Unfit, browser_plays, examine, pictures, transcode, unplayed
from crawler.media.likeness import Features, Look, compared, load_features, same_scene
from crawler.media.stock import Stock

__all__ = [
    "Examination",
    "Features",
    "HostileMedia",
    "Look",
    "Stock",
    "Unfit",
    "browser_plays",
    "compared",
    "examine",
    "load_features",
    "pictures",
    "same_scene",
    "transcode",
    "unplayed",
]
