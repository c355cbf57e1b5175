"""Makes the clips of new releases ready to be trained on, before anyone asks for a run."""

import logging
from pathlib import Path

from django.conf import settings

from qa.models import Release
from qa.selectors import releases_standing
from training import launch
from training.engine.releases import manifest_hash
from training.services.children import child_run

log = logging.getLogger(__name__)
MARK = "prepared.txt"  # beside the proxies: the metadata's hash that they were made for


def releases_prepare() -> list[str]:
    """Prepares the newest release of each variant that has clips and is not ready yet; returns their names.

    Can run twice at once: the second leaves alone what the first works on. A release whose clips cannot all be prepared is
    tried again next time; the log names them.
    """
    if not settings.PREPARE_RELEASES:
        return []
    newest: dict[str, Release] = {}
    for release in releases_standing():
        newest.setdefault(release.variant, release)
    return [release.name for release in newest.values() if _has_clips(release) and not is_prepared(release) and _prepare(release)]


def is_prepared(release: Release) -> bool:
    mark = _store(release) / MARK
    return mark.is_file() and mark.read_text(encoding="utf-8").strip() == manifest_hash(release.folder)


def _store(release: Release) -> Path:
    """Where the engine puts the proxies when a recipe's store is "auto"."""
    return release.folder.with_name(f"{release.folder.resolve().name}.prepared")


def _has_clips(release: Release) -> bool:
    """Whether media were exported with the release, and not its metadata alone."""
    return any(path.suffix != ".jsonl" for path in (release.folder / "train").glob("*"))


def _prepare(release: Release) -> bool:
    store, wanted = _store(release), manifest_hash(release.folder)
    try:
        with launch.folder_claim(store) as lock:
            command = launch.prepare_command(settings.TRAIN_ENGINE, release=release.folder)
            status, reason = child_run(command, log=store / "log.txt", environment={}, locks=(lock,))
    except launch.FolderBusy:
        return False
    if status or reason:
        log.warning("release %s is not wholly prepared: %s", release.name, reason or launch.last_words(store / "log.txt"))
        return False
    (store / MARK).write_text(wanted + "\n", encoding="utf-8")
    return True
