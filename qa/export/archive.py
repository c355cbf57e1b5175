"""A release folder as one archive, streamed file by file: nothing is written to disk, and its length is known before it starts."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from qa.export.release import ReleaseError, is_inside, read_manifest

BLOCK = 1 << 18


class Archive:
    """A POSIX tar of the release's files, in the order of release.json; the same folder gives the same bytes.

    Raises ReleaseError when the folder is no release, and FileNotFoundError when one of its files is missing.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        names = ["release.json", *read_manifest(folder)["files"]]
        if strange := [path for path in names if not is_inside(folder, folder / path)]:
            raise ReleaseError(f"{strange[0]}: leads out of the folder")
        self.paths = [folder / path for path in names]
        self.headers = [_header(f"{name}/{path}", (folder / path).stat().st_size) for path in names]

    def __len__(self) -> int:
        return sum(len(header) + _padded(path.stat().st_size) for header, path in zip(self.headers, self.paths, strict=True)) + 1024

    def __iter__(self) -> Iterator[bytes]:
        for header, path in zip(self.headers, self.paths, strict=True):
            yield header
            size = path.stat().st_size
            with path.open("rb") as content:
                while block := content.read(BLOCK):
                    yield block
            yield bytes(_padded(size) - size)
        yield bytes(1024)


def _header(name: str, size: int) -> bytes:
    """Without owner or time of its own, like the shards."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
