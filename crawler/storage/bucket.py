"""Clips in an S3 bucket, at the one endpoint that the settings name (AWS, MinIO and what speaks like them)."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files import File
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from crawler.storage import Away, Disk

CHUNK = 2**20
LINK_S = 900  # a clip is 25 s at most; as long as a lease
PATIENT = {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "total_max_attempts": 3}}
QUICK = {"connect_timeout": 2, "read_timeout": 3, "retries": {"total_max_attempts": 1}}  # for a page that waits for the answer


_making = Lock()  # one session makes the connections of all threads: reading S3's description takes half a second


@cache
def _session(access_key: str | None, secret_key: str | None, token: str | None) -> boto3.Session:
    return boto3.Session(access_key, secret_key, token)


class Bucket(S3Storage):
    """MEDIA_ROOT is this machine's working copy: what lies there is used, what is missing is brought from the bucket."""

    def __init__(self, bucket_name: str, location: str = "", *, endpoint_url: str = "", patience: dict[str, Any] = PATIENT) -> None:
        super().__init__(
            bucket_name=bucket_name,
            location=location,
            endpoint_url=endpoint_url or settings.S3_ENDPOINT_URL,
            region_name=settings.S3_REGION,
            access_key=settings.S3_ACCESS_KEY or None,
            secret_key=settings.S3_SECRET_KEY or None,
            security_token=settings.S3_SESSION_TOKEN or None,
            client_config=Config(
                signature_version="s3v4", s3={"addressing_style": "path"}, ignore_configured_endpoint_urls=True, proxies={}, **patience
            ),
            transfer_config=TransferConfig(multipart_chunksize=8 * CHUNK, use_threads=False),  # one part in memory, not ten
        )
        self.here = Disk()

    @cached_property
    def public(self) -> Bucket:
        """The same as browsers find it, for signing: the host's name is part of what is signed."""
        return Bucket(self.bucket_name, self.location, endpoint_url=settings.S3_PUBLIC_URL)

    @cached_property
    def quick(self) -> Bucket:
        return Bucket(self.bucket_name, patience=QUICK)

    @property
    def connection(self) -> Any:
        with _making:
            return super().connection

    @property
    def bucket(self) -> Any:
        """Of this thread: boto3's resources may not be shared by threads."""
        return self.connection.Bucket(self.bucket_name)

    def _create_session(self) -> boto3.Session:
        return _session(self.access_key, self.secret_key, self.security_token)

    # --- clips ---

    def keep(self, name: str, *, sha256: str = "") -> None:
        self.put(self.here.fetched(name), name, sha256=sha256)

    def fetched(self, name: str, *, sha256: str = "") -> Path:
        path = self.here.fetched(name)
        if path.is_file():
            os.utime(path)  # what was used last is forgotten last
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            found = self.get(name, part)
            if found and sha256 not in ("", found):
                raise Away(f"{self.key(name)} holds other bytes than were put there (sha256 {found}, not {sha256})")
            if found:
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def discard(self, name: str) -> None:
        with _asking(self.key(name)):
            self.delete(name)
        self.here.discard(name)

    def address(self, name: str, *, shown_as: str) -> str:
        kind = "video/webm" if name.endswith(".webm") else "video/mp4"
        said = {"ResponseContentType": kind, "ResponseContentDisposition": f'inline; filename="{shown_as}"'}
        with _asking(self.key(name)):
            return str(self.public.url(name, parameters=said, expire=LINK_S))

    def key(self, name: str) -> str:
        return f"s3://{self.bucket_name}/{self._normalize_name(name)}"

    def missing(self, files: Iterable[tuple[str, int | None]]) -> list[str]:
        held = self.sizes()
        return [name for name, size in files if name not in held or size not in (None, held[name])]

    def problem(self) -> str:
        try:
            with _asking(f"s3://{self.bucket_name}"):
                self.quick.connection.meta.client.head_bucket(Bucket=self.bucket_name)
        except Away as error:
            return str(error)
        return ""

    # --- any file ---

    def put(self, path: Path, name: str, *, sha256: str = "") -> str:
        """The sha256 of the file, which is in the bucket now and was read back. Raises Away, FileNotFoundError."""
        mine = _digest(_chunks(path))
        if sha256 not in ("", mine):
            raise ValueError(f"{path} is no longer the file that was verified (sha256 {mine}, not {sha256})")
        if self._read(name) == mine:
            return mine
        with _asking(self.key(name)), path.open("rb") as content:
            self.save(name, File(content))
        found = self._read(name)
        if found != mine:
            raise Away(f"{self.key(name)} came back as other bytes than were put there")
        return mine

    def get(self, name: str, path: Path) -> str:
        """The sha256 of what was written to the path; "" and no file where the bucket has none. Raises Away."""
        return self._read(name, path)

    def holds(self, name: str) -> bool:
        with _asking(self.key(name)):
            return bool(self.exists(name))

    def make(self) -> None:
        """The bucket is there afterwards; one that was there stays as it is."""
        place = {} if settings.S3_REGION == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": settings.S3_REGION}}
        if self.problem():
            with _asking(f"s3://{self.bucket_name}"):
                self.bucket.create(**place)

    def sizes(self) -> dict[str, int]:
        """name → size of everything below the location."""
        start = f"{self.location.rstrip('/')}/" if self.location else ""
        with _asking(f"s3://{self.bucket_name}/{start}"):
            return {found.key.removeprefix(start): found.size for found in self.bucket.objects.filter(Prefix=start)}

    def _read(self, name: str, path: Path | None = None) -> str:
        with _asking(self.key(name)):
            try:
                body = self.bucket.Object(self._normalize_name(name)).get()["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchKey":
                    return ""
                raise
            if path is None:
                return _digest(body.iter_chunks(CHUNK))
            with path.open("wb") as file:
                found = _digest(_written(body.iter_chunks(CHUNK), file))
                os.fsync(file.fileno())
            return found


@contextmanager
def _asking(key: str) -> Iterator[None]:
    """What botocore may raise, in one line that says where and what to look at."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        raise Away(f"{key} at {settings.S3_ENDPOINT_URL} answers {status} {told.get('Code', '')}".rstrip()) from error
    except (BotoCoreError, Boto3Error, HTTPError) as error:
        raise Away(f"{key} at {settings.S3_ENDPOINT_URL} cannot be reached: {error}") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _written(chunks: Iterable[bytes], file: Any) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
