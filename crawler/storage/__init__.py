"""Where clips are kept: under MEDIA_ROOT, or in an S3 bucket, of which MEDIA_ROOT is then this machine's working copy.

settings.STORAGES["clips"] says which; nobody else asks. Names are those of Video.file, like ab/ab12….mp4.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, cast

from django.core.files.storage import FileSystemStorage, storages


class Away(RuntimeError):
    """The bucket does not answer, refuses, or does not give back what was put there. Nothing was changed; try again later."""


class Storage(Protocol):
    """What both kinds can do. Raises Away where a bucket is asked in vain."""

    def keep(self, name: str, *, sha256: str = "") -> None:
        """Sees to it that the file of this machine is where clips are kept, whole. Harmless when repeated. Raises FileNotFoundError."""

    def fetched(self, name: str, *, sha256: str = "") -> Path:
        """Where the file lies on this machine; it is brought here first if it is elsewhere, and absent if it is nowhere."""

    def discard(self, name: str) -> None:
        """Removes the file, here and where it is kept. Harmless when repeated."""

    def address(self, name: str, *, shown_as: str) -> str:
        """A signed address where a browser gets the clip for a short while; "" when the site sends it itself."""

    def key(self, name: str) -> str:
        """s3://bucket/key; "" for a file that has none."""

    def missing(self, files: Iterable[tuple[str, int | None]]) -> list[str]:
        """Names of those that are not kept with this size (None: with any)."""

    def make(self) -> None:
        """Makes the place where clips are kept, if there is none."""

    def problem(self) -> str:
        """Why clips cannot be had now; "" when all is well."""


class Disk(FileSystemStorage):
    """Clips under MEDIA_ROOT, where they were written."""

    def keep(self, name: str, *, sha256: str = "") -> None:
        """Nothing to do but to look: it lies where it is kept."""
        if not self.fetched(name).is_file():
            raise FileNotFoundError(name)

    def fetched(self, name: str, *, sha256: str = "") -> Path:
        return Path(self.path(name))

    def discard(self, name: str) -> None:
        self.fetched(name).unlink(missing_ok=True)

    def address(self, name: str, *, shown_as: str) -> str:
        return ""

    def key(self, name: str) -> str:
        return ""

    def missing(self, files: Iterable[tuple[str, int | None]]) -> list[str]:
        return [name for name, size in files if not _is_here(self.fetched(name), size)]

    def make(self) -> None:
        Path(self.location).mkdir(parents=True, exist_ok=True)

    def problem(self) -> str:
        return ""


def clips() -> Storage:
    return cast(Storage, storages["clips"])


def _is_here(path: Path, size: int | None) -> bool:
    return path.is_file() and size in (None, path.stat().st_size)
