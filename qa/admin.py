"""Quality in the Django admin: everything here is a record, so it can be read and not changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from qa.models import AdjustmentStep, ConsistencyReport, CrossCheckSet, MosStudy, Release


class RecordAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CrossCheckSet)
class CrossCheckSetAdmin(RecordAdmin):
    list_display = ["stage", "origin", "reviewer", "index", "emotion", "seed"]
    list_filter = ["stage", "emotion"]


@admin.register(ConsistencyReport)
class ConsistencyReportAdmin(RecordAdmin):
    list_display = ["stage", "created_at"]
    list_filter = ["stage"]


@admin.register(AdjustmentStep)
class AdjustmentStepAdmin(RecordAdmin):
    list_display = ["stage", "round", "emotion", "state", "high", "low", "confirmed_by", "applied_at"]
    list_filter = ["stage", "state"]


@admin.register(Release)
class ReleaseAdmin(RecordAdmin):
    list_display = ["name", "variant", "seed", "created_at", "created_by", "verified_at"]
    list_filter = ["variant"]


@admin.register(MosStudy)
class MosStudyAdmin(RecordAdmin):
    list_display = ["name", "seed", "margin", "confidence", "created_at"]
