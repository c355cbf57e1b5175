"""A real browser plays clips that come from another origin, the bucket's."""

from config import middleware
from crawler.storage import clips


def test_the_workbench_plays_a_clip_that_is_in_the_bucket_and_not_here(labelling, store, page, settings, monkeypatch):
    # As config.middleware begins where MEDIA_BUCKET is set (tests/config/test_settings.py); without it Chromium refuses the clip.
    monkeypatch.setattr(middleware, "POLICY", middleware.POLICY.replace("blob:", f"blob: {settings.S3_PUBLIC_URL}"))
    sample = labelling.samples(1)[0]
    clips().keep(sample.video.file)
    sample.video.path.unlink()
    page.sign_in("alice", then="/annotate/").workbench()
    assert f"GET clips/emotions/{sample.video.file}" in store.asked
