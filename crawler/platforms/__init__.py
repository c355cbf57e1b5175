"""How each platform carries video data: rules are data (rules/), an adapter per platform adds what rules cannot say."""

from crawler.platforms.adapter import Adapter
from crawler.platforms.douyin import Douyin
from crawler.platforms.kuaishou import Kuaishou
from crawler.platforms.outcomes import STATUS_OUTCOMES, Failure, ListPage, Outcome, PostRef, TrendingWord, VideoPage
from crawler.platforms.tiktok import TikTok

PLATFORMS: dict[str, Adapter] = {adapter.name: adapter for adapter in (Douyin(), Kuaishou(), TikTok())}

__all__ = ["PLATFORMS", "STATUS_OUTCOMES", "Adapter", "Failure", "ListPage", "Outcome", "PostRef", "TrendingWord", "VideoPage"]
