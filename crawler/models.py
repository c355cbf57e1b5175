"""What was looked for and what was found: stages, terms, videos, and every step each video took (Sec. III-A)."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Platform(models.TextChoices):
    DOUYIN = "douyin", "Douyin"
    KUAISHOU = "kuaishou", "Kuaishou"
    TIKTOK = "tiktok", "TikTok"
    OTHER = "other", _("Elsewhere")  # brought here as files (manage.py import_clips), or known by imported votes alone

    @classmethod
    def crawled(cls) -> list[str]:
        """Those that have an adapter: whose pages are asked."""
        return [name for name in cls.values if name != cls.OTHER]


class Stage(models.Model):
    """One round of the staged crawl: its own terms, budget, dates and ways of asking."""

    class State(models.TextChoices):
        PLANNED = "planned", _("Planned")
        RUNNING = "running", _("Running")
        STOPPED = "stopped", _("Stopped")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")  # a platform could not be reached; `reason` says which, `retry_at` when it is tried again

    name = models.SlugField(max_length=40, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    platforms = models.JSONField(default=list, help_text="platform names; empty means all")
    seed = models.PositiveIntegerField(default=0)
    video_budget = models.PositiveIntegerField(default=1000, help_text="videos to discover at most, per platform")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    settings = models.JSONField(
        default=dict, help_text="user-agent policy, delays, robots.txt exception and its reason, as they were in force"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=120, blank=True, help_text="machine, process and moment of who works on it")
    reason = models.CharField(max_length=300, blank=True, help_text="why it failed: the cause, then which platforms")
    retries = models.PositiveSmallIntegerField(default=0, help_text="how often it was put off because a platform was out of reach")
    retry_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("run_stage", "Can start and stop a crawl stage"), ("view_collection", "Can see the collection page")]

    def __str__(self) -> str:
        return self.name


class Term(models.Model):
    """A word of the trending-term repository: what to look for next on one platform, and why."""

    platform = models.CharField(max_length=10, choices=Platform.choices)
    text = models.CharField(max_length=200)
    weight = models.FloatField(default=1.0)
    why = models.JSONField(default=dict, help_text="where the term came from and what it yielded")
    blocked = models.BooleanField(default=False)
    first_stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="terms_found")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "text"], name="one_term_per_platform")]

    def __str__(self) -> str:
        return f"{self.platform}: {self.text}"


class Video(models.Model):
    """One post of one platform, from the page where it was found to the numbered, cleaned clip."""

    TAKEN_DOWN = "taken-down:"  # so begins the reason of a dropped video that somebody asked to have removed

    class State(models.TextChoices):
        DISCOVERED = "discovered"  # its address is known
        META = "meta"  # its page was read
        MEDIA = "media"  # its file is here, length and type verified
        VERIFIED = "verified"  # it decodes from end to end
        DEDUPLICATED = "deduplicated"  # it resembles no earlier video
        SCREENED = "screened"  # the detectors have looked
        REVIEW = "review"  # a person must look
        ACCEPTED = "accepted"  # it has its number
        DROPPED = "dropped"  # final; `reason` says why
        FAILED = "failed"  # blocked, gone, private, region, rule-failed … ; `reason` says which

    platform = models.CharField(max_length=10, choices=Platform.choices)
    platform_id = models.CharField(max_length=64)
    url = models.URLField(max_length=500)
    state = models.CharField(max_length=14, choices=State.choices, default=State.DISCOVERED)
    reason = models.CharField(max_length=200, blank=True, help_text="word before the colon: the cause, for counting")
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="videos", null=True, blank=True)
    term = models.ForeignKey(Term, on_delete=models.SET_NULL, related_name="videos", null=True, blank=True)
    # as published
    title = models.TextField(blank=True)
    hashtags = models.JSONField(default=list)
    author_hash = models.CharField(max_length=64, blank=True, help_text="keyed HMAC; the author's name is never stored")
    published_at = models.DateTimeField(null=True, blank=True)
    counts = models.JSONField(default=dict, help_text="likes, comments, shares, plays, saves")
    raw = models.JSONField(default=dict, help_text="the page's own record, personal fields removed")
    rule_version = models.CharField(max_length=60, blank=True)
    media = models.JSONField(default=list, help_text="addresses of the clip, best first; they expire within hours")
    page_sha256 = models.CharField(max_length=64, blank=True, help_text="of the page that was read, for provenance")
    # as measured
    file = models.CharField(max_length=120, blank=True, help_text="name in the media storage, addressed by sha256")
    sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    stated_s = models.FloatField(null=True, blank=True, help_text="length in seconds as the page states it")
    duration_s = models.FloatField(null=True, blank=True)
    frames = models.PositiveIntegerField(null=True, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    fps = models.FloatField(null=True, blank=True)
    has_audio = models.BooleanField(null=True, blank=True)
    tags = models.JSONField(default=list, help_text="facts that do not drop a video: silent, black, frozen …")
    number = models.PositiveIntegerField(null=True, blank=True, unique=True, help_text="given in order on acceptance (Sec. III-A)")
    # clock
    rechecked_at = models.DateTimeField(null=True, blank=True, help_text="when its post was last seen to be there, after acceptance")
    attempts = models.PositiveSmallIntegerField(default=0)
    deaths = models.PositiveSmallIntegerField(default=0, help_text="workers that died with it in their hands")
    claimed_by = models.CharField(max_length=120, blank=True, help_text="machine, process and moment of who works on it")
    discovered_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(auto_now=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    doubted_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="when a check or its annotators came to doubt it after acceptance; empty once people have settled that",
    )

    class Meta:
        permissions = [("review_video", "Can decide about doubtful videos")]
        constraints = [
            models.UniqueConstraint(fields=["platform", "platform_id"], name="one_row_per_post"),
            models.CheckConstraint(condition=Q(number__isnull=True) | Q(state="accepted"), name="only_accepted_videos_are_numbered"),
            models.CheckConstraint(condition=~Q(state="accepted") | Q(number__isnull=False), name="accepted_videos_are_numbered"),
            models.CheckConstraint(condition=Q(doubted_at__isnull=True) | Q(state="accepted"), name="only_accepted_videos_are_doubted"),
        ]
        indexes = [
            models.Index(fields=["state", "touched_at"]),
            models.Index(fields=["sha256"]),
            models.Index(fields=["doubted_at"], condition=Q(doubted_at__isnull=False), name="doubted_videos"),
        ]

    def __str__(self) -> str:
        return self.public_name or f"{self.platform}/{self.platform_id}"

    @property
    def public_name(self) -> str:
        """The clip's name in a release, `00000001.mp4` (Sec. III-A, renamed in numerical order); empty before acceptance."""
        return f"{self.number:08d}.mp4" if self.number else ""

    @property
    def path(self) -> Path:
        """Its place on this machine; where clips are kept in a bucket, storage.clips().fetched brings it there. Raises ValueError when it has no file yet."""
        if not self.file:
            raise ValueError(f"video {self.pk} has no file yet")
        return Path(settings.MEDIA_ROOT) / self.file


