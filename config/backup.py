"""Backups: one file with the database and the index of the media, verified when written and before it is restored.

The clips themselves are not in it: they are files named by their content, in a bucket or under the media folder (copied by any
tool); the index says which ones belong to the database, and restoring tells which are missing.
"""

import csv
import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from config import audit
from config.dumps import DumpError, dump_for, dump_of, holds_data
from config.models import Backup, Event
from config.places import place_of, room
from crawler.models import Video
from crawler.services import Away, clips

FORMAT = 1
MANIFEST = "manifest.json"
MEDIA_INDEX = "media.csv"
CHUNK = 2**20


class BackupError(RuntimeError):
    """The backup was not made or not restored; what was there before is still there."""


@dataclass(frozen=True)
class Restored:
    rows: int
    clips: int
    missing: list[str]
    unapplied: list[str]


# --- making one -------------------------------------------------------------------------------------------------
def backup_make(target: Path | str, *, portable: bool = False, overwrite: bool = False) -> Backup:
    """Writes the backup, reads it back, and only then puts it where it belongs: a path, or s3://bucket/key.

    Raises BackupError if the target exists (unless overwrite), the disk is full, the store refuses or the copy does not verify.
    """
    try:
        place = place_of(target)
    except ValueError as error:
        raise BackupError(str(error)) from error
    dump = dump_for(portable=portable)
    try:
        if place.exists() and not overwrite:
            raise BackupError(f"{place} exists: choose another name, or say --yes to replace it")
        with place.draft() as part:
            folder = part.parent
            counts = dump.write(folder / dump.name)
            _media_index(folder / MEDIA_INDEX)
            _pack(part, folder, [dump.name, MEDIA_INDEX], {"kind": dump.kind, "rows": counts})
            with _opened(part):
                pass
            facts = {"sha256": _sha256(part), "size_bytes": part.stat().st_size}
            place.put(part)
    except (OSError, DumpError, Away, Error) as error:
        raise BackupError(f"no backup was made: {error}") from error
    try:
        return Backup.objects.create(path=str(place), kind=dump.kind, rows=sum(counts.values()), **facts)
    except Error as error:
        raise BackupError(f"{place} is written and whole, but the database could not note it: {error}") from error


def _media_index(path: Path) -> None:
    """file,size,sha256 of every clip that the database names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "size_bytes", "sha256"])
        rows = Video.objects.exclude(file="").order_by("pk").values_list("file", "size_bytes", "sha256")
        writer.writerows(rows.iterator(chunk_size=2000))


def _pack(part: Path, folder: Path, names: list[str], about: dict[str, Any]) -> None:
    manifest = {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "migrations": _migrations(),
        "files": {name: {"sha256": _sha256(folder / name), "size": (folder / name).stat().st_size} for name in names},
        **about,
    }
    text = json.dumps(manifest, indent=1).encode()
    # Passwords' hashes are in it: nobody else may read it.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=4) as archive:
            entry = tarfile.TarInfo(MANIFEST)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
            for name in names:
                archive.add(folder / name, arcname=name, recursive=False)
        file.flush()
        os.fsync(file.fileno())


def _migrations() -> list[str]:
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())


# --- restoring one ----------------------------------------------------------------------------------------------
def backup_verify(source: Path | str) -> dict[str, Any]:
    """The manifest of a backup whose every file has the length and the checksum that it says. Raises BackupError."""
    with _opened(source) as (manifest, _):
        return manifest


def backup_restore(source: Path | str, *, overwrite: bool = False) -> Restored:
    """Puts the database back as it was; what was there is gone. One transaction: all of it, or nothing.

    Raises BackupError if the backup does not verify, if it comes from a later version of the project, or if the database
    holds data and overwrite is not said.
    """
    try:
        with _opened(source) as (manifest, folder):
            dump = dump_of(manifest["kind"])
            _refuse_later_version(manifest)
            if not overwrite and holds_data():
                raise BackupError("the database holds data: say --yes to replace it")
            dump.read(folder / dump.name, manifest["rows"])
            num_clips, missing = _media_missing(folder / MEDIA_INDEX)
            _tell(source, manifest)
    except DumpError as error:
        raise BackupError(f"nothing was restored: {error}") from error
    return Restored(sum(manifest["rows"].values()), num_clips, missing, _unapplied())


def _tell(source: Path | str, manifest: dict[str, Any]) -> None:
    """One line in the audit log of what is there now, which a backup of an early version does not have yet."""
    if Event._meta.db_table in manifest["rows"]:
        audit.record(Event.Kind.RESTORED, str(source), what="config.Backup", after={"made_at": manifest["made_at"]})


def _refuse_later_version(manifest: dict[str, Any]) -> None:
    unknown = sorted(set(manifest["migrations"]) - _known_migrations())
    if unknown:
        raise BackupError(f"the backup is of a later version of the project: it has {', '.join(unknown[:3])}")


def _known_migrations() -> set[str]:
    loader = MigrationLoader(None)
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    return {f"{app}.{name}" for app, name in {*loader.disk_migrations, *replaced}}


def _unapplied() -> list[str]:
    return sorted(_known_migrations() - set(_migrations()))


def _media_missing(index: Path) -> tuple[int, list[str]]:
    """How many clips the index names, and which of them are not where clips are kept, with their length; all of them where that is away."""
    with index.open(newline="", encoding="utf-8") as file:
        named = [(row["file"], int(row["size_bytes"]) if row["size_bytes"] else None) for row in csv.DictReader(file)]
    try:
        return len(named), clips().missing(named)
    except Away:
        return len(named), [name for name, _ in named]


# --- the file ---------------------------------------------------------------------------------------------------
@contextmanager
def _opened(source: Path | str) -> Iterator[tuple[dict[str, Any], Path]]:
    """The verified manifest and a folder with the files that it lists; nothing else is unpacked. Raises BackupError."""
    with room() as name, ExitStack() as stack:
        folder = Path(name)
        try:
            path = stack.enter_context(place_of(source).here())
            _read_through(path)
            with tarfile.open(path, "r:gz") as archive:
                manifest = json.load(_member(archive, MANIFEST))
                if manifest.get("format") != FORMAT:
                    raise BackupError(f"{source} has format {manifest.get('format')}, not {FORMAT}")
                for entry, facts in manifest["files"].items():
                    _unpack(archive, entry, facts, folder)
        except (OSError, EOFError, zlib.error, tarfile.TarError, KeyError, ValueError, Away) as error:
            raise BackupError(f"{source} is no whole backup: {error}") from error
        yield manifest, folder


def _read_through(source: Path) -> None:
    """To the end of the archive once, where gzip's own checksum is compared: it alone covers the manifest."""
    with gzip.open(source) as stream:
        while stream.read(CHUNK):
            pass


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise BackupError(f"{name} is no plain file")
    return file


def _unpack(archive: tarfile.TarFile, name: str, facts: dict[str, Any], folder: Path) -> None:
    if Path(name).name != name or name in ("", ".", ".."):
        raise BackupError(f"{name!r} leads outside the backup")
    digest = hashlib.sha256()
    size = 0
    with _member(archive, name) as source, (folder / name).open("wb") as target:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > facts["size"]:
                break
            digest.update(chunk)
            target.write(chunk)
    if size != facts["size"] or digest.hexdigest() != facts["sha256"]:
        raise BackupError(f"{name} in the backup is damaged: its checksum does not match")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
