"""MOS studies: a blind mix of several datasets, rated by experts (Sec. III-E); and datasets from elsewhere to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.core.validators import slug_re
from django.db import transaction
from django.utils.text import slugify

from annotation.models import Person
from crawler.services import HostileMedia, transcode, unplayed
from qa import export, selectors
from qa.models import MosItem, MosRating, MosStudy, Release
from qa.rules import mos
from qa.services.releases import code_version

NAME_LENGTH = 60  # of a release, of a study


def dataset_import(folder: Path | str, *, name: str, out_dir: Path | str, seed: int = 0, media: str = "link", user: Any = None) -> Release:
    """A dataset of another origin as a registered release under out_dir/<name>, for MOS and for training; a repeat changes nothing.

    What some browser does not play becomes MP4: AVI, FLV, MKV, MOV, and old codecs in MP4 or WebM. Raises ValidationError when the folder
    holds no dataset, one of those clips cannot be read, or the name is taken by something else.
    """
    slug = slugify(name)
    if not slug or len(slug) > NAME_LENGTH:
        raise ValidationError(f"{name!r} is not a name: use letters and digits, {NAME_LENGTH} at most", code="name")
    target, player = Path(out_dir).resolve() / slug, export.Player(_playable, unplayed)
    try:
        counts = export.write_imported(target, export.find_clips(Path(folder)), name=name, seed=seed, media=media, player=player)
        sha256 = export.sha256_of(target / "release.json")
    except export.ReleaseError as error:
        raise ValidationError(str(error), code="dataset") from error
    release, is_new = Release.objects.get_or_create(
        name=slug,
        defaults={
            "variant": "imported", "seed": seed, "path": str(target), "sha256": sha256, "counts": counts,
            "made_by": code_version(), "created_by": user,
        },
    )  # fmt: skip
    if not is_new and release.sha256 != sha256:
        raise ValidationError(f"a release called {slug} exists already and is another one: choose another name", code="name")
    return release


def _playable(source: Path, target: Path) -> None:
    try:
        transcode(source, target)
    except HostileMedia as error:
        raise ValueError(str(error)) from error


@transaction.atomic
def mos_sample(
    name: str,
    releases: Sequence[Release],
    *,
    seed: int,
    margin: float = 0.05,
    confidence: float = 0.95,
    total: int | None = None,
    user: Any = None,
) -> MosStudy:
    """A study over clips of these releases, evenly many of each as far as they go, in one shuffled order.

    Without a total the corrected sample-size formula gives it, for the clips of all datasets together. Raises
    ValidationError when the name is taken, a release has no clips in its folder, or a number is outside its range.
    """
    if not slug_re.match(name) or len(name) > NAME_LENGTH:
        raise ValidationError(f"{name!r} cannot be part of an address: use letters, digits and hyphens, {NAME_LENGTH} at most", code="name")
    if MosStudy.objects.filter(name=name).exists():
        raise ValidationError(f"a study called {name} exists already", code="name")
    clips = {release: _clips(release) for release in releases}
    sizes = {release.name: len(rows) for release, rows in clips.items()}
    if not sizes or not all(sizes.values()):
        empty = ", ".join(key for key, size in sizes.items() if not size) or "none was named"
        raise ValidationError(f"a study needs releases with clips in their folders: {empty}", code="empty")
    try:
        shares = mos.shared_out(sizes, total or mos.sample_size(sum(sizes.values()), margin=margin, confidence=confidence))
    except ValueError as error:
        raise ValidationError(str(error), code="size") from error
    rng = np.random.default_rng(seed)
    study = MosStudy.objects.create(name=name, seed=seed, margin=margin, confidence=confidence, created_by=user)
    items = [
        MosItem(study=study, dataset=_dataset(release), release=release, file=file, label=label)
        for release, rows in clips.items()
        for file, label in (rows[i] for i in rng.permutation(len(rows))[: shares[release.name]].tolist())
    ]
    for item, order in zip(items, rng.permutation(len(items)).tolist(), strict=True):
        item.order = order + 1
    # In the order of the mix: a rater sees the row's number in the clip's address, and it must not tell datasets apart.
    MosItem.objects.bulk_create(sorted(items, key=lambda item: item.order), batch_size=2000)
    return study


def mos_rate(item: MosItem, person: Person, *, score: int) -> MosRating:
    """One expert's rating; given again it replaces the earlier one. Raises ValidationError for a score outside 1..5."""
    if not mos.LOWEST <= score <= mos.HIGHEST:
        raise ValidationError(f"a score is {mos.LOWEST} (bad) … {mos.HIGHEST} (excellent), not {score}", code="score")
    return MosRating.objects.update_or_create(item=item, person=person, defaults={"score": score})[0]


def _clips(release: Release) -> list[tuple[str, str]]:
    """Its clips that lie in the folder, and their labels; of ours those that may still be shown."""
    labels = {f"{row['split']}/{name}": row["label"] for name, row in export.read_rows(release.folder).items()}
    shown = labels if release.variant == "imported" else selectors.clips_there(labels)
    return sorted((file, label) for file, label in labels.items() if file in shown and (release.folder / file).is_file())


def _dataset(release: Release) -> str:
    return release.name if release.variant == "imported" else "eMotions"
