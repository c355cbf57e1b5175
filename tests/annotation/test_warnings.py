"""Content flags: from the cleaning's doubts to the words before the clip, and to those who asked not to see it."""

from __future__ import annotations

import pytest

from annotation.models import Assignment, Sample
from annotation.rules.warnings import FLAGS, content_flags
from annotation.services import distribute
from annotation.services.people import opt_outs_known
from annotation.views.words import WARNING_NAMES, workbench_words
from crawler.models import Check
from tests.annotation.conftest import hire
from tests.factories import VideoFactory


@pytest.mark.parametrize(
    ("check", "evidence", "flags"),
    [
        ("image-nsfw", {}, ["nsfw"]),
        ("text-lexicon", {"hits": [["sexual", "porn"], ["drugs", "heroin"], ["sexual", "nude"]]}, ["nsfw", "drugs"]),
        ("text-lexicon", {}, ["text"]),
        ("duplicate", {"of": 7}, []),
    ],
)
def test_a_doubt_becomes_the_flags_that_it_means(check, evidence, flags):
    assert content_flags(check, evidence) == flags


def test_every_flag_has_words_and_can_be_opted_out_of():
    assert set(WARNING_NAMES) == set(FLAGS) == set(workbench_words()["warnings"])
    assert set(FLAGS) <= set(opt_outs_known())


def test_who_asked_not_to_see_it_does_not_get_it(db):
    staff = hire("A")
    shy = staff.members["A"][0]
    shy.opted_out = ["self-harm"]
    shy.save()
    video = VideoFactory()
    Check.objects.create(video=video, name="text-lexicon", version=1, verdict="review", evidence={"hits": [["self-harm", "割腕"]]})
    distribute()
    assert not Assignment.objects.filter(person=shy).exists()
    assert [sample.content_warning for sample in Sample.objects.all()] in ([], [["self-harm"]])
