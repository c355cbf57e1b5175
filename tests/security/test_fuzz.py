"""Whatever a page or a file holds, reading it ends in an answer or in a refusal that names the line: never in a crash.

FUZZ_EXAMPLES says how many inputs each reader gets; docs/reliability.md tells the longest run so far.
"""

import csv
import io
import os
import random
from pathlib import Path

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import services as annotation
from annotation.services import BadLines
from annotation.services.people import FACTORS
from annotation.services.votes_file import number_of, votes_parse
from crawler.platforms import PLATFORMS, Failure, ListPage, VideoPage, rulebook
from qa.services.imports import COLUMNS, cross_check_import

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
EFFORT = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
PAGES = sorted((Path(__file__).parents[1] / "fixtures" / "pages").glob("*/*/page.html"))
VOTES = ("video", "annotator", "rung", "adjective", "emotion", "confidence", "created_at", "adjective_table", "platform", "duration_s", "frames", "title")  # fmt: skip
PEOPLE = ("username", "full_name", "gender", "language", *FACTORS, "role", "group")
LIKELY = st.sampled_from([
    "", "1", "0", "-1", "1e999", "nan", "inf", "9" * 30, "9" * 5000 + ".mp4", "00000001.mp4", "A", "ZZZ", "M", "F", "en", "member", "expert",
    "happy", "Fear", "Sad", "0.5", "2025-03-01T09:30:00+08:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "tiktok", "sA", "sB",
    "annotator", "=1+1", "../../etc/passwd", "a\0b", "x" * 200, "😀", "\ud83d", "<script>", '"', "\r", "\n",
])  # fmt: skip
CELLS = LIKELY | st.text(max_size=12)


def tables(columns: tuple[str, ...]) -> st.SearchStrategy[str]:
    """CSV with the right header and any cells; with a wrong one; or no CSV at all; at times spoilt afterwards."""
    rows = st.lists(st.lists(CELLS, min_size=len(columns), max_size=len(columns)), max_size=4)
    whole = rows.map(lambda found: written([list(columns), *found]))
    odd = st.lists(st.lists(CELLS, max_size=len(columns) + 2), max_size=4).map(written)
    spoilt = st.tuples(whole, st.integers(0, 2000), st.text(max_size=5)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
    return whole | odd | spoilt | st.text(max_size=200)


def written(rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return file.getvalue()


def refusals_are_told(error: BadLines) -> None:
    assert error.lines
    assert all(isinstance(line, str) and line for line in error.lines)


@EFFORT
@given(text=tables(VOTES))
def test_no_votes_csv_breaks_the_reader(text):
    try:
        lines, errors = votes_parse("votes.csv", text)
    except BadLines as error:
        refusals_are_told(error)
    else:
        assert all(error.startswith("votes.csv:") for error in errors)
        assert all(number_of(line.video) is None or number_of(line.video) < 2**31 for line in lines)


@pytest.mark.django_db
@pytest.mark.parametrize(("what", "columns"), [("people", PEOPLE), ("votes", VOTES), ("cross-checks", COLUMNS)])
def test_no_file_breaks_an_import_or_is_half_taken_in(what, columns, tmp_path):
    path = tmp_path / "file.csv"

    @EFFORT
    @given(text=tables(columns))
    def take_in(text):
        with transaction.atomic():
            try:
                if what == "people":
                    annotation.people_import(text)
                elif what == "votes":
                    annotation.votes_import(text)
                else:
                    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
                    cross_check_import(path)
            except BadLines as error:
                refusals_are_told(error)
            transaction.set_rollback(True)

    take_in()


@EFFORT
@given(page=st.sampled_from(PAGES), seed=st.integers(0, 2**32), kind=st.sampled_from(rulebook.KINDS))
def test_no_spoilt_page_breaks_its_parser(page, seed, kind):
    """A real page with pieces cut out, doubled, swapped and overwritten."""
    rng = random.Random(seed)
    text = page.read_text(encoding="utf-8")
    for _ in range(rng.choice([1, 2, 5, 20])):
        start = rng.randrange(len(text) + 1)
        piece = text[start : start + rng.choice([1, 10, 200, 4000])]
        other = rng.choice(["", piece * 2, piece[::-1], '"', "}", "[" * 50, "\0", "null", "-1e999", "\\ud800", "</script>", "<!--"])
        text = text[:start] + other + text[start + len(piece) :]
    adapter = PLATFORMS[page.parts[-3]]
    found = adapter.video_page(text, "", author_key="k") if kind == "video" else adapter.list_page(text, "", kind)
    assert isinstance(found, Failure | VideoPage | ListPage)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a,b\n"' + "x" * 140_000 + '",1\n', "field larger than"),
        ("video\n1\n\0\n", "votes.csv:3: holds a NUL"),
    ],
)
def test_what_csv_itself_cannot_read_is_refused_with_its_line(text, words):
    with pytest.raises(BadLines) as refused:
        votes_parse("votes.csv", text)
    assert words in refused.value.lines[0]
