"""People in: by file, by page; groups by Eq. 1; the labelling test; pauses, swaps and their history."""

from __future__ import annotations

import io
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation import services
from annotation.models import Assignment, Group, Membership, Person, QualificationAttempt, Sample, StaffChange, TimelineEvent
from annotation.rules import sentiment
from annotation.services import BadLines, Conflict
from annotation.services.gold import _gold_samples as gold_samples
from tests.annotation.conftest import FIRST, Staff, person, say
from tests.factories import AssignmentFactory, PersonFactory, SampleFactory, VideoFactory, VoteFactory

HEADER = "username,full_name,gender,language,work_experience,msceit,education,culture,leadership,role,group"
NOW = timezone.now()


def line(name: str, gender: str = "M", *, role: str = "", group: str = "", p: float = 50) -> str:
    return f"{name},{name.title()},{gender},zh,{p},{p},{p},{p},{p},{role},{group}"


# --- import ------------------------------------------------------------------------------------------------------


def test_people_are_made_with_their_rights_and_groups(db: None) -> None:
    text = "\n".join([HEADER, line("alice", "F", group="A"), line("bob", role="leader", group="a"), line("carol", "F", role="manager")])
    assert services.people_import(text) == {"created": 3, "updated": 0}
    alice, bob, carol = (Person.objects.get(user__username=name) for name in ("alice", "bob", "carol"))
    assert alice.group == bob.group == Group.objects.get(letter="A")
    assert alice.user.has_perm("annotation.label")
    assert not alice.user.has_usable_password()
    assert bob.user.has_perm("annotation.lead_group")
    assert carol.user.has_perm("annotation.manage_people")
    assert alice.qualified_at is None
    assert services.people_import("\n".join([HEADER, line("alice", "F", p=60, role="leader")])) == {"created": 0, "updated": 1}
    user = User.objects.get(username="alice")
    assert user.person.msceit == 60
    assert not user.has_perm("annotation.label")


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["admin", "researcher", "data_engineer"])
def test_a_file_neither_makes_nor_unseats_those_who_are_no_part_of_labelling(role):
    with pytest.raises(services.BadLines, match="is not one of"):
        services.people_import("\n".join([HEADER, line("root", "F", role=role)]))
    person = PersonFactory(role=role, user__username="root")
    with pytest.raises(services.BadLines, match="neither gives nor takes"):
        services.people_import("\n".join([HEADER, line("root", "F", role="annotator")]))
    person.refresh_from_db()
    assert person.role == role


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (line("zoe", "X"), "gender 'X'"),
        (line("zoe", p=101), "msceit 101 is outside"),
        (line("zoe").replace(",50,", ",good,", 1), "'good' is not a number"),
        (line("zoe", role="boss"), "role 'boss'"),
        (line("zoe", role="admin"), "role 'admin'"),
        (line("zoe", group="A1"), "group 'A1'"),
        (line("alice", "F"), "also on line 2"),
        (line("zoe") + ",more", "columns expected"),
        (line("z/oe"), "Enter a valid username"),
        (line(""), "username is empty"),
    ],
)
def test_one_bad_line_keeps_everyone_out(db: None, row: str, message: str) -> None:
    with pytest.raises(BadLines) as refused:
        services.people_import("\n".join([HEADER, line("alice", "F"), row]))
    assert refused.value.lines[0].startswith("people.csv:3: ")
    assert any(message in found for found in refused.value.lines)
    assert not Person.objects.exists()
    assert not User.objects.exists()


