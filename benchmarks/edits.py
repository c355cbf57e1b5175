"""The 21 edits by which people hide a copy, and what each edited copy looks like, kept so that a measurement can be repeated.

Looks are kept under EMOTIONS_VAR/bench/looks, named after the clip, the edit and the code that looks; delete the folder to make them again.
"""

from __future__ import annotations

import hashlib
import inspect
import subprocess
from pathlib import Path

import av
import numpy as np
from django.conf import settings

from crawler import media
from crawler.media import child
from crawler.rules import duplicates

SECONDS = 10
SMALL = "scale='if(gt(iw,ih),-2,min(iw,160))':'if(gt(iw,ih),min(ih,160),-2)'"  # the shorter side 160
BLUR = "split[a][b];[a]scale=160:284,boxblur=12,setsar=1[c];[b]scale=160:-2,setsar=1[d];[c][d]overlay=0:(H-h)/2"
PIP = "split[a][b];[a]boxblur=20,eq=brightness=-0.2[c];[b]scale=trunc(iw*0.3)*2:-2[d];[c][d]overlay=(W-w)/2:(H-h)/2"
EDITS: dict[str, list[str]] = {
    "re-encode": ["-crf", "34"],
    "resize": ["-vf", "scale=trunc(iw*0.35)*2:trunc(ih*0.35)*2"],
    "crop 10 %": ["-vf", "crop=iw*0.9:ih*0.9"],
    "crop 25 %": ["-vf", "crop=iw*0.75:ih*0.75"],
    "border": ["-vf", "pad=iw*1.2:ih*1.4:(ow-iw)/2:(oh-ih)/2:black"],
    "blurred 9:16": ["-filter_complex", BLUR],
    "mirror": ["-vf", "hflip"],
    "speed 1.25": ["-vf", "setpts=PTS/1.25", "-af", "atempo=1.25"],
    "logo": ["-vf", "drawbox=x=iw*0.75:y=ih*0.05:w=iw*0.2:h=ih*0.12:color=red@1:t=fill"],
    "subtitle bar": ["-vf", "drawbox=x=0:y=ih*0.82:w=iw:h=ih*0.12:color=black@0.8:t=fill"],
    "trim to half": ["-t", "{half}"],
    "10 fps": ["-r", "10"],
    "colour shift": ["-vf", "hue=h=60:s=1.4"],
    "grey": ["-vf", "hue=s=0"],
    "noise": ["-vf", "noise=alls=18:allf=t"],
    "rotate 90": ["-vf", "transpose=1"],
    "picture in picture": ["-filter_complex", PIP],
    "mute": ["-an"],
    "sound swap": ["-f", "lavfi", "-i", "sine=frequency=500:duration={seconds}", "-map", "0:v", "-map", "1:a", "-shortest"],
    "crop + mirror": ["-vf", "crop=iw*0.85:ih*0.85,hflip"],
    "border + colour + speed": ["-vf", "eq=brightness=0.06:contrast=1.15,pad=iw*1.2:ih*1.2:(ow-iw)/2:(oh-ih)/2:white,setpts=PTS/1.1"],
}  # fmt: skip


LOOKING = (child.look, child.Eye, child.content_box, child.span, child.frame_hashes, child.shrink, child.means, child.store_features)

NUMBERS = (child.HASH_FPS, child.FEATURE_FRAMES, child.FEATURE_SIDE, child.FEATURES_PER_FRAME, child.PICTURE_SIDE)
# What a look depends on beside the clip; read here, once, since a parser of CPython 3.11 fails where two threads use it at a time.
CODE = hashlib.sha256(f"{[inspect.getsource(part) for part in LOOKING]}{NUMBERS}".encode()).hexdigest()


class Looks:
    """Looks of clips and of their edited copies, made where they are not kept yet."""

    def __init__(self, folder: Path, *, seconds: int = SECONDS) -> None:
        self.folder, self.seconds, self.kept = folder, seconds, Path(settings.VAR_DIR) / "bench" / "looks"
        self.kept.mkdir(parents=True, exist_ok=True)

    def of(self, clip: Path, edit: str = "") -> media.Look:
        """What the pipeline would store of the clip's first seconds at 160 p, edited; "" for unedited."""
        kept = self.kept / f"{self._name(clip, edit)}.npz"
        if not kept.is_file():
            self._make(clip, edit, kept)
        with np.load(kept) as stored:
            parts = {name: stored[name] for name in stored.files}
        seen = {name: parts.pop(name) for name in ("hashes", "quality", "seen_at")}
        good = seen["quality"] >= duplicates.QUALITY
        return media.Look(seen["hashes"][good], seen["seen_at"][good], parts)

    def has(self, clip: Path, edit: str = "") -> bool:
        return (self.kept / f"{self._name(clip, edit)}.npz").is_file()

    def _name(self, clip: Path, edit: str) -> str:
        parts = [hashlib.sha256(clip.read_bytes()).hexdigest(), edit, str(EDITS.get(edit)), str(self.seconds), SMALL, CODE]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _make(self, clip: Path, edit: str, kept: Path) -> None:
        small = self.folder / f"{self._name(clip, '')}.mp4"
        if not small.is_file():
            encode(clip, small, ["-vf", SMALL], seconds=self.seconds)
        copy = encode(small, self.folder / "copy.mp4", EDITS[edit], seconds=self.seconds) if edit else small
        features = self.folder / "features.npz"
        # In this process, not in a child: the file was made here a moment ago.
        report = child.look(av, str(copy), str(features))
        if "problem" in report:
            raise ValueError(f"{clip.name}, {edit or 'unedited'}: {report['problem']}")
        hashes = np.frombuffer(bytes.fromhex(report["hashes"]), np.uint8).reshape(-1, 32)
        found = media.load_features(features) or {}
        partial = kept.with_suffix(".tmp.npz")
        np.savez(partial, hashes=hashes, quality=np.array(report["quality"]), seen_at=np.array(report["times"]), **found)
        partial.replace(kept)


def encode(source: Path, target: Path, options: list[str], *, seconds: int = SECONDS) -> Path:
    """The first seconds, edited; inputs among the options come before the outputs' own."""
    options = [option.format(half=seconds / 2, seconds=seconds) if "{" in option else option for option in options]
    inputs = ["-t", str(seconds), "-i", str(source)]
    if "-i" in options:
        place = options.index("-i") + 2
        inputs, options = [*inputs, *options[:place]], options[place:]
    common = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "1"]
    even = [] if any(option in ("-vf", "-filter_complex") for option in options) else ["-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2"]
    options = [
        f"{option},scale=trunc(iw/2)*2:trunc(ih/2)*2" if before in ("-vf", "-filter_complex") else option
        for before, option in zip(["", *options], options, strict=False)
    ]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *inputs, *options, *even, *common, str(target)], check=True)
    return target
