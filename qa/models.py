"""What shows that labels can be trusted, and what was released (Sec. III-B, C, E, G)."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CrossCheckSet(models.Model):
    """Up to 100 samples of one emotion, drawn from one group's labels to be labelled again by another group."""

    stage = models.CharField(max_length=10, help_text="sA or sB")
    origin = models.ForeignKey("annotation.Group", on_delete=models.PROTECT, related_name="sets_given")
    reviewer = models.ForeignKey("annotation.Group", on_delete=models.PROTECT, related_name="sets_reviewed")
    index = models.PositiveSmallIntegerField(help_text="0–8; three Neutral, two Excitation, one of each other")
    emotion = models.CharField(max_length=12)
    seed = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stage", "origin", "index"], name="one_set_per_place")]


class CrossCheckItem(models.Model):
    set = models.ForeignKey(CrossCheckSet, on_delete=models.CASCADE, related_name="items")
    sample = models.ForeignKey("annotation.Sample", on_delete=models.PROTECT, related_name="+")
    previous_emotion = models.CharField(max_length=12)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["set", "sample"], name="no_sample_twice_in_a_set")]


class ConsistencyReport(models.Model):
    """The numbers of one stage at one moment; append-only, so that a change can be shown."""

    stage = models.CharField(max_length=10)
    numbers = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [("view_quality", "Can see consistency and agreement"), ("view_dataset", "Can see statistics and releases")]


class AdjustmentStep(models.Model):
    """One line of the append-only log of personnel adjustment (Sec. III-C)."""

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Proposed")
        APPLIED = "applied", _("Applied")
        REJECTED = "rejected", _("Rejected")
        SKIPPED = "skipped", _("Skipped")
        REPLACED = "replaced", _("Replaced")

    stage = models.CharField(max_length=10)
    round = models.PositiveSmallIntegerField()
    emotion = models.CharField(max_length=12, blank=True, help_text="empty where a member was replaced")
    state = models.CharField(max_length=10, choices=State.choices)
    high = models.ForeignKey("annotation.Person", on_delete=models.PROTECT, null=True, related_name="+")
    low = models.ForeignKey("annotation.Person", on_delete=models.PROTECT, null=True, related_name="+")
    numbers = models.JSONField(default=dict, help_text="consistency ratios, S_a, S_r, mean and variance before and after")
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("confirm_swap", "Can confirm a proposed swap of people")]


class Release(models.Model):
    """A frozen variant of the dataset in a folder; never changed once written."""

    name = models.SlugField(max_length=60, unique=True)
    variant = models.CharField(max_length=30, help_text="all, balanced, test; imported for a dataset from elsewhere")
    seed = models.PositiveIntegerField()
    path = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64, help_text="of release.json, which holds the sha256 of every other file")
    counts = models.JSONField(help_text="split → emotion → videos")
    made_by = models.CharField(max_length=40, blank=True, help_text="git commit of the program")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    verified_at = models.DateTimeField(null=True, blank=True, help_text="when its files were last compared with release.json")
    problems = models.JSONField(default=list, help_text="what that found wrong, one line each")

    class Meta:
        permissions = [("make_release", "Can export a release")]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        return Path(self.path)


class Job(models.Model):
    """Work that somebody asked for on the site and that one worker does: how far it is."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    problem = models.TextField(blank=True)
    alive_at = models.DateTimeField(null=True, blank=True, help_text="the last sign of life of the worker that makes it")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        abstract = True
        ordering = ["-pk"]

    @property
    def is_live(self) -> bool:
        return self.state in {self.State.WAITING, self.State.RUNNING}


class ReleaseJob(Job):
    """A release that somebody asked for, and what came of it."""

    variant = models.CharField(max_length=30)
    seed = models.PositiveIntegerField()
    options = models.JSONField(help_text="media, formats, allow_short, sizes: as release_make takes them")
    clips_done = models.PositiveIntegerField(default=0)
    clips_total = models.PositiveIntegerField(default=0)
    release = models.ForeignKey(Release, on_delete=models.SET_NULL, null=True, related_name="jobs")


class SimulationJob(Job):
    """A trial of the labelling protocol on simulated annotators (Sec. III-D), and its numbers."""

    num_samples = models.PositiveIntegerField()
    seed = models.PositiveIntegerField()
    settings = models.JSONField(help_text="as qa.rules.protocol.Settings takes them; the class mix is the one that was used")
    people_from_data = models.BooleanField(default=False, help_text="with the confusions of the people who voted here")
    numbers = models.JSONField(default=dict, help_text="what came out: as simulation_numbers gives it")


class ReleaseItem(models.Model):
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="items")
    video = models.ForeignKey("crawler.Video", on_delete=models.PROTECT, related_name="release_items")
    split = models.CharField(max_length=5, choices=[("train", "train"), ("test", "test")])
    emotion = models.CharField(max_length=12)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "video"], name="no_video_twice_in_a_release"),
            models.CheckConstraint(condition=Q(split__in=["train", "test"]), name="split_is_train_or_test"),
        ]


class MosStudy(models.Model):
    """A blind mix of clips of several datasets, rated by experts on 1–5 for the quality of their labels (Sec. III-E)."""

    name = models.SlugField(max_length=60, unique=True)
    seed = models.PositiveIntegerField()
    margin = models.FloatField(help_text="margin of error the sample size was worked out for")
    confidence = models.FloatField(help_text="confidence level it was worked out for")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name_plural = "MOS studies"

    def __str__(self) -> str:
        return self.name


class MosItem(models.Model):
    """One clip of the mix; the rater sees the clip and its label, never which dataset it is from."""

    study = models.ForeignKey(MosStudy, on_delete=models.CASCADE, related_name="items")
    order = models.PositiveIntegerField()
    dataset = models.CharField(max_length=60)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="+")
    file = models.CharField(max_length=300, help_text="inside the release folder")
    label = models.CharField(max_length=40, help_text="as that dataset labels it")

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(fields=["study", "order"], name="one_clip_per_place_in_a_study"),
            models.UniqueConstraint(fields=["study", "release", "file"], name="no_clip_twice_in_a_study"),
        ]


class MosRating(models.Model):
    item = models.ForeignKey(MosItem, on_delete=models.CASCADE, related_name="ratings")
    person = models.ForeignKey("annotation.Person", on_delete=models.PROTECT, related_name="+")
    score = models.PositiveSmallIntegerField(help_text="1 bad … 5 excellent")
    created_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "person"], name="one_rating_per_person_and_clip"),
            models.CheckConstraint(condition=Q(score__gte=1, score__lte=5), name="score_between_1_and_5"),
        ]