def test_the_commands_import_and_group(db: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    people = [line(f"m{n}", p=rng.integers(40, 90)) for n in range(6)] + [line(f"w{n}", "F", p=rng.integers(40, 90)) for n in range(3)]
    people += [line(f"l{n}", role="leader", p=80) for n in range(3)]
    file = tmp_path / "people.csv"
    file.write_text("\n".join([HEADER, *people]))
    call_command("import_annotators", file, stdout=io.StringIO())
    out = io.StringIO()
    call_command("assign_groups", "--dry-run", stdout=out)
    assert "the best possible" in out.getvalue()
    assert "no clips before they pass the labelling test: m0 m1 m2 m3 m4 m5 w0 w1 w2" in out.getvalue()
    assert not Group.objects.exists()
    call_command("assign_groups", stdout=io.StringIO())
    assert services.groups_oddities() == []
    assert [group.people.count() for group in Group.objects.all()] == [4, 4, 4]
    assert Membership.objects.filter(ended_at__isnull=True).count() == 12
    file.write_text(HEADER + ",role\n")
    with pytest.raises(CommandError, match=r"people.csv:1: a column comes twice"):
        call_command("import_annotators", file)


# --- groups ------------------------------------------------------------------------------------------------------


def test_a_swap_hands_over_what_was_not_begun_and_keeps_history(staff: Staff) -> None:
    VideoFactory.create_batch(6)
    services.distribute()
    a1, b1 = staff.members["A"][0], staff.members["B"][0]
    say(Sample.objects.filter(group__letter="A").first(), "Fear", a1)
    services.member_swap(a1, b1, reason="sA, Fear", by=staff.manager.user)
    for who in (a1, b1):
        who.refresh_from_db()
    assert (a1.group.letter, b1.group.letter) == ("B", "A")
    assert Assignment.objects.filter(person=b1, state="open", sample__group__letter="A").count() == 1
    assert Assignment.objects.filter(person=a1, state="open", sample__group__letter="B").count() == 2
    assert Assignment.objects.filter(person=a1, state="submitted").count() == 1
    assert Membership.objects.filter(person=a1).count() == 2
    assert StaffChange.objects.filter(kind="swapped", by=staff.manager.user).count() == 2
    with pytest.raises(Conflict):
        services.member_swap(a1, staff.members["B"][1], reason="same group now")


@pytest.mark.parametrize(
    ("high", "low", "reason", "code"),
    [("a1", "b3", "x", "gender"), ("a1", "b-leader", "x", "not_members"), ("a1", "b1", " ", "reason_required")],
)
def test_a_swap_that_the_paper_forbids_is_refused(staff: Staff, high: str, low: str, reason: str, code: str) -> None:
    pair = [Person.objects.get(user__username=name) for name in (high, low)]
    with pytest.raises(ValidationError) as refused:
        services.member_swap(*pair, reason=reason)
    assert refused.value.code == code


def shares() -> dict[tuple[str, str], int]:
    """How many clips of each platform each group was handed, by (group, platform)."""
    return Counter(Sample.objects.values_list("group__letter", "video__platform"))


def test_even_shares_count_clips_and_quotas_count_each_platforms(staff: Staff, settings: Any) -> None:
    # In this order an even share alone gives group A all of TikTok's.
    for number in range(1, 10):
        VideoFactory(number=number, platform="tiktok" if number % 3 == 1 else "douyin")
    with transaction.atomic():
        services.distribute()
        assert shares() == {("A", "tiktok"): 3, ("B", "douyin"): 3, ("C", "douyin"): 3}
        transaction.set_rollback(True)
    settings.ASSIGNMENT_POLICY = "quota"
    services.distribute()
    assert shares() == {(group, platform): count for group in "ABC" for platform, count in (("tiktok", 1), ("douyin", 2))}


def test_weighted_shares_follow_the_pace_of_two_weeks(staff: Staff, settings: Any) -> None:
    settings.ASSIGNMENT_POLICY = "weighted"
    quick = staff.members["B"][0]
    for days in (1, 2, 3, 20, 21, 22, 23, 24, 25):
        VoteFactory(person=quick, sample__group=quick.group, created_at=timezone.now() - timedelta(days=days))
    before = shares()
    VideoFactory.create_batch(12)
    services.distribute()
    now = Counter(letter for letter, _platform in (shares() - before).elements())
    assert now["B"] > now["A"] >= now["C"] > 0
    assert now.total() == 12


def test_the_absent_persons_clips_go_to_others(staff: Staff) -> None:
    VideoFactory.create_batch(3)
    services.distribute()
    a1 = staff.members["A"][0]
    assert services.person_pause(a1, reason="ill", reassign=True) == 1
    assert not Assignment.objects.filter(person=a1, state="open").exists()
    assert Assignment.objects.filter(state="open").count() == 9
    with pytest.raises(services.NotEligible, match="ill"):
        services.assignment_next(Person.objects.get(pk=a1.pk))
    services.person_resume(a1)
    assert services.assignment_next(Person.objects.get(pk=a1.pk)) is None


def test_the_experts_clips_go_to_the_other_expert(staff: Staff, sample: Sample) -> None:
    for emotion in ("Fear", "Neutral", "Sadness", "Tension", "Relaxation"):
        say(sample, emotion)
    second = person("expert-2", "expert")
    assert Assignment.objects.get(sample=sample, rung="expert").person == staff.expert
    assert services.person_pause(staff.expert, reason="on leave", reassign=True) == 1
    assert Assignment.objects.get(sample=sample, rung="expert", state="open").person == second
    told = TimelineEvent.objects.filter(sample=sample).last()
    assert (told.kind, told.person, told.detail) == ("reassigned", second, {"rung": "expert"})
    assert services.person_pause(second, reason="ill", reassign=True) == 0, "nobody is left: it waits"
    assert Assignment.objects.get(sample=sample, rung="expert", state="open").person == second


def test_what_is_handed_over_is_on_the_timeline_and_brings_nothing_of_who_had_it(staff: Staff) -> None:
    VideoFactory.create_batch(2)
    services.distribute()
    a1, b1 = staff.members["A"][0], staff.members["B"][0]
    mine = Assignment.objects.get(person=a1)
    Assignment.objects.filter(pk=mine.pk).update(hint={"emotion": "Fear"}, active_ms=9000)
    services.member_swap(a1, b1, reason="sA, Fear")
    mine.refresh_from_db()
    assert (mine.person, mine.hint, mine.active_ms) == (b1, {}, 0)
    assert TimelineEvent.objects.filter(sample=mine.sample, kind="reassigned", person=b1).count() == 1
    before = TimelineEvent.objects.filter(kind="reassigned").count()
    moved = services.person_pause(Person.objects.get(pk=b1.pk), reason="ill", reassign=True)
    assert moved == TimelineEvent.objects.filter(kind="reassigned").count() - before == 1


def test_a_role_given_by_a_file_is_in_the_history_of_the_staff(staff: Staff) -> None:
    services.people_import(f"{HEADER}\n{line('a1', role='leader', group='A')}\n")
    change = StaffChange.objects.filter(person=staff.members["A"][0]).first()
    assert (change.kind, change.detail) == ("role", {"from": "annotator", "to": "leader"})


# --- the labelling test ------------------------------------------------------------------------------------------


@pytest.fixture
def novice(db: None) -> Person:
    return services.person_create(username="novice", full_name="Novice", gender="F")


def right(attempt: QualificationAttempt) -> dict[str, str]:
    return {key: sentiment.BY_KEY[key].emotion for key in attempt.items}


def test_both_parts_with_ninety_qualify(novice: Person) -> None:
    for number in range(8):
        services.gold_add(video_id=VideoFactory().pk, emotions=["Fear" if number % 2 else "Sad"], source="experts")
    first = services.qualification_start(novice, part="sentiment", rng=np.random.default_rng(1))
    assert services.qualification_start(novice, part="sentiment", rng=np.random.default_rng(2)) == first
    services.qualification_finish(first, answers=right(first), now=NOW)
    novice.refresh_from_db()
    assert novice.qualified_at is None
    second = services.qualification_start(novice, part="quality", rng=np.random.default_rng(1))
    gold = {str(item.pk): item.emotions[0] for item in services.qualification.GoldItem.objects.all()}
    done = services.qualification_finish(second, answers={key: gold[key] for key in second.items}, now=NOW)
    assert done.score == 100
    novice.refresh_from_db()
    assert novice.qualified_at == NOW
    with pytest.raises(Conflict, match="passed already"):
        services.qualification_start(novice, part="sentiment", rng=np.random.default_rng(1))


def test_three_failures_are_the_end_and_hints_never_name_an_item(novice: Person, settings) -> None:
    for number in (1, 2, 3):
        attempt = services.qualification_start(novice, part="sentiment", rng=np.random.default_rng(number))
        answers = {key: "Fear" if key.startswith("tension") else emotion for key, emotion in right(attempt).items()}
        done = services.qualification_finish(attempt, answers=answers, now=NOW)
        assert done.number == number
        assert done.score == pytest.approx(100 * 20 / 24)
        assert done.hints == [["Tension", "Fear"]]
    with pytest.raises(Conflict, match="All 3 attempts"):
        services.qualification_start(novice, part="sentiment", rng=np.random.default_rng(4))
    with pytest.raises(Conflict, match="already"):
        services.qualification_finish(done, answers=answers, now=NOW)


def test_answers_that_do_not_fit_the_items_are_refused(novice: Person) -> None:
    attempt = services.qualification_start(novice, part="sentiment", rng=np.random.default_rng(1))
    answers = right(attempt)
    for wrong in ({**answers, "more": "Fear"}, dict(list(answers.items())[:-1]), {**answers, attempt.items[0]: "blue"}):
        with pytest.raises(ValidationError):
            services.qualification_finish(attempt, answers=wrong, now=NOW)
    with pytest.raises(ValidationError, match="gold items"):
        services.qualification_start(novice, part="quality", rng=np.random.default_rng(1))


def test_who_has_not_passed_gets_no_work(staff: Staff, novice: Person) -> None:
    services.person_move(novice, staff.leaders["A"].group, reason="early")
    VideoFactory()
    services.distribute()
    assert not Assignment.objects.filter(person=novice).exists()
    with pytest.raises(services.NotEligible) as refused:
        services.assignment_next(novice)
    assert refused.value.code == "not_qualified"


def test_a_test_held_elsewhere_counts_with_its_source(novice: Person) -> None:
    assert not services.qualification_record(novice, sentiment=95, quality=89, source="institute", now=NOW)
    assert services.qualification_record(novice, sentiment=95, quality=91, source="institute", now=NOW)
    with pytest.raises(ValidationError):
        services.qualification_record(novice, sentiment=95, quality=91, source=" ", now=NOW)


# --- checks among the work ---------------------------------------------------------------------------------------


def test_hidden_gold_items_pause_whoever_gets_them_wrong(staff: Staff, settings) -> None:
    settings.GOLD_LEAST, settings.GOLD_SHARE, settings.REPEAT_SHARE = 3, 0.5, 0
    VideoFactory.create_batch(9)
    services.distribute(group=staff.leaders["A"].group)
    VideoFactory.create_batch(6)
    services.distribute(group=staff.leaders["B"].group)
    for sample in Sample.objects.filter(group__letter="B"):
        services.gold_add(video_id=sample.video_id, emotions=["Fear"], source="experts")
    a1 = staff.members["A"][0]
    for sample in list(Sample.objects.filter(group__letter="A"))[:6]:
        say(sample, "Neutral", a1)
    assert services.checks_mix_in(rng=np.random.default_rng(0))["gold"] == 3
    assert services.checks_mix_in(rng=np.random.default_rng(0))["gold"] == 0
    seen = []
    for _ in range(6):
        turn = services.assignment_next(Person.objects.get(pk=a1.pk)).current
        seen.append(turn.round)
        services.vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective="calm", confidence=1, now=NOW)
        if Person.objects.get(pk=a1.pk).paused_reason:
            break
    a1.refresh_from_db()
    assert a1.paused_reason == "0 of the last 3 gold items right, less than 60 %"
    assert seen.count("gold") == 3
    assert set(Sample.objects.filter(group__letter="B").values_list("label", flat=True)) == {""}


