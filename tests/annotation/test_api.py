"""The routes: shapes, codes, and who may call which about whose rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from annotation import services, urls
from annotation.models import Assignment, Person, QualificationAttempt, Sample, Vote
from config.tokens import token_create
from tests.annotation.conftest import Staff, person, say
from tests.factories import VideoFactory

API = "/api/v1/"


@dataclass
class Caller:
    """A signed-in user of the API."""

    client: Client

    def __call__(self, method: str, path: str, body: object = None):
        return getattr(self.client, method)(f"{API}{path}", data=body, content_type="application/json")


def caller(who: Person | None) -> Caller:
    client = Client()
    if who:
        client.force_login(who.user)
    return Caller(client)


@pytest.fixture
def work(staff: Staff) -> list[Sample]:
    """Six samples, two per group."""
    VideoFactory.create_batch(6)
    services.distribute()
    return list(Sample.objects.order_by("pk"))


def vote(adjective: str = "calm", **more: object) -> dict[str, object]:
    return {"client_id": str(uuid.uuid4()), "adjective": adjective, "confidence": 0.7, **more}


# --- the workbench's routes --------------------------------------------------------------------------------------


def test_next_gives_the_clip_and_the_two_after_it(staff: Staff, work: list[Sample]) -> None:
    VideoFactory.create_batch(6)
    services.distribute()
    call = caller(staff.members["A"][0])
    answer = call("post", "assignments/next", {"lease_token": (tab := str(uuid.uuid4()))})
    assert answer.status_code == 200
    turn = answer.json()
    assert set(turn) == {
        *("assignment", "sample", "media_url", "duration_s", "adjectives_version", "lease_token", "lease_expires_at", "upcoming"),
        *("round", "rung", "draft", "draft_saved_at", "active_ms", "progress", "blind", "content_warning", "hint", "spread"),
    }
    assert turn["media_url"].startswith("/clips/")
    assert turn["lease_token"] == tab
    assert len(turn["upcoming"]) == 2
    assert turn["progress"] == {"done_today": 0, "waiting": 4}
    assert (turn["round"], turn["rung"], turn["adjectives_version"]) == ("label", "member", 1)
    assert call("post", "assignments/next", {"lease_token": tab}).json()["assignment"] == turn["assignment"]


def test_submit_is_the_same_again_on_a_retry(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.members["A"][0])
    turn = call("post", "assignments/next", {}).json()
    said = vote(active_ms=4200)
    first, second = (call("post", f"assignments/{turn['assignment']}/submit", said) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert first.json()["emotion"] == "Relaxation"
    assert Vote.objects.count() == 1
    assert Assignment.objects.get(pk=turn["assignment"]).active_ms == 4200
    again = call("post", f"assignments/{turn['assignment']}/submit", vote())
    assert (again.status_code, again.json()["code"]) == (409, "already_submitted")


def test_a_client_id_used_with_another_choice_is_refused(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.members["A"][0])
    path = f"assignments/{call('post', 'assignments/next', {}).json()['assignment']}/submit"
    said = vote("calm")
    assert call("post", path, said).status_code == 200
    for other in ({"adjective": "happy"}, {"confidence": 0.2}):
        again = call("post", path, {**said, **other})
        assert (again.status_code, again.json()["code"]) == (409, "client_id_used"), "nobody may take it for stored"
    assert Vote.objects.get().adjective == "calm"


def test_a_page_of_somebody_else_is_told_to_sign_in_again(staff: Staff, work: list[Sample]) -> None:
    a1, a2, _ = staff.members["A"]
    turn = caller(a1)("post", "assignments/next", {}).json()["assignment"]
    shared = Client()
    shared.force_login(a2.user)
    for who, status in ((a1, 401), (a2, 404)):
        answer = shared.post(
            f"{API}assignments/{turn}/submit", vote(), content_type="application/json", headers={"X-Page-Of": str(who.user_id)}
        )
        assert answer.status_code == status
    assert not Vote.objects.exists()


def test_the_time_spent_on_a_clip_is_told_wherever_it_goes_on(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.members["A"][0])
    turn = call("post", "assignments/next", {}).json()
    beat = {"lease_token": turn["lease_token"], "active_ms": 4000}
    assert call("post", f"assignments/{turn['assignment']}/heartbeat", beat).status_code == 200
    assert call("post", "assignments/next", {}).json()["active_ms"] == 4000


def test_nothing_waits_is_204(staff: Staff) -> None:
    answer = caller(staff.members["A"][0])("post", "assignments/next", {})
    assert (answer.status_code, answer.content) == (204, b"")


def test_the_draft_outlives_the_lease(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.members["A"][0])
    turn = call("post", "assignments/next", {}).json()
    saved = call("put", f"assignments/{turn['assignment']}/draft", {"adjective": "calm", "lease_token": turn["lease_token"]})
    assert saved.status_code == 200
    assert services.leases_expire(now=timezone.now() + timedelta(days=1)) == 2
    again = call("post", "assignments/next", {}).json()
    assert again["assignment"] == turn["assignment"]
    assert again["draft"] == {"adjective": "calm"}


def test_of_two_tabs_the_one_that_asked_last_wins_and_the_other_is_told(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.members["A"][0])
    old = call("post", "assignments/next", {"lease_token": str(uuid.uuid4())}).json()
    new = call("post", "assignments/next", {"lease_token": str(uuid.uuid4())}).json()
    assert old["assignment"] == new["assignment"]
    pk = old["assignment"]
    for method, path, body in [
        ("put", "draft", {"adjective": "calm"}),
        ("post", "heartbeat", {}),
        ("post", "submit", vote()),
    ]:
        answer = call(method, f"assignments/{pk}/{path}", {**body, "lease_token": old["lease_token"]})
        assert (answer.status_code, answer.json()["code"]) == (409, "lease_lost"), path
    assert call("post", f"assignments/{pk}/heartbeat", {"lease_token": new["lease_token"], "active_ms": 900}).status_code == 200
    assert call("post", f"assignments/{pk}/submit", vote(lease_token=new["lease_token"])).status_code == 200
    gone = call("post", f"assignments/{pk}/heartbeat", {"lease_token": new["lease_token"]})
    assert (gone.status_code, gone.json()["code"]) == (409, "already_submitted")


def test_a_lease_that_ran_out_can_be_taken_up_by_the_next_tab(staff: Staff, work: list[Sample], settings) -> None:
    call = caller(staff.members["A"][0])
    settings.LEASE_S = -1
    old = call("post", "assignments/next", {"lease_token": str(uuid.uuid4())}).json()
    settings.LEASE_S = 60
    pk = old["assignment"]
    assert call("post", f"assignments/{pk}/heartbeat", {"lease_token": str(uuid.uuid4())}).status_code == 200
    assert call("post", f"assignments/{pk}/heartbeat", {"lease_token": old["lease_token"]}).status_code == 409


def test_undo_skip_and_flag(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.members["A"][0])
    pk = call("post", "assignments/next", {}).json()["assignment"]
    cast = call("post", f"assignments/{pk}/submit", vote()).json()
    undone = call("post", f"votes/{cast['vote']}/undo")
    assert undone.json() == {"assignment": pk, "draft": {"adjective": "calm", "confidence": 0.7}}
    assert call("post", f"votes/{cast['vote']}/undo").json()["code"] == "undone"
    assert call("post", f"assignments/{pk}/flag", {"flag": "unsafe"}).status_code == 200
    assert call("post", f"assignments/{pk}/flag", {"flag": "dull"}).status_code == 400
    assert call("post", f"assignments/{pk}/skip", {}).json()["code"] == "invalid"
    assert call("post", f"assignments/{pk}/skip", {"reason": "cannot watch this"}).json() == {"assignment": pk, "state": "skipped"}
    assert call("post", f"assignments/{pk}/submit", vote()).json()["code"] == "closed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"client_id": "1", "adjective": "calm", "confidence": 0.5},
        vote("blue"),
        {**vote(), "confidence": 2},
        {**vote(), "confidence": None},
        {**vote(), "adjective": ""},
        {**vote(), "lease_token": "mine"},
    ],
)
def test_a_senseless_submission_is_a_400_with_detail_and_code(staff: Staff, work: list[Sample], body: object) -> None:
    call = caller(staff.members["A"][0])
    pk = call("post", "assignments/next", {}).json()["assignment"]
    answer = call("post", f"assignments/{pk}/submit", body)
    assert answer.status_code == 400
    assert {"detail", "code"} <= set(answer.json())
    assert not Vote.objects.exists()


def test_the_paused_and_the_unqualified_are_told_why(staff: Staff, work: list[Sample]) -> None:
    a1 = staff.members["A"][0]
    services.person_pause(a1, reason="rest")
    answer = caller(a1)("post", "assignments/next", {})
    assert (answer.status_code, answer.json()["code"]) == (403, "paused")
    assert "rest" in answer.json()["detail"]
    novice = services.person_create(username="novice", full_name="Novice", gender="F")
    assert caller(novice)("post", "assignments/next", {}).json()["code"] == "not_qualified"


def test_nobody_sees_that_a_clip_is_gold_or_a_repeat(staff: Staff, work: list[Sample]) -> None:
    a1 = staff.members["A"][0]
    Assignment.objects.create(sample=work[1], person=a1, round="gold", order=0)
    turn = caller(a1)("post", "assignments/next", {}).json()
    assert (turn["sample"], turn["round"]) == (work[1].pk, "label")


def test_the_spread_is_shown_to_leaders_only_where_the_setting_allows(staff: Staff, work: list[Sample], settings) -> None:
    for emotion in ("Fear", "Neutral", "Tension"):
        say(work[0], emotion)
    leader = staff.leaders[work[0].group.letter]
    assert caller(leader)("post", "assignments/next", {}).json()["spread"] is None
    settings.SHOW_SPREAD = True
    assert caller(leader)("post", "assignments/next", {}).json()["spread"] == {"Fear": 1, "Neutral": 1, "Tension": 1}
    assert caller(staff.members["B"][0])("post", "assignments/next", {}).json()["spread"] is None


def test_a_blind_site_does_not_tell_the_emotion(staff: Staff, work: list[Sample], settings) -> None:
    settings.BLIND_EMOTION = True
    call = caller(staff.members["A"][0])
    turn = call("post", "assignments/next", {}).json()
    assert turn["blind"] is True
    assert call("post", f"assignments/{turn['assignment']}/submit", vote()).json()["emotion"] == ""


def test_next_and_submit_take_a_constant_number_of_queries(staff: Staff, django_assert_max_num_queries) -> None:
    VideoFactory.create_batch(60)
    services.distribute()
    call = caller(staff.members["A"][0])
    call("post", "assignments/next", {})
    with django_assert_max_num_queries(13):
        turn = call("post", "assignments/next", {}).json()
    with django_assert_max_num_queries(14):
        call("post", f"assignments/{turn['assignment']}/submit", vote())


# --- own side, leaders, managers ---------------------------------------------------------------------------------


def test_own_progress_history_and_settings(staff: Staff, work: list[Sample]) -> None:
    a1 = staff.members["A"][0]
    call = caller(a1)
    say(work[0] if work[0].group.letter == "A" else work[3], "Fear", a1)
    told = call("get", "me/progress").json()
    assert (told["done_today"], told["done_total"], told["group"], told["qualified"]) == (1, 1, "A", True)
    assert len(told["days"]) == 1
    history = call("get", "me/votes?limit=1").json()
    assert history["count"] == 1
    assert history["results"][0]["can_undo"] is True
    assert call("put", "me/preferences", {"preferences": {"break_minutes": 45}, "opted_out": ["gore"]}).status_code == 200
    assert call("get", "me/preferences").json() == {"preferences": {"break_minutes": 45}, "opted_out": ["gore"]}
    assert call("put", "me/preferences", {"opted_out": ["<script>"]}).status_code == 400
    assert len(call("get", "adjectives").json()["adjectives"]) == 62


def test_a_leader_hands_out_follows_and_collects_a_batch(staff: Staff) -> None:
    VideoFactory.create_batch(2)
    call = caller(staff.leaders["B"])
    made = call("post", "batches", {"size": 1})
    assert made.status_code == 201
    batch = made.json()
    assert (batch["group"], batch["num_samples"], batch["opened_by"]) == ("B", 1, "B-Leader")
    assert call("post", f"batches/{batch['batch']}/collect").json()["code"] == "not_finished"
    for _ in range(3):
        say(Sample.objects.get(), "Fear")
    told = call("get", f"batches/{batch['batch']}").json()
    assert (told["num_voted"], told["num_decided"]) == (3, 1)
    assert call("post", f"batches/{batch['batch']}/collect").json()["collected_at"]
    assert call("get", "batches").json()["count"] == 1
    assert caller(staff.leaders["A"])("get", f"batches/{batch['batch']}").status_code == 404
    call("post", "batches", {"size": 5})
    assert call("post", "batches", {"size": 5}).json()["code"] == "nothing_waits"


def test_a_timeline_tells_the_whole_story_to_those_who_may_know(staff: Staff, work: list[Sample]) -> None:
    for emotion in ("Fear", "Fear", "Neutral"):
        say(work[0], emotion)
    letter = work[0].group.letter
    story = caller(staff.manager)("get", f"samples/{work[0].pk}/timeline").json()
    assert [event["kind"] for event in story["events"]] == ["distributed", "voted", "voted", "voted", "decided"]
    assert story["events"][1]["person"]
    own = caller(staff.leaders[letter])("get", f"samples/{work[0].pk}/timeline")
    assert own.status_code == 200
    assert {event["person"] for event in own.json()["events"]} == {None}
    assert caller(staff.leaders[letter])("get", f"samples/{work[1].pk}/timeline").status_code == 404  # still open, and another group's
    listed = caller(staff.manager)("get", f"samples?state=decided&group={letter}").json()
    assert [row["sample"] for row in listed["results"]] == [work[0].pk]


def test_a_leader_reads_no_votes_of_a_clip_that_may_come_back(staff: Staff, work: list[Sample]) -> None:
    sample = work[0]
    letter = sample.group.letter
    for who in staff.members[letter][:2]:
        turn = Assignment.objects.get(sample=sample, person=who)
        services.sample_flag(turn, kind="ambiguous", now=timezone.now())
    sample.refresh_from_db()
    assert sample.state == "excluded"
    leader = caller(staff.leaders[letter])
    assert leader("get", f"samples/{sample.pk}/timeline").status_code == 404
    assert leader("get", "samples").json()["count"] == 0


@pytest.mark.parametrize(
    "query", ["state=odd", "video__sha256__startswith=a", "group__people__user__password=x", "ordering=-pk", "limit=0"]
)
def test_only_listed_filters_exist(staff: Staff, query: str) -> None:
    answer = caller(staff.manager)("get", f"samples?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_lists_take_a_constant_number_of_queries(staff: Staff, django_assert_max_num_queries) -> None:
    VideoFactory.create_batch(30)
    services.distribute()
    call = caller(staff.manager)
    for path in ("samples", "people", "groups"):
        with django_assert_max_num_queries(8):
            assert call("get", path).status_code == 200


def test_the_manager_reopens_imports_groups_and_swaps(staff: Staff, work: list[Sample]) -> None:
    call = caller(staff.manager)
    assert call("post", f"samples/{work[0].pk}/reopen", {"reason": "x"}).json()["code"] == "not_decided"
    for emotion in ("Fear", "Fear", "Neutral"):
        say(work[0], emotion)
    assert call("post", f"samples/{work[0].pk}/reopen", {}).status_code == 400
    assert call("post", f"samples/{work[0].pk}/reopen", {"reason": "complaint"}).json()["reopened"] == 1
    bad = call("post", "people/import", {"csv": "username\nx\n"})
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_lines")
    assert bad.json()["lines"][0].startswith("people.csv:1: ")
    assert call("post", "groups/assign", {}).json()["applied"] is False
    a1, b1 = staff.members["A"][0].pk, staff.members["B"][0].pk
    assert [row["group"] for row in call("post", "people/swap", {"high": a1, "low": b1, "reason": "sA"}).json()] == ["B", "A"]
    assert call("post", f"people/{a1}/pause", {"reason": "ill"}).json()["paused_reason"] == "ill"
    assert call("post", f"people/{a1}/resume").json()["paused_reason"] == ""
    assert call("get", "people/999999").status_code == 404


def test_a_token_works_as_well_as_a_session(staff: Staff, work: list[Sample]) -> None:
    _, key = token_create(staff.members["A"][0].user, name="bench", scope="write")
    answer = Client().post(f"{API}assignments/next", {}, content_type="application/json", HTTP_AUTHORIZATION=f"Token {key}")
    assert answer.status_code == 200
    staff.members["A"][0].user.is_active = False
    staff.members["A"][0].user.save()
    answer = Client().post(f"{API}assignments/next", {}, content_type="application/json", HTTP_AUTHORIZATION=f"Token {key}")
    assert answer.status_code in {401, 403}


def test_the_schema_has_no_warning(db: None, tmp_path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))
    assert (tmp_path / "schema.yml").read_text().startswith("openapi: 3.1.0")


# --- every route × every role × own or another's row ---------------------------------------------------------------

ROLES = ("annotator", "leader", "expert", "manager", "data_engineer", "researcher", "admin")
WORKERS = {"annotator", "leader", "expert"}
MANAGERS = {"manager", "admin"}
READERS = {"manager", "data_engineer", "admin"}
# name → (method, body, roles that get in, status for those on another's row: 404, or 200 where the row is nobody's own)
MATRIX: dict[str, tuple[str, object, set[str], int]] = {
    "api-next": ("post", {}, WORKERS, 200),
    "api-draft": ("put", {}, WORKERS, 404),
    "api-submit": ("post", vote(), WORKERS, 404),
    "api-skip": ("post", {"reason": "x"}, WORKERS, 404),
    "api-flag": ("post", {"flag": "unsafe"}, WORKERS, 404),
    "api-heartbeat": ("post", {"lease_token": str(uuid.uuid4())}, WORKERS, 404),
    "api-hint": ("post", {}, WORKERS, 404),
    "api-undo": ("post", None, WORKERS, 404),
    "api-adjectives": ("get", None, set(ROLES), 200),
    "api-my-progress": ("get", None, set(ROLES), 200),
    "api-my-votes": ("get", None, set(ROLES), 200),
    "api-preferences": ("get", None, set(ROLES), 200),
    "api-qualification": ("post", {"part": "sentiment"}, {"annotator"}, 200),
    "api-qualification-submit": ("post", {"answers": {}}, {"annotator"}, 404),
    "api-samples": ("get", None, READERS | {"leader"}, 200),
    "api-timeline": ("get", None, set(ROLES), 404),
    "api-reopen": ("post", {"reason": "x"}, MANAGERS, 409),
    "api-restore": ("post", {"reason": "x"}, MANAGERS, 409),
    "api-batches": ("get", None, {"leader"}, 200),
    "api-batch": ("get", None, {"leader"}, 404),
    "api-collect": ("post", None, {"leader"}, 404),
    "api-groups": ("get", None, READERS, 200),
    "api-groups-assign": ("post", {}, MANAGERS, 200),
    "api-people": ("get", None, MANAGERS, 200),
    "api-people-import": ("post", {"csv": "x"}, MANAGERS, 400),
    "api-people-swap": ("post", {"high": 0, "low": 0, "reason": "x"}, MANAGERS, 404),
    "api-person": ("get", None, MANAGERS, 200),
    "api-pause": ("post", {"reason": "x"}, MANAGERS, 200),
    "api-resume": ("post", None, MANAGERS, 200),
}


def api_routes() -> Iterator[URLPattern]:
    return (route for route in urls.urlpatterns if str(route.pattern).startswith("api/"))


def test_the_matrix_knows_every_route() -> None:
    assert {route.name for route in api_routes()} == set(MATRIX)


@pytest.fixture
def foreign(staff: Staff, work: list[Sample]) -> dict[str, int]:
    """Rows of group A's people; everyone in the matrix below belongs elsewhere."""
    a1 = staff.members["A"][0]
    sample = next(sample for sample in work if sample.group.letter == "A")
    cast = say(sample, "Fear", a1)
    turn = Assignment.objects.filter(person=a1, state="open").get()
    attempt = QualificationAttempt.objects.create(person=a1, part="sentiment", number=1)
    batch = sample.batch_id
    return {
        **dict.fromkeys(("api-draft", "api-submit", "api-skip", "api-flag", "api-heartbeat", "api-hint"), turn.pk),
        **dict.fromkeys(("api-timeline", "api-reopen", "api-restore"), sample.pk),
        **dict.fromkeys(("api-batch", "api-collect"), batch),
        **dict.fromkeys(("api-person", "api-pause", "api-resume"), a1.pk),
        "api-undo": cast.pk,
        "api-qualification-submit": attempt.pk,
    }


