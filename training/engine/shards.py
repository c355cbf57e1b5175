"""A release out of WebDataset shards that need not fit on the disk: python -m training.engine.shards SHARD… --out RELEASE [--recipe R].

SHARD is a file or an address: https://…, or s3://… with the store and its keys in the environment, as the AWS tools read them (AWS_ENDPOINT_URL_S3,
AWS_ACCESS_KEY_ID …). The address of a release's release.json stands for all its shards: each is held against the size and the sha256 told there, and all
together against the number of clips. Each clip is read once, as its shard comes in, made into its proxy and forgotten. What stays is metadata.jsonl and the
prepared store, with an empty file in each clip's place. Run again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from training.engine import store
from training.engine.console import RECIPE, tells_in_one_line
from training.engine.prepare import make_proxy, sha256_of
from training.engine.recipes import RECIPES, Recipe, overridden
from training.engine.releases import PARTS, Sample, facts_of
from training.engine.runs import write_json

TIMEOUT_S = 60.0
MANIFEST = "release.json"
AGAIN = "what was read is kept, run it again to go on"


@dataclass(frozen=True)
class Shard:
    """Where a shard lies, and its sha256 and size where a release.json tells them."""

    address: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class Shared:
    """One clip of a shard: its name, what its JSON says, and its bytes in a file that is gone afterwards."""

    name: str
    row: dict[str, Any]
    media: Path


class Measured:
    """A stream that knows how many bytes came through it, and their sha256."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.size, self.digest = stream, 0, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.size += len(data)
        self.digest.update(data)
        return data


class Member(tarfile.TarInfo):
    """A member of a shard. Only the end mark ends it: tarfile alone takes a shard that was cut between two members for a whole one."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Member:  # type: ignore[override]  # tarfile calls it by place
        try:
            return super().fromtarfile(tarfile_)  # type: ignore[return-value]  # cls makes it
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the stubs lack it
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"it breaks off, or is no tar ({error})") from error


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """The bytes of a shard, as they come. Raises OSError where they do not."""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        with urlopen(address, timeout=TIMEOUT_S) as stream:  # noqa: S310 - http and https alone come here
            yield stream
    elif scheme == "s3":
        with _object(address) as stream:
            yield stream
    else:
        with open(address, "rb") as stream:
            yield stream


@contextmanager
def _object(address: str) -> Iterator[IO[bytes]]:
    parts = urlsplit(address)
    try:
        client = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
        with client.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))["Body"] as stream:
            yield stream
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{address}: {error}") from error


def clips_in(stream: Measured, folder: Path) -> Iterator[Shared]:
    """The shard's clips in order; a clip is complete when both its JSON and its media have come, whichever was first."""
    rows: dict[str, dict[str, Any]] = {}
    media: dict[str, Path] = {}
    with tarfile.open(fileobj=stream, mode="r|*", tarinfo=Member) as shard:  # type: ignore[call-overload]  # a stream needs read alone
        for member in shard:
            key, _, suffix = Path(member.name).name.partition(".")
            content = shard.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if suffix == "json":
                rows[key] = _row(member.name, content.read())
            else:
                media[key] = folder / f"{key}.{suffix}"
                with media[key].open("wb") as file:
                    shutil.copyfileobj(content, file)
            if key in rows and key in media:
                path = media.pop(key)
                yield Shared(path.name, rows.pop(key), path)
                path.unlink()
    if rows or media:
        raise ValueError(f"clip {next(iter(rows or media))} has no {'media' if rows else 'JSON'} in it; export the release with its media")


def _row(name: str, content: bytes) -> dict[str, Any]:
    row = json.loads(content)
    if not isinstance(row, dict):
        raise ValueError(f"{name} is no JSON object")
    return row


