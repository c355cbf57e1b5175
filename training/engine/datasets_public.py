"""Public data sets as release folders: python -m training.engine.datasets_public ekman6 --source DIR --out DIR [--media link|copy].

Reads the layouts in which Ekman6, VideoEmotion8, Music_video, IEMOCAP and RAVDESS are handed out, and writes train/ and test/ with metadata.jsonl, and a
release.json with the classes and their polarity, which training takes over. Official lists decide the parts where they lie beside the clips
(trainlist01.txt, testlist01.txt), then folders named train and test; else a stratified draw of 80 : 20, as the paper did. Every listed clip must be there.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.engine.console import tells_in_one_line

MEDIA_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv", ".wmv", ".mpg", ".wav", ".opus", ".mp3", ".flac", ".ogg")
LISTS = {"train": "trainlist01.txt", "test": "testlist01.txt"}
PART_FOLDERS = {"train": "train", "training": "train", "test": "test", "testing": "test", "validation": "test", "val": "test"}
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Found:
    """One clip: its class, its part if the data set settles it, the person or session that must not stand in both parts, and a cut."""

    path: Path
    emotion: str
    part: str | None = None
    group: str = ""
    cut_s: tuple[float, float] | None = None
    name: str = ""


@dataclass(frozen=True)
class PublicDataset:
    name: str
    polarity: dict[str, str]  # class → positive, neutral or negative; its order is that of the class ids
    find: Callable[[Path, PublicDataset], list[Found]]
    spellings: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.polarity)

    def class_of(self, written: str) -> str | None:
        """The class as we write it, in whatever case it was written; None if it is none of ours."""
        by_lower = {name.lower(): name for name in (*self.classes, *self.spellings)}
        name = by_lower.get(written.lower())
        return self.spellings.get(name, name) if name else None


# ---- Layouts ---------------------------------------------------------------------------------------------------------


def find_in_folders(source: Path, dataset: PublicDataset) -> list[Found]:
    """[train|test/]<class>/<clip>, the parts by the official lists if there are any, else by the folders, else open."""
    clips = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()]
    lists = {part: path for part, name in LISTS.items() if (path := next(iter(sorted(source.rglob(name))), None))}
    if lists:
        return [found for part, path in lists.items() for found in _listed(path, part, clips, dataset)]
    found = []
    for path in clips:
        emotion = dataset.class_of(path.parent.name)
        if emotion is None:
            raise ValueError(
                f"{path}: its folder is none of the classes {', '.join((*dataset.classes, *dataset.spellings))} of {dataset.name}"
            )
        parts = [PART_FOLDERS[folder.lower()] for folder in path.relative_to(source).parts[:-2] if folder.lower() in PART_FOLDERS]
        found.append(Found(path, emotion, parts[-1] if parts else None))
    return found


def _listed(path: Path, part: str, clips: Sequence[Path], dataset: PublicDataset) -> list[Found]:
    """The clips of one list, a line being "Class/name" with or without a class number. Raises ValueError naming what is missing."""
    by_name = {(clip.parent.name.lower(), clip_name(clip.name)): clip for clip in clips}
    found, missing = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        folder, slash, name = re.sub(r"\s+\d+$", "", line.strip()).partition("/")
        emotion = dataset.class_of(folder)
        if not slash or emotion is None:
            raise ValueError(f'{path}:{number}: {line!r} is no "Class/name" with a class of {dataset.name}')
        clip = by_name.get((folder.lower(), clip_name(name)))
        if clip is None:
            missing.append(f"{folder}/{name}")
        else:
            found.append(Found(clip, emotion, part))
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} clips of this list are not there, the first {missing[0]}; put them beside the list or take them out of it"
        )
    return found


def clip_name(name: str) -> str:
    """Without the ending of a media file; a dot elsewhere ("Vol.2") is part of the name."""
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in MEDIA_SUFFIXES else name


IEMOCAP_LINE = re.compile(r"^\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\s+(?P<turn>Ses(?P<session>\d\d)\S+)\s+(?P<label>\w+)\s+\[")


def find_iemocap(source: Path, dataset: PublicDataset) -> list[Found]:
    """Session*/dialog/EmoEvaluation/*.txt and the dialogues' films; a turn is cut out of its film. Whole sessions go to one part (Session5 to test)."""
    evaluations = sorted(source.glob("Session*/dialog/EmoEvaluation/*.txt"))
    if not evaluations:
        raise ValueError(f"{source}: no Session*/dialog/EmoEvaluation/*.txt; give the folder IEMOCAP_full_release")
    found = []
    for path in evaluations:
        films = list((path.parent.parent / "avi").rglob(f"{path.stem}.avi"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            match = IEMOCAP_LINE.match(line)
            emotion = dataset.class_of(match["label"]) if match else None
            if not match or emotion is None:  # another emotion, or "xxx" where the judges did not agree
                continue
            if not films:
                raise ValueError(f"{path}: its film dialog/avi/**/{path.stem}.avi is not there")
            span = (float(match["start"]), float(match["end"]))
            part = "test" if match["session"] == "05" else "train"
            found.append(Found(films[0], emotion, part, f"session {match['session']}", span, f"{match['turn']}.mp4"))
    return found


