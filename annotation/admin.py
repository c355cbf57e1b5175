"""People, samples and votes in Django's admin: to look at, with the few changes that no page offers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from annotation.models import (
    LABEL,
    Assignment,
    Batch,
    Flag,
    GoldItem,
    Group,
    Person,
    QualificationAttempt,
    Sample,
    StaffChange,
    TimelineEvent,
    TrainingSession,
    Vote,
)
from crawler.admin import ReadOnlyAdmin


class RoundFilter(admin.SimpleListFilter):
    """The rounds by kind: asking the table which there are would read all of it."""

    title = parameter_name = "round"
    KINDS = (
        ("label", {"round": LABEL}),
        ("gold", {"round": "gold"}),
        ("repeat", {"round": "repeat"}),
        ("cross-check", {"round__startswith": "s"}),
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name, _ in self.KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**dict(self.KINDS).get(self.value() or "", {}))


class KindFilter(admin.SimpleListFilter):
    title = parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in TimelineEvent.KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    list_display = ("letter",)


@admin.register(Person)
class PersonAdmin(ReadOnlyAdmin):
    list_display = ("full_name", "user", "role", "group", "gender", "qualified_at", "paused_reason", "is_simulated")
    list_filter = ("role", "group", "is_simulated")
    list_select_related = ("user", "group")
    search_fields = ("full_name", "user__username")


@admin.register(Sample)
class SampleAdmin(ReadOnlyAdmin):
    list_display = ("pk", "video", "group", "state", "rung", "label", "decided_rung", "reopened")
    list_filter = ("state", "rung", "label", "group")
    list_select_related = ("video", "group")


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ("pk", "sample_id", "person", "rung", "round", "state", "lease_expires_at")
    list_filter = ("state", "rung", RoundFilter)
    list_select_related = ("person",)


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    list_display = ("pk", "sample_id", "person", "rung", "round", "adjective", "emotion", "confidence", "created_at", "undone_at")
    list_filter = ("rung", RoundFilter, "emotion")
    list_select_related = ("person",)


@admin.register(TimelineEvent)
class TimelineEventAdmin(ReadOnlyAdmin):
    list_display = ("pk", "sample_id", "kind", "person", "created_at")
    list_filter = (KindFilter,)
    list_select_related = ("person",)


@admin.register(StaffChange)
class StaffChangeAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "person", "kind", "reason", "by")
    list_filter = ("kind",)
    list_select_related = ("person", "by")


@admin.register(Flag)
class FlagAdmin(ReadOnlyAdmin):
    list_display = ("sample_id", "person", "kind", "note", "created_at")
    list_filter = ("kind",)
    list_select_related = ("person",)


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = ("pk", "group", "opened_by", "created_at", "collected_at")
    list_select_related = ("group", "opened_by")


@admin.register(QualificationAttempt)
class QualificationAttemptAdmin(ReadOnlyAdmin):
    list_display = ("person", "part", "number", "score", "finished_at")
    list_filter = ("part",)
    list_select_related = ("person",)


@admin.register(GoldItem)
class GoldItemAdmin(admin.ModelAdmin):
    """Gold items are made here; what an emotion is called is checked by the form."""

    list_display = ("video", "emotions", "source", "in_test", "hidden")
    list_select_related = ("video",)
    raw_id_fields = ("video",)


@admin.register(TrainingSession)
class TrainingSessionAdmin(admin.ModelAdmin):
    list_display = ("title", "guide_version", "held_at", "held_by")