def import_shards(addresses: Sequence[str], out: Path, recipe: Recipe) -> list[store.Entry]:
    """Adds the shards' clips to the release and its store; the entries of those that are new."""
    folder = store.store_folder(out, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    made, listed = [], {part: _listed(out / part / "metadata.jsonl") for part in PARTS}
    for address in addresses:
        manifest = _manifest(address) if address.endswith(MANIFEST) else None
        for shard in _shards_of(address, manifest) if manifest else [Shard(address)]:
            for part, clip in _received(shard, folder):
                if clip.name not in listed[part]:
                    made.append(_add(clip, part, out, folder, recipe))
                    listed[part].add(clip.name)
        if manifest:
            _close(out, address, manifest, sum(map(len, listed.values())))
    return made


def _received(shard: Shard, folder: Path) -> Iterator[tuple[str, Shared]]:
    """(train or test, clip) of one shard. Raises ValueError naming the shard if it or a clip is not what was sent."""
    with tempfile.TemporaryDirectory(dir=folder) as passing, opened(shard.address) as stream:
        measured = Measured(stream)
        try:
            for clip in clips_in(measured, Path(passing)):
                _check_clip(clip)
                yield _part_of(clip, shard.address), clip
        except (ValueError, tarfile.TarError) as error:
            raise ValueError(f"{shard.address}: {error}") from error
        while measured.read(2**20):  # what stands behind the end mark
            pass
    if shard.sha256 and (measured.size, measured.digest.hexdigest()) != (shard.size, shard.sha256):
        raise ValueError(
            f"{shard.address}: {measured.size:,} bytes came that are not the {shard.size:,} of {MANIFEST}; put the shard there anew"
        )


def _check_clip(clip: Shared) -> None:
    told = clip.row.get("sha256")
    if told and sha256_of(clip.media) != told:
        raise ValueError(f"{clip.name} is not the clip that its JSON tells of (another sha256); put the shard there anew")


def _manifest(address: str) -> dict[str, Any]:
    with opened(address) as stream:
        return facts_of(stream.read(), address)


def _shards_of(address: str, manifest: dict[str, Any]) -> list[Shard]:
    """The shards of a release by the address of its release.json."""
    folder = address.removesuffix(MANIFEST)
    files = manifest.get("files") or {}
    shards = [Shard(f"{folder}{name}", facts["sha256"], facts["bytes"]) for name, facts in files.items() if name.startswith("shards/")]
    if not shards:
        raise ValueError(f"{address}: that release has no shards; export it with --format shards")
    return shards


def _close(out: Path, address: str, manifest: dict[str, Any], count: int) -> None:
    """Holds the whole against the manifest and takes over its facts, classes and polarities among them."""
    if count < manifest["num_clips"]:
        raise ValueError(f"{address} tells of {manifest['num_clips']} clips, and its shards held {count}; put its shards there anew")
    write_json(out / MANIFEST, {key: value for key, value in manifest.items() if key != "files"})


def _part_of(clip: Shared, address: str) -> str:
    """train or test: the clip's own word, else the beginning of the shard's name."""
    part = clip.row.get("split") or Path(urlsplit(address).path).name.partition("-")[0]
    if part not in PARTS:
        raise ValueError(f"{clip.name} belongs to {part!r}, not to {' or '.join(PARTS)}; name shards train-000000.tar, or give split")
    return str(part)


def _add(clip: Shared, part: str, out: Path, folder: Path, recipe: Recipe) -> store.Entry:
    """The clip's entry. Its line in metadata.jsonl comes last: without it the clip is done again."""
    place = out / part / clip.name
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.touch()
    facts = place.stat()
    entry = make_proxy(Sample(clip.media, f"{part}/{clip.name}", 0), folder, recipe)
    entry = replace(entry, size=facts.st_size, mtime_ns=facts.st_mtime_ns)
    with (folder / "index.jsonl").open("a", encoding="utf-8") as index:
        index.write("\n" + entry.line())  # a kill may have cut the last line short
    with (place.parent / "metadata.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({**clip.row, "file_name": clip.name}, ensure_ascii=False) + "\n")
    return entry


def _listed(manifest: Path) -> set[str]:
    """The clips that the manifest has; a last line that a kill cut short is taken away."""
    if not manifest.is_file():
        return set()
    data = manifest.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        manifest.write_bytes(whole)
    return {json.loads(line)["file_name"] for line in whole.splitlines()}


@tells_in_one_line(AGAIN, HTTPException)
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="training.engine.shards", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", nargs="+", metavar="SHARD", help="a shard, or the release.json of a release with shards")
    parser.add_argument("--out", type=Path, required=True, help="the release folder to make or to go on with")
    parser.add_argument("--recipe", default="avcanet", **RECIPE)
    parser.add_argument("--store", default="", help="a folder for the proxies; without it, beside the release")
    options = parser.parse_args(arguments)
    recipe = overridden(RECIPES[options.recipe](), {"store": options.store} if options.store else {})
    entries = import_shards(options.shards, options.out, recipe)
    failed = [entry.error for entry in entries if entry.error]
    print(f"{len(entries) - len(failed)} clips added to {options.out}")
    for reason in failed:
        print(reason, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
