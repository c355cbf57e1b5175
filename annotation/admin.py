"""People, samples and votes in Django's admin: to look at, with the few changes that no page offers."""

from __future__ import annotations

from django.contrib import admin

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
from crawler.admin import ReadOnlyAdmin


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
    list_filter = ("state", "rung", "round")
    list_select_related = ("person",)


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    list_display = ("pk", "sample_id", "person", "rung", "round", "adjective", "emotion", "confidence", "created_at", "undone_at")
    list_filter = ("rung", "round", "emotion")
    list_select_related = ("person",)


@admin.register(TimelineEvent)
class TimelineEventAdmin(ReadOnlyAdmin):
    list_display = ("pk", "sample_id", "kind", "person", "created_at")
    list_filter = ("kind",)
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