RAVDESS_NAME = re.compile(r"^0[123]-0[12]-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]-(?P<actor>\d\d)$")
RAVDESS_CODES = dict(zip(("01", "02", "03", "04", "05", "06", "07", "08"), ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), strict=True))  # fmt: skip


def find_ravdess(source: Path, dataset: PublicDataset) -> list[Found]:
    """Clips named 03-01-EE-II-SS-RR-AA: EE the emotion, AA the actor. Actors are not in both parts."""
    found = []
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() in MEDIA_SUFFIXES:
            match = RAVDESS_NAME.match(path.stem)
            if not match:
                raise ValueError(f"{path}: no RAVDESS name; it should look like 03-01-05-01-02-01-12")
            found.append(Found(path, RAVDESS_CODES[match["emotion"]], group=f"actor {match['actor']}"))
    return found


DATASETS: dict[str, PublicDataset] = {
    "ekman6": PublicDataset(
        "Ekman6",
        {"anger": "negative", "disgust": "negative", "fear": "negative", "joy": "positive", "sadness": "negative", "surprise": "positive"},
        find_in_folders,
    ),
    "videoemotion8": PublicDataset(
        "VideoEmotion8",
        {
            "Anger": "negative",
            "Anticipation": "positive",
            "Disgust": "negative",
            "Fear": "negative",
            "Joy": "positive",
            "Sadness": "negative",
            "Surprise": "positive",
            "Trust": "positive",
        },
        find_in_folders,
    ),
    "music_video": PublicDataset(
        "Music_video",
        {
            "Excitation": "positive",
            "Fear": "negative",
            "Neutral": "neutral",
            "Relaxation": "positive",
            "Sadness": "negative",
            "Tension": "negative",
        },
        find_in_folders,
        {"Excited": "Excitation", "Exciting": "Excitation", "Relaxed": "Relaxation", "Relaxing": "Relaxation", "Sad": "Sadness"},
    ),
    # The four classes of common practice; excited counts as happy.
    "iemocap": PublicDataset(
        "IEMOCAP",
        {"neutral": "neutral", "happy": "positive", "sad": "negative", "angry": "negative"},
        find_iemocap,
        {"neu": "neutral", "hap": "happy", "exc": "happy", "ang": "angry"},
    ),
    "ravdess": PublicDataset(
        "RAVDESS",
        {
            "neutral": "neutral",
            "calm": "positive",
            "happy": "positive",
            "sad": "negative",
            "angry": "negative",
            "fearful": "negative",
            "disgust": "negative",
            "surprised": "positive",
        },
        find_ravdess,
    ),
}


# ---- Parts -----------------------------------------------------------------------------------------------------------


def in_parts(found: Sequence[Found], *, seed: int, share: float = TEST_SHARE) -> dict[str, list[Found]]:
    """train and test. Clips whose part is open are drawn: whole groups where there are groups, else the same share of every class."""
    parts: dict[str, list[Found]] = {"train": [], "test": []}
    still_open = []
    for item in found:
        if item.part:
            parts[item.part].append(item)
        else:
            still_open.append(item)
    rng = np.random.default_rng((seed, 11))
    for test, items in _drawn(still_open, rng, share):
        parts["test" if test else "train"] += items
    return parts


