"""One headless Chromium per module, real small clips, and people who can sign in."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from django.conf import settings as django_settings
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from config.roles import roles_grant
from tests.browser.driving import Page
from tests.factories import AssignmentFactory, GroupFactory, PersonFactory, SampleFactory, VideoFactory

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --mute-audio""".split()
NUM_FILES = 4
# what the browser itself reports when a connection, a session or a lease is lost, or a page is refused
EXPECTED = ("ERR_INTERNET_DISCONNECTED", "status of 401", "status of 403", "status of 404", "status of 409")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker("browser")
            item.add_marker("slow")


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    if not Path(django_settings.CHROMIUM_BINARY).exists():
        pytest.skip(f"there is no Chromium at {django_settings.CHROMIUM_BINARY}")
    options = webdriver.ChromeOptions()
    options.binary_location = django_settings.CHROMIUM_BINARY
    with tempfile.TemporaryDirectory(prefix="emotions-browser-", ignore_cleanup_errors=True) as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(django_settings.CHROMEDRIVER_BINARY))
        driver.set_script_timeout(20)
        try:
            yield driver
        finally:
            driver.quit()


@pytest.fixture
def page(chromium: webdriver.Chrome, live_server, settings) -> Iterator[Page]:
    """A fresh page of the site: no cookies, no storage, a desktop window, light."""
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
    page = Page(chromium, live_server.url)
    page.reset()
    yield page
    page.reset()
    unexpected = [line for line in page.console() if not any(known in line for known in EXPECTED)]
    assert not unexpected, "the browser's console has errors"


@pytest.fixture(scope="session")
def clip_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four portrait clips of 1.5 s, H.264 with AAC, each of another colour and tone."""
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{n}.mp4", hue=n) for n in range(NUM_FILES)]


def write_clip(path: Path, *, hue: int) -> Path:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        video = out.add_stream("libx264", rate=20, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 90, 160, "yuv420p"
        audio = out.add_stream("aac", rate=22050, layout="mono")
        for n in range(30):
            picture = np.full((160, 90, 3), (60 * hue, 120, 5 * n), dtype=np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
        wave = (np.sin(np.arange(22050 * 3 // 2) * (300 + 100 * hue) * 2 * np.pi / 22050) * 0.2).astype(np.float32)
        for start in range(0, len(wave) - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate = 22050
            frame.pts = start
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    return path


@pytest.fixture
def labelling(transactional_db, media_root: Path, clip_files: list[Path]) -> Labelling:
    roles_grant()
    return Labelling(media_root, clip_files)


class Labelling:
    """Group A with alice, bob and carol, its leader lea, and clips that wait for alice."""

    def __init__(self, media_root: Path, files: list[Path]) -> None:
        self.media_root, self.files = media_root, files
        self.group = GroupFactory(letter="A")
        self.alice, self.bob, self.carol = (self.person(name) for name in ("alice", "bob", "carol"))

    def person(self, name: str, role: str = "annotator", **fields: object):
        return PersonFactory(user__username=name, role=role, group=fields.pop("group", self.group), **fields)

    def samples(self, count: int, **fields: object) -> list:
        """Samples whose clips really play, each with a turn for the three members."""
        return [self.sample(n, **fields) for n in range(count)]

    def sample(self, n: int, **fields: object):
        source = self.files[n % len(self.files)]
        video = VideoFactory(duration_s=1.5, frames=30, width=90, height=160, has_audio=True)
        target = self.media_root / video.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(source)
        sample = SampleFactory(video=video, group=self.group, **fields)
        for seat, person in enumerate((self.alice, self.bob, self.carol)):
            AssignmentFactory(sample=sample, person=person, seat=seat, order=n + 1)
        return sample


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, to be run inside a page."""
    packed = Path(__file__).parent / "axe" / "axe-core-4.14.1.min.js.gz"
    return gzip.decompress(packed.read_bytes()).decode()
