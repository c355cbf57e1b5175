"""Runs and schedules to look at; they are changed on the training page, which keeps its promises."""

from django.contrib import admin

from crawler.admin import ReadOnlyAdmin
from training.models import Run, Schedule


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ("id", "recipe", "release", "seed", "state", "device", "requested_by", "created_at")
    list_filter = ("state", "recipe")
    list_select_related = ("release", "requested_by")


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    list_display = ("name", "recipe", "variant", "cron", "last_release", "created_by")
    list_filter = ("recipe",)
    list_select_related = ("last_release", "created_by")