@pytest.mark.parametrize("role", ROLES)
def test_every_route_for_a_stranger_of_every_role(staff: Staff, foreign: dict[str, int], role: str) -> None:
    stranger = {"annotator": staff.members["B"][0], "leader": staff.leaders["B"], "expert": staff.expert, "manager": staff.manager}.get(
        role
    )
    call = caller(stranger or person(f"the-{role}", role))
    before = list(Vote.objects.values_list("pk", "undone_at")), list(Assignment.objects.filter(person=staff.members["A"][0]).values())
    for route in api_routes():
        method, body, allowed, status = MATRIX[route.name]
        expected = status if role in allowed else 403
        if route.name == "api-timeline" and role in READERS:
            expected = 200
        if route.name == "api-next" and role in {"leader", "expert"}:
            expected = 204
        path = str(route.pattern).removeprefix("api/v1/").replace("<int:pk>", str(foreign.get(route.name, 0)))
        answer = call(method, path, body)
        assert answer.status_code == expected, f"{role} {method} {path}: {answer.content[:200]!r}"
        if expected >= 400:
            assert {"detail", "code"} <= set(answer.json())
    after = list(Vote.objects.values_list("pk", "undone_at")), list(Assignment.objects.filter(person=staff.members["A"][0]).values())
    assert before == after


def test_every_route_asks_for_a_sign_in(db: None) -> None:
    for route in api_routes():
        method, body, _, _ = MATRIX[route.name]
        path = str(route.pattern).removeprefix("api/v1/").replace("<int:pk>", "1")
        assert caller(None)(method, path, body).status_code in {401, 403}, path


def test_absent_and_foreign_rows_give_the_same_answer(staff: Staff, foreign: dict[str, int]) -> None:
    call = caller(staff.members["B"][0])
    for name, pk in foreign.items():
        method, body, allowed, status = MATRIX[name]
        if "annotator" not in allowed or status != 404:
            continue
        path = next(str(route.pattern) for route in api_routes() if route.name == name).removeprefix("api/v1/")
        theirs, absent = (call(method, path.replace("<int:pk>", str(key)), body) for key in (pk, 987654321))
        assert (theirs.status_code, theirs.json()) == (absent.status_code, absent.json()) == (404, theirs.json())
