"""A release out of WebDataset shards that need not fit on the disk: python -m training.engine.shards SHARD… --out RELEASE [--recipe R].

SHARD is a file or an address: https://…, or s3://… with the store and its keys in the environment, as the AWS tools read them (AWS_ENDPOINT_URL_S3,
AWS_ACCESS_KEY_ID …). Each clip is read once, as its shard comes in, made into its proxy and forgotten. What stays is metadata.jsonl and the prepared store, with an empty file in each clip's place. Run again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
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
from training.engine.prepare import make_proxy
from training.engine.recipes import RECIPES, Recipe, overridden
from training.engine.releases import PARTS, Sample

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Shared:
    """One clip of a shard: its name, what its JSON says, and its bytes in a file that is gone afterwards."""

    name: str
    row: dict[str, Any]
    media: Path


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


def clips_in(stream: IO[bytes], folder: Path) -> Iterator[Shared]:
    """The shard's clips in order; a clip is complete when both its JSON and its media have come, whichever was first."""
    rows: dict[str, dict[str, Any]] = {}
    media: dict[str, Path] = {}
    with tarfile.open(fileobj=stream, mode="r|*") as shard:
        for member in shard:
            key, _, suffix = Path(member.name).name.partition(".")
            content = shard.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if suffix == "json":
                rows[key] = json.loads(content.read())
            else:
                media[key] = folder / f"{key}.{suffix}"
                with media[key].open("wb") as file:
                    shutil.copyfileobj(content, file)
            if key in rows and key in media:
                path = media.pop(key)
                yield Shared(path.name, rows.pop(key), path)
                path.unlink()


def import_shards(shards: Sequence[str], out: Path, recipe: Recipe) -> list[store.Entry]:
    """Adds the shards' clips to the release and its store; the entries of those that are new."""
    folder = store.store_folder(out, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    made, listed = [], {part: _listed(out / part / "metadata.jsonl") for part in PARTS}
    for address in shards:
        with tempfile.TemporaryDirectory(dir=folder) as passing, opened(address) as stream:
            for clip in clips_in(stream, Path(passing)):
                part = _part_of(clip, address)
                if clip.name not in listed[part]:
                    made.append(_add(clip, part, out, folder, recipe))
                    listed[part].add(clip.name)
    return made


def _part_of(clip: Shared, address: str) -> str:
    """train or test: the clip's own word, else the beginning of the shard's name."""
    part = clip.row.get("split") or Path(urlsplit(address).path).name.partition("-")[0]
    if part not in PARTS:
        raise ValueError(
            f"{address}: {clip.name} belongs to {part!r}, not to {' or '.join(PARTS)}; name shards train-000000.tar, or give split"
        )
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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="training.engine.shards", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", nargs="+", metavar="SHARD")
    parser.add_argument("--out", type=Path, required=True, help="the release folder to make or to go on with")
    parser.add_argument("--recipe", default="avcanet", choices=sorted(RECIPES))
    parser.add_argument("--store", default="", help="a folder for the proxies; without it, beside the release")
    options = parser.parse_args(arguments)
    recipe = overridden(RECIPES[options.recipe](), {"store": options.store} if options.store else {})
    try:
        entries = import_shards(options.shards, options.out, recipe)
    except (ValueError, OSError, HTTPException, tarfile.TarError) as error:
        print(f"{error}; what was read is kept, run it again to go on", file=sys.stderr)
        return 1
    failed = [entry.error for entry in entries if entry.error]
    print(f"{len(entries) - len(failed)} clips added to {options.out}")
    for reason in failed:
        print(reason, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
