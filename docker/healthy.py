"""Exit status 0 when the service in this container does its work: `healthy.py URL`, `healthy.py worker`, `healthy.py beat`."""

import os
import sys

import requests


def answers(url: str) -> bool:
    host = os.environ["ALLOWED_HOSTS"].split(",")[0]
    try:
        return requests.get(url, headers={"Host": host, "X-Forwarded-Proto": "https"}, timeout=5).status_code == requests.codes.ok
    except requests.RequestException:
        return False


def worker_answers() -> bool:
    """Asks this container's own worker through the broker."""
    import socket

    from config.celery import app

    names = [f"{name}@{socket.gethostname()}" for name in ("worker", "crawl", "gpu")]
    return bool(app.control.ping(destination=names, timeout=3, limit=1))


def beat_ticks() -> bool:
    """Whether beat has sent something in the last five minutes: one of its entries runs each minute."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from datetime import timedelta

    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    now, silent_after = timezone.now(), timedelta(minutes=5)
    return PeriodicTask.objects.filter(last_run_at__range=(now - silent_after, now + silent_after)).exists()


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    what = sys.argv[1]
    sys.exit(0 if {"worker": worker_answers, "beat": beat_ticks}.get(what, lambda: answers(what))() else 1)
