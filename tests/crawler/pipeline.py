"""The network and the browser replaced by plain answers: what a post, its file and a list give is set by the test."""

import shutil
import subprocess
from pathlib import Path

import pytest

from crawler import fetch, services
from crawler.fetch import Seen
from crawler.models import Stage, Video
from crawler.platforms import Failure, PostRef, TrendingWord, VideoPage
from crawler.services import comparing, stages, videos


@pytest.fixture
def world(monkeypatch, media_root, clip):
    """Pages and files by post id: world["pages"], world["files"]; what is not named there is a fresh, ordinary clip."""
    given = {"pages": {}, "files": {}, "downloads": []}

    def page_of(video):
        found = given["pages"].get(video.platform_id)
        if isinstance(found, Exception):
            raise found
        return found or VideoPage(
            video.platform,
            video.platform_id,
            video.url,
            "test/1",
            title=f"title {video.platform_id}",
            hashtags=("sea",),
            media=("https://v16.tiktok.com/1",),
        )

    def download(client, urls, page_url, folder, part_name):
        post = part_name.split("-", 1)[1]
        given["downloads"].append(post)
        found = given["files"].get(post, clip)
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Exception):
            raise found
        import hashlib

        digest = hashlib.sha256(Path(found).read_bytes()).hexdigest()
        target = folder / digest[:2] / f"{digest}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, target)
        return fetch.Downloaded(f"{digest[:2]}/{digest}.mp4", digest, target.stat().st_size, urls[0])

    monkeypatch.setattr(videos, "page_of", page_of)
    monkeypatch.setattr(videos.fetch, "download", download)
    monkeypatch.setattr(videos.fetch, "resolve", lambda client, url: ())
    comparing._stock.clear()
    return given


def post(platform_id: str, **fields) -> Video:
    return Video.objects.create(platform="tiktok", platform_id=platform_id, url=f"https://www.tiktok.com/@/video/{platform_id}", **fields)


def advanced(platform_id: str) -> Video:
    return services.video_advance(post(platform_id).pk)


def copies(world, clip, tmp_path, *widths: int) -> list[Path]:
    """The clip in several sizes, as the files of posts 1, 2 …"""
    files = []
    for number, width in enumerate(widths, start=1):
        files.append(tmp_path / f"{number}.mp4")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-vf", f"scale={width}:-2", files[-1]], check=True)
        world["files"][str(number)] = files[-1]
    return files


UNSAFE = "I will kill you"


class Board:
    """Lists in the place of a browser: what each address shows, or how it fails."""

    shows: dict = {}
    asked: list = []

    def __init__(self, client) -> None:
        self.client = client

    def __enter__(self):
        return self

    def __exit__(self, *args) -> None:
        """Nothing to quit."""

    def collect(self, url, kind, budget):
        Board.asked.append(url)
        found = Board.shows.get(url, Seen())
        if isinstance(found, BaseException):
            raise found
        return found


def seen(*posts: str, words: tuple[str, ...] = (), failure: Failure | None = None) -> Seen:
    refs = {name: PostRef("tiktok", name, f"https://www.tiktok.com/@/video/{name}") for name in posts}
    return Seen(posts=refs, words={word: TrendingWord(word, place + 1) for place, word in enumerate(words)}, failure=failure)


@pytest.fixture
def board(monkeypatch, world):
    Board.shows, Board.asked = {}, []
    monkeypatch.setattr(stages, "Browser", Board)
    return Board


EXPLORE, TAG = "https://www.tiktok.com/explore", "https://www.tiktok.com/tag/"


def stage(name: str = "one", **settings) -> Stage:
    return services.stage_create(name=name, platforms=["tiktok"], backoff_s=0, **settings)
