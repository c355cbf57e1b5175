from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from training.models import Run, Schedule


class ReadOnlyAdmin(admin.ModelAdmin):
    """To look at; runs and schedules are changed on the training page, which keeps its promises."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
