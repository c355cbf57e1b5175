"""Making, checking and comparing releases (Sec. III-G)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from annotation.services import announce
from crawler.services import Away
from crawler.services import clips as kept_clips
from qa import export, selectors
from qa.export import Clip, Description
from qa.models import Release, ReleaseItem
from qa.rules.variants import TITLES, VARIANTS, Choice, TooFew


@dataclass(frozen=True)
class Source:
    """What releases are made from, read once: labelled videos by number, the votes of each, posteriors, difficulties, facts for the card."""

    rows: Sequence[selectors.Labelled]
    votes: dict[int, list[selectors.Cast]]
    posteriors: dict[int, tuple[float, ...]]
    difficulties: dict[int, float]
    facts: dict[str, Any]


def release_source() -> Source:
    votes = selectors.vote_table(selectors.label_votes())
    return Source(
        selectors.labelled_videos(),
        selectors.votes_by_sample(),
        selectors.posteriors(votes),
        selectors.difficulties(votes),
        selectors.release_facts(votes),
    )


def release_make(
    *,
    variant: str,
    out_dir: Path | str,
    seed: int,
    media: str = "link",
    formats: Sequence[str] = (),
    allow_short: bool = False,
    user: Any = None,
    sizes: dict[str, Any] | None = None,
    source: Source | None = None,
    progress: export.Progress | None = None,
) -> Release:
    """The release of a variant under out_dir/<variant>, registered; the same data and seed give the same bytes and the same row.

    sizes: other numbers than the paper's, passed to the variant (limits=…, size=…). source: what to make it from, so that
    several variants are made from one reading of the database.
    Raises ValidationError when the variant is unknown, there are too few videos (see allow_short), a file is missing or
    changed, the folder holds something else, or a video was taken down or got another label while it was written.
    """
    source = source or release_source()
    choice = release_choose(variant, source, seed=seed, allow_short=allow_short, sizes=sizes)
    chosen = [source.rows[i] for i in choice.positions]
    try:
        about = Description(variant, TITLES[variant], seed, media, tuple(sorted(set(formats))), tuple(choice.short), source.facts)
        clips = _clips(chosen, choice, source, about)
        target = Path(out_dir).resolve() / variant
        folder, _ = export.write_release(target, clips, about, progress=progress, check=lambda: _still_so(chosen))
    except export.ReleaseError as error:
        raise ValidationError(str(error), code="release") from error
    return _register(folder, about, clips, [row.video_id for row in chosen], user)


def _still_so(rows: Sequence[selectors.Labelled]) -> None:
    """Raises ReleaseError when the database has moved on since the rows were read: writing clips takes long."""
    now = selectors.labels_by_video()
    changed = [row.number for row in rows if now.get(row.video_id) != row.label]
    if changed:
        raise export.ReleaseError(
            f"{len(changed)} videos were taken down or got another label while the release was written "
            f"({', '.join(f'{number:08d}' for number in changed[:5])}{' …' if changed[5:] else ''}): make it again"
        )


def release_choose(variant: str, source: Source, *, seed: int, allow_short: bool = False, sizes: dict[str, Any] | None = None) -> Choice:
    """Which of the source's videos the variant takes. Raises ValidationError for an unknown variant or too few videos."""
    if variant not in VARIANTS:
        raise ValidationError(f"unknown variant {variant!r}: choose from {', '.join(VARIANTS)}", code="unknown_variant")
    labels = np.array([row.label for row in source.rows], dtype=str)
    try:
        return VARIANTS[variant](labels, seed=seed, allow_short=allow_short, **(sizes or {}))
    except TooFew as error:
        raise ValidationError(str(error), code="too_few") from error


def release_verify(folder: Path | str) -> list[str]:
    """What is wrong with a release folder, one line each. A registered release must also be the one that was registered."""
    folder = Path(folder)
    problems = export.verify(folder)
    if not problems:
        row = Release.objects.filter(path=str(folder.resolve())).first()
        if row and row.sha256 != export.sha256_of(folder / "release.json"):
            problems.append(f"release.json: is not the one that was registered as {row.name}")
    return problems or _objects_missing(export.read_manifest(folder).get("objects", {}))


