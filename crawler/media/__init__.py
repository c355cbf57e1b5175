"""Files from the Internet are opened only here, each in a child process with limits on time, memory and output."""

from crawler.media.examination import Examination, HostileMedia, browser_plays, examine, transcode
from crawler.media.likeness import Features, Stock, load_features, same_scene

__all__ = ["Examination", "Features", "HostileMedia", "Stock", "browser_plays", "examine", "load_features", "same_scene", "transcode"]
