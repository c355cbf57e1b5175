"""The ground the journey stands on: Django, its tables, and an empty queue."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone


def set_up(var: Path) -> None:
    """Django and its tables. Messages of a killed worker are stale, the rows they spoke of are not: the queue begins empty."""
    shutil.rmtree(var / "queue", ignore_errors=True)
    make_ready()
    from training import services  # models can be imported only now

    services.runs_resume_stale(now=timezone.now() + timedelta(days=1))  # no worker is alive: we hold the folder's lock


def make_ready() -> None:
    """Django and its tables. Raises SystemExit for a setting that makes no sense and a database that does not answer, OperationalError for a full disk."""
    try:
        django.setup()
        call_command("migrate", verbosity=0)
    except ImproperlyConfigured as error:
        raise SystemExit(f"A setting is wrong: {error} (docs/architecture.md lists them)") from None
    except OperationalError as error:
        if "disk is full" in str(error):  # said so where all of a full disk is told: processes.room_on_disk
            raise
        raise SystemExit(f"The database cannot be used (DATABASE_URL): {' '.join(str(error).split())}") from None
