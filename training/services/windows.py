"""A finished run tells the cleaning what feeling it sees in each stretch of a clip: files in EMOTION_WINDOWS, read there without torch."""

from pathlib import Path
from typing import Any

from django.conf import settings

from crawler.models import Video
from crawler.services import clips, screenings_repeat
from training import launch
from training.models import Run
from training.services.asked import WINDOWS, answering, request_send
from training.services.children import child_run
from training.services.prelabels import refuse_unfit
from training.services.runs import refuse_others

STATES = (Video.State.DEDUPLICATED, Video.State.SCREENED, Video.State.REVIEW, Video.State.ACCEPTED)
AT_ONCE = 500  # clips of one child: what a bucket must bring here before the first is seen


def windows_ask(run: Run, *, user: Any) -> None:
    """Queues the windows of a finished run.

    Raises PermissionDenied if the run is someone else's, ValidationError if it cannot speak of the six emotions.
    """
    refuse_others(run, user)
    refuse_unfit(run)
    request_send(run, WINDOWS)


def windows_write(run_id: int, *, again: bool = False) -> int:
    """Writes the windows of every clip that has none (again: of all), has the check look at them, and returns how many were written.

    Can be called twice, and goes on after a kill: what is written is left alone. Raises NoFreeDevice or FolderBusy when there is no
    place for it now, ValueError with the engine's last words if not one clip could be used.
    """
    with answering(run_id, WINDOWS):
        return _windows_written(Run.objects.get(pk=run_id), again=again)


def _windows_written(run: Run, *, again: bool) -> int:
    refuse_unfit(run)
    folder = Path(settings.EMOTION_WINDOWS)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [video for video in _clips() if again or not _windows(folder, video).is_file()]
    if not wanted:
        return 0
    written = 0
    with launch.device_claim(min(run.gpus, 1), locks=settings.TRAIN_LOCKS_DIR, allowed=settings.TRAIN_GPUS) as device:
        with launch.folder_claim(run.path) as lock:
            for start in range(0, len(wanted), AT_ONCE):
                written += _write(run.path, wanted[start : start + AT_ONCE], folder, device, (*device.fds, lock))
    screenings_repeat(only=("emotion-shift",))
    return written


def _clips() -> list[Video]:
    return list(Video.objects.filter(state__in=STATES).exclude(file="").exclude(sha256="").only("file", "sha256").order_by("pk"))


def _windows(folder: Path, video: Video) -> Path:
    return folder / f"{video.sha256}.npy"


def _write(run: Path, videos: list[Video], folder: Path, device: launch.Device, locks: tuple[int, ...]) -> int:
    """How many of these clips have their windows now; the engine's log tells of the others."""
    listed, log = run / "windows.txt", run / "windows.log"
    lines = [f"{video.sha256}\t{clips().fetched(video.file, sha256=video.sha256)}\n" for video in videos]
    listed.write_text("".join(lines), encoding="utf-8")
    before = {video.pk: _moment(_windows(folder, video)) for video in videos}
    command = launch.windows_command(settings.TRAIN_ENGINE, run=run, listed=listed, out=folder)
    status, reason = child_run(command, log=log, environment=device.environment, locks=locks)
    written = sum(_moment(_windows(folder, video)) != before[video.pk] for video in videos)
    if reason or (status and not written):
        raise ValueError(reason or launch.last_words(log) or f"the engine ended with status {status} and wrote nothing")
    return written


def _moment(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0
