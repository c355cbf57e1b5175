"""croissant.json: the release described for machines in Croissant 1.0 (JSON-LD)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qa.export.clips import SPLITS, Clip, columns
from qa.export.description import Description

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = dict.fromkeys(("class_id", "frames", "width", "height"), "sc:Integer") | dict.fromkeys(
    ("duration_s", "fps", "confidences", "posterior", "difficulty"), "sc:Float"
)
REPEATED = {"votes", "vote_rungs", "adjectives", "confidences", "posterior"}


def render(folder: Path, about: Description, clips: Sequence[Clip]) -> str:
    """The description of a release whose other files lie in the folder already."""
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.title,
        "description": f"{len(clips):,} short videos labelled with one of six emotions; variant {about.variant}, seed {about.seed}.",
        "license": "Research use only; the rights to the clips stay with their authors.",
        "url": f"urn:emotions:{about.variant}:{about.seed}",
        "version": "1.0.0",
        "datePublished": about.facts.get("labelled_until") or "1970-01-01",
        "citeAs": "eMotions: A Large-Scale Dataset and Audio-Visual Fusion Network for Emotion Analysis in Short-form Videos",
        "distribution": [_file(folder, split) for split in SPLITS] + ([_clips(split) for split in SPLITS] if about.with_media else []),
        "recordSet": [_records(split, columns(about.media)) for split in SPLITS],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _file(folder: Path, split: str) -> dict[str, Any]:
    path = folder / split / "metadata.jsonl"
    return {
        "@type": "cr:FileObject",
        "@id": f"{split}-metadata",
        "name": f"{split}-metadata",
        "description": f"One row per clip of the {split} part.",
        "contentUrl": f"{split}/metadata.jsonl",
        "encodingFormat": "application/jsonlines",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _clips(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-clips",
        "name": f"{split}-clips",
        "description": f"The clips of the {split} part.",
        "encodingFormat": "video/mp4",
        "includes": f"{split}/*.mp4",
    }


def _records(split: str, known: dict[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The {split} part.",
        "key": {"@id": f"{split}/file_name"},
        "field": [_field(split, name, meaning) for name, meaning in known.items()],
    }


def _field(split: str, name: str, meaning: str) -> dict[str, Any]:
    found = {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "description": meaning,
        "dataType": TYPES.get(name, "sc:Text"),
        "source": {"fileObject": {"@id": f"{split}-metadata"}, "extract": {"column": name}},
    }
    return found | ({"repeated": True} if name in REPEATED else {})
