"""Multimodal language models on a release's test part (Table VII): python -m training.engine.mllm --release DIR --out RUN --model DIR.

Each clip is a few frames, its transcript if there is one, and a closed question in English or Chinese. Answers are kept in answers.jsonl as they come: a
stopped run goes on where it was, and the same question is never paid for twice. Writes predictions.csv and result.json as a trained run does; an answer
that names no class, or several, is "unparsed" and counts as wrong.
--model DIR is a local Hugging Face model; --url U --model NAME an OpenAI-compatible endpoint (its key in MLLM_API_KEY); --tiny a random one, for trying.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.engine import clips, metrics
from training.engine.console import tells_in_one_line
from training.engine.mllm_providers import HttpModel, LocalModel, NoAnswer, Picture, Provider, Reply, make_tiny_model
from training.engine.recipes import EMOTIONS
from training.engine.releases import Sample, manifest_hash, samples_of

UNPARSED = "unparsed"
CHINESE = dict(zip(EMOTIONS, ("兴奋", "恐惧", "中性", "放松", "悲伤", "紧张"), strict=True))
# Other forms in which a class is named; a class outside the six has its own name only.
FORMS: Mapping[str, tuple[str, ...]] = {
    "Excitation": ("excited", "excitement", "exciting"),
    "Fear": ("fearful", "afraid"),
    "Neutral": ("neutrality",),
    "Relaxation": ("relaxed", "relaxing"),
    "Sadness": ("sad",),
    "Tension": ("tense",),
}
QUESTIONS = {
    "en": (
        "These are {frames} frames taken at equal distances from one short video.{transcript} "
        "Which emotion does the video mainly convey? Choose exactly one of: {classes}. Answer with that one word and nothing else."
    ),
    "zh": "以下是从一个短视频中等间隔截取的{frames}帧画面。{transcript}该视频主要传达哪一种情绪？请只从以下选项中选择一个：{classes}。只回答该词，不要输出其他内容。",
}
TRANSCRIPTS = {"en": " Its speech says: “{text}”.", "zh": "视频中的语音内容为：“{text}”。"}
MOST_TRANSCRIPT = 2000  # characters
MOST_UNUSABLE = 0.01  # share of clips that may be left out, as of a trained run's


@dataclass(frozen=True)
class Asking:
    """How clips are asked about; a change of any field is another question."""

    classes: tuple[str, ...] = EMOTIONS
    language: str = "en"
    frames: int = 8
    short_side: int = 336
    price_in: float = 0.0  # for a million prompt tokens
    price_out: float = 0.0  # for a million tokens of answer

    def __post_init__(self) -> None:
        if self.language not in QUESTIONS:
            raise ValueError(f"language {self.language!r} is none of {', '.join(QUESTIONS)}")


# ---- Question and answer ---------------------------------------------------------------------------------------------


def prompt_of(asking: Asking, transcript: str = "") -> str:
    """The closed question; class names in its language where we know them."""
    zh = asking.language == "zh"
    classes = [CHINESE.get(name, name) if zh else name for name in asking.classes]
    said = TRANSCRIPTS[asking.language].format(text=transcript.strip()[:MOST_TRANSCRIPT]) if transcript.strip() else ""
    return QUESTIONS[asking.language].format(frames=asking.frames, transcript=said, classes=("、" if zh else ", ").join(classes))


def parsed(text: str, classes: Sequence[str]) -> str:
    """The one class that the answer names, else "unparsed".

    A negated name does not count. Where several are left, the one right after "answer is" or its like decides, else none does.
    """
    named = _mentions(text, classes)
    if len(set(named.values())) == 1:
        return next(iter(named.values()))
    decided = {
        name
        for place, name in named.items()
        if re.search(r"(answer(?: is)?|emotion is|答案(?:是|为)?|情绪(?:是|为))\W*$", text[:place], re.IGNORECASE)
    }
    return decided.pop() if len(decided) == 1 else UNPARSED


def _mentions(text: str, classes: Sequence[str]) -> dict[int, str]:
    """Class named at each place of the text, those with a "not" before them left out."""
    found = {}
    for name in classes:
        words = "|".join(re.escape(form) for form in (name, *FORMS.get(name, ())))
        pattern = rf"\b(?:{words})\b" + (f"|{CHINESE[name]}" if name in CHINESE else "")
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if not re.search(r"(\bnot|\bno|\bneither|\bnor|\bthan|n't|不是|并非|而非)(?: \w+)?\s*$", text[: match.start()], re.IGNORECASE):
                found[match.start()] = name
    return found


# ---- Asking about every clip -----------------------------------------------------------------------------------------


def pictures_of(path: Path, asking: Asking) -> list[Picture]:
    """Frames from the middles of equal parts of the clip; fewer if it has fewer."""
    count = clips.frame_count(path)
    if count == 0:
        raise clips.Unusable(path, "it holds no picture")
    number = min(asking.frames, count)
    wanted = [int((i + 0.5) * count / number) for i in range(number)]
    return clips.frames_at(path, wanted, asking.short_side)


def key_of(provider: str, prompt: str, pictures: Sequence[Picture]) -> str:
    """What makes two questions the same."""
    digest = hashlib.sha256(f"{provider}\0{prompt}\0{len(pictures)}".encode())
    for picture in pictures:
        digest.update(repr(picture.shape).encode() + picture.tobytes())
    return digest.hexdigest()


class AnswerBook:
    """answers.jsonl: every reply by its question's key, written as it comes. A half line, from a kill, is asked again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Reply] = {}
        *lines, half = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
        for line in lines:
            row = json.loads(line)
            key = row.pop("key")
            self.known[key] = Reply(**row)
        if half:
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def asked(self, provider: Provider, pictures: Sequence[Picture], prompt: str) -> Reply:
        key = key_of(provider.name, prompt, pictures)
        if key not in self.known:
            reply = provider.answer(pictures, prompt)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **asdict(reply)}, ensure_ascii=False) + "\n")
            self.known[key] = reply
        return self.known[key]


