"""Where a backup lies: a file of this machine, or an object in an S3 bucket. Neither is ever there half."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings


class LocalFile:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def __str__(self) -> str:
        return str(self.path)

    def exists(self, *, quick: bool = False) -> bool:
        return self.path.exists()

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A path on the same disk as the final name, to write to; gone afterwards."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".backup-") as folder:
            yield Path(folder) / "backup"

    def put(self, draft: Path) -> None:
        os.replace(draft, self.path)
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def here(self) -> Iterator[Path]:
        """The file to read."""
        yield self.path


class BucketFile:
    """s3://bucket/key at the endpoint of the settings. What passes through this machine passes through a file, not through memory."""

    def __init__(self, bucket: str, key: str) -> None:
        from crawler.storage.bucket import Bucket  # boto3 takes a second to load: only who names a bucket waits for it

        self.bucket, self.name = Bucket(bucket), key

    def __str__(self) -> str:
        return self.bucket.key(self.name)

    def exists(self, *, quick: bool = False) -> bool:
        """quick: of one try, for a page that waits. Raises Away."""
        return (self.bucket.quick if quick else self.bucket).holds(self.name)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        with room() as folder:
            yield Path(folder) / "backup"

    def put(self, draft: Path) -> None:
        """Uploaded, read back, compared; an object comes into being whole or not at all. Raises Away."""
        self.bucket.put(draft, self.name)

    @contextmanager
    def here(self) -> Iterator[Path]:
        """A copy of it. Raises Away, FileNotFoundError."""
        with room() as folder:
            path = Path(folder) / "backup"
            if not self.bucket.get(self.name, path):
                raise FileNotFoundError(f"{self} is not there")
            yield path


def room() -> tempfile.TemporaryDirectory[str]:
    """A folder where a whole database has room: in a container /tmp is memory."""
    return tempfile.TemporaryDirectory(dir=settings.VAR_DIR, prefix=".backup-")


def place_of(target: Path | str) -> LocalFile | BucketFile:
    """Raises ValueError for an address that is no s3://bucket/key."""
    text = str(target)
    if not re.match(r"[a-z0-9]+://", text):
        return LocalFile(Path(target))
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*)", text)
    if match is None or ".." in text:
        raise ValueError(f"{text} is neither a path nor s3://bucket/key")
    return BucketFile(match[1], match[2])
