"""What exists on the replica: users, posts, hashtags and trending boards, all drawn from one seed, with the right answer known."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import numpy as np

from demo.clips import EMOTIONS, Label
from demo.replica import words
from demo.replica.faults import FAULTS, Where

PLATFORMS = ("douyin", "kuaishou", "tiktok")
SHARES = (0.36, 0.34, 0.30)  # roughly Tab. III
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
BOARD_DAYS = 7  # the boards repeat after a week
DURATION_LIMITS_S = (2.46, 163.77)  # Tab. II
LAYOUTS = {
    "tiktok": ("universal", "universal", "sigi", "next"),
    "douyin": ("render_43", "render_41", "render_old"),
    "kuaishou": ("apollo", "apollo_undefined"),
}


@dataclass(frozen=True)
class User:
    id: str
    sec_id: str
    handle: str
    nickname: str


@dataclass
class Post:
    platform: str
    id: str
    clip: str  # the file it was made from
    body: str  # the file that is served; differs where the post was edited or damaged
    emotion: str
    title: str
    hashtags: list[str]
    user: User
    created: int
    duration_s: float
    width: int
    height: int
    size: int
    counts: dict[str, int]
    layout: str
    track: str
    fault: str = ""
    expected: str = "accepted"
    duplicate_of: str = ""
    edit: str = ""
    depth: int = 0  # stages until its terms lead to it, counted from the first day's board; 0: never

    @property
    def key(self) -> str:
        return f"{self.platform}:{self.id}"

    @property
    def caption(self) -> str:
        return " ".join([self.title, *(f"#{tag}" for tag in self.hashtags)])

    @property
    def url(self) -> str:
        if self.platform == "tiktok":
            return f"https://www.tiktok.com/@{self.user.handle}/video/{self.id}"
        return f"https://www.douyin.com/video/{self.id}" if self.platform == "douyin" else f"https://www.kuaishou.com/short-video/{self.id}"


@dataclass
class Corpus:
    seed: int
    posts: list[Post]
    boards: dict[str, list[list[str]]] = field(default_factory=dict)  # platform -> day of the week -> words

    def __post_init__(self) -> None:
        self.by_id = {(post.platform, post.id): post for post in self.posts}
        self._of = {platform: [post for post in self.posts if post.platform == platform] for platform in PLATFORMS}
        self._texts: dict[str, tuple[tuple[str, int], str]] = {}

    def find(self, platform: str, post_id: str) -> Post | None:
        return self.by_id.get((platform, post_id))

    def of(self, platform: str) -> list[Post]:
        return self._of[platform]

    def tagged(self, platform: str, tag: str) -> list[Post]:
        """Posts that carry the hashtag, the most liked first."""
        wanted = tag.strip().lstrip("#").lower()
        return ranked(post for post in self.of(platform) if wanted in (name.lower() for name in post.hashtags))

    def search(self, platform: str, text: str) -> list[Post]:
        """Posts whose caption holds the text, the most liked first."""
        return ranked(self.matching(platform, text))

    def matching(self, platform: str, text: str) -> list[Post]:
        wanted = text.strip().lstrip("#").lower()
        return [post for post in self.of(platform) if wanted and wanted in self._text(post)]

    def _text(self, post: Post) -> str:
        """The caption in lower case, kept until a hashtag is added or the title changed: every search reads all of them."""
        state = (post.title, len(post.hashtags))
        known = self._texts.get(post.key)
        if known is None or known[0] != state:
            known = self._texts[post.key] = state, post.caption.lower()
        return known[1]

    def by_user(self, platform: str, name: str) -> list[Post]:
        """A user's posts by handle, id or lasting key, the newest first."""
        return sorted(
            (post for post in self.of(platform) if name in (post.user.handle, post.user.id, post.user.sec_id)),
            key=lambda post: -post.created,
        )

    def board(self, platform: str, day: datetime.date) -> list[str]:
        return self.boards[platform][day.toordinal() % BOARD_DAYS]

    def depths(self, platform: str, board: Iterable[str]) -> dict[str, int]:
        """Post id -> how many stages of searching lead to it, when each stage's terms are the hashtags of what the last one kept.

        The platform's catch-all tag leads nowhere: a sensible crawler does not ask for it.
        """
        depths: dict[str, int] = {}
        sources = self.sources(platform)
        terms, seen, depth = set(board), {*board, words.GENERAL[platform]}, 1
        while terms:
            found = {post.id: post for term in terms for post in self.matching(platform, term) if post.id not in depths}
            depths |= dict.fromkeys(found, depth)
            terms = {tag for post in found.values() if post.id in sources for tag in post.hashtags} - seen
            seen |= terms
            depth += 1
        return depths

    def sources(self, platform: str) -> set[str]:
        """Ids of the posts whose hashtags a crawler is sure to learn: those kept, and not shown again by another post that may be kept instead."""
        kept = [post for post in self.of(platform) if post.expected == "accepted"]
        copied = {post.duplicate_of for post in self.posts}
        sure = {post.id for post in kept if post.key not in copied}
        return sure if 2 * len(sure) >= len(kept) else {post.id for post in kept}

    def truth(self, day: datetime.date) -> dict:
        """The right answer, as truth.json holds it."""
        return {
            "seed": self.seed,
            "day": day.isoformat(),
            "boards": {platform: self.board(platform, day) for platform in PLATFORMS},
            "boards_by_weekday": self.boards,
            "posts": [truth_of(post) for post in self.posts],
        }