def test_who_was_resumed_is_not_paused_again_by_the_same_gold_items(staff: Staff, settings) -> None:
    settings.GOLD_LEAST = 3
    a1 = staff.members["A"][0]

    def gold(emotion: str) -> None:
        turn = AssignmentFactory(person=a1, round="gold", sample=SampleFactory())
        services.gold_add(video_id=turn.sample.video_id, emotions=["Fear"], source="experts")
        services.vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective=FIRST[emotion], confidence=1, now=timezone.now())
        a1.refresh_from_db()

    for _ in range(3):
        gold("Neutral")
    assert a1.paused_reason.startswith("0 of the last 3")
    services.person_resume(a1)
    gold("Fear")
    assert a1.paused_reason == "", "one right answer after the talk is no reason"
    gold("Neutral")
    gold("Neutral")
    assert a1.paused_reason.startswith("1 of the last 3")


def test_gold_items_of_the_own_test_are_hidden_in_the_work_only_when_no_other_is_left(staff: Staff) -> None:
    a1 = staff.members["A"][0]
    seen, fresh = (services.gold_add(video_id=SampleFactory().video_id, emotions=["Fear"], source="experts") for _ in range(2))
    QualificationAttempt.objects.create(person=a1, part="quality", number=1, items=[str(seen.pk)])
    QualificationAttempt.objects.create(person=a1, part="quality", number=2, items=["held elsewhere: x"], finished_at=NOW)
    assert list(gold_samples(a1)) == [fresh.video.sample.pk]
    Sample.objects.filter(video=fresh.video).update(state="excluded")
    assert list(gold_samples(a1)) == [seen.video.sample.pk]


