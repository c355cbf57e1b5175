"""What can be done with stages and videos; the only place that writes the crawler's rows."""

from crawler.media import HostileMedia, transcode, unplayed
from crawler.services.bringing import BadList, clips_bring
from crawler.services.keeping import clips_keep, parts_sweep
from crawler.services.manners import StageSettings, settings_chosen, settings_parsed
from crawler.services.outages import stage_reopen
from crawler.services.recheck import posts_recheck
from crawler.services.review import decision_undo, takedowns_finish, video_drop, video_keep, video_takedown
from crawler.services.screening import screenings_repeat
from crawler.services.stages import StageBusy, stage_counts, stage_crawl, stage_create, stage_stop, stages_due
from crawler.services.terms import term_block, terms_learn
from crawler.services.verdicts import video_doubt
from crawler.services.videos import clean_waiting, posts_insert, resume_stale, video_advance
from crawler.storage import Away, clips

__all__ = [
    "Away",
    "BadList",
    "HostileMedia",
    "StageBusy",
    "StageSettings",
    "clean_waiting",
    "clips",
    "clips_bring",
    "clips_keep",
    "decision_undo",
    "parts_sweep",
    "posts_insert",
    "posts_recheck",
    "resume_stale",
    "screenings_repeat",
    "settings_chosen",
    "settings_parsed",
    "stage_counts",
    "stage_crawl",
    "stage_create",
    "stage_reopen",
    "stage_stop",
    "stages_due",
    "takedowns_finish",
    "term_block",
    "terms_learn",
    "transcode",
    "unplayed",
    "video_advance",
    "video_doubt",
    "video_drop",
    "video_keep",
    "video_takedown",
]
