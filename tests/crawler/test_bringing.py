"""Clips that were on the machine already: taken in from a folder, with or without a list."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from crawler import selectors, services
from crawler.models import Platform, Tombstone, Video
from crawler.platforms import PLATFORMS
from crawler.services import comparing

pytestmark = pytest.mark.django_db
State = Video.State
HEAD = b"\0\0\0\x18ftypisom"


@pytest.fixture
def folder(tmp_path, media_root):
    found = tmp_path / "mine"
    (found / "day 1").mkdir(parents=True)
    (found / "day 1" / "a.mp4").write_bytes(HEAD + b"one")
    (found / "b.MOV").write_bytes(HEAD + b"two")
    (found / "notes.txt").write_text("not a clip")
    return found


def listed(folder, text: str):
    path = folder / "posts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_platform_that_is_crawled_has_an_adapter():
    assert Platform.crawled() == list(PLATFORMS)


def test_a_folder_is_taken_in_once(folder, media_root):
    report = services.clips_bring(folder, basis="consent of 2026-11-01")
    assert (len(report.new), report.known, report.refused) == (2, 0, [])
    videos = Video.objects.order_by("raw__file")
    assert [(v.platform, v.state, v.raw["file"], v.raw["basis"]) for v in videos] == [
        ("other", "media", name, "consent of 2026-11-01") for name in ("b.MOV", "day 1/a.mp4")
    ]
    assert [v.path.read_bytes()[-3:] for v in videos] == [b"two", b"one"]
    assert list((media_root / "parts").iterdir()) == []
    again = services.clips_bring(folder)
    assert (again.new, again.known) == ([], 2)
    assert services.clips_bring(folder).known == Video.objects.count() == 2


def test_a_file_that_is_no_clip_is_told_and_stops_no_other(folder):
    (folder / "c.mp4").write_bytes(b"<html>")
    (folder / "d.mp4").write_bytes(b"")
    report = services.clips_bring(folder)
    assert len(report.new) == 2
    assert [line.split(": ")[0].rpartition("/")[2] for line in report.refused] == ["c.mp4", "d.mp4"]
    assert "ffmpeg -i" in report.refused[0]


def test_a_list_tells_what_a_page_would_have_told(folder, settings):
    path = listed(
        folder,
        "file,url,platform,id,title,hashtags,author,published_at,likes\n"
        "day 1/a.mp4,https://www.tiktok.com/@me/video/7525082444551310602,,,看 @friend 13800138000 #海,sea wave,me,2025-07-09T10:00:00,1.2万\n"
        "b.MOV,,other,tape-7,Tape 7,,me,,\n",
    )
    assert len(services.clips_bring(folder, path).new) == 2
    post, tape = Video.objects.get(platform="tiktok"), Video.objects.get(platform_id="tape-7")
    assert (post.platform_id, post.title, post.hashtags, post.counts) == (
        "7525082444551310602",
        "看 #海",
        ["sea", "wave", "海"],
        {"likes": 12000},
    )
    assert post.published_at == datetime(2025, 7, 9, 10, tzinfo=UTC)
    assert post.author_hash
    assert post.author_hash != tape.author_hash, "the same name on two platforms is not the same person"
    assert (tape.platform, tape.url, tape.state) == ("other", "", State.MEDIA)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\na.mp4\n", "column 'name' is unknown"),
        ("title\nx\n", "column file is missing"),
        ("file\nnone.mp4\n", "posts.csv:2: there is no file 'none.mp4'"),
        ("file,url\nb.MOV,ftp://x/y\n", "no web address"),
        ("file,url\nb.MOV,https://www.tiktok.com/@me\n", "names no post of tiktok"),
        ("file,platform\nb.MOV,tiktok\n", "needs its id"),
        ("file,platform,id\nb.MOV,vimeo,1\n", "not one of douyin"),
        ("file,likes\nb.MOV,many\n", "likes 'many' is not a number"),
        ("file,published_at\nb.MOV,yesterday\n", "ISO 8601"),
        ("file,platform,id\nb.MOV,tiktok,1\nday 1/a.mp4,tiktok,1\n", "comes 2 times"),
        ("file\n\xff\xfe", "there is no file"),
    ],
)
def test_a_wrong_list_takes_nothing_in(folder, text, said):
    with pytest.raises(services.BadList) as told:
        services.clips_bring(folder, listed(folder, text))
    assert said in "\n".join(told.value.lines)
    assert not Video.objects.exists()


def test_a_list_that_is_no_text_is_told(folder):
    path = folder / "posts.csv"
    path.write_bytes(b"file,title\nb.MOV,\xff\xfe\n")
    with pytest.raises(services.BadList, match="UTF-8"):
        services.clips_bring(folder, path)


def test_what_was_taken_down_does_not_come_back(folder):
    Tombstone.objects.create(platform="other", platform_id="tape-7", reason="asked")
    report = services.clips_bring(folder, listed(folder, "file,id\nb.MOV,tape-7\n"))
    assert (report.new, report.known) == ([], 1)


def test_a_full_disk_leaves_neither_half_a_clip_nor_a_row(folder, media_root, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        services.clips_bring(folder)
    assert not Video.objects.exists()
    assert list((media_root / "parts").iterdir()) == []


def test_the_command_sends_them_to_the_workers(folder, monkeypatch):
    sent, out, err = [], StringIO(), StringIO()
    monkeypatch.setattr("crawler.tasks.advance_video.delay", sent.append)
    (folder / "c.mp4").write_bytes(b"<html>")
    call_command("import_clips", str(folder), stdout=out, stderr=err)
    assert sorted(sent) == sorted(Video.objects.values_list("pk", flat=True))
    assert "2 clips taken in, 0 were here already, 1 files are no clips" in out.getvalue()
    assert "c.mp4" in err.getvalue()
    (folder / "empty").mkdir()
    with pytest.raises(CommandError, match="no clip was found"):
        call_command("import_clips", str(folder / "empty"), stdout=out)
    with pytest.raises(CommandError, match="no folder"):
        call_command("import_clips", str(folder / "none"), stdout=out)
    with pytest.raises(CommandError, match="column file is missing"):
        call_command("import_clips", str(folder), list=listed(folder, "title\nx\n"), stdout=out)


def test_a_real_clip_goes_the_whole_way_and_stands_in_the_funnel(tmp_path, media_root):
    from demo.clips import make_clips

    make_clips(tmp_path / "clips", count=2)
    comparing._stock.clear()
    services.clips_bring(tmp_path / "clips")
    assert services.clean_waiting().get("accepted") == 2
    assert sorted(Video.objects.values_list("number", flat=True)) == [1, 2]
    funnel = selectors.funnel()
    assert funnel["platforms"]["other"]["accepted"] == funnel["total"]["accepted"] == 2
    comparing._stock.clear()
