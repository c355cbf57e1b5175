"""One child of the engine from its beginning to its end, where nobody asks it to stop in between."""

from pathlib import Path

from django.conf import settings

from training import launch


def child_run(command: list[str], *, log: Path, environment: dict[str, str], locks: tuple[int, ...]) -> tuple[int, str | None]:
    """Its exit status, and why it was stopped, if it was."""
    child = launch.Child(command, log=log, environment=environment, cwd=settings.BASE_DIR, locks=locks)
    return launch.follow(
        child,
        beat=lambda: None,
        heartbeat_s=settings.TRAIN_HEARTBEAT_S,
        time_limit_s=settings.TRAIN_TIME_LIMIT_S,
        grace_s=settings.TRAIN_GRACE_S,
    )
