"""The consistency report and the dataset's statistics as tables; a new statistic adds one table here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.rules.taxonomy import EMOTIONS
from qa.export.tables import Table
from qa.rules.protocol import RUNGS

TITLES = {
    "fleiss_kappa": "Fleiss' κ",
    "krippendorff_alpha": "Krippendorff's α",
    "gwet_ac1": "Gwet's AC1",
    "percent_agreement": "agreement",
}


def stage_tables(stage: Mapping[str, Any]) -> list[Table]:
    """Tab. I of one stage with intervals, its sets, and the consistency ratios."""
    name, groups = stage["stage"], stage["groups"]
    scores = [
        (
            row["group"],
            row["reviews"],
            row["intra_group"],
            *_pair(row["intra_interval"]),
            row["inter_group"],
            *_pair(row["inter_interval"]),
            row["num_samples"],
            row["num_waiting"],
            row["why"],
        )
        for row in groups
    ]
    sets = [
        (
            row["group"],
            found["origin"],
            found["index"],
            found["emotion"],
            found["size"],
            found["consistent"],
            found["different"],
            found["undecided"],
            found["waiting"],
        )
        for row in groups
        for found in row["sets"]
    ]
    ratios = [
        (row["group"], member["name"], *(member["ratios"][emotion] for emotion in EMOTIONS), member["intra_rater"])
        for row in groups
        for member in row["members"]
    ]
    return [
        Table(
            f"Stage {name}: consistency within (S_a, 0–1) and between groups (S_r, 0–70), 95 % intervals",
            ("group", "labels again", "S_a", "low", "high", "S_r", "low", "high", "samples", "waiting", "why"),
            scores,
        ),
        Table(f"Stage {name}: mean and population variance of S_r", ("μ", "σ²"), [(stage["mean"], stage["variance"])]),
        Table(
            f"Stage {name}: sets",
            ("group", "from", "set", "emotion", "samples", "consistent (C)", "different", "more (M)", "waiting"),
            sets,
        ),
        Table(f"Stage {name}: consistency ratios (CR)", ("group", "member", *EMOTIONS, "own samples left out"), ratios),
    ]


def agreement_tables(numbers: Mapping[str, Any]) -> list[Table]:
    """κ, α, AC1 overall; κ per emotion, group, platform and month; pairs; confidence; where labels were decided."""
    interval = ("value", "low", "high", "samples", "why")
    tables = [
        Table(
            "Agreement of the three members, 95 % bootstrap intervals",
            ("coefficient", *interval),
            [(title, *_estimate(numbers["overall"][name])) for name, title in TITLES.items()],
        )
    ]
    for key in ("emotion", "group", "platform", "month"):
        tables.append(Table(f"Agreement per {key}", (key, "coefficient", *interval), _sliced(key, numbers[f"by_{key}"])))
    tables.append(
        Table(
            "Cohen's κ of pairs",
            ("first", "second", "samples", "κ", "why"),
            [(row["first"], row["second"], row["num_samples"], row["value"], row.get("why", "")) for row in numbers["pairs"]],
        )
    )
    confidence = numbers["confidence"]
    tables.append(
        _of_rows(
            "Stated confidence and how often the label agreed",
            {"from": "from", "to": "to", "votes": "votes", "confidence": "mean confidence", "agreed": "agreed"},
            confidence.get("bins", []),
        )
    )
    tables.append(
        Table(
            "Confidence",
            ("mean", "expected calibration error", "why"),
            [(confidence["mean"], confidence.get("expected_error"), confidence.get("why", ""))],
        )
    )
    tables.append(
        Table(
            "The same person, the same video again",
            ("person", "samples", "answered alike", "κ", "why"),
            [(row["person"], row["num_samples"], row["same"], row["kappa"], row.get("why", "")) for row in numbers["intra_annotator"]],
        )
    )
    decided = {"rung": "rung", "emotion": "emotion", "videos": "videos"}
    return [*tables, _of_rows("Where labels were decided", decided, numbers["ladder"])]


def quality_tables(numbers: Mapping[str, Any], opinions: Mapping[str, Any] | None) -> dict[str, Table]:
    """File name → table, for everything on the quality page."""
    found: dict[str, Table] = {}
    for stage in numbers["stages"]:
        for name, table in zip(("scores", "variance", "sets", "ratios"), stage_tables(stage), strict=True):
            found[f"{stage['stage']}-{name}"] = table
    names = ("coefficients", "emotion", "group", "platform", "month", "pairs", "calibration", "confidence", "again", "ladder")
    found |= dict(zip(names, agreement_tables(numbers["agreement"]), strict=True))
    return found | (opinion_tables(opinions) if opinions else {})


def opinion_tables(numbers: Mapping[str, Any]) -> dict[str, Table]:
    """What Dawid–Skene, GLAD and MACE make of people, labels and clips."""
    models = {"dawid_skene": "Dawid–Skene", "glad": "GLAD", "mace": "MACE"}
    found = {"sample": "sample", "label": "label", "instead": "rather", **models, "difficulty": "difficulty"}
    labels = found | {"number": "video", "group": "group", "rung": "decided by"}
    return {
        "opinion-people": _of_rows(
            "Ability of each person by three models", {"person": "person", "votes": "votes", **models}, numbers["people"]
        ),
        "opinion-labels": _of_rows("Labels that a model doubts: how far each believes in them", labels, numbers["labels"]),
        "opinion-hardest": _of_rows("The hardest clips by GLAD", labels, numbers["hardest"]),
    }


def opinion_score_tables(numbers: Mapping[str, Any]) -> dict[str, Table]:
    """A study's mean opinion scores per dataset, and each rater's bias."""
    name = f"mos-{numbers['study']}"
    interval = {"mean": "MOS", "low": "low", "high": "high"}
    scores = {"dataset": "dataset", "clips": "clips", **interval, "rated": "rated", "ratings": "ratings", "why": "why"}
    raters = {"rater": "rater", "ratings": "ratings", "bias": "bias"}
    return {
        name: _of_rows("MOS, 1 (bad) … 5 (excellent), 95 % intervals", scores, numbers["datasets"]),
        f"{name}-raters": _of_rows("Raters: how far above the others", raters, numbers["raters"]),
    }


def simulation_tables(numbers: Mapping[str, Any]) -> dict[str, Table]:
    """What a trial of the labelling protocol on simulated annotators found."""
    columns = {"protocol": "protocol", "accuracy": "accuracy", "low": "low", "high": "high", "votes": "votes per sample"}
    return {
        "protocols": _of_rows(
            f"{numbers['num_samples']:,} simulated samples, κ of members {numbers['kappa']:.3f}, 95 % intervals", columns, numbers["rows"]
        ),
        "rungs": Table("Decided at", ("rung", "share"), [(rung, numbers["decided_at"][rung]) for rung in RUNGS]),
    }


def statistics_tables(numbers: Mapping[str, Any]) -> dict[str, Table]:
    """File name → table: Tab. II, Tab. III, Fig. 5 and what goes beyond them."""
    histogram = numbers["durations"]
    bins = list(zip(histogram["edges_s"][:-1], histogram["edges_s"][1:], histogram["videos"], strict=True))
    return {
        "table-2-emotions": _of_rows(
            "Tab. II: videos, seconds and frames per emotion",
            {
                "emotion": "emotion",
                "videos": "videos",
                "total_s": "total (s)",
                "shortest_s": "shortest (s)",
                "longest_s": "longest (s)",
                "average_s": "average (s)",
                "frames": "frames",
            },
            numbers["emotions"],
        ),
        "table-3-platforms": _of_rows(
            "Tab. III: raw and labelled videos per platform",
            {"platform": "platform", "raw": "raw", "raw_share": "raw share", "labelled": "labelled", "labelled_share": "labelled share"},
            numbers["platforms"],
        ),
        "figure-5-durations": Table(
            f"Fig. 5 (c): durations; {histogram['short_share']:.2%} last 30 s or less", ("from (s)", "to (s)", "videos"), bins
        ),
        "figure-5-topics": _of_rows("Fig. 5 (a): words of topics", {"word": "word", "videos": "videos"}, numbers["topics"]),
        "figure-5-content-types": _of_rows("Fig. 5 (b): content types", {"word": "word", "videos": "videos"}, numbers["content_types"]),
        "label-platform-month": _of_rows(
            "Labels by platform and month",
            {"emotion": "emotion", "platform": "platform", "month": "month", "videos": "videos"},
            numbers["label_platform_month"],
        ),
        "adjectives": _of_rows(
            "Use of adjectives",
            {"adjective": "adjective", "en": "English", "zh_hans": "中文", "emotion": "emotion", "votes": "votes"},
            numbers["adjectives"],
        ),
    }


def _of_rows(title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Table:
    """columns: key → heading. Keys are asked one by one: PostgreSQL gives a stored report's keys back in an order of its own."""
    return Table(title, tuple(columns.values()), [tuple(row[key] for key in columns) for row in rows])


def _sliced(key: str, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Each slice's coefficients, one line each; a report kept before there were others has Fleiss' κ alone."""
    found = [(row[key], title, {"fleiss_kappa": row, **row.get("others", {})}.get(name)) for row in rows for name, title in TITLES.items()]
    return [(value, title, *_estimate(estimate)) for value, title, estimate in found if estimate is not None]


def _estimate(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["value"], row["low"], row["high"], row["num_samples"], row["why"])


def _pair(interval: Sequence[float] | None) -> tuple[float | None, float | None]:
    return (interval[0], interval[1]) if interval else (None, None)