def truth_of(post: Post) -> dict:
    record = asdict(post)
    record["user"] = post.user.handle
    record["planted"] = [post.fault] if post.fault else []
    record["keyword"] = post.hashtags[0]
    return {**record, "url": post.url, "caption": post.caption}


def ranked(posts: Iterable[Post]) -> list[Post]:
    return sorted(posts, key=lambda post: (-post.counts["likes"], post.id))


# --- building ---------------------------------------------------------------------------------------------------
def build(clips: Path, labels: list[Label], *, faults: frozenset[str], seed: int = 0, posts: int | None = None) -> Corpus:
    """The posts over these clips: each clip once, then copies and unfit posts as the chosen faults ask, then declared re-uploads up to `posts`.

    Files that are no video are left out. Raises ValueError when there are no clips, or fewer posts than clips are asked for.
    """
    facts = probed(clips, labels)
    labels = [label for label in labels if label.file in facts]
    if not labels:
        raise ValueError(f"{clips} holds no clips; make some with demo.clips.make_clips")
    rng = np.random.default_rng([seed, 3])
    copies = copy_plan(len(labels) if posts is None else posts, faults)
    total = max(posts if posts is not None else len(labels) + len(copies), len(labels) + len(copies))
    plan = [(label, "") for label in labels] + [(labels[int(rng.integers(len(labels)))], name) for name in copies]
    while len(plan) < total:
        plan.append((labels[int(rng.integers(len(labels)))], "reupload_exact"))
    maker = Maker(rng, total)
    made = [maker.post(label, name, facts[label.file]) for label, name in plan]
    maker.plant(made[: len(labels)], faults)
    link_copies(made, len(labels), rng)
    corpus = Corpus(seed, made)
    for platform in PLATFORMS:
        corpus.boards[platform] = boards(corpus.of(platform), rng)
        connect(corpus, platform, rng)
    return corpus


def copy_plan(num_posts: int, faults: frozenset[str]) -> list[str]:
    """The names of the extra posts, one entry per post."""
    extra = [fault for fault in FAULTS.values() if fault.where is Where.COPY and fault.name in faults]
    return [fault.name for fault in extra for _ in range(max(1, round(fault.share * num_posts)))]


def probed(clips: Path, labels: Iterable[Label]) -> dict[str, tuple[float, int, int, int]]:
    """What probe says of each file that is a video."""
    facts = {}
    for label in labels:
        with suppress(av.FFmpegError, IndexError):  # no video at all, or nothing but sound
            facts[label.file] = probe(clips / label.file)
    return facts


def probe(path: Path) -> tuple[float, int, int, int]:
    """Duration in seconds, width, height, bytes."""
    with av.open(str(path)) as media:
        stream = media.streams.video[0]
        duration = float(media.duration or 0) / av.time_base
        return duration, stream.codec_context.width, stream.codec_context.height, path.stat().st_size


