"""The crawler's rows in Django's administration; what services decide is shown, not edited."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crawler import models
from crawler.selectors import LongList


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only services write: one changed by hand would leave no trace. Every app shows its records through it."""

    show_full_result_count = False  # counting millions of rows twice per page helps nobody
    paginator = LongList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Video)
class VideoAdmin(ReadOnlyAdmin):
    list_display = ("number", "platform", "platform_id", "state", "reason", "duration_s", "stage", "discovered_at")
    list_filter = ("platform", "state", "stage")
    search_fields = ("number", "platform_id", "title")
    search_help_text = _("Number or id, whole; or words of the title")
    list_select_related = ("stage",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[models.Video], search_term: str
    ) -> tuple[QuerySet[models.Video], bool]:
        """A number or a platform's id as it stands is found by its index; the titles, a second for a million, are read only for what is neither."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = Q(platform__in=models.Platform.values, platform_id=term)
        if re.fullmatch(r"[0-9]{1,9}", term):
            named |= Q(number=int(term))
        found = queryset.filter(named)
        return found if found.exists() else queryset.filter(title__icontains=term), False


@admin.register(models.Stage)
class StageAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "video_budget", "starts_at", "started_at", "finished_at")
    list_filter = ("state",)


@admin.register(models.Visit)
class VisitAdmin(ReadOnlyAdmin):
    list_display = ("stage", "platform", "kind", "subject", "state", "outcome", "found", "new", "rule_version")
    list_filter = ("platform", "state", "outcome", "stage")
    list_select_related = ("stage",)


@admin.register(models.Term)
class TermAdmin(ReadOnlyAdmin):
    list_display = ("platform", "text", "weight", "blocked", "first_stage")
    list_filter = ("platform", "blocked")
    search_fields = ("text",)
    list_select_related = ("first_stage",)


@admin.register(models.Check)
class CheckAdmin(ReadOnlyAdmin):
    list_display = ("video", "name", "version", "verdict", "reason", "created_at")
    list_filter = ("name", "verdict")
    list_select_related = ("video",)


@admin.register(models.Host)
class HostAdmin(ReadOnlyAdmin):
    list_display = ("name", "next_at", "requests", "bytes", "paused_until", "pause_reason")


@admin.register(models.Decision)
class DecisionAdmin(ReadOnlyAdmin):
    list_display = ("video", "person", "action", "reason", "created_at")
    list_select_related = ("video", "person")


@admin.register(models.Tombstone)
class TombstoneAdmin(ReadOnlyAdmin):
    list_display = ("platform", "platform_id", "number", "reason", "created_at")
