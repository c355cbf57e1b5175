"""Beat's schedule in the database, also after a clock was put back."""

from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler


class Scheduler(DatabaseScheduler):
    """Begun anew it counts from now where its last sign lies ahead: else it would send nothing until that moment comes again."""

    def setup_schedule(self) -> None:
        forget_the_future()
        super().setup_schedule()


def forget_the_future() -> None:
    now = timezone.now()
    PeriodicTask.objects.filter(last_run_at__gt=now).update(last_run_at=now)