def test_a_clip_flagged_out_comes_back_to_nobody(staff: Staff, sample: Sample) -> None:
    a1, a2, a3 = staff.members["A"]
    again = AssignmentFactory(person=a3, round="repeat", sample=sample)
    for who in (a1, a2):
        services.sample_flag(Assignment.objects.get(person=who), kind="unsafe", now=NOW)
    again.refresh_from_db()
    assert again.state == "withdrawn"
    assert services.assignment_next(a3) is None


def test_a_share_of_the_clips_returns_later_blind(staff: Staff, settings) -> None:
    settings.GOLD_SHARE, settings.REPEAT_SHARE = 0, 0.5
    VideoFactory.create_batch(6)
    services.distribute(group=staff.leaders["A"].group)
    a1 = staff.members["A"][0]
    for sample in Sample.objects.order_by("pk")[:4]:
        say(sample, "Fear", a1, now=NOW)
    assert services.checks_mix_in(rng=np.random.default_rng(0), now=NOW)["repeat"] == 0
    later = NOW + timedelta(days=settings.REPEAT_AFTER_DAYS, minutes=1)
    assert services.checks_mix_in(rng=np.random.default_rng(0), now=later)["repeat"] == 2
    again = Assignment.objects.filter(person=a1, round="repeat")
    assert set(again.values_list("sample", flat=True)) <= set(a1.votes.values_list("sample", flat=True))