def _drawn(items: Sequence[Found], rng: np.random.Generator, share: float) -> list[tuple[bool, list[Found]]]:
    """(whether to test, items) of each unit of the draw."""
    if any(item.group for item in items):
        names = sorted({item.group for item in items})
        for_test = set(rng.permutation(names)[: max(round(len(names) * share), 1)])
        return [(item.group in for_test, [item]) for item in items]
    drawn = []
    for emotion in sorted({item.emotion for item in items}):
        members = [item for item in items if item.emotion == emotion]
        order = rng.permutation(len(members))
        for_test = set(order[: round(len(members) * share)].tolist())
        drawn += [(i in for_test, [item]) for i, item in enumerate(members)]
    return drawn


# ---- Writing ---------------------------------------------------------------------------------------------------------


def write_release(dataset: PublicDataset, source: Path, out: Path, *, seed: int = 1, media: str = "link") -> dict[str, Counter]:
    """A release folder of the data set; counts by part and class. Raises ValueError if there is nothing, or the folder is in use."""
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty; give a new folder")
    found = dataset.find(source, dataset)
    parts = in_parts(found, seed=seed)
    for part, items in parts.items():
        if not items:
            raise ValueError(f"{source}: no clip of {dataset.name} for the {part} part (looked for {', '.join(MEDIA_SUFFIXES)})")
    making = out.with_name(f"{out.name}.part")  # whole or not at all: what a kill left behind is made anew
    shutil.rmtree(making, ignore_errors=True)
    counts = {part: _write_part(making / part, items, media) for part, items in parts.items()}
    facts = {
        "dataset": dataset.name,
        "variant": dataset.name,
        "classes": list(dataset.classes),
        "polarity": list(dataset.polarity.values()),
        "seed": seed,
        "counts": counts,
    }
    (making / "release.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if out.exists():
        out.rmdir()
    making.rename(out)
    return counts


def _write_part(folder: Path, items: Sequence[Found], media: str) -> Counter:
    folder.mkdir(parents=True)
    lines = []
    for item in items:
        name = item.name or f"{item.emotion}_{item.path.name}"
        target = folder / name
        if target.exists() or target.is_symlink():
            raise ValueError(f"{item.path}: a second clip would be called {name}; give the two files different names")
        if item.cut_s:
            cut_clip(item.path, target, *item.cut_s)
        elif media == "copy":
            shutil.copyfile(item.path, target)
        else:
            target.symlink_to(item.path.resolve())
        lines.append(json.dumps({"file_name": name, "emotion": item.emotion, "group": item.group}, ensure_ascii=False))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Counter(item.emotion for item in items)


def cut_clip(source: Path, target: Path, start_s: float, end_s: float) -> None:
    """Writes the span of a film, picture and sound encoded anew so that it begins at its first frame."""
    import av

    with av.open(str(source)) as film, av.open(str(target), "w") as clip:
        pictures, sounds = film.streams.video[0], next(iter(film.streams.audio), None)
        video = clip.add_stream("libx264", rate=pictures.average_rate, options={"crf": "20", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = pictures.width // 2 * 2, pictures.height // 2 * 2, "yuv420p"
        audio = clip.add_stream("aac", rate=sounds.rate) if sounds else None
        film.seek(int(start_s * 1_000_000))
        frame: Any
        for frame in film.decode(*(stream for stream in (pictures, sounds) if stream)):
            if frame.time is None or frame.time < start_s:
                continue
            if frame.time >= end_s:
                if frame.time >= end_s + 1:  # picture and sound are not interleaved to the frame
                    break
                continue
            frame.pts = round((frame.time - start_s) / frame.time_base)
            into: Any = video if isinstance(frame, av.VideoFrame) else audio
            clip.mux(into.encode(frame))
        for stream in (video, audio):
            if stream:
                clip.mux(stream.encode())


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.datasets_public", description=__doc__)
    parser.add_argument("dataset", choices=sorted(DATASETS))
    parser.add_argument("--source", type=Path, required=True, help="the folder as its authors hand it out")
    parser.add_argument("--out", type=Path, required=True, help="the release folder to make")
    parser.add_argument("--seed", type=int, default=1, help="of the draw, where no list settles the parts")
    parser.add_argument("--media", choices=("link", "copy"), default="link")
    options = parser.parse_args(arguments)
    counts = write_release(DATASETS[options.dataset], options.source, options.out, seed=options.seed, media=options.media)
    for part, by_class in counts.items():
        print(f"{part}: {sum(by_class.values())} clips, " + ", ".join(f"{name} {n}" for name, n in sorted(by_class.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
