"""People, samples and votes in Django's admin: to look at, with the few changes that no page offers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from annotation.models import (
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


class ReadOnly(admin.ModelAdmin):
    """Rows that only the site itself may write: a label changed by hand would leave no trace on the timeline."""

    show_full_result_count = False  # counting millions of rows twice per page helps nobody

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Group)
class GroupAdmin(ReadOnly):
    list_display = ("letter",)


@admin.register(Person)
class PersonAdmin(ReadOnly):
    list_display = ("full_name", "user", "role", "group", "gender", "qualified_at", "paused_reason", "is_simulated")
    list_filter = ("role", "group", "is_simulated")
    list_select_related = ("user", "group")
    search_fields = ("full_name", "user__username")


@admin.register(Sample)
class SampleAdmin(ReadOnly):
    list_display = ("pk", "video", "group", "state", "rung", "label", "decided_rung", "reopened")
    list_filter = ("state", "rung", "label", "group")
    list_select_related = ("video", "group")


@admin.register(Assignment)
class AssignmentAdmin(ReadOnly):
    list_display = ("pk", "sample_id", "person", "rung", "round", "state", "lease_expires_at")
    list_filter = ("state", "rung", "round")
    list_select_related = ("person",)


@admin.register(Vote)
class VoteAdmin(ReadOnly):
    list_display = ("pk", "sample_id", "person", "rung", "round", "adjective", "emotion", "confidence", "created_at", "undone_at")
    list_filter = ("rung", "round", "emotion")
    list_select_related = ("person",)


@admin.register(TimelineEvent)
class TimelineEventAdmin(ReadOnly):
    list_display = ("pk", "sample_id", "kind", "person", "created_at")
    list_filter = ("kind",)
    list_select_related = ("person",)


@admin.register(StaffChange)
class StaffChangeAdmin(ReadOnly):
    list_display = ("created_at", "person", "kind", "reason", "by")
    list_filter = ("kind",)
    list_select_related = ("person", "by")


@admin.register(Flag)
class FlagAdmin(ReadOnly):
    list_display = ("sample_id", "person", "kind", "note", "created_at")
    list_filter = ("kind",)
    list_select_related = ("person",)


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    list_display = ("pk", "group", "opened_by", "created_at", "collected_at")
    list_select_related = ("group", "opened_by")


@admin.register(QualificationAttempt)
class QualificationAttemptAdmin(ReadOnly):
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
