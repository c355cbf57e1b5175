"""Vector figures that one would put in a paper: light and dark, words as words, the same bytes from the same numbers.

A figure takes the numbers of a selector and a theme and returns SVG text. The site's own charts are drawn in the page.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

COLOURS = {
    "Excitation": "#D55E00",
    "Fear": "#CC79A7",
    "Neutral": "#8A8A8A",
    "Relaxation": "#009E73",
    "Sadness": "#0072B2",
    "Tension": "#E69F00",
}
THEMES = {"light": ("#1b1b1f", "none", "#4540b8"), "dark": ("#ececef", "none", "#a9a6ff")}
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans SC", "sans-serif"]
SHOWN_ADJECTIVES = 30
PLATFORMS = {"douyin": "Douyin", "kuaishou": "Kuaishou", "tiktok": "TikTok", "other": "elsewhere"}


def emotions(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Videos per emotion (Tab. II as a figure)."""
    rows = numbers["emotions"][:-1]
    with _axes(theme, width=6, height=3) as (axes, svg):
        bars = axes.bar([row["emotion"] for row in rows], [row["videos"] for row in rows], color=[COLOURS[row["emotion"]] for row in rows])
        axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
        axes.set_ylabel("videos")
    return svg.getvalue()


def durations(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Fig. 5 (c): how long the videos are."""
    histogram = numbers["durations"]
    edges, videos = histogram["edges_s"], histogram["videos"]
    with _axes(theme, width=6, height=3) as (axes, svg):
        widths = [high - low for low, high in pairwise(edges)]
        axes.bar(edges[:-1], videos, width=widths, align="edge", color=THEMES[theme][2], edgecolor=THEMES[theme][0], linewidth=0.4)
        axes.set_xlabel("seconds")
        axes.set_ylabel("videos")
        axes.set_title(f"{histogram['short_share']:.2%} last 30 s or less", fontsize=9)
    return svg.getvalue()


def platforms(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Tab. III as a figure: raw and labelled videos of each platform."""
    rows = numbers["platforms"][:-1]
    with _axes(theme, width=5, height=3) as (axes, svg):
        for offset, key, alpha in ((-0.2, "raw", 0.45), (0.2, "labelled", 1.0)):
            places = [i + offset for i in range(len(rows))]
            bars = axes.bar(places, [row[key] for row in rows], width=0.38, color=THEMES[theme][2], alpha=alpha, label=key)
            axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
        axes.set_xticks(range(len(rows)), [PLATFORMS.get(row["platform"], row["platform"]) for row in rows])
        axes.set_ylabel("videos")
        axes.legend(frameon=False, fontsize=8)
    return svg.getvalue()


def months(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Labels by month, one panel per platform, emotions stacked in class order."""
    rows = numbers["label_platform_month"]
    names = list(dict.fromkeys([row["platform"] for row in numbers["platforms"][:-1] if row["labelled"]])) or ["–"]
    times = sorted({row["month"] for row in rows})
    count = {(row["emotion"], row["platform"], row["month"]): row["videos"] for row in rows}
    with _panels(theme, width=6.4, height=2.6, number=len(names)) as (panels, svg):
        for axes, platform in zip(panels, names, strict=True):
            below = [0] * len(times)
            for emotion, colour in COLOURS.items():
                videos = [count.get((emotion, platform, time), 0) for time in times]
                axes.bar(range(len(times)), videos, bottom=below, width=0.85, color=colour, label=emotion)
                below = [low + more for low, more in zip(below, videos, strict=True)]
            axes.set_title(PLATFORMS.get(platform, platform), fontsize=9)
            shown = range(0, len(times), max(1, -(-len(times) // 6)))
            axes.set_xticks(list(shown), [times[i] or "no date" for i in shown], rotation=45, ha="right", fontsize=7)
        panels[0].set_ylabel("videos")
        panels[0].figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=7)
    return svg.getvalue()


def adjectives(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """The adjectives that were chosen most, each in the colour of its emotion."""
    rows = [row for row in numbers["adjectives"] if row["votes"]][:SHOWN_ADJECTIVES][::-1]
    with _axes(theme, width=5.2, height=0.6 + 0.2 * max(len(rows), 5)) as (axes, svg):
        bars = axes.barh([row["en"] for row in rows], [row["votes"] for row in rows], color=[COLOURS[row["emotion"]] for row in rows])
        axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=7)
        axes.set_xlabel("votes")
        axes.margins(y=0.02)
        axes.tick_params(axis="y", labelsize=8, length=0)
        used = [emotion for emotion in COLOURS if any(row["emotion"] == emotion for row in rows)]
        patches = [axes.barh([0], [0], color=COLOURS[emotion], label=emotion) for emotion in used] if rows else []
        if patches:
            axes.legend(frameon=False, fontsize=7, loc="lower right")
    return svg.getvalue()


def topics(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Fig. 5 (a): words of topics, larger where more frequent."""
    return _cloud(numbers["topics"], theme)


def content_types(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Fig. 5 (b): content types."""
    return _cloud(numbers["content_types"], theme)


def protocols(numbers: Mapping[str, Any], *, theme: str = "light") -> str:
    """Accuracy against votes spent, one point per protocol of a simulation."""
    with _axes(theme, width=6, height=3.6) as (axes, svg):
        for row in numbers["rows"]:
            is_ladder = row["protocol"] == "ladder"
            axes.plot(
                row["votes"], row["accuracy"], "o" if is_ladder else "s", color=COLOURS["Excitation"] if is_ladder else THEMES[theme][2]
            )
            axes.annotate(row["protocol"], (row["votes"], row["accuracy"]), xytext=(6, -3), textcoords="offset points", fontsize=8)
        axes.set_xlabel("votes per sample")
        axes.set_ylabel("label accuracy")
        axes.margins(x=0.35, y=0.15)
    return svg.getvalue()


def opinion_scores(rows: Sequence[Mapping[str, Any]], *, theme: str = "light") -> str:
    """Fig. 4: the MOS of each dataset with its 95 % interval."""
    with _axes(theme, width=6, height=3) as (axes, svg):
        scores = [row["mean"] for row in rows]
        errors = [[0 if row[end] is None else abs(row["mean"] - row[end]) for row in rows] for end in ("low", "high")]
        axes.bar([row["dataset"] for row in rows], scores, yerr=errors, color=THEMES[theme][2], ecolor=THEMES[theme][0], capsize=3)
        axes.set_ylim(1, 5)
        axes.set_ylabel("MOS")
    return svg.getvalue()


DATASET: dict[str, Callable[..., str]] = {
    "emotions": emotions,
    "platforms": platforms,
    "durations": durations,
    "months": months,
    "adjectives": adjectives,
    "topics": topics,
    "content-types": content_types,
}


@contextmanager
def _axes(theme: str, *, width: float, height: float) -> Iterator[tuple[Any, io.StringIO]]:
    """Axes in the theme's colours, and the text that the figure becomes when the block ends."""
    with _panels(theme, width=width, height=height, number=1) as (panels, svg):
        yield panels[0], svg


@contextmanager
def _panels(theme: str, *, width: float, height: float, number: int) -> Iterator[tuple[list[Any], io.StringIO]]:
    """Several axes in a row with one scale of values."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    ink, ground, _ = THEMES[theme]
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "emotions",
        "font.family": "DejaVu Sans",
        "text.color": ink,
        "axes.labelcolor": ink,
    }
    style |= {"axes.edgecolor": ink, "xtick.color": ink, "ytick.color": ink, "axes.facecolor": ground, "figure.facecolor": ground}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}
    svg = io.StringIO()
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        yield list(figure.subplots(1, number, squeeze=False, sharey=True)[0]), svg
        canvas.print_svg(svg, metadata={"Date": None, "Creator": None})


def _cloud(rows: Sequence[Mapping[str, Any]], theme: str) -> str:
    """Words in lines, centred, the most frequent first and largest; widths are estimated, so no font is needed to lay them out."""
    width, gap, line = 620, 12, 0
    ink, _, accent = THEMES[theme]
    most = max((row["videos"] for row in rows), default=1)
    lines: list[list[tuple[str, float, float]]] = [[]]
    for row in rows:
        size = 11 + 33 * (row["videos"] / most) ** 0.5
        span = size * sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.56 for letter in row["word"])
        if lines[-1] and sum(word[2] + gap for word in lines[-1]) + span > width:
            lines.append([])
        lines[-1].append((row["word"], size, span))
    parts, y = [], 0.0
    for line, words in enumerate(lines):
        y += max((size for _, size, _ in words), default=20) * 1.2
        x = (width - sum(span + gap for _, _, span in words) + gap) / 2
        for i, (word, size, span) in enumerate(words):
            colour = ink if (i + line) % 3 else accent
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" fill="{colour}">{_escaped(word)}</text>')
            x += span + gap
    fonts = ", ".join(FONTS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 14:.0f}" font-family="{fonts}" role="img">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
