"""Which clips of a part can be trained on: prepared, decodable, long enough. What is left out is said, never silent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.engine import clips
from training.engine.prepare import Progress, prepare
from training.engine.recipes import Recipe
from training.engine.releases import Sample
from training.engine.store import Entry, store_folder


@dataclass(frozen=True)
class UsableSamples:
    """Samples and their entries, in one order; folder is None when the source is decoded each time."""

    samples: list[Sample]
    entries: list[Entry]
    folder: Path | None


def usable_samples(samples: Sequence[Sample], release: Path, recipe: Recipe, *, progress: Progress | None = None) -> UsableSamples:
    """The samples that can be used. Raises ValueError if more than the recipe's max_unusable share cannot."""
    if recipe.store == "off":
        folder, entries = None, opened(samples, progress)
    else:
        folder = store_folder(release, recipe)
        entries = prepare(samples, folder, recipe, workers=recipe.workers, progress=progress)
    reasons = [_why_not(sample, entry, recipe) for sample, entry in zip(samples, entries, strict=True)]
    told = [why for why in reasons if why]
    for why in told:
        print(f"left out {why}", file=sys.stderr)
    if samples and len(told) > recipe.max_unusable * len(samples):
        raise ValueError(
            f"{len(told)} of {len(samples)} clips cannot be used, the first: {told[0]}"
            f" (mend the release, or raise max_unusable from {recipe.max_unusable:g})"
        )
    kept = [i for i, why in enumerate(reasons) if not why]
    return UsableSamples([samples[i] for i in kept], [entries[i] for i in kept], folder)


def opened(samples: Sequence[Sample], progress: Progress | None) -> list[Entry]:
    """What of each clip can be known without decoding it. One that breaks in its middle is found only when it is read, and ends the run."""
    entries = []
    for number, sample in enumerate(samples, 1):
        try:
            entries.append(Entry(sample.name, 0, 0, frames=clips.frame_count(sample.path)))
        except clips.Unusable as error:
            entries.append(Entry(sample.name, 0, 0, error=str(error)))
        if progress:
            progress(number, len(samples), sample.name)
    return entries


def _why_not(sample: Sample, entry: Entry, recipe: Recipe) -> str:
    """The clip's path and what is wrong with it, or nothing."""
    if entry.error:
        return entry.error
    if recipe.modalities != "audio" and entry.frames < recipe.min_frames:
        return f"{sample.path}: {entry.frames} frames, fewer than min_frames {recipe.min_frames}"
    return ""