def ask_all(
    provider: Provider,
    samples: Sequence[Sample],
    asking: Asking,
    folder: Path,
    *,
    transcripts: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Asks about every clip and writes the run folder; returns the result.

    Raises NoAnswer when the provider gives up, to be resumed; Unusable when more than MOST_UNUSABLE of the clips hold no picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    book = AnswerBook(folder / "answers.jsonl")
    shown: list[Sample] = []
    replies: list[Reply] = []
    for number, sample in enumerate(samples, 1):
        try:
            pictures = pictures_of(sample.path, asking)
        except clips.Unusable as error:
            print(f"left out {error}", file=sys.stderr)
            if number - len(shown) > MOST_UNUSABLE * len(samples):
                raise
            continue
        prompt = prompt_of(replace(asking, frames=len(pictures)), (transcripts or {}).get(sample.name, ""))
        replies.append(book.asked(provider, pictures, prompt))
        shown.append(sample)
        if number % 50 == 0 or number == len(samples):
            say(f"asked about {number} of {len(samples)} clips")
    predictions = [parsed(reply.text, asking.classes) for reply in replies]
    result = {"provider": provider.name, "asking": asdict(asking), **scores(shown, predictions, replies, asking)}
    _write_predictions(folder / "predictions.csv", shown, predictions, replies, asking.classes)
    return result


def scores(samples: Sequence[Sample], predictions: Sequence[str], replies: Sequence[Reply], asking: Asking) -> dict[str, Any]:
    """ACC, WA-F1, UAR with "unparsed" as a wrong answer, and what the answers cost."""
    names = [*asking.classes, UNPARSED]
    target = np.array([sample.label for sample in samples])
    predicted = np.array([names.index(p) for p in predictions])
    matrix = metrics.confusion(target, predicted, len(names))
    recall = metrics.recalls(matrix)[:-1]
    took = np.array([reply.seconds for reply in replies])
    tokens_in, tokens_out = sum(r.prompt_tokens for r in replies), sum(r.completion_tokens for r in replies)
    return {
        "acc": metrics.accuracy(matrix),
        "wa_f1": metrics.weighted_f1(matrix),
        "uar": float(np.nanmean(recall)),
        "per_class_recall": {name: None if np.isnan(r) else float(r) for name, r in zip(asking.classes, recall, strict=True)},
        "confusion": matrix.tolist(),
        "num_samples": len(samples),
        "unparsed": predictions.count(UNPARSED),
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "cost": (tokens_in * asking.price_in + tokens_out * asking.price_out) / 1e6,
        "latency_s": {"mean": float(took.mean()), "median": float(np.median(took)), "p95": float(np.quantile(took, 0.95))},
    }


def _write_predictions(
    path: Path, samples: Sequence[Sample], predictions: Sequence[str], replies: Iterable[Reply], classes: Sequence[str]
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "prediction", "answer"])
        for sample, prediction, reply in zip(samples, predictions, replies, strict=True):
            writer.writerow([sample.name, classes[sample.label], prediction, reply.text])


