"""The collection page, the review page by its forms, the clips' route, the funnel and the commands."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from crawler import selectors, services, tasks
from crawler.models import Check, Stage, Term, Video, Visit
from crawler.services import manners
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
State = Video.State


@pytest.fixture
def engineer(client):
    user = UserFactory(username="erin", role="data_engineer")
    client.force_login(user)
    return user


@pytest.fixture
def stored(media_root, clip):
    (media_root / "ab").mkdir()
    (media_root / "ab" / "abc.mp4").write_bytes(clip.read_bytes())
    return Video.objects.create(
        platform="tiktok",
        platform_id="1",
        url="https://x",
        file="ab/abc.mp4",
        state=State.REVIEW,
        reason="text: violence",
        duration_s=4,
        title="<b>title</b>",
    )


@pytest.mark.parametrize("name", ["collect", "review"])
def test_pages_ask_for_their_permission(client, name):
    assert client.get(reverse(f"crawler:{name}")).status_code == 302
    client.force_login(UserFactory(username="alice", role="annotator"))
    assert client.get(reverse(f"crawler:{name}")).status_code == 403


def test_an_empty_collection_says_what_to_do(client, engineer):
    page = client.get(reverse("crawler:collect")).content.decode()
    assert "Plan a stage" in page
    assert " style=" not in page
    assert "onclick" not in page


def test_a_full_collection_shows_funnel_words_and_why(client, engineer, stored):
    stage = Stage.objects.create(name="one", state=Stage.State.RUNNING)
    Term.objects.create(
        platform="tiktok",
        text="dance",
        weight=0.5,
        first_stage=stage,
        why={"source": "trending", "rank": 2, "salience": 0.7, "yield": 0.5, "novelty": 1.0},
    )
    Video.objects.create(platform="tiktok", platform_id="2", url="https://x", state=State.FAILED, reason="gone: x", stage=stage)
    page = client.get(reverse("crawler:collect")).content.decode()
    for text in ("gone 1", "dance", "place 2", "Stop"):
        assert text in page


def test_a_stage_is_planned_started_and_stopped_from_the_page(client, engineer, monkeypatch, django_capture_on_commit_callbacks):
    started = []
    monkeypatch.setattr(tasks.crawl_stage, "delay", started.append)
    values = {"name": "one", "platforms": ["tiktok"], "video_budget": 20, "terms_per_platform": 3, "seed": 1, "user_agent": "honest"}
    assert client.post(reverse("crawler:stage-new"), values).status_code == 302
    stage = Stage.objects.get(name="one")
    assert stage.settings["terms_per_platform"] == 3
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("crawler:stage-start", args=[stage.pk]))
    assert started == [stage.pk]
    client.post(reverse("crawler:stage-stop", args=[stage.pk]))
    stage.refresh_from_db()
    assert stage.state == Stage.State.STOPPED
    assert client.get(reverse("crawler:stage-stop", args=[stage.pk])).status_code == 405
    assert client.post(reverse("crawler:stage-new"), {**values, "name": "not a slug"}).status_code == 400
    dates = {"name": "two", "starts_at": "2026-03-02 10:00", "ends_at": "2026-03-01 10:00"}
    assert client.post(reverse("crawler:stage-new"), {**values, **dates}).status_code == 400
    assert client.post(reverse("crawler:stage-new"), {**values, **dates, "ends_at": "2026-03-09 10:00"}).status_code == 302
    assert Stage.objects.get(name="two").ends_at > Stage.objects.get(name="two").starts_at
    links = "https://www.tiktok.com/@ann/video/7301234567890123456\r\n\r\n https://www.douyin.com/video/7301234567890123456 "
    assert client.post(reverse("crawler:stage-new"), {**values, "name": "three", "links": links}).status_code == 302
    assert Stage.objects.get(name="three").settings["links"] == links.split()
    refused = client.post(reverse("crawler:stage-new"), {**values, "name": "four", "links": "https://example.org/a"})
    assert refused.status_code == 400
    assert "https://example.org/a" in refused.content.decode()


def test_a_stage_is_told_on_the_page_how_to_ask_and_shows_it(client, engineer, settings, tmp_path):
    (tmp_path / "cookies.txt").write_text("# Netscape HTTP Cookie File\n")
    settings.CRAWL_COOKIES = str(tmp_path / "cookies.txt")
    values = {
        "name": "one",
        "platforms": ["tiktok", "douyin"],
        "video_budget": 20,
        "terms_per_platform": 3,
        "seed": 1,
        "user_agent": "honest",
    }
    words = "Douyin： 快乐\r\n happy: a word \r\n\r\ntiktok"
    more = {
        "terms": words,
        "delay_s": "0.5",
        "requests_per_day": "9",
        "robots_exception": "allowed in writing",
        "unplugged": ["trending", "cookies"],
    }
    assert client.post(reverse("crawler:stage-new"), {**values, **more}).status_code == 302
    told = manners.settings_of(Stage.objects.get())
    assert told.terms == {"douyin": ["快乐", "happy: a word", "tiktok"], "tiktok": ["happy: a word", "tiktok"]}
    assert (told.delay_s, told.requests_per_day, told.items_per_list, told.robots_exception) == (0.5, 9, 200, "allowed in writing")
    assert (told.trending, told.steer, told.cookies) == (False, True, False)
    page = client.get(reverse("crawler:collect")).content.decode()
    assert "robots_exception=allowed in writing" in page
    assert "steer=" not in page, "as any stage"


def test_a_word_is_blocked_and_allowed_again_on_the_page(client, engineer):
    term = Term.objects.create(
        platform="tiktok", text="dance", weight=0.5, first_stage=services.stage_create(name="one"), why={"source": "word"}
    )
    for blocked, shown in ((True, True), (False, False)):
        assert client.post(reverse("crawler:term-block", args=[term.pk])).status_code == 302
        term.refresh_from_db()
        assert term.blocked == blocked
        assert ("Blocked words (1)" in client.get(reverse("crawler:collect")).content.decode()) == shown


def test_a_stage_that_goes_on_shows_how_far_it_is(client, engineer):
    stage = services.stage_create(name="one")
    assert 'id="stages" data-live=""' in client.get(reverse("crawler:collect")).content.decode()
    Stage.objects.update(state=Stage.State.RUNNING)
    for place, state in enumerate(("done", "failed", "waiting")):
        Visit.objects.create(stage=stage, platform="tiktok", kind="tag", subject=str(place), state=state)
    for number, state in enumerate((State.DROPPED, State.DISCOVERED)):
        Video.objects.create(platform="tiktok", platform_id=str(number), url="https://x", state=state, stage=stage)
    page = client.get(reverse("crawler:collect")).content.decode()
    assert 'id="stages" data-live="1"' in page
    assert 'max="5" value="3"' in page
    assert "2 of 3 lists, 1 of 2 videos" in page


def test_a_stage_shows_no_password_of_its_proxy(client, engineer):
    services.stage_create(name="one", proxy="http://me:hush@proxy.example:8080")
    page = client.get(reverse("crawler:collect")).content.decode()
    assert "proxy=proxy.example" in page
    assert "hush" not in page


def test_starting_a_done_stage_asks_again_what_was_out_of_reach_or_says_what_to_do(
    client, engineer, monkeypatch, django_capture_on_commit_callbacks
):
    started = []
    monkeypatch.setattr(tasks.crawl_stage, "delay", started.append)
    stage = Stage.objects.create(name="one", state=Stage.State.DONE)
    start = reverse("crawler:stage-start", args=[stage.pk])
    with django_capture_on_commit_callbacks(execute=True):
        assert "plan a new stage" in client.post(start, follow=True).content.decode()
    assert started == []
    visit = Visit.objects.create(stage=stage, platform="tiktok", kind="trending", state=Visit.State.FAILED, outcome="captcha")
    assert "Ask again what failed" in client.get(reverse("crawler:collect")).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(start)
    visit.refresh_from_db()
    assert (started, visit.state) == ([stage.pk], Visit.State.WAITING)


def test_a_failed_stage_shows_its_reason_and_its_next_try(client, engineer):
    Stage.objects.create(name="one", state=Stage.State.FAILED, reason="unreachable: tiktok (3 of 3 lists)", retry_at=timezone.now())
    page = client.get(reverse("crawler:collect")).content.decode()
    for text in ("3 of 3 lists", "tried again from", "Ask again what failed"):
        assert text in page


def test_who_may_only_look_starts_nothing(client):
    client.force_login(UserFactory(username="mona", role="manager"))
    stage = Stage.objects.create(name="one")
    assert client.get(reverse("crawler:collect")).status_code == 200
    assert client.post(reverse("crawler:stage-start", args=[stage.pk])).status_code == 403


def test_the_review_page_shows_evidence_blurred_and_takes_decisions(client, engineer, stored):
    Check.objects.create(
        video=stored, name="text-lexicon", verdict="review", reason="text: violence", evidence={"hits": [["violence", "kill you"]]}
    )
    page = client.get(reverse("crawler:review")).content.decode()
    assert 'class="blurred"' in page
    assert "kill you" in page
    assert "&lt;b&gt;title" in page
    client.post(reverse("crawler:decide", args=[stored.pk, "keep"]))
    stored.refresh_from_db()
    assert (stored.state, stored.number) == (State.ACCEPTED, 1)
    client.post(reverse("crawler:decide", args=[stored.pk, "undo"]))
    client.post(reverse("crawler:decide", args=[stored.pk, "drop"]), {"reason": "unsafe"})
    stored.refresh_from_db()
    assert stored.reason == "reviewed: unsafe"
    late = client.post(reverse("crawler:decide", args=[stored.pk, "keep"]), follow=True).content.decode()
    assert "not waiting for a decision" in late


def test_a_borderline_pair_is_shown_side_by_side(client, engineer, stored):
    other = Video.objects.create(platform="tiktok", platform_id="2", url="https://x", file=stored.file, state=State.ACCEPTED, number=1)
    Check.objects.create(video=stored, name="duplicate", verdict="review", reason="duplicate?", evidence={"other": other.pk})
    page = client.get(reverse("crawler:review")).content.decode()
    assert page.count("<video") == 2
    assert 'class="blurred"' not in page
    assert "Their sound says nothing" in page
    Check.objects.filter(name="duplicate").update(evidence={"other": other.pk, "sound": 0.914})
    Check.objects.create(video=stored, name="violence", version=2, verdict="unable", reason="no weights", evidence={"rank": 0.25})
    Check.objects.create(video=stored, name="text-lexicon", verdict="review", reason="text: sexual")
    page = client.get(reverse("crawler:review")).content.decode()
    assert "Their sound agrees in 91 of 100 bits" in page
    assert page.count('class="blurred"') == 2, "what a doubtful clip resembles is as doubtful"
    assert "rank: 0.25" in page


def test_one_person_looks_at_so_many_doubtful_clips_a_day(client, engineer, stored, monkeypatch):
    monkeypatch.setattr("crawler.selectors.review.REVIEWS_A_DAY", 0)
    assert "wait for tomorrow" in client.get(reverse("crawler:review")).content.decode()


# --- clips ------------------------------------------------------------------------------------------------------


def body(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_a_clip_comes_whole_or_in_part(client, engineer, stored):
    url, data = selectors.clip_url(stored, user=engineer), stored.path.read_bytes()
    whole = client.get(url)
    assert (whole.status_code, body(whole)) == (200, data)
    assert whole["Content-Type"] == "video/mp4"
    assert whole["X-Content-Type-Options"] == "nosniff"
    for wanted, part, extent in (
        ("bytes=0-99", data[:100], "0-99"),
        ("bytes=100-", data[100:], f"100-{len(data) - 1}"),
        ("bytes=-50", data[-50:], f"{len(data) - 50}-{len(data) - 1}"),
    ):
        response = client.get(url, headers={"Range": wanted})
        assert (response.status_code, body(response)) == (206, part)
        assert response["Content-Range"] == f"bytes {extent}/{len(data)}"
    refused = client.get(url, headers={"Range": f"bytes={len(data)}-"})
    assert (refused.status_code, refused["Content-Range"]) == (416, f"bytes */{len(data)}")


def test_a_clip_is_for_the_person_it_was_signed_for_and_only_for_a_while(client, engineer, stored):
    url = selectors.clip_url(stored, user=engineer)
    assert client.get(selectors.clip_url(stored, user=engineer, ttl_s=-1)).status_code == 404
    assert client.get(url[:-2] + "xx").status_code == 404
    assert client.get(reverse("crawler:clip", args=["nonsense"])).status_code == 404
    client.force_login(UserFactory(username="mallory", role="data_engineer"))
    assert client.get(url).status_code == 404
    client.logout()
    assert client.get(url).status_code == 302


def test_nginx_is_told_which_file_to_send(client, engineer, stored, settings):
    settings.MEDIA_ACCEL_LOCATION = "/protected/"
    response = client.get(selectors.clip_url(stored, user=engineer))
    assert response["X-Accel-Redirect"] == "/protected/ab/abc.mp4"
    assert body(response) == b""


def test_the_funnel_over_http(client, engineer, stored):
    answer = client.get("/api/v1/collection/funnel").json()
    assert answer["platforms"]["tiktok"]["review"] == 1
    client.force_login(UserFactory(username="alice", role="annotator"))
    assert client.get("/api/v1/collection/funnel").status_code == 403


# --- commands ---------------------------------------------------------------------------------------------------


def test_takedown_by_any_of_its_names(stored, media_root):
    Video.objects.filter(pk=stored.pk).update(state=State.ACCEPTED, number=7)
    out = StringIO()
    call_command("takedown", "00000007.mp4", "--reason", "asked", stdout=out)
    assert "tiktok/1" in out.getvalue()
    call_command("takedown", "tiktok/1", "--reason", "asked again", stdout=out)
    with pytest.raises(CommandError, match="no video is called"):
        call_command("takedown", "12345", "--reason", "x")


def test_crawl_prints_json_and_fails_when_nothing_was_found(monkeypatch):
    from crawler import services

    monkeypatch.setattr(services, "stage_crawl", lambda *args, **kwargs: {"found": 2, "accepted": 2})
    out = StringIO()
    call_command("crawl", "one", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"found": 2, "accepted": 2}
    monkeypatch.setattr(services, "stage_crawl", lambda *args, **kwargs: {"found": 0})
    with pytest.raises(CommandError, match="found nothing"):
        call_command("crawl", "one", stdout=StringIO())
    Stage.objects.filter(name="one").update(state=Stage.State.FAILED, reason="unreachable: tiktok")
    with pytest.raises(CommandError, match="is not finished \\(unreachable: tiktok"):
        call_command("crawl", "one", stdout=StringIO())
    with pytest.raises(CommandError, match="valid"):
        call_command("crawl", "not a slug", stdout=StringIO())


def test_crawling_a_done_stage_says_that_it_was_done():
    Stage.objects.create(name="one", state=Stage.State.DONE, finished_at=timezone.now())
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="found nothing"):
        call_command("crawl", "one", stdout=out, stderr=err)
    assert "was done already" in err.getvalue()


def test_any_setting_of_a_stage_can_be_given_where_it_is_crawled(monkeypatch):
    monkeypatch.setattr(services, "stage_crawl", lambda *args, **kwargs: {"found": 1})
    chosen = ['users={"tiktok": ["ann"]}', "quiet_s=5", "robots_exception=allowed in writing", "trending=false"]
    call_command(
        "crawl", "one", "--terms", "7", *(part for text in chosen for part in ("--set", text)), stdout=StringIO(), stderr=StringIO()
    )
    told = manners.settings_of(Stage.objects.get())
    assert (told.users, told.quiet_s, told.robots_exception, told.trending) == ({"tiktok": ["ann"]}, 5, "allowed in writing", False)
    err = StringIO()
    call_command("crawl", "one", "--terms", "7", "--set", "quiet_s=9", stdout=StringIO(), stderr=err)
    assert "planned before and keeps its quiet_s=5;" in err.getvalue()
    for wrong, what in (("speed=9", "unknown stage setting speed"), ("quiet_s", "NAME=VALUE"), ("quiet_s=soon", "no.* length of time")):
        with pytest.raises(CommandError, match=what):
            call_command("crawl", "two", "--set", wrong, stdout=StringIO())


def test_recheck_says_what_it_found(monkeypatch):
    from crawler import services

    asked = {}
    monkeypatch.setattr(services, "posts_recheck", lambda **options: asked.update(options) or {"gone": 1, "there": 4})
    out = StringIO()
    call_command("recheck", "--older-than", "7", "--take-down", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"gone": 1, "there": 4}
    assert (asked["older_than"].days, asked["take_down"]) == (7, True)
    with pytest.raises(CommandError, match="--limit must be at least 1"):
        call_command("recheck", "--limit", "0")


def test_clean_says_when_nothing_waits():
    out = StringIO()
    call_command("clean", stdout=out)
    assert "nothing waits" in out.getvalue()


def test_due_stages_are_started_and_past_ones_closed(monkeypatch):
    from datetime import timedelta

    from django.utils import timezone

    started = []
    monkeypatch.setattr(tasks.crawl_stage, "delay", started.append)
    now = timezone.now()
    due = Stage.objects.create(name="due", starts_at=now - timedelta(hours=1))
    Stage.objects.create(name="later", starts_at=now + timedelta(hours=1))
    Stage.objects.create(name="by-hand")
    past = Stage.objects.create(name="past", starts_at=now - timedelta(days=2), ends_at=now - timedelta(days=1))
    tasks.crawl_due_stages()
    past.refresh_from_db()
    assert started == [due.pk]
    assert past.state == Stage.State.DONE
