"""A finished run tells the labelling queue what it expects of the clips that wait."""

import math
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from annotation.models import Emotion, Sample
from annotation.services import prelabels_save
from crawler.models import Video
from crawler.services import clips as kept_clips
from training import launch
from training.engine.recipes import overridden
from training.models import Run
from training.selectors import recipes
from training.services.asked import PRELABELS, answering, request_send
from training.services.children import child_run
from training.services.runs import refuse_others


def prelabels_ask(run: Run, *, user: Any) -> None:
    """Queues the predictions of a finished run.

    Raises PermissionDenied if the run is someone else's, ValidationError if it cannot speak of the six emotions.
    """
    refuse_others(run, user)
    refuse_unfit(run)
    request_send(run, PRELABELS)


def prelabels_offer(run_id: int) -> int:
    """Predicts every open sample's clip in a child process and hands the predictions to annotation; returns how many it kept.

    Can be called twice: the second time gives the same. Raises NoFreeDevice or FolderBusy when there is no place for it
    now, ValueError with the engine's last words if it fails.
    """
    with answering(run_id, PRELABELS):
        return _offered(Run.objects.get(pk=run_id))


def _offered(run: Run) -> int:
    refuse_unfit(run)
    clips = {str(kept_clips().fetched(sample.video.file, sha256=sample.video.sha256)): sample.pk for sample in _waiting()}
    if not clips:
        return 0
    with launch.device_claim(min(run.gpus, 1), locks=settings.TRAIN_LOCKS_DIR, allowed=settings.TRAIN_GPUS) as device:
        with launch.folder_claim(run.path) as lock:
            found = _predicted(run.path, list(clips), device, (*device.fds, lock))
    return prelabels_save(run.prelabel_name, {clips[path]: chances for path, chances in found.items() if path in clips})


def refuse_unfit(run: Run) -> None:
    """Raises ValidationError unless the run is finished and speaks of the six emotions."""
    if run.state != Run.State.FINISHED:
        raise ValidationError(f"Run {run.pk} is {run.state}: only a finished run can predict.", code="not_finished")
    recipe = recipes().get(run.recipe)
    classes = run.metrics.get("classes") or (overridden(recipe, run.overrides).classes if recipe else ())
    if tuple(classes) != tuple(Emotion.values):
        raise ValidationError(f"Run {run.pk} was not trained on the six emotions.", code="other_classes")


def _waiting() -> list[Sample]:
    samples = Sample.objects.filter(state=Sample.State.OPEN, video__state=Video.State.ACCEPTED).exclude(video__file="")
    return list(samples.select_related("video").only("video__file", "video__sha256").order_by("pk"))


def _predicted(folder: Path, paths: list[str], device: launch.Device, locks: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Path → emotion → probability of every clip that could be used; the engine's log tells of the others."""
    listed, out, log = folder / "prelabels.txt", folder / "prelabels.jsonl", folder / "prelabels.log"
    listed.write_text("\n".join(paths) + "\n", encoding="utf-8")
    out.unlink(missing_ok=True)
    command = launch.predict_command(settings.TRAIN_ENGINE, run=folder, listed=listed, out=out)
    status, reason = child_run(command, log=log, environment=device.environment, locks=locks)
    rows, _ = launch.metrics_read(out)
    if reason or not rows:
        raise ValueError(reason or launch.last_words(log) or f"the engine ended with status {status} and predicted nothing")
    return {row["file"]: _whole(row["probabilities"]) for row in rows}


def _whole(chances: dict[str, Any]) -> dict[str, float]:
    """The probabilities as they were before they were rounded for the file: summing to one."""
    total = math.fsum(chances.values())
    return {emotion: float(p) / total for emotion, p in chances.items()}