def _objects_missing(objects: dict[str, dict[str, Any]]) -> list[str]:
    """What is wrong with the clips of a release that stay in the bucket. Their bytes were read back when they were put there."""
    if not objects:
        return []
    start = kept_clips().key("_").removesuffix("_") or "no bucket"
    strange = sum(not facts["key"].startswith(start) for facts in objects.values())
    if strange:
        return [f"{strange} clips lie in another bucket than this site's (MEDIA_BUCKET) and cannot be checked"]
    names = {facts["key"].removeprefix(start): (name, facts) for name, facts in objects.items()}
    try:
        gone = kept_clips().missing((kept, facts["bytes"] or None) for kept, (_, facts) in names.items())
    except Away as error:
        return [f"its clips cannot be checked now: {error}"]
    return [f"{names[kept][0]}: {start}{kept} is not there with {names[kept][1]['bytes']:,} bytes" for kept in gone]


@dataclass(frozen=True)
class Difference:
    """What changed from one release to another, by file name."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    relabelled: list[tuple[str, str, str]] = field(default_factory=list)
    moved: list[tuple[str, str, str]] = field(default_factory=list)
    changed_media: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not any(asdict(self).values())


def releases_diff(first: Path | str, second: Path | str) -> Difference:
    """How the second release differs from the first. Raises ValidationError when one is not a release folder."""
    try:
        for folder in (first, second):
            export.read_manifest(Path(folder))
        old, new = export.read_rows(Path(first)), export.read_rows(Path(second))
    except export.ReleaseError as error:
        raise ValidationError(str(error), code="release") from error
    both = sorted(set(old) & set(new))
    return Difference(
        added=sorted(set(new) - set(old)),
        removed=sorted(set(old) - set(new)),
        relabelled=[(name, old[name]["label"], new[name]["label"]) for name in both if old[name]["label"] != new[name]["label"]],
        moved=[(name, old[name]["split"], new[name]["split"]) for name in both if old[name]["split"] != new[name]["split"]],
        changed_media=[name for name in both if old[name].get("sha256") != new[name].get("sha256")],
    )


def _clips(rows: Sequence[selectors.Labelled], choice: Choice, source: Source, about: Description) -> list[Clip]:
    """Raises Away where a clip must be brought here first and its store does not answer."""
    store = kept_clips()
    clips = []
    for row, is_test in zip(rows, choice.is_test.tolist(), strict=True):
        cast = source.votes.get(row.sample_id, [])
        clips.append(
            Clip(
                file_name=f"{row.number:08d}.mp4",
                label=row.label,
                split="test" if is_test else "train",
                platform=row.platform,
                duration_s=row.duration_s,
                frames=row.frames,
                width=row.width,
                height=row.height,
                fps=row.fps,
                sha256=row.sha256,
                size_bytes=row.size_bytes or 0,
                decided_by=row.decided_rung,
                votes=tuple(vote.emotion for vote in cast),
                vote_rungs=tuple(vote.rung for vote in cast),
                adjectives=tuple(vote.adjective for vote in cast),
                confidences=tuple(vote.confidence for vote in cast),
                posterior=source.posteriors.get(row.sample_id, ()),
                difficulty=source.difficulties.get(row.sample_id),
                term=row.term or "",
                stage=row.stage or "",
                source=store.fetched(row.file, sha256=row.sha256) if about.with_media else Path(row.file),
                media_key=store.key(row.file) if about.media == "s3" else "",
            )
        )
    return clips


@transaction.atomic
def _register(folder: Path, about: Description, clips: Sequence[Clip], video_ids: Sequence[int], user: Any) -> Release:
    sha256 = export.sha256_of(folder / "release.json")
    # By its name, which is unique: two workers may have made the very same release at once.
    release, is_new = Release.objects.select_for_update().get_or_create(
        name=f"{about.variant}-{about.seed}-{sha256[:8]}",
        defaults={
            "variant": about.variant,
            "seed": about.seed,
            "path": str(folder),
            "sha256": sha256,
            "counts": export.counts_of(clips),
            "made_by": code_version(),
            "created_by": user,
        },
    )
    if not is_new:
        if release.path != str(folder) and not release.folder.is_dir():
            release.path = str(folder)
            release.save(update_fields=["path"])
        return release
    items = [
        ReleaseItem(release=release, video_id=pk, split=clip.split, emotion=clip.label) for pk, clip in zip(video_ids, clips, strict=True)
    ]
    ReleaseItem.objects.bulk_create(items, batch_size=5000)
    told = {name: getattr(release, name) for name in ("name", "variant", "seed", "sha256", "counts", "created_at")}
    announce("release.made", told | {"short": list(about.short)})
    return release


def code_version() -> str:
    """The commit the program runs from, empty outside a checkout; stored with the row, not in the folder, whose bytes depend on data alone."""
    git = shutil.which("git")
    if not git:
        return ""
    found = subprocess.run([git, "rev-parse", "HEAD"], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""