class Maker:
    """Draws posts one after another from one generator."""

    def __init__(self, rng: np.random.Generator, num_posts: int) -> None:
        self.rng = rng
        per_platform = max(3, num_posts // 10)
        self.users = {platform: [self.user(platform, index) for index in range(per_platform)] for platform in PLATFORMS}
        self.popularity = 1 / np.arange(1, per_platform + 1)
        self.topics_kept = int(np.clip(num_posts // 60 + 1, 2, 5))

    def user(self, platform: str, index: int) -> User:
        digits = "".join(map(str, self.rng.integers(0, 10, 18)))
        handle = f"{words.HANDLES[index % len(words.HANDLES)]}{index if index >= len(words.HANDLES) else ''}"
        if platform == "kuaishou":
            return User(f"3x{self.code(BASE36, 13)}", f"3x{self.code(BASE36, 13)}", handle, words.NAMES[(index * 7 + 3) % len(words.NAMES)])
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        return User(
            f"6{digits}", f"MS4wLjABAAAA{self.code(alphabet, 64)}", handle, words.NAMES[(index * 5 + len(platform)) % len(words.NAMES)]
        )

    def code(self, alphabet: str, length: int) -> str:
        return "".join(alphabet[index] for index in self.rng.integers(0, len(alphabet), length))

    def post(self, label: Label, fault: str, facts: tuple[float, int, int, int]) -> Post:
        rng = self.rng
        allowed = FAULTS[fault].platforms if fault else PLATFORMS
        weights = np.array([share * (name in allowed) for name, share in zip(PLATFORMS, SHARES, strict=True)])
        platform = str(rng.choice(PLATFORMS, p=weights / weights.sum()))
        created = int(rng.integers(1_640_995_200, 1_751_300_000))  # 2022-01 … 2025-06
        emotion = label.emotion or str(rng.choice(EMOTIONS))
        users, (duration, width, height, size) = self.users[platform], facts
        expected = FAULTS[fault].expected if fault else limits(duration)
        return Post(
            platform=platform,
            id=f"3x{self.code(BASE36, 13)}" if platform == "kuaishou" else str((created << 32) + int(rng.integers(0, 2**32))),
            clip=label.file,
            body=label.file,
            emotion=label.emotion,
            title=self.title(platform, label, emotion),
            hashtags=self.hashtags(platform, emotion),
            user=users[int(rng.choice(len(users), p=self.popularity / self.popularity.sum()))],
            created=created,
            duration_s=duration,
            width=width,
            height=height,
            size=size,
            counts=self.counts(),
            layout=str(rng.choice(LAYOUTS[platform])),
            track=str(rng.choice(words.TRACKS)),
            fault=fault,
            expected=expected,
        )

    def title(self, platform: str, label: Label, emotion: str) -> str:
        language = "zh" if platform != "tiktok" or self.rng.random() < 0.2 else "en"
        chosen = str(self.rng.choice(words.TITLES[language][emotion]))
        return label.title or chosen

    def hashtags(self, platform: str, emotion: str) -> list[str]:
        topics = words.TOPICS["en" if platform == "tiktok" else "zh"]
        first = str(self.rng.choice(topics[emotion][: self.topics_kept]))
        other = str(self.rng.choice(topics[str(self.rng.choice(EMOTIONS))][: self.topics_kept]))
        tags = [first] + [other] * (self.rng.random() < 0.6) + [words.GENERAL[platform]] * (self.rng.random() < 0.35)
        return list(dict.fromkeys(tags))

    def counts(self) -> dict[str, int]:
        """A power law of likes, and what usually goes with them."""
        likes = int(min(5_000_000, 40 * (1 - self.rng.random()) ** (-1 / 0.7)))
        ratio = self.rng.uniform(0.3, 1.7, 4)
        return {
            "likes": likes,
            "comments": int(likes * 0.04 * ratio[0]),
            "shares": int(likes * 0.02 * ratio[1]),
            "plays": int(likes * 22 * ratio[2]) + 1,
            "saves": int(likes * 0.06 * ratio[3]),
        }

    def plant(self, originals: list[Post], faults: frozenset[str]) -> None:
        """Gives healthy posts the faults that strike them; each post at most one, so that causes never hide each other."""
        wheres = (Where.POST, Where.PAGE, Where.MEDIA, Where.WALL)
        free = [originals[index] for index in self.rng.permutation(len(originals)) if originals[index].expected == "accepted"]
        numbers = {"unsafe_title": 0, "trap_title": 0}
        for fault in FAULTS.values():
            if fault.name not in faults or fault.where not in wheres or not fault.share:
                continue
            able = [post for post in free if post.platform in fault.platforms]
            if fault.name == "unsafe_title":  # what waits for a reviewer is missing from its class: take it from the largest
                able.sort(key=lambda post: -sum(other.emotion == post.emotion for other in originals))
            for post in able[: max(1, round(fault.share * len(originals)))]:
                free.remove(post)
                post.fault, post.expected = fault.name, fault.expected
                if fault.name in numbers:
                    texts = words.UNSAFE_TITLES if fault.name == "unsafe_title" else words.TRAP_TITLES
                    post.title = texts[numbers[fault.name] % len(texts)]
                    numbers[fault.name] += 1


def limits(duration_s: float) -> str:
    shortest, longest = DURATION_LIMITS_S
    return "short" if duration_s < shortest else "long" if duration_s > longest else "accepted"


def link_copies(posts: list[Post], num_originals: int, rng: np.random.Generator) -> None:
    """Points every re-upload at the post it repeats: one that is kept, and whose own body is whole."""
    first = {post.clip: post for post in posts[:num_originals]}
    healthy = [post for post in first.values() if post.expected == "accepted"]
    for post in posts[num_originals:]:
        if not post.fault.startswith("reupload"):
            continue
        original = first[post.clip]
        if original.expected != "accepted" and healthy:
            original = healthy[int(rng.integers(len(healthy)))]
            post.clip = post.body = original.clip
            post.emotion, post.duration_s, post.width, post.height, post.size = (
                original.emotion,
                original.duration_s,
                original.width,
                original.height,
                original.size,
            )
        post.duplicate_of = original.key


def boards(posts: list[Post], rng: np.random.Generator) -> list[list[str]]:
    """Seven days of trending words: the first half of the topics, of which one or two give way to others each day."""
    topics = sorted({post.hashtags[0] for post in posts})
    order = [topics[index] for index in rng.permutation(len(topics))]
    half = max(1, (len(order) + 1) // 2)
    steady, hidden = order[:half], order[half:]
    week = []
    for day in range(BOARD_DAYS):
        words_of_day = [word for index, word in enumerate(steady) if index % BOARD_DAYS != day] or steady
        if hidden:
            words_of_day.append(hidden[day % len(hidden)])
        week.append([words_of_day[index] for index in rng.permutation(len(words_of_day))])
    return week


def connect(corpus: Corpus, platform: str, rng: np.random.Generator) -> None:
    """Adds hashtags to kept posts until, on every day, two stages lead to every post."""
    posts = corpus.of(platform)
    for board in corpus.boards[platform]:
        while True:
            depths = corpus.depths(platform, board)
            far = next((post for post in posts if depths.get(post.id, 9) > 2), None)
            if far is None:
                break
            sources = corpus.sources(platform)
            near = [post for post in posts if depths.get(post.id) == 1 and post.id in sources and far.hashtags[0] not in post.hashtags]
            if near:
                near[int(rng.integers(len(near)))].hashtags.append(far.hashtags[0])
            else:  # nothing on this board is worth keeping: the board itself must name the word
                board.append(far.hashtags[0])


def set_depths(corpus: Corpus, day: datetime.date) -> None:
    for platform in PLATFORMS:
        depths = corpus.depths(platform, corpus.board(platform, day))
        for post in corpus.of(platform):
            post.depth = depths.get(post.id, 0)


def write_truth(corpus: Corpus, path: Path, day: datetime.date) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(corpus.truth(day), ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(path)
