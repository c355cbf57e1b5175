from django.apps import AppConfig


class QaConfig(AppConfig):
    name = "qa"
    verbose_name = "Quality and releases"
    default_auto_field = "django.db.models.BigAutoField"
