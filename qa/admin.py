"""Quality in the Django admin: everything here is a record, so it can be read and not changed."""

from django.contrib import admin

from crawler.admin import ReadOnlyAdmin
from qa.models import AdjustmentStep, ConsistencyReport, CrossCheckSet, MosStudy, Release


@admin.register(CrossCheckSet)
class CrossCheckSetAdmin(ReadOnlyAdmin):
    list_display = ["stage", "origin", "reviewer", "index", "emotion", "seed"]
    list_filter = ["stage", "emotion"]


@admin.register(ConsistencyReport)
class ConsistencyReportAdmin(ReadOnlyAdmin):
    list_display = ["stage", "created_at"]
    list_filter = ["stage"]


@admin.register(AdjustmentStep)
class AdjustmentStepAdmin(ReadOnlyAdmin):
    list_display = ["stage", "round", "emotion", "state", "high", "low", "confirmed_by", "applied_at"]
    list_filter = ["stage", "state"]


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ["name", "variant", "seed", "created_at", "created_by", "verified_at"]
    list_filter = ["variant"]


@admin.register(MosStudy)
class MosStudyAdmin(ReadOnlyAdmin):
    list_display = ["name", "seed", "margin", "confidence", "created_at"]