class Check(models.Model):
    """One verdict of one cleaning check about one video, with its evidence; never overwritten, a new version adds a row."""

    class Verdict(models.TextChoices):
        PASS = "pass", _("Pass")
        REVIEW = "review", _("Review")
        DROP = "drop", _("Drop")
        UNABLE = "unable", _("Unable")  # the detector has no weights: it says so and leaves the clip to people

    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="checks")
    name = models.CharField(max_length=40)
    version = models.PositiveSmallIntegerField(default=1)
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    reason = models.CharField(max_length=200, blank=True)
    evidence = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, help_text="when it was found")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["video", "name", "version"], name="one_verdict_per_check_version")]


class Decision(models.Model):
    """A reviewer's keep or drop, or its undoing; append-only."""

    video = models.ForeignKey(Video, on_delete=models.CASCADE, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=10)  # keep, drop, undo
    reason = models.CharField(max_length=200, blank=True)
    number = models.PositiveIntegerField(null=True, blank=True, help_text="which a drop took from the video; an undo gives it back")
    created_at = models.DateTimeField(auto_now_add=True)


class Visit(models.Model):
    """One list to look through in a stage: a trending board, a tag, a search, a user. Its state is the whole progress of the list."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        FAILED = "failed"  # `outcome` says how: blocked, captcha, login, gone, private, region, rule-failed, robots …

    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="visits")
    platform = models.CharField(max_length=10, choices=Platform.choices)
    kind = models.CharField(max_length=10)
    subject = models.CharField(max_length=200, blank=True)
    term = models.ForeignKey(Term, on_delete=models.SET_NULL, related_name="visits", null=True, blank=True)
    place = models.PositiveIntegerField(default=0, help_text="order within the stage and platform")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    outcome = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    rule_version = models.CharField(max_length=60, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    deaths = models.PositiveSmallIntegerField(default=0, help_text="workers that died while they read it")
    found = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0, help_text="scroll steps and clicks")
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stage", "platform", "kind", "subject"], name="one_visit_per_list")]

    def __str__(self) -> str:
        return f"{self.platform} {self.kind} {self.subject}".strip()


class Host(models.Model):
    """How a host is treated: when it may be asked next, today's budget, its robots.txt, and why it is left alone."""

    name = models.CharField(max_length=253, unique=True)
    next_at = models.DateTimeField(null=True, blank=True)
    day = models.DateField(null=True, blank=True)
    requests = models.PositiveIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    robots = models.TextField(blank=True)
    robots_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class Fingerprint(models.Model):
    """What a clip looks like, small enough to compare with every other: a decoded-frame hash and a bag of frame hashes."""

    video = models.OneToOneField(Video, on_delete=models.CASCADE, related_name="fingerprint")
    version = models.PositiveSmallIntegerField(default=1)
    frames_sha256 = models.CharField(max_length=64, db_index=True)
    hashes = models.BinaryField(help_text="256-bit frame hashes, 32 bytes each, in order of time")
    times = models.JSONField(default=list, help_text="second of each hash")
    sound = models.BinaryField(
        default=b"", help_text="chromaprint's 32-bit words, eight a second; empty without sound, or where it was not taken"
    )
    entered = models.PositiveIntegerField(
        null=True, blank=True, unique=True, help_text="place in the stock that new clips are compared with"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"fingerprint of {self.video_id}"


class Counter(models.Model):
    """The last number given out; whoever gives the next one holds this row's lock."""

    name = models.CharField(max_length=20, unique=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.last}"


class Tombstone(models.Model):
    """A post that must not come back: taken down, or its author opted out. Checked before download and before acceptance."""

    platform = models.CharField(max_length=10, choices=Platform.choices)
    platform_id = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    frames_sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    hashes = models.BinaryField(default=b"", help_text="its frame hashes, as a fingerprint has them: no picture can be made of them again")
    times = models.JSONField(default=list, blank=True, help_text="second of each hash")
    number = models.PositiveIntegerField(null=True, blank=True)
    leftovers = models.JSONField(default=list, blank=True, help_text="files that are still to be removed from where clips are kept")
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "platform_id"], name="one_tombstone_per_post")]

    def __str__(self) -> str:
        return f"{self.platform}/{self.platform_id}"
