"""The dataset card and datasheet of a release, filled from what the database knows; README.md of the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qa.export.clips import CLASSES, SPLITS, Clip, columns
from qa.export.description import Description
from qa.rules.statistics import SHORT_S, duration_histogram, emotion_rows


def render(about: Description, clips: Sequence[Clip], counts: Mapping[str, Mapping[str, int]]) -> str:
    """The whole README.md."""
    parts = [_front_matter(about, len(clips)), f"# {about.title}\n", _summary(about, clips), _loading(about), _table(clips, counts)]
    return "\n".join([*parts, _columns(about), _datasheet(about, clips), _citation()])


def _front_matter(about: Description, num_clips: int) -> str:
    size = next(name for limit, name in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e12, "100K<n<1M")) if num_clips < limit)
    files = "".join(f"      - split: {split}\n        path: {split}/*\n" for split in SPLITS)
    return (
        f"---\npretty_name: {about.title}\nlicense: other\nlicense_name: research-only\ntask_categories:\n  - video-classification\n"
        f"tags:\n  - emotion\n  - short-video\nsize_categories:\n  - {size}\n"
        f"configs:\n  - config_name: default\n    data_files:\n{files}---\n"
    )


def _summary(about: Description, clips: Sequence[Clip]) -> str:
    platforms = ", ".join(sorted({clip.platform for clip in clips}))
    text = (
        f"{len(clips):,} short videos from {platforms}, each labelled with one of six emotions by majority of three annotators, "
        f"with a leader, a second leader and an expert where they disagree. Variant `{about.variant}`, seed {about.seed}.\n"
    )
    if about.short:
        text += "\n**Smaller than its definition:** " + "; ".join(about.short) + ".\n"
    if about.facts.get("num_simulated"):
        text += (
            f"\n**{about.facts['num_simulated']} of {about.facts['num_annotators']} annotators are simulated:** "
            "programs, not people. Do not use these labels as human judgements.\n"
        )
    if not about.with_media:
        text += "\nThe clips themselves are not in this folder" + (
            "; `media_key` says where each lies.\n" if about.media == "s3" else ".\n"
        )
    return text


def _loading(about: Description) -> str:
    lines = ['load_dataset("videofolder", data_dir="<this folder>")'] if about.with_media else []
    if "parquet" in about.formats:
        lines.append('load_dataset("parquet", data_dir="<this folder>/parquet")')
    lines = lines or ['load_dataset("json", data_files={"train": "train/metadata.jsonl", "test": "test/metadata.jsonl"})']
    return "## Loading\n\n```python\nfrom datasets import load_dataset\n" + "\n".join(lines) + "\n```\n"


def _table(clips: Sequence[Clip], counts: Mapping[str, Mapping[str, int]]) -> str:
    labels = np.array([CLASSES.index(clip.label) for clip in clips])
    durations, frames = (
        np.array([np.nan if value is None else value for value in values], dtype=float)
        for values in ([clip.duration_s for clip in clips], [clip.frames for clip in clips])
    )
    lines = [
        "## Composition\n",
        "| emotion | videos | train | test | total (s) | shortest (s) | longest (s) | average (s) | frames |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in emotion_rows(labels, durations, frames, emotions=CLASSES):
        train, test = (counts[split].get(row.emotion, sum(counts[split].values())) for split in SPLITS)
        seconds = " | ".join("–" if value is None else f"{value:,.2f}" for value in (row.shortest_s, row.longest_s, row.average_s))
        lines.append(f"| {row.emotion} | {row.videos:,} | {train:,} | {test:,} | {row.total_s:,.2f} | {seconds} | {row.frames:,} |")
    share = duration_histogram(durations).short_share
    lines.append(f"\n{share:.2%} of the videos last {SHORT_S:.0f} s or less. The split keeps the proportions of the emotions (80/20).\n")
    return "\n".join(lines)


def _columns(about: Description) -> str:
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in columns(about.media).items())
    return f"## Columns\n\n| column | meaning |\n|---|---|\n{rows}\n"


def _datasheet(about: Description, clips: Sequence[Clip]) -> str:
    facts = about.facts
    answers = {
        "Why was it made?": "To study how short videos make people feel, from picture and sound together.",
        "What is one row?": "One public post's video, whole, with the label, every vote behind it and how the vote was reached.",
        "How was it collected?": f"By keyword from public pages, in the stages {_named(clip.stage for clip in clips)}; terms of what was kept "
        "steer the next stage. Duplicates, corrupted, too short, too long and unsafe videos are removed; doubtful ones are judged by people.",
        "Who labelled it?": f"{_count(facts, 'num_annotators')} annotators in {_count(facts, 'num_groups')} groups of two men, one woman and a leader, "
        f"each choosing one of 62 adjectives (table version {facts.get('adjective_table', 1)}) that stand for six emotions.",
        "Did a program help them?": _hints(facts),
        "How far do they agree?": _agreement(facts),
        "What about the people in it?": "No names, accounts, titles or addresses are in this folder. A video whose author asks for it is taken "
        "down, and later releases leave it out; please delete it from your copies too.",
        "What may it be used for?": "Research on emotion in video. Not for judging individuals, and not for redistributing the clips: their rights stay with their authors.",
        "How does one know it is intact?": "`release.json` lists the sha256 of every file; `manage.py verify_release` checks them.",
    }
    return "## Datasheet\n\n" + "\n".join(f"**{question}** {answer}\n" for question, answer in answers.items())


def _hints(facts: Mapping[str, Any]) -> str:
    seen, not_seen = facts.get("hints_seen", 0), facts.get("hints_not_seen", 0)
    if not seen and not not_seen:
        return "No: as far as is recorded, no vote was cast with a network's prediction in sight."
    return (
        f"Members could ask what a trained network expects of a clip: {seen:,} votes were cast after that prediction was seen, "
        f"{not_seen:,} without seeing it though there was one. Each vote in the site's database says which."
    )


def _agreement(facts: Mapping[str, Any]) -> str:
    kappa, confidence = facts.get("fleiss_kappa"), facts.get("mean_confidence")
    said = f"Fleiss' κ of the three members is {kappa:.3f}" if kappa is not None else "Fleiss' κ is not defined for these votes"
    return said + (f"; their mean stated confidence is {confidence:.2f}." if confidence is not None else ".")


def _citation() -> str:
    return (
        "## Citation\n\nThe dataset follows *eMotions: A Large-Scale Dataset and Audio-Visual Fusion Network for Emotion Analysis in "
        "Short-form Videos*; please cite that paper and this release's sha256.\n"
    )


def _named(values: Any) -> str:
    names = sorted({value for value in values if value})
    return ", ".join(names) if names else "(not recorded)"


def _count(facts: Mapping[str, Any], name: str) -> str:
    return str(facts.get(name, "an unknown number of"))
