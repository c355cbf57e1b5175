from django.apps import AppConfig


class CrawlerConfig(AppConfig):
    name = "crawler"
    verbose_name = "Collecting and cleaning"
    default_auto_field = "django.db.models.BigAutoField"
