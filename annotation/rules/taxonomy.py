"""What can be felt: the six emotions, their polarity, and the 62 adjectives that stand for them (Sec. III-D, Suppl. Tab. 2).

The paper's own table is not public; this one extends Music_video's (docs/decisions.md). It is versioned: a vote keeps
the version it was made with, so a later table never changes what an earlier vote meant.
"""

from __future__ import annotations

from dataclasses import dataclass

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")  # class ids 0–5
POLARITY = {"Excitation": 1, "Fear": -1, "Neutral": 0, "Relaxation": 1, "Sadness": -1, "Tension": -1}
EMOTIONS_ZH_HANS = {"Excitation": "兴奋", "Fear": "恐惧", "Neutral": "中性", "Relaxation": "放松", "Sadness": "悲伤", "Tension": "紧张"}
TABLE_VERSION = 1
SYNONYMS = {"sad": "Sadness"}  # as the published dataset writes it


@dataclass(frozen=True)
class Adjective:
    """One choice of the workbench. source: S = Music_video, M = Music_video from memory, O = ours."""

    key: str
    en: str
    zh_hans: str
    emotion: str
    source: str


# emotion → (English, Chinese, source)
TABLE_1 = {
    "Excitation": (
        ("Happy", "快乐的", "S"),
        ("Fun", "有趣的", "S"),
        ("Loving", "喜爱的", "S"),
        ("Sexy", "性感的", "S"),
        ("Joyful", "喜悦的", "S"),
        ("Pleasurable", "愉悦的", "S"),
        ("Exciting", "激动人心的", "S"),
        ("Adorable", "可爱的", "S"),
        ("Cheerful", "欢快的", "S"),
        ("Surprising", "惊喜的", "S"),
        ("Interesting", "引人入胜的", "S"),
        ("Amusing", "逗乐的", "O"),
        ("Thrilling", "刺激的", "O"),
        ("Passionate", "热情的", "O"),
        ("Inspired", "受鼓舞的", "O"),
        ("Proud", "自豪的", "O"),
    ),
    "Fear": (
        ("Horrifying", "恐怖的", "M"),
        ("Fearful", "害怕的", "M"),
        ("Scary", "吓人的", "M"),
        ("Disgusting", "恶心的", "M"),
        ("Terrifying", "惊骇的", "M"),
        ("Creepy", "毛骨悚然的", "O"),
        ("Alarming", "令人惊慌的", "O"),
        ("Eerie", "阴森的", "O"),
        ("Gruesome", "血腥可怖的", "O"),
    ),
    "Neutral": (
        ("Mixed", "混合的", "M"),
        ("Ambiguous", "模棱两可的", "M"),
        ("Neutral", "中性的", "O"),
        ("Plain", "平淡的", "O"),
        ("Ordinary", "普通的", "O"),
        ("Everyday", "日常的", "O"),
        ("Routine", "例行的", "O"),
        ("Factual", "纪实的", "O"),
        ("Indifferent", "无感的", "O"),
    ),
    "Relaxation": (
        ("Calm", "平静的", "M"),
        ("Chill", "惬意的", "M"),
        ("Relaxing", "放松的", "M"),
        ("Peaceful", "安宁的", "O"),
        ("Soothing", "舒缓的", "O"),
        ("Gentle", "温柔的", "O"),
        ("Comfortable", "舒适的", "O"),
        ("Cozy", "温馨的", "O"),
        ("Healing", "治愈的", "O"),
        ("Leisurely", "悠闲的", "O"),
    ),
    "Sadness": (
        ("Depressing", "令人沮丧的", "M"),
        ("Melancholic", "忧郁的", "M"),
        ("Sentimental", "感伤的", "M"),
        ("Shameful", "羞愧的", "M"),
        ("Distressed", "苦恼的", "M"),
        ("Anguished", "痛苦的", "M"),
        ("Sorrowful", "悲伤的", "O"),
        ("Lonely", "孤独的", "O"),
        ("Gloomy", "阴郁的", "O"),
    ),
    "Tension": (
        ("Angry", "生气的", "M"),
        ("Hateful", "憎恨的", "M"),
        ("Enraged", "暴怒的", "M"),
        ("Tense", "紧张的", "O"),
        ("Anxious", "焦虑的", "O"),
        ("Annoying", "烦躁的", "O"),
        ("Hostile", "敌对的", "O"),
        ("Stressful", "有压力的", "O"),
        ("Aggressive", "咄咄逼人的", "O"),
    ),
}
TABLES = {
    1: tuple(Adjective(en.lower(), en, zh, emotion, source) for emotion, rows in TABLE_1.items() for en, zh, source in rows),
}
ADJECTIVES = TABLES[TABLE_VERSION]
BY_KEY = {version: {adjective.key: adjective for adjective in table} for version, table in TABLES.items()}


def parse_emotion(text: str) -> str:
    """The emotion that a file means, in any case of letters; `Sad` is Sadness. Raises ValueError naming the six."""
    name = text.strip().lower()
    for emotion in EMOTIONS:
        if name == emotion.lower():
            return emotion
    if name in SYNONYMS:
        return SYNONYMS[name]
    raise ValueError(f"{text!r} is not an emotion; use one of {', '.join(EMOTIONS)}")


def table(version: int) -> dict[str, Adjective]:
    """Key → adjective in that version of the table. Raises ValueError if there is none."""
    if version not in BY_KEY:
        raise ValueError(f"there is no adjective table {version}; known: {', '.join(map(str, BY_KEY))}")
    return BY_KEY[version]


def adjective(key: str, *, version: int = TABLE_VERSION) -> Adjective:
    """The adjective of that key in that version of the table. Raises ValueError if either is unknown."""
    choices = table(version)
    found = choices.get(key.strip().lower())
    if found is None:
        raise ValueError(f"{key!r} is not among the {len(choices)} adjectives of table {version}")
    return found
