"""An S3 that refuses, is gone, or breaks off in the middle: no clip is lost or half kept, and the work goes on by itself."""

import hashlib

import pytest

from tests import objects
from tests.crawler.conftest import make_clip
from tests.faults.machine import Machine, wait_until
from tests.servers import free_port

pytestmark = pytest.mark.slow
HERE = {
    "MEDIA_BUCKET": "clips", "MEDIA_PREFIX": "emotions", "AWS_ACCESS_KEY_ID": objects.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": objects.SECRET_KEY,
    "NSFW_MODEL": "off", "ONSCREEN_TEXT": "off",
}  # fmt: skip
FETCHED = """
from crawler.models import Video
from crawler import tasks
video = Video.objects.create(platform="tiktok", platform_id="1", url="https://x", state="media", file=name, sha256=sha256, size_bytes=size)
tasks.advance_video.delay(video.pk)
"""
SWEEP_LATER = """
from datetime import timedelta
from django.utils import timezone
from crawler import tasks
from crawler.models import Video
Video.objects.update(touched_at=timezone.now() - timedelta(minutes=3))
tasks.resume_stale.delay()
"""
LOOK = """
from django.test import Client
from config.models import FailedTask
from config.status import status
from crawler.models import Video
from crawler.storage import clips
video = Video.objects.get()
settings.ALLOWED_HOSTS = ["testserver"]
answer = {
    "state": video.state, "attempts": video.attempts, "number": video.number, "failed": FailedTask.objects.count(),
    "ready": Client().get("/readyz").json()["checks"]["clips"], "told": [said for said in status().alarms if "Clips" in said],
}
"""
FETCH_ELSEWHERE = """
import hashlib
from crawler.models import Video
from crawler.storage import clips
video = Video.objects.get()
video.path.unlink()
answer = hashlib.sha256(clips().fetched(video.file, sha256=video.sha256).read_bytes()).hexdigest()
"""


def test_a_clip_waits_for_its_store_and_goes_on_when_that_is_back(make_machine, tmp_path):
    store, port = objects.Store(), free_port()
    store.buckets["clips"] = {}
    machine: Machine = make_machine(**HERE, AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{port}")
    clip = make_clip(tmp_path / "clip.mp4").read_bytes()
    digest = hashlib.sha256(clip).hexdigest()
    name = f"{digest[:2]}/{digest}.mp4"
    path = machine.folder / "media" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(clip)
    machine.worker("default,crawl")
    log = machine.folder / "worker-0.log"

    def waits() -> int:
        return log.read_text().count(" waits: ")

    def waited(before: int) -> None:
        wait_until(lambda: waits() > before, f"a try after {before} to end ({log})")
        seen = machine.python(LOOK)
        assert (seen["state"], seen["attempts"], seen["failed"], seen["ready"], len(seen["told"])) == ("media", 0, 0, "away", 1)
        assert path.read_bytes() == clip

    machine.python(FETCHED, name=name, sha256=digest, size=len(clip))  # nobody listens on the port
    waited(0)
    with objects.serving(store, port):
        for trouble in (503, 403, "cut"):
            with store.refusing(trouble):
                before = waits()
                machine.python(SWEEP_LATER)
                if trouble == "cut":  # the bucket itself answers, only what is sent or read breaks off
                    wait_until(lambda before=before: waits() > before, "the try that broke off")
                else:
                    waited(before)
            assert store.buckets["clips"] == {}
        machine.python(SWEEP_LATER)
        seen = wait_until(lambda: (found := machine.python(LOOK))["state"] == "accepted" and found, "the clip to be accepted")
        assert (seen["number"], seen["attempts"], seen["failed"], seen["ready"], seen["told"]) == (1, 0, 0, "ok", [])
        assert store.buckets["clips"][f"emotions/{name}"] == clip
        assert machine.python(FETCH_ELSEWHERE) == digest
