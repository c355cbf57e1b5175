"""votes.csv in and out: the ladder decides, every bad line is named, and nothing is taken by halves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.models import Assignment, Sample, TimelineEvent, Vote
from annotation.rules.exchange import from_label_studio
from annotation.services import BadLines, person_pause, sample_reopen, votes_csv_of, votes_export, votes_import
from crawler.models import Video
from crawler.selectors import funnel
from tests.annotation.conftest import Staff, say
from tests.factories import VideoFactory

HEADER = "video,annotator,rung,adjective,emotion,confidence,created_at"
AT = "2025-03-01T09:30:00+08:00"


def text(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


def vote(video: object, who: str, emotion: str, rung: str = "member", *, minute: int = 30) -> str:
    return f"{video},{who},{rung},,{emotion},0.7,2025-03-01T09:{minute:02d}:00+08:00"


def label(number: int) -> tuple[str, str, str]:
    sample = Sample.objects.get(video__number=number)
    return sample.state, sample.label, sample.decided_rung


def test_imported_votes_climb_the_ladder(staff: Staff) -> None:
    for number in (1, 2, 3, 4):
        VideoFactory(number=number)
    done = votes_import(
        text(
            *(vote(1, who, emotion) for who, emotion in [("a1", "Fear"), ("a2", "Sad"), ("a3", "Sadness")]),
            *(vote("00000002.mp4", who, emotion) for who, emotion in [("b1", "Fear"), ("b2", "Sad"), ("b3", "Neutral")]),
            vote(2, "b-leader", "Neutral", "leader"),
            *(vote(3, who, emotion) for who, emotion in [("c1", "Fear"), ("c2", "Sad"), ("c3", "Neutral")]),
            vote(3, "c-leader", "Tension", "leader"),
            vote(3, "a-leader", "Excitation", "exchange"),
            vote(3, "expert", "Relaxation", "expert"),
            *(vote(4, who, emotion) for who, emotion in [("a1", "Fear"), ("a2", "Sad"), ("a3", "Neutral")]),
        )
    )
    assert (done.votes, done.samples, done.videos, done.decided) == (16, 4, 0, 3)
    assert label(1) == ("decided", "Sadness", "member")
    assert label(2) == ("decided", "Neutral", "leader")
    assert label(3) == ("decided", "Relaxation", "expert")
    assert label(4) == ("open", "", "")
    assert Assignment.objects.get(state="open").person == staff.leaders["A"]
    assert TimelineEvent.objects.filter(kind="decided").count() == 3


def test_the_order_of_lines_does_not_matter(staff: Staff) -> None:
    VideoFactory(number=1)
    rows = [vote(1, "a-leader", "Fear", "leader"), vote(1, "a3", "Neutral"), vote(1, "a1", "Fear"), vote(1, "a2", "Sad")]
    votes_import(text(*rows))
    assert label(1) == ("decided", "Fear", "leader")


def test_the_same_file_twice_changes_nothing_and_more_votes_go_on(staff: Staff) -> None:
    VideoFactory(number=1)
    first = text(vote(1, "a1", "Fear"), vote(1, "a2", "Sad"))
    assert votes_import(first).votes == 2
    assert set(Assignment.objects.filter(state="open").values_list("person__user__username", flat=True)) == {"a3"}
    again = votes_import(first)
    assert (again.votes, again.unchanged) == (0, 2)
    assert votes_import(text(vote(1, "a1", "Fear"), vote(1, "a3", "Sad"))).unchanged == 1
    assert label(1) == ("decided", "Sadness", "member")
    assert not Assignment.objects.filter(state="open").exists()


def test_votes_go_into_seats_that_others_were_waiting_in(staff: Staff, sample: Sample) -> None:
    say(sample, "Fear", staff.members["A"][0])
    number = sample.video.number
    votes_import(text(vote(number, "b1", "Fear"), vote(number, "b2", "Tension")))
    assert label(number) == ("decided", "Fear", "member")
    assert Assignment.objects.filter(state="submitted").count() == 3


def test_videos_of_no_platform_stand_in_the_funnel(staff: Staff) -> None:
    votes_import(text(vote("tape-7", "a1", "Fear") + ",other", header=HEADER + ",platform"))
    assert Video.objects.get(platform_id="tape-7").platform == "other"
    assert funnel()["platforms"]["other"]["accepted"] == 1


def test_unknown_videos_are_made_where_the_columns_are_there(staff: Staff) -> None:
    header = HEADER + ",platform,duration_s,frames,title"
    rows = [f"{vote('clip-a', who, 'Fear')},TikTok,12.5,375,A title" for who in ("a1", "a2", "a3")]
    assert votes_import(text(*rows, header=header)).videos == 1
    video = Video.objects.get()
    assert (video.platform_id, video.number, video.platform, video.duration_s, video.frames) == ("clip-a", 1, "tiktok", 12.5, 375)
    with pytest.raises(BadLines, match="unknown; add the column platform"):
        votes_import(text(vote("clip-b", "a1", "Fear")))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,nobody,member,,Fear,0.7," + AT, "annotator 'nobody' is unknown"),
        ("1,a1,boss,,Fear,0.7," + AT, "rung 'boss'"),
        ("1,a1,member,,Anger,0.7," + AT, "'Anger' is not an emotion"),
        ("1,a1,member,blue,,0.7," + AT, "'blue' is not among"),
        ("1,a1,member,happy,Fear,0.7," + AT, "stands for Excitation, but emotion says Fear"),
        ("1,a1,member,,,0.7," + AT, "neither adjective nor emotion"),
        ("1,a1,member,,Fear,1.7," + AT, "outside 0..1"),
        ("1,a1,member,,Fear,nan," + AT, "not a number"),
        ("1,a1,member,,Fear,0.7,yesterday", "ISO 8601"),
        ("1,a1,member,,Fear,0.7,2025-03-01T09:30:00", "no time zone"),
        ("1,a1,member,,Fear,0.7", "columns expected"),
        ("1,a1,leader,,Fear,0.7," + AT, "waits for a member's vote"),
        ("1,a1,exchange,,Fear,0.7," + AT, "waits for a member's vote"),
        ("99,a1,member,,Fear,0.7," + AT, "is unknown"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_taken(staff: Staff, row: str, message: str) -> None:
    VideoFactory(number=1)
    VideoFactory(number=2)
    with pytest.raises(BadLines) as refused:
        votes_import(text(vote(2, "a1", "Fear"), row))
    assert refused.value.lines[0].startswith("votes.csv:3: ")
    assert message in refused.value.lines[0]
    assert not Vote.objects.exists()
    assert not Sample.objects.exists()


def test_every_bad_line_is_reported_not_only_the_first(staff: Staff) -> None:
    VideoFactory(number=1)
    with pytest.raises(BadLines) as refused:
        votes_import(text(vote(1, "a1", "Anger"), vote(1, "a2", "Fear"), vote(1, "a3", "Fear", "boss")))
    assert [line.split(":")[1] for line in refused.value.lines] == ["2", "4"]


def test_votes_that_break_the_ladder_are_refused(staff: Staff) -> None:
    VideoFactory(number=1)
    agreed = [vote(1, "a1", "Fear"), vote(1, "a2", "Fear"), vote(1, "a3", "Sad")]
    for extra, message in [
        (vote(1, "b1", "Fear"), "already decided"),
        (vote(1, "a-leader", "Fear", "leader"), "already decided"),
    ]:
        with pytest.raises(BadLines, match=message):
            votes_import(text(*agreed, extra))
    split = [vote(1, "a1", "Fear"), vote(1, "a2", "Neutral"), vote(1, "a3", "Sad")]
    for extra, message in [
        (vote(1, "b-leader", "Fear", "exchange"), "waits for a leader's vote"),
        (vote(1, "a1", "Fear", "leader"), "already voted"),
        (vote(1, "expert", "Fear", "expert"), "waits for a leader's vote"),
    ]:
        with pytest.raises(BadLines, match=message):
            votes_import(text(*split, extra))
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("video,annotator,rung,emotion,confidence", "created_at is missing"),
        (HEADER + ",mood", "'mood' is unknown"),
        (HEADER + ",video", "comes twice"),
        ("video,annotator,rung,confidence,created_at", "emotion is missing"),
    ],
)
def test_a_wrong_header_is_refused(db: None, header: str, message: str) -> None:
    with pytest.raises(BadLines, match=message):
        votes_import(header + "\n")


def test_what_is_exported_can_be_taken_in_elsewhere(staff: Staff, tmp_path: Path) -> None:
    VideoFactory.create_batch(5)
    from annotation.services import distribute

    distribute()
    for number, sample in enumerate(Sample.objects.order_by("pk")):
        for emotion in ["Fear", "Neutral", ["Fear", "Tension"][number % 2], "Tension"]:
            sample.refresh_from_db()
            if sample.state == "open":
                say(sample, emotion)
    person_pause(staff.members["A"][0], reason="does not matter")
    file = tmp_path / "votes.csv"
    call_command("export_votes", file, stdout=io.StringIO())
    before = list(Sample.objects.order_by("video__number").values_list("video__number", "label", "decided_rung", "group"))
    votes_before = Vote.objects.count()
    for model in (TimelineEvent, Vote, Assignment, Sample, Video):
        model.objects.all().delete()
    out = io.StringIO()
    call_command("import_votes", file, stdout=out)
    assert f"{votes_before} votes on 5 samples" in out.getvalue()
    after = list(Sample.objects.order_by("video__number").values_list("video__number", "label", "decided_rung", "group"))
    assert after == before
    second = io.StringIO()
    votes_export(second)
    assert second.getvalue() == file.read_text()


def test_a_label_that_was_opened_again_can_be_taken_in_elsewhere(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Fear", "Neutral"):
        say(sample, emotion)
    sample_reopen(sample, by=staff.manager, reason="complaint", now=timezone.now())
    say(sample, "Sadness", staff.expert)
    number, out = sample.video.number, io.StringIO()
    votes_export(out)
    for model in (TimelineEvent, Vote, Assignment, Sample, Video):
        model.objects.all().delete()
    assert votes_import(out.getvalue()).decided == 1
    assert label(number) == ("decided", "Sadness", "expert")
    assert Sample.objects.get().reopened == 1
    second = io.StringIO()
    votes_export(second)
    assert second.getvalue() == out.getvalue()


def test_a_file_opens_no_label_that_stands_here(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Fear", "Neutral"):
        say(sample, emotion)
    with pytest.raises(BadLines, match="already decided at rung member"):
        votes_import(text(vote(sample.video.number, "expert", "Sadness", "expert")))


def test_a_vote_taken_back_since_is_not_taken_in_again(staff: Staff) -> None:
    VideoFactory(number=1)
    people = ("a1", "Fear", "member"), ("a2", "Neutral", "member"), ("a3", "Sad", "member"), ("a-leader", "Tension", "leader")
    above = ("b-leader", "Relaxation", "exchange"), ("expert", "Fear", "expert")
    file = text(*(vote(1, *said) for said in (*people, *above)))
    votes_import(file)
    sample_reopen(Sample.objects.get(), by=staff.manager, reason="complaint", now=timezone.now())
    again = votes_import(file)
    assert (again.votes, again.unchanged) == (0, 6)
    assert Sample.objects.get().state == "open"


@pytest.mark.parametrize("table", ["99999999999", "-1", "0"])
def test_an_unknown_adjective_table_is_refused_also_for_an_emotion_alone(staff: Staff, table: str) -> None:
    VideoFactory(number=1)
    with pytest.raises(BadLines, match="there is no adjective table"):
        votes_import(text(f"{vote(1, 'a1', 'Fear')},{table}", header=HEADER + ",adjective_table"))


def test_a_title_with_a_line_separator_travels_and_a_mark_of_order_does_no_harm(staff: Staff, tmp_path: Path) -> None:
    VideoFactory(number=1, title="one\u2028two\x85three")
    votes_import(text(vote(1, "a1", "Fear")))
    file = tmp_path / "votes.jsonl"
    for kind in ("doccano", "label-studio"):
        call_command("export_votes", file, "--format", kind, stdout=io.StringIO())
        file.write_text("\ufeff" + file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        for model in (TimelineEvent, Vote, Assignment, Sample, Video):
            model.objects.all().delete()
        call_command("import_votes", file, "--format", kind, stdout=io.StringIO())
        assert Video.objects.get().title == "one\u2028two\x85three"


def test_two_choices_in_one_annotation_are_refused_by_task() -> None:
    result = [{"from_name": "emotion", "value": {"choices": ["Fear", "Tension"]}}]
    task = {"data": {"video": "1"}, "annotations": [{"completed_by": "a1", "created_at": AT, "result": result}]}
    with pytest.raises(BadLines, match="task 1 is not as Label Studio exports it"):
        votes_csv_of("label-studio", json.dumps([task]))


def test_the_command_fails_with_one_line_per_error(staff: Staff, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text(vote(7, "a1", "Anger"), vote(8, "zoe", "Fear")))
    with pytest.raises(CommandError) as refused:
        call_command("import_votes", file)
    assert [line.split(": ")[0] for line in str(refused.value).splitlines()] == ["bad.csv:2", "bad.csv:3", "bad.csv:3"]
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_votes", tmp_path / "absent.csv")


@pytest.mark.parametrize("kind", ["label-studio", "doccano"])
def test_a_team_can_move_out_and_in_again(staff: Staff, tmp_path: Path, kind: str) -> None:
    VideoFactory(number=1, title="一, 二")
    VideoFactory(number=2)
    votes_import(
        text(
            *(vote(1, who, emotion, minute=at) for at, (who, emotion) in enumerate([("a1", "Fear"), ("a2", "Sad"), ("a3", "Neutral")])),
            vote(1, "a-leader", "Fear", "leader", minute=40),
            f"2,b1,member,calm,,0.4,{AT}",
        )
    )
    file = tmp_path / "votes.json"
    call_command("export_votes", file, "--format", kind, stdout=io.StringIO())
    before = list(Vote.objects.order_by("pk").values_list("person", "rung", "adjective", "emotion", "confidence", "created_at"))
    for model in (TimelineEvent, Vote, Assignment, Sample, Video):
        model.objects.all().delete()
    call_command("import_votes", file, "--format", kind, stdout=io.StringIO())
    after = list(Vote.objects.order_by("pk").values_list("person", "rung", "adjective", "emotion", "confidence", "created_at"))
    assert after == before
    assert label(1) == ("decided", "Fear", "leader")
    assert Video.objects.get(number=1).title == "一, 二"
    file.write_text("{}\n")
    with pytest.raises(CommandError, match=r"list of tasks|line 1 has no votes"):
        call_command("import_votes", file, "--format", kind)


def test_votes_of_another_product_get_their_rungs_by_time() -> None:
    def annotation(who: int, emotion: str, minute: int) -> dict[str, object]:
        result = [{"from_name": "emotion", "to_name": "video", "type": "choices", "value": {"choices": [emotion]}}]
        return {"completed_by": {"id": who, "email": f"u{who}"}, "created_at": f"2025-03-01T09:{minute:02d}:00Z", "result": result}

    task = {"data": {"video": "clip"}, "annotations": [annotation(n, e, 9 - n) for n, e in enumerate(["Fear", "Sad", "Fear", "Neutral"])]}
    rows = from_label_studio(json.dumps([task]))
    assert [(row["annotator"], row["rung"]) for row in rows] == [("u3", "member"), ("u2", "member"), ("u1", "member"), ("u0", "leader")]
    assert rows[0]["created_at"] == "2025-03-01T09:06:00+00:00"
