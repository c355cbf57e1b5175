"""A training run as the site knows it, and what starts runs by the calendar; what a run learnt lies in its run folder (Sec. V)."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q


class Schedule(models.Model):
    """A recipe to train by the calendar, on the newest release of one variant, whenever that is a new one."""

    name = models.SlugField(max_length=60, unique=True)
    recipe = models.CharField(max_length=60)
    variant = models.CharField(max_length=30, default="all", help_text="which releases count: all, balanced, test")
    seed = models.PositiveIntegerField(default=1)
    overrides = models.JSONField(default=dict, blank=True)
    cron = models.CharField(max_length=60, help_text="minute hour day-of-month month day-of-week, in the site's time zone")
    periodic_task = models.OneToOneField(
        "django_celery_beat.PeriodicTask", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    last_release = models.ForeignKey("qa.Release", on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.recipe} on the newest {self.variant}, {self.cron}"


class Run(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"
        CANCELLED = "cancelled"

    LIVE = (State.QUEUED, State.RUNNING)

    recipe = models.CharField(max_length=60)
    release = models.ForeignKey("qa.Release", on_delete=models.PROTECT, related_name="runs")
    seed = models.PositiveIntegerField(default=1)
    overrides = models.JSONField(default=dict, help_text="recipe fields set for this run alone")
    fingerprint = models.CharField(max_length=64, default="", help_text="sha256 of recipe, release, seed and overrides")
    schedule = models.ForeignKey(Schedule, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    folder = models.CharField(max_length=500, blank=True)
    gpus = models.PositiveSmallIntegerField(default=1, help_text="GPUs to use at most; 0 asks for the CPU")
    device = models.CharField(max_length=60, blank=True)
    host = models.CharField(max_length=120, blank=True, help_text="machine on which the child process was started")
    pid = models.PositiveIntegerField(null=True, blank=True, help_text="process group of the child")
    lease = models.UUIDField(null=True, blank=True, help_text="the execution that owns the run; another one writes nothing")
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    progress = models.JSONField(default=dict, help_text="the newest value of each field of metrics.jsonl")
    metrics = models.JSONField(default=dict, help_text="result.json, once finished")
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True, help_text="when its message was last sent")
    prelabels_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="when a message to predict was last sent; empty: nothing waits"
    )
    windows_asked_at = models.DateTimeField(null=True, blank=True, help_text="the same for looks at every stretch of the clips")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [
            ("view_runs", "Can see training runs"),
            ("start_run", "Can start and cancel a training run"),
            ("control_any_run", "Can cancel, retry and read the log of anyone's run"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"],
                condition=Q(state__in=["queued", "running"]) & ~Q(fingerprint=""),
                name="one_live_run_of_a_kind",
            ),
            models.CheckConstraint(condition=~Q(state="running") | Q(lease__isnull=False), name="running_runs_have_an_owner"),
        ]
        indexes = [models.Index(fields=["state", "heartbeat_at"])]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.recipe} on {self.release}"

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def prelabel_name(self) -> str:
        """What its predictions are kept under in the labelling queue."""
        return f"run {self.pk}, {self.recipe}"

    @property
    def path(self) -> Path:
        """The run folder. Raises ValueError before the run was first started."""
        if not self.folder:
            raise ValueError(f"run {self.pk} has no folder yet")
        return Path(self.folder)
