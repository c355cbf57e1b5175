"""A training run as the site knows it; what it learnt lies in its run folder (Sec. V)."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Run(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"
        CANCELLED = "cancelled"

    recipe = models.CharField(max_length=60)
    release = models.ForeignKey("qa.Release", on_delete=models.PROTECT, related_name="runs")
    seed = models.PositiveIntegerField(default=1)
    overrides = models.JSONField(default=dict, help_text="recipe fields set for this run alone")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    folder = models.CharField(max_length=500, blank=True)
    device = models.CharField(max_length=60, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    metrics = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("view_runs", "Can see training runs"), ("start_run", "Can start and cancel a training run")]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.recipe} on {self.release}"
