"""Content flags: from the cleaning's doubts to the words before the clip, and to those who asked not to see it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.models import Assignment, Emotion, Person, Sample, TimelineEvent
from annotation.rules.warnings import FLAGS, content_flags
from annotation.services import assignment_next, assignment_skip, distribute, prelabels_save
from annotation.services.people import opt_outs_known
from annotation.views.words import WARNING_NAMES, workbench_words
from crawler.models import Check
from tests.annotation.conftest import Staff, hire, say
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


def opt_out(person: Person, *unwanted: str) -> Person:
    Person.objects.filter(pk=person.pk).update(opted_out=list(unwanted))
    return Person.objects.get(pk=person.pk)


def expect(sample: Sample, emotion: str) -> None:
    """A finished run is sure of that emotion."""
    prelabels_save("run 1", {sample.pk: {one: 1.0 if one == emotion else 0.0 for one in Emotion.values}})


def test_an_opt_out_also_holds_for_clips_that_were_handed_out_before(staff: Staff, sample: Sample) -> None:
    Sample.objects.update(content_warning=["gore"])
    shy = opt_out(staff.members["A"][0], "gore")
    assert assignment_next(shy) is None
    assert Assignment.objects.get(person=shy).state == "skipped"
    assert Assignment.objects.filter(sample=sample, rung="member", state="open").count() == 3, "someone else has the seat"
    assert list(TimelineEvent.objects.filter(sample=sample).values_list("kind", flat=True))[-2:] == ["skipped", "reassigned"]


def test_an_emotion_opted_out_of_is_kept_away_where_a_run_expects_it(staff: Staff, sample: Sample) -> None:
    shy, other = opt_out(staff.members["A"][0], "Fear"), staff.members["A"][1]
    expect(sample, "Sadness")
    assert assignment_next(shy).current.sample_id == sample.pk
    expect(sample, "Fear")
    assert assignment_next(shy) is None
    assert assignment_next(other).current.sample_id == sample.pk


def test_what_only_the_expert_can_settle_still_comes_to_the_expert(staff: Staff, sample: Sample) -> None:
    Sample.objects.update(content_warning=["gore"])
    for emotion in ("Fear", "Neutral", "Sadness", "Tension", "Relaxation"):
        say(sample, emotion)
    assert assignment_next(opt_out(staff.expert, "gore")).current.sample_id == sample.pk


def test_a_clip_passed_on_goes_to_nobody_who_asked_not_to_see_it(staff: Staff, sample: Sample) -> None:
    for shy in [*staff.members["B"], *staff.members["C"][:2]]:
        opt_out(shy, "Fear")
    expect(sample, "Fear")
    assert assignment_skip(Assignment.objects.get(sample=sample, seat=0), reason="ill", now=timezone.now()) == staff.members["C"][2]
