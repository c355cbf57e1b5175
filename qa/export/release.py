"""Writes a release folder whole or not at all, and proves later that it is still what was written.

The folder is built beside its place and renamed into it, so a half-written release never looks like one. Same rows, same bytes:
nothing of the clock, the machine or the order of a dictionary enters a file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from qa.export import card, croissant
from qa.export.clips import CLASSES, SPLITS, Clip
from qa.export.description import Description
from qa.export.formats import FORMATS, write_metadata

FORMAT_VERSION = 1
MEDIA = ("link", "copy", "s3", "none")
DRAFT_LOCK = re.compile(r"\.[^/]+\.[0-9a-f]{32}\.lock")
PARTS = {"files": dict, "counts": dict, "classes": list, "media": bool}  # of release.json
Progress = Callable[[int, int], None]


class ReleaseError(ValueError):
    """A release that cannot be written as asked; says what to do."""


def write_release(
    target: Path, clips: Sequence[Clip], about: Description, *, progress: Progress | None = None, check: Callable[[], None] | None = None
) -> tuple[Path, bool]:
    """The release folder and whether it is new; where the very same release already lies there, it stays untouched.

    check: asked last, before the folder takes its place; what it raises leaves nothing behind.
    Raises ReleaseError when the target holds something else, a clip's file is missing, or a name in media or formats is unknown.
    """
    _check(about, clips)
    with drafted(target) as draft:
        _write(draft, clips, about, progress)
        if check:
            check()
        return put(draft, target)


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """An empty folder beside the target to write it in, gone afterwards; what killed writers left there goes first.

    A lock beside each draft is held while its writer lives, and let go by the kernel however it dies.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.iterdir():
        if DRAFT_LOCK.fullmatch(left.name):
            _sweep(left)
    lock = target.parent / f".{target.name}.{uuid.uuid4().hex}.lock"
    draft = lock.with_suffix("")
    with lock.open("w") as held:
        with suppress(OSError):  # a file system without locks: nobody sweeps there, see _sweep
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            draft.mkdir()
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _sweep(lock: Path) -> None:
    """Removes the draft of a writer that is dead; one whose lock is held, or cannot be asked for, stays."""
    with suppress(OSError), lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def verify(folder: Path) -> list[str]:
    """What is wrong with a release folder, one line each; empty when every file is as it was written."""
    try:
        manifest = read_manifest(folder)
    except ReleaseError as error:
        return [str(error)]
    problems = []
    listed = manifest["files"]
    for name, facts in listed.items():
        path = folder / name
        if not is_inside(folder, path):
            problems.append(f"{name}: leads out of the folder")
        elif not path.is_file():
            problems.append(f"{name}: missing")
        elif path.stat().st_size != facts["bytes"]:
            problems.append(f"{name}: {path.stat().st_size:,} bytes, should be {facts['bytes']:,}")
        elif sha256_of(path) != facts["sha256"]:
            problems.append(f"{name}: its sha256 differs from release.json")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    problems += [f"{name}: not part of the release" for name in sorted(present - set(listed) - {"release.json"})]
    return problems or _verify_rows(folder, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """release.json as a dictionary. Raises ReleaseError when it is absent or not of this kind."""
    path = folder / "release.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReleaseError(f"{path} is not there: is this a release folder?") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReleaseError(f"{path} is damaged: {error}") from None
    if (
        not isinstance(manifest, dict)
        or manifest.get("format_version") != FORMAT_VERSION
        or not all(isinstance(manifest.get(key), kind) for key, kind in PARTS.items())
        or not all(isinstance(facts, dict) and {"sha256", "bytes"} <= set(facts) for facts in manifest["files"].values())
        or not all(isinstance(name, str) for name in manifest["classes"])
    ):
        raise ReleaseError(f"{path} is not a release of format {FORMAT_VERSION}")
    return manifest


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """file_name → the row, with its split added. Raises ReleaseError naming file and line."""
    rows: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        path = folder / split / "metadata.jsonl"
        if not path.is_file():
            continue
        for number, row in json_lines(path):
            if not isinstance(row.get("file_name"), str):
                raise ReleaseError(f"{path}:{number}: not a row with file_name")
            rows[row["file_name"]] = row | {"split": split}
    return rows


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's number and object. Raises ReleaseError naming the line that is none."""
    with path.open(encoding="utf-8", newline="\n") as lines:  # only \n ends a line: a text may hold U+2028
        number = 0
        try:
            for number, line in enumerate(lines, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ReleaseError(f"{path}:{number}: not an object")
                yield number, row
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ReleaseError(f"{path}:{number}: {error}") from None


def counts_of(clips: Sequence[Clip]) -> dict[str, dict[str, int]]:
    """split → emotion → clips, every class named."""
    counts = {split: dict.fromkeys(CLASSES, 0) for split in SPLITS}
    for clip in clips:
        counts[clip.split][clip.label] += 1
    return counts


def _check(about: Description, clips: Sequence[Clip]) -> None:
    if about.media not in MEDIA:
        raise ReleaseError(f"media must be one of {', '.join(MEDIA)}, got {about.media!r}")
    unknown = set(about.formats) - set(FORMATS)
    if unknown:
        raise ReleaseError(f"unknown format {', '.join(sorted(unknown))}: choose from {', '.join(FORMATS)}")
    if not clips:
        raise ReleaseError("there is no labelled video to release: label some first")
    if about.media == "s3" and not all(clip.media_key for clip in clips):
        raise ReleaseError("the clips are kept on this machine, not in a bucket (MEDIA_BUCKET): choose link, copy or none")
    if about.with_media:
        for clip in clips:
            if not clip.source.is_file():
                raise ReleaseError(
                    f"{clip.file_name}: its file {clip.source} is missing; fetch it again, take it down, or pass --media none"
                )


def _write(draft: Path, clips: Sequence[Clip], about: Description, progress: Progress | None) -> None:
    with_media, progress = about.with_media, progress or (lambda done, total: None)
    write_metadata(draft, clips, with_media=with_media, variant=about.variant)
    files: dict[str, dict[str, Any]] = {}
    if with_media:
        for done, clip in enumerate(clips, start=1):
            files[f"{clip.split}/{clip.file_name}"] = _place(clip, draft / clip.split / clip.file_name, about.media)
            progress(done, len(clips))
        # What was compared with its sha256 is what the other formats hold, whatever happens to the store meanwhile.
        clips = [replace(clip, source=draft / clip.split / clip.file_name) for clip in clips]
    for name in about.formats:
        FORMATS[name](draft, clips, with_media=with_media, variant=about.variant)
        progress(len(clips), len(clips))  # a sign of life: each may take many minutes
    counts = counts_of(clips)
    (draft / "README.md").write_text(card.render(about, clips, counts), encoding="utf-8")
    (draft / "croissant.json").write_text(croissant.render(draft, about, clips), encoding="utf-8")
    facts = {
        "name": about.title,
        "variant": about.variant,
        "seed": about.seed,
        "classes": list(CLASSES),
        "counts": counts,
        "short": list(about.short),
        "media": with_media,
        "formats": sorted(about.formats),
        "adjective_table": about.facts.get("adjective_table", 1),
    }
    if about.media == "s3":
        facts["objects"] = {
            f"{clip.split}/{clip.file_name}": {"key": clip.media_key, "sha256": clip.sha256, "bytes": clip.size_bytes} for clip in clips
        }
    write_manifest(draft, files, facts)


def write_manifest(folder: Path, files: dict[str, dict[str, Any]], facts: Mapping[str, Any]) -> None:
    """release.json: the facts, and sha256 and size of every file; `files` has those that are known already."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files:
            files[name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    num_clips = sum(sum(part.values()) for part in facts["counts"].values())
    content = {"format_version": FORMAT_VERSION, **facts, "num_clips": num_clips, "files": dict(sorted(files.items()))}
    (folder / "release.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _place(clip: Clip, path: Path, media: str) -> dict[str, Any]:
    try:
        facts = place_file(clip.source, path, media)
    except FileNotFoundError:
        raise ReleaseError(f"{clip.file_name}: {clip.source} went away while the release was written: make it again") from None
    if clip.sha256 and facts["sha256"] != clip.sha256:
        raise ReleaseError(f"{clip.file_name}: {clip.source} is no longer the file that was accepted (its sha256 differs)")
    return facts


def place_file(source: Path, path: Path, media: str) -> dict[str, Any]:
    """Links or copies a file, and its sha256 and size; a link that the file system refuses becomes a copy."""
    if media == "link":
        try:
            os.link(source, path)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                raise
            shutil.copyfile(source, path)
    else:
        shutil.copyfile(source, path)
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def put(draft: Path, target: Path) -> tuple[Path, bool]:
    """Renames the finished draft into its place; where the very same release lies there already, that one stays."""
    if not target.exists():
        draft.rename(target)
        return target, True
    if (target / "release.json").is_file() and (target / "release.json").read_bytes() == (draft / "release.json").read_bytes():
        return target, False
    raise ReleaseError(f"{target} exists and is not this release: releases are never overwritten, choose another folder")


def _verify_rows(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    try:
        rows = read_rows(folder)
    except ReleaseError as error:
        return [str(error)]
    counts = {split: dict.fromkeys(manifest["classes"], 0) for split in SPLITS}
    for name, row in rows.items():
        if row.get("label") not in manifest["classes"]:
            return [f"{row['split']}/{name}: its label {row.get('label')!r} is not a class of release.json"]
        counts[row["split"]][row["label"]] += 1
    if counts != manifest["counts"]:
        return ["release.json: its counts are not those of metadata.jsonl"]
    if manifest["media"]:
        return [
            f"{row['split']}/{name}: named in metadata.jsonl and not there"
            for name, row in rows.items()
            if f"{row['split']}/{name}" not in manifest["files"]
        ]
    told = {f"{row['split']}/{name}": row["media_key"] for name, row in rows.items() if "media_key" in row}
    objects = {name: facts.get("key") for name, facts in manifest.get("objects", {}).items()}
    return [] if told == objects else ["release.json: its keys are not those of metadata.jsonl"]


def is_inside(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve()) and not path.is_symlink()
