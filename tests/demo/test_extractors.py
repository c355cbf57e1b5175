"""Programs of others, untouched, must accept the replica: so it cannot drift into something that only our own adapters read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import BASE_DIR
from tests.demo.conftest import first

pytestmark = pytest.mark.slow
REDIRECTED = Path(__file__).with_name("redirected.py")
# A program under the GPL, in an environment of its own: nothing of this project is built upon it. `./run test` makes it.
GALLERY_DL = Path(os.environ.get("GALLERY_DL_PYTHON") or BASE_DIR / ".venv-gallery-dl" / "bin" / "python")


def run(replica, module: str, *arguments: str, cwd: Path, python: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    trust = {"SSL_CERT_FILE": str(replica.ca), "REQUESTS_CA_BUNDLE": str(replica.ca), "HOME": str(cwd)}
    command = [str(python), str(REDIRECTED), str(replica.port), module, *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **trust}, capture_output=True, text=True, timeout=120, check=False)


def yt_dlp(replica, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    options = ("--ignore-config", "--no-cache-dir", "--compat-options", "no-certifi", "--write-info-json", "-o", "%(id)s.%(ext)s")
    return run(replica, "yt_dlp", *options, url, cwd=folder)


@pytest.mark.parametrize(("platform", "layout"), [("tiktok", "universal"), ("douyin", "render_43")])
def test_yt_dlp_reads_and_downloads_a_post(replica, tmp_path, platform, layout):
    post = first(replica, platform, fault="", expected="accepted", layout=layout)
    done = yt_dlp(replica, post.url, tmp_path)
    assert done.returncode == 0, done.stderr
    info = json.loads((tmp_path / f"{post.id}.info.json").read_text(encoding="utf-8"))
    assert (info["description"], info["timestamp"], info["like_count"]) == (post.caption, post.created, post.counts["likes"])
    assert (info["channel_id"], info["uploader"]) == (post.user.sec_id, post.user.handle)
    assert abs(info["duration"] - post.duration_s) < 1
    assert (tmp_path / f"{post.id}.mp4").read_bytes() == replica.site.body_path(post).read_bytes()


def test_yt_dlp_solves_the_challenge(replica, tmp_path):
    post = next(post for post in replica.site.corpus.posts if post.fault == "challenge")
    post.layout = "universal"
    done = yt_dlp(replica, post.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Solving JS challenge" in done.stdout


def test_yt_dlp_follows_a_short_link(replica, tmp_path):
    post = first(replica, "tiktok", fault="", expected="accepted", layout="universal")
    code = next(code for code, other in replica.site.short_codes.items() if other is post)
    assert yt_dlp(replica, f"https://vm.tiktok.com/{code}/", tmp_path).returncode == 0
    assert (tmp_path / f"{post.id}.mp4").exists()


def test_yt_dlp_says_that_a_private_post_is_private(replica, tmp_path):
    post = first(replica, "tiktok", fault="", expected="accepted", layout="universal")
    post.fault = "private"
    try:
        done = yt_dlp(replica, post.url, tmp_path)
    finally:
        post.fault = ""
    assert "do not have permission to view this post" in done.stderr


@pytest.mark.skipif(not GALLERY_DL.exists(), reason="no gallery-dl: ./run test makes .venv-gallery-dl, or set GALLERY_DL_PYTHON")
def test_gallery_dl_downloads_a_post_as_a_separate_program(replica, tmp_path):
    post = first(replica, "tiktok", fault="", expected="accepted", layout="universal")
    done = run(replica, "gallery_dl", "--config-ignore", "-D", str(tmp_path / "out"), post.url, cwd=tmp_path, python=GALLERY_DL)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [replica.site.body_path(post).read_bytes()]
