"""Every file that the rows name, where clips are kept: for a site that moves from its disk to a bucket. And what no row names any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from crawler.models import Fingerprint, Video
from crawler.services.verifying import features_name
from crawler.storage import clips


def clips_keep(progress: Callable[[int, int], None] | None = None) -> tuple[int, list[str]]:
    """(files that were put there now, names of those that are neither there nor on this machine). Raises Away; run it again then."""
    kept, lost = 0, []
    missing = clips().missing(_files())
    for place, name in enumerate(missing, start=1):
        try:
            clips().keep(name)
            kept += 1
        except FileNotFoundError:
            lost.append(name)
        if progress:
            progress(place, len(missing))
    return kept, lost


def _files() -> Iterator[tuple[str, int | None]]:
    yield from Video.objects.exclude(file="").order_by("pk").values_list("file", "size_bytes").iterator(chunk_size=2000)
    for row in Fingerprint.objects.exclude(video__file="").select_related("video").order_by("pk").iterator(chunk_size=2000):
        yield features_name(row.video), None


def parts_sweep(older_than: timedelta = timedelta(days=1)) -> int:
    """Removes beginnings of files that nobody has written to for so long: their worker died, or their video ended otherwise. How many."""
    until, swept = time.time() - older_than.total_seconds(), 0
    for path in (Path(settings.MEDIA_ROOT) / "parts").glob("*"):
        with suppress(FileNotFoundError):  # a download that is going on renames and removes its own
            if path.stat().st_mtime < until:
                path.unlink()
                swept += 1
    return swept
