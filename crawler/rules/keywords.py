"""Salient keywords of what was kept, and how much each is worth asking for next: yield, novelty, need, decay, with the reasons."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HASHTAG_WORTH = 4.0  # an author's own keyword says more than a word of the caption
ONCE = 0.25  # what a word that one post alone has is worth: it may be chance
ONCE_TAGGED = 0.7
DECAY = 0.7  # per stage in which the term was on no board and in no kept post
REFILL = 0.1  # share of a list that is new again one stage after it was read, until experience says otherwise
PRIOR_YIELD = 0.5  # of a term that nobody has asked for yet
PRIOR_POSTS = 6  # how many posts that belief is worth
LATIN = re.compile(r"[a-z][a-z0-9'’]{2,29}", re.IGNORECASE)
HAN = re.compile(r"[\u4e00-\u9fff]{2,}")
STOPWORDS = frozenset(
    "the and for you are was with this that have from they what when your will can all not but our out has his her its who how why "
    "get got just like more very one two new now too did does were been than then them there here into over only also some any each "
    "video videos tiktok douyin kuaishou fyp foryou foryoupage viral trending explore follow part xyzbca capcut "
    "视频 抖音 快手 热门 上热门 推荐 关注 点赞 抖音热门 快手热门 我们 你们 他们 这个 那个 什么 怎么 就是 还是 没有 可以 一个 不是 自己 大家 真的 "
    "这样 因为 所以 但是 如果 已经 现在 时候 起来 知道 觉得 感觉 今天 一起 那些 这些 这么 那么 为什么".split()
)


@dataclass(frozen=True)
class Post:
    """What keywords are read from. kept: whether it was accepted."""

    title: str
    hashtags: tuple[str, ...] = ()
    kept: bool = True


@dataclass(frozen=True)
class Asked:
    """What asking for a term gave so far: over all asks, and (again_) over all but the first."""

    asks: int = 0
    found: int = 0
    new: int = 0
    kept: int = 0
    again_found: int = 0
    again_new: int = 0
    stages_ago: int = 0  # since it was asked for last
    unseen: int = 0  # stages since a board or a kept post had it


@dataclass(frozen=True)
class Score:
    text: str
    weight: float
    why: dict[str, float] = field(default_factory=dict)


def words(title: str) -> list[str]:
    """Words of a caption without its hashtags: Chinese cut by jieba, others by letters; stop words left out."""
    import jieba

    jieba.setLogLevel(60)
    plain = re.sub(r"[#＃@＠]\S+", " ", title)
    chinese = [word for run in HAN.findall(plain) for word in jieba.cut(run) if len(word) >= 2]
    latin = [word.lower() for word in LATIN.findall(plain)]
    return [word for word in chinese + latin if word not in STOPWORDS]


def terms_of(post: Post) -> Counter[str]:
    """How often each possible keyword occurs in a post; hashtags count several times."""
    counts: Counter[str] = Counter(words(post.title))
    for tag in post.hashtags:
        text = normal(tag)
        if text and text not in STOPWORDS:
            counts[text] += HASHTAG_WORTH  # type: ignore[assignment]  # a Counter may hold shares
    return counts


def normal(text: str) -> str:
    """A term as it is stored and compared: no hash sign, one space, lower case, at most 40 characters."""
    return re.sub(r"\s+", " ", text.strip().lstrip("#＃")).strip().lower()[:40]


def salient(posts: Iterable[Post], *, top: int = 50) -> dict[str, float]:
    """TF-IDF of the keywords of the kept posts, scaled to 0..1, highest first.

    A word in every post says nothing, a word in one post alone may be chance: both weigh little.
    """
    posts = list(posts)
    kept = [terms_of(post) for post in posts if post.kept]
    if not kept:
        return {}
    spread = Counter(term for counts in kept for term in counts)
    total: Counter[str] = sum(kept, Counter())
    tagged = {normal(tag) for post in posts if post.kept for tag in post.hashtags}
    raw = {}
    for term, count in total.items():
        share = spread[term] / (len(kept) + 2)  # of a single post nobody knows what is common
        once = 1.0 if spread[term] > 1 else ONCE_TAGGED if term in tagged else ONCE
        raw[term] = count * math.log(1 + 1 / share) * (1 - share**4) * once
    highest = max(raw.values()) or 1.0
    ranked = sorted(raw.items(), key=lambda item: (-item[1], item[0]))[:top]
    return {term: round(value / highest, 4) for term, value in ranked if value > 0}


def score(salience: float, asked: Asked, *, need: float = 0.0) -> tuple[float, dict[str, float]]:
    """(weight, why): what one more request for this term promises.

    salience 0..1 from the kept posts or the trending board; need 0..1: how much its emotion is wanted (0 when unknown).
    """
    usable = (asked.kept + PRIOR_YIELD * PRIOR_POSTS) / (asked.new + PRIOR_POSTS)
    decay, fresh = DECAY**asked.unseen, novelty(asked)
    weight = (0.2 + salience) * usable * fresh * decay * (1 + need)
    why = {"salience": salience, "yield": usable, "novelty": fresh, "decay": decay, "need": need}
    return round(weight, 4), {name: round(value, 3) for name, value in why.items()}


def novelty(asked: Asked) -> float:
    """Share of the term's list that will be new: all of it the first time, afterwards what has come since, as far as experience tells."""
    if not asked.asks:
        return 1.0
    refill = (asked.again_new + REFILL * PRIOR_POSTS) / (asked.again_found + PRIOR_POSTS)
    return 1 - (1 - refill) ** (asked.stages_ago + 1)


def rank(salience: Mapping[str, float], asked: Mapping[str, Asked], *, blocked: frozenset[str] = frozenset()) -> list[Score]:
    """All terms, best first; blocked ones are left out."""
    scores = []
    for term in sorted(set(salience) | set(asked)):
        if term not in blocked:
            weight, why = score(salience.get(term, 0.0), asked.get(term, Asked()))
            scores.append(Score(term, weight, why))
    return sorted(scores, key=lambda item: (-item.weight, item.text))