# --- the page ----------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(staff: Staff) -> Client:
    client = Client()
    client.force_login(staff.manager.user)
    return client


def test_the_page_shows_groups_scores_and_history_in_constant_queries(staff: Staff, manager: Client, django_assert_max_num_queries) -> None:
    page = manager.get(reverse("annotation:people"))
    assert page.status_code == 200
    assert "Group A" in page.content.decode()
    for number in range(20):
        person(f"more{number}")
    with django_assert_max_num_queries(18):
        manager.get(reverse("annotation:people"))


def test_the_page_imports_a_file_and_lists_every_bad_line(manager: Client) -> None:
    url = reverse("annotation:people")
    good = SimpleUploadedFile("people.csv", "\n".join([HEADER, line("zoe", "F")]).encode())
    assert manager.post(url, {"action": "import", "file": good}).status_code == 302
    assert Person.objects.filter(user__username="zoe").exists()
    bad = SimpleUploadedFile("people.csv", "\n".join([HEADER, line("yan", "X"), line("xu", p=200)]).encode())
    answer = manager.post(url, {"action": "import", "file": bad})
    assert answer.status_code == 400
    assert "people.csv:2: gender" in answer.content.decode()
    assert "people.csv:3: work_experience" in answer.content.decode()


def test_the_pages_buttons_do_what_they_say(staff: Staff, manager: Client) -> None:
    url = reverse("annotation:people")
    a1, b1 = staff.members["A"][0], staff.members["B"][0]
    assert "the best possible" in manager.post(url, {"action": "propose"}).content.decode()
    assert manager.post(url, {"action": "pause", "person": a1.pk, "reason": "ill"}).status_code == 302
    assert Person.objects.get(pk=a1.pk).paused_reason == "ill"
    assert manager.post(url, {"action": "resume", "person": a1.pk}).status_code == 302
    assert manager.post(url, {"action": "swap", "high": a1.pk, "low": b1.pk, "reason": "try"}).status_code == 302
    assert Person.objects.get(pk=a1.pk).group.letter == "B"
    assert manager.post(url, {"action": "swap", "high": a1.pk, "low": a1.pk, "reason": "try"}).status_code == 409
    assert manager.post(url, {"action": "move", "person": a1.pk, "letter": "", "reason": "rest"}).status_code == 302
    assert Person.objects.get(pk=a1.pk).group is None
    held = {"title": "Workflow", "guide_version": "3", "held_at": "2025-02-01T10:00", "minutes": 60, "attended": [a1.pk, b1.pk]}
    assert manager.post(url, {"action": "session", **held}).status_code == 302
    assert "Workflow" in manager.get(url).content.decode()
    assert a1.attendances.count() == 1
    assert manager.post(url, {"action": "nothing"}).status_code == 400
    assert manager.post(url, {"action": "pause", "person": a1.pk}).status_code == 400
    assert manager.post(url, {"action": "assign"}).status_code == 302


def test_the_page_is_the_managers_alone(staff: Staff) -> None:
    client = Client()
    url = reverse("annotation:people")
    assert client.get(url).status_code == 302
    for who in (staff.members["A"][0], staff.leaders["A"], staff.expert):
        client.force_login(who.user)
        assert client.get(url).status_code == 403
        assert client.post(url, {"action": "assign"}).status_code == 403


def test_the_page_lists_who_attended_which_session_in_a_constant_number_of_queries(client, staff):
    client.force_login(staff.manager.user)
    counts = []
    for number in (1, 4):
        for _ in range(number):
            minutes = {person.pk: 45 for person in staff.members["A"][:number]}
            services.session_record(title="The guide", guide_version="2.1", held_at=timezone.now(), held_by="Dr. Li", minutes=minutes)
        with CaptureQueriesContext(connection) as queries:
            page = client.get("/people/").content.decode()
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert "Dr. Li" in page
    assert "45 min" in page
