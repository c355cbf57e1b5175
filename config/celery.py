"""The Celery application: queues `default`, `crawl` and `gpu`; every task acknowledges late, so a killed worker loses none."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("emotions")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
