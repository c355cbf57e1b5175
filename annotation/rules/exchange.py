"""Votes as Label Studio's JSON and doccano's JSONL, and back; both through the columns of votes.csv, so that a team can move in or out.

A vote's rung is not known to those products: it travels in `meta`, and where that is missing the order of the votes of a
video tells it (three members, then leader, exchange, expert).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from annotation.rules.voting import LADDER, MEMBERS

Row = dict[str, str]
COLUMNS = ("video", "annotator", "rung", "adjective", "emotion", "confidence", "created_at", "adjective_table")
EXTRA = ("platform", "duration_s", "frames", "title")


def to_label_studio(rows: Iterable[Mapping[str, str]]) -> str:
    """Tasks with one annotation per vote: choices `emotion` and `adjective`, number `confidence`."""
    tasks = []
    for video, votes in _by_video(rows).items():
        known = {key: votes[0][key] for key in EXTRA if votes[0].get(key)}
        data: dict[str, str] = {"video": video, **known}
        tasks.append({"data": data, "annotations": [_annotation(vote) for vote in votes]})
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def _annotation(vote: Mapping[str, str]) -> dict[str, Any]:
    result = [_result("emotion", "choices", {"choices": [vote["emotion"]]})]
    if vote.get("adjective"):
        result.append(_result("adjective", "choices", {"choices": [vote["adjective"]]}))
    if vote.get("confidence"):
        result.append(_result("confidence", "number", {"number": float(vote["confidence"])}))
    meta = {"rung": vote["rung"], "adjective_table": vote.get("adjective_table", "")}
    return {"completed_by": vote["annotator"], "created_at": vote["created_at"], "result": result, "meta": meta}


def _result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "video", "type": kind, "value": value}


def from_label_studio(text: str) -> list[Row]:
    """Rows of votes.csv. Raises ValueError naming the task that has not the expected shape."""
    rows: list[Row] = []
    for number, task in enumerate(_loaded(text), start=1):
        try:
            data = task["data"]
            known = {key: str(data[key]) for key in EXTRA if key in data}
            votes = [_read_annotation(annotation) for annotation in task["annotations"] if not annotation.get("was_cancelled")]
            rows += [{"video": str(data["video"]), **vote, **known} for vote in _with_rungs(votes)]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"task {number} is not as Label Studio exports it: {error!r}") from None
    return rows


def _loaded(text: str) -> list[Any]:
    try:
        tasks = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(tasks, list):
        raise ValueError("a Label Studio export is a list of tasks")
    return tasks


def _read_annotation(annotation: Mapping[str, Any]) -> Row:
    said: Row = {}
    for result in annotation["result"]:
        value = result["value"]
        if result["from_name"] in {"emotion", "adjective"}:
            (said[result["from_name"]],) = value["choices"]
        elif result["from_name"] == "confidence":
            said["confidence"] = str(value["number"])
    who = annotation["completed_by"]
    meta = annotation.get("meta") or {}
    return {
        "annotator": str(who.get("email") or who["id"]) if isinstance(who, Mapping) else str(who),
        "created_at": annotation["created_at"].replace("Z", "+00:00"),
        "rung": meta.get("rung", ""),
        "adjective_table": meta.get("adjective_table", ""),
        **said,
    }


def to_doccano(rows: Iterable[Mapping[str, str]]) -> str:
    """One line per video: its emotion labels, one per vote, and the votes themselves in `meta`."""
    lines = []
    for video, votes in _by_video(rows).items():
        meta = {"votes": [{key: vote.get(key, "") for key in (*COLUMNS[1:], *EXTRA)} for vote in votes]}
        lines.append(json.dumps({"filename": video, "label": [vote["emotion"] for vote in votes], "meta": meta}, ensure_ascii=False))
    return "".join(line + "\n" for line in lines)


def from_doccano(text: str) -> list[Row]:
    """Rows of votes.csv. Raises ValueError for a line without the votes in `meta`: doccano itself does not say who labelled when."""
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines(): a title may hold a line separator of Unicode
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            rows += [{"video": item["filename"], **vote} for vote in _with_rungs(item["meta"]["votes"])]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"line {number} has no votes as this site writes them: {error!r}") from None
    return rows


def _by_video(rows: Iterable[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        found[row["video"]].append(row)
    return found


def _with_rungs(votes: list[Row]) -> list[Row]:
    ordered = sorted(votes, key=lambda vote: vote["created_at"])
    return [{**vote, "rung": vote["rung"] or LADDER[max(0, min(place - MEMBERS + 1, 3))]} for place, vote in enumerate(ordered)]


WRITERS: dict[str, Callable[[Iterable[Mapping[str, str]]], str]] = {"label-studio": to_label_studio, "doccano": to_doccano}
READERS: dict[str, Callable[[str], list[Row]]] = {"label-studio": from_label_studio, "doccano": from_doccano}
