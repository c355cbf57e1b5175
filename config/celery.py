"""The Celery application: queues `default`, `crawl` and `gpu`; every task acknowledges late, so a killed worker loses none."""

import ctypes
import os
import signal
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.signals import worker_process_init
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class FolderChannel(filesystem.Channel):
    """Lets a message appear in the folder whole: kombu's own may be taken by a worker while it is still being written, and is lost."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # type: ignore[override]  # kombu names its arguments in two ways
        place = Path(self.data_folder_out, f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg")
        draft = place.with_suffix(".part")
        draft.write_text(dumps(message), encoding="utf-8")
        draft.replace(place)


class FolderTransport(filesystem.Transport):
    Channel = FolderChannel


TRANSPORT_ALIASES["filesystem"] = f"{__name__}:FolderTransport"

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("emotions")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

PR_SET_PDEATHSIG = 1


@worker_process_init.connect
def die_with_the_worker(**kwargs: Any) -> None:
    """A pool process that outlives its killed worker would go on with a task that has been given to another by now."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