def read_transcripts(path: Path | None) -> dict[str, str]:
    """file_name → text from a JSONL file of {"file_name", "text"}. Raises ValueError with file and line."""
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path else [], 1):
        try:
            row = json.loads(line)
            found[row["file_name"]] = str(row["text"])
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(f'{path}:{number}: not {{"file_name": ..., "text": ...}} ({error})') from error
    return found


def run(provider: Provider, release: Path, folder: Path, asking: Asking, *, transcripts: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A whole run: every clip of the test part asked about, result.json written."""
    samples = samples_of(release, "test", asking.classes)
    result = ask_all(provider, samples, asking, folder, transcripts=transcripts)
    result |= {"release": str(release.resolve()), "manifest_sha256": manifest_hash(release)}
    part = folder / "result.part"
    part.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / "result.json")
    return result


def provider_of(options: Mapping[str, Any], folder: Path) -> Provider:
    """The provider that a recipe's or a command's options name: url, model, tiny."""
    if options.get("tiny"):
        tiny = folder / "tiny"
        return LocalModel(tiny if tiny.is_dir() else make_tiny_model(tiny), device="cpu")
    model = str(options.get("model") or "")
    if options.get("url"):
        return HttpModel(str(options["url"]), model, api_key=os.environ.get("MLLM_API_KEY", ""))
    return LocalModel(model, device=str(options.get("device", "auto")))


@tells_in_one_line("", NoAnswer)
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.mllm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    parser.add_argument("--model", default="", help="a folder of weights, or with --url the endpoint's name of its model")
    parser.add_argument("--url", default="", help="an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1")
    parser.add_argument("--tiny", action="store_true", help="a tiny random local model, to try the way without weights")
    parser.add_argument("--language", default="en", choices=sorted(QUESTIONS))
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--transcripts", type=Path, help='JSONL of {"file_name": "test/1.mp4", "text": "..."}')
    parser.add_argument("--price-in", type=float, default=0.0, help="for a million prompt tokens")
    parser.add_argument("--price-out", type=float, default=0.0, help="for a million tokens of answer")
    options = parser.parse_args(arguments)
    prices = {"price_in": options.price_in, "price_out": options.price_out}
    asking = Asking(language=options.language, frames=options.frames, **prices)
    provider = provider_of(vars(options), options.out)
    result = run(provider, options.release, options.out, asking, transcripts=read_transcripts(options.transcripts))
    shown = ("acc", "wa_f1", "uar", "unparsed", "cost", "latency_s", "num_samples")
    print(json.dumps({key: result[key] for key in shown}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
