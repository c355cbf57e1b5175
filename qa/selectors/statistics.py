"""Tab. II, Tab. III and Fig. 5 of the dataset as it stands (Sec. III-F)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from annotation.models import Sample, Vote
from annotation.rules import taxonomy
from annotation.rules.taxonomy import EMOTIONS
from crawler.models import Platform, Video
from crawler.selectors import is_large, remembered
from qa.rules import statistics as rules
from qa.selectors.columns import CHUNK
from qa.selectors.votes import CODES, label_votes

WORDS = 80


def dataset_numbers() -> dict[str, Any]:
    """Every statistic of the dataset page, JSON-ready; one pass over the labelled videos."""
    labels, platforms, months, durations, frames = _columns()
    raw, labelled = raw_and_labelled()
    return {
        "emotions": [asdict(row) for row in rules.emotion_rows(labels, durations, frames, emotions=EMOTIONS)],
        "platforms": [asdict(row) for row in rules.platform_rows(raw, labelled)],
        "durations": asdict(rules.duration_histogram(durations)),
        "label_platform_month": [
            {"emotion": emotion, "platform": platform, "month": month, "videos": count}
            for emotion, platform, month, count in _crossed(labels, platforms, months)
        ],
        "adjectives": adjective_use(),
        "topics": [{"word": word, "videos": count} for word, count in topic_words()],
        "content_types": [{"word": word, "videos": count} for word, count in content_words()],
    }


def raw_and_labelled() -> tuple[dict[str, int], dict[str, int]]:
    """Videos per platform: all whose file came in or that were imported (raw), and those with a decided label (Tab. III)."""
    raw = (
        Video.objects.filter(~Q(sha256="") | Q(state=Video.State.ACCEPTED))
        .values_list("platform")
        .annotate(n=Count("pk"))
        .order_by("platform")
    )
    labelled = _labelled().values_list("video__platform").annotate(n=Count("pk")).order_by("video__platform")
    none = dict.fromkeys(Platform.crawled(), 0)
    return none | dict(raw), none | dict(labelled)


def adjective_use() -> list[dict[str, Any]]:
    """How often each of the adjectives was chosen in votes for labels, most often first; unused ones too."""
    counts = dict(label_votes().exclude(adjective="").values_list("adjective").annotate(n=Count("pk")).order_by("adjective"))
    rows = [
        {"adjective": row.key, "en": row.en, "zh_hans": row.zh_hans, "emotion": row.emotion, "votes": counts.get(row.key, 0)}
        for row in taxonomy.ADJECTIVES
    ]
    return sorted(rows, key=lambda row: (-row["votes"], row["adjective"]))


def topic_words() -> list[tuple[str, int]]:
    """Fig. 5 (a): words of titles, Chinese ones cut by jieba."""
    import jieba

    jieba.setLogLevel(60)

    def words(title: str) -> list[str]:
        spaced, runs = rules.words_of(title)
        return spaced + [word for run in runs for word in jieba.cut(run)]

    titles = _labelled().exclude(video__title="").values_list("video__title", flat=True)
    return rules.word_counts((words(title) for title in titles.iterator(chunk_size=CHUNK)), limit=WORDS)


def content_words() -> list[tuple[str, int]]:
    """Fig. 5 (b): hashtags, which say what kind of content a video is."""
    tags = _labelled().values_list("video__hashtags", flat=True)
    return rules.word_counts(([str(tag).lstrip("#") for tag in row] for row in tags.iterator(chunk_size=CHUNK)), limit=WORDS)


def funnel_counts() -> dict[str, int]:
    """Found → kept → labelled → released: videos that reached each."""
    return remembered("front", _funnel_counts)


def _funnel_counts() -> dict[str, int]:
    counts = Video.objects.aggregate(
        found=Count("pk"),
        fetched=Count("pk", filter=~Q(sha256="")),
        kept=Count("pk", filter=Q(state=Video.State.ACCEPTED)),
    )
    labelled = _labelled()
    return counts | {"labelled": labelled.count(), "released": labelled.filter(video__release_items__isnull=False).distinct().count()}


def class_mix() -> list[int]:
    """Labelled videos per emotion, in class order."""
    rows = Sample.objects.filter(state=Sample.State.DECIDED).values_list("label").annotate(Count("pk"))
    counts = dict(rows.order_by())
    return [counts.get(emotion, 0) for emotion in EMOTIONS]


def dataset_version() -> str:
    """Changes whenever a statistic might: with every label, video or vote that came, changed or went; each hour if there are very many."""
    if is_large():
        return f"{timezone.now():%Y%m%d%H}"
    labels = _labelled().aggregate(count=Count("pk"), last=Max("decided_at"))
    videos = Video.objects.aggregate(count=Count("pk"), last=Max("touched_at"))
    votes = Vote.objects.aggregate(count=Max("pk"), last=Max("undone_at"))
    return "-".join(f"{facts['count']}.{facts['last'].timestamp() if facts['last'] else 0}" for facts in (labels, videos, votes))


def _labelled() -> QuerySet[Sample]:
    return Sample.objects.filter(state=Sample.State.DECIDED, video__state=Video.State.ACCEPTED)


def _columns() -> tuple[np.ndarray, list[str], list[str], np.ndarray, np.ndarray]:
    rows = (
        _labelled()
        .order_by("pk")
        .values_list("label", "video__platform", "video__published_at", "decided_at", "video__duration_s", "video__frames")
    )
    labels, platforms, months, durations, frames = [], [], [], [], []
    for label, platform, published_at, decided_at, duration_s, num_frames in rows.iterator(chunk_size=CHUNK):
        when = published_at or decided_at
        labels.append(CODES[label])
        platforms.append(platform)
        months.append(f"{when:%Y-%m}" if when else "")
        durations.append(np.nan if duration_s is None else duration_s)
        frames.append(np.nan if num_frames is None else num_frames)
    return np.array(labels, dtype=int), platforms, months, np.array(durations, dtype=float), np.array(frames, dtype=float)


def _crossed(labels: np.ndarray, platforms: list[str], months: list[str]) -> list[tuple[str, str, str, int]]:
    counts = Counter(zip(labels.tolist(), platforms, months, strict=True))
    return [(EMOTIONS[label], platform, month, count) for (label, platform, month), count in sorted(counts.items())]
