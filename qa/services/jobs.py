"""What somebody asked for on the site and a worker does in the background: taken by one, swept up when lost, its end kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone

from crawler.services import Away
from qa.models import Job, ReleaseJob, SimulationJob

J = TypeVar("J", bound=Job)
SILENCE = timedelta(minutes=30)  # a worker that wrote nothing for so long is dead; writing the tables after the last clip takes minutes
PATIENCE = timedelta(minutes=2)  # a message that has not been taken up by then may be lost


def job_take(model: type[J], job_id: int, **fresh: Any) -> J | None:
    """The job, running, with these fields set; None for one that is over or that another worker has.

    One worker at a time, by a conditional UPDATE: a doubled message finds the job taken. A job whose worker died begins again.
    """
    taken = _free(model).filter(pk=job_id).update(state=Job.State.RUNNING, alive_at=timezone.now(), problem="", **fresh)
    return model._default_manager.select_related("created_by").get(pk=job_id) if taken else None


@contextmanager
def job_ending(job: Job) -> Iterator[dict[str, Any]]:
    """Ends the job with what the block puts into the dictionary, or as failed with the reason; only a refusal is not raised again.

    Where the store of the clips is away, the job waits instead.
    """
    outcome: dict[str, Any] = {}
    try:
        yield outcome
    except Away as error:  # the store of the clips does not answer: the sweep begins the job again
        type(job)._default_manager.filter(pk=job.pk).update(state=Job.State.WAITING, problem=str(error))
    except ValidationError as error:
        _end(job, Job.State.FAILED, problem=" ".join(error.messages))
    except Exception as error:
        _end(job, Job.State.FAILED, problem=f"{type(error).__name__}: {error}")
        raise
    else:
        _end(job, Job.State.DONE, **outcome)


def jobs_lost() -> tuple[list[int], list[int]]:
    """Ids of releases and of simulations that nobody works on: their worker died, or their message did not arrive."""
    return _lost(ReleaseJob), _lost(SimulationJob)


def _lost(model: type[Job]) -> list[int]:
    late = timezone.now() - PATIENCE
    return list(_free(model).exclude(state=Job.State.WAITING, created_at__gt=late).values_list("pk", flat=True))


def _free(model: type[Job]) -> QuerySet[Any]:
    """Jobs that a worker may take."""
    dead = Q(state=Job.State.RUNNING, alive_at__lt=timezone.now() - SILENCE)
    return model._default_manager.filter(Q(state=Job.State.WAITING) | dead)


def _end(job: Job, state: str, **values: Any) -> None:
    type(job)._default_manager.filter(pk=job.pk).update(state=state, finished_at=timezone.now(), **values)
