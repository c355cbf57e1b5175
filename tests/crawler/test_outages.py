"""A platform out of reach: what is put off, tried again, and given up."""

import pytest
from django.utils import timezone

from crawler import services
from crawler.fetch import Unreachable
from crawler.models import Stage, Video, Visit
from crawler.platforms import Failure, Outcome
from crawler.services import manners, outages, stages, videos
from demo.replica import certificate
from tests import servers
from tests.crawler.pipeline import EXPLORE, TAG, seen, stage

pytestmark = pytest.mark.django_db
State = Video.State


def test_an_unreachable_list_is_tried_again_and_then_named(board):
    board.shows = {EXPLORE: Unreachable("no answer", cause="slow")}
    services.stage_crawl(stage().pk)
    visit = Visit.objects.get()
    assert (visit.state, visit.outcome, visit.attempts) == (Visit.State.FAILED, "slow", stages.MAX_VISIT_ATTEMPTS)


def test_a_stage_that_reached_nothing_is_not_done_but_put_off_and_goes_on_when_the_line_is_back(board):
    board.shows = {EXPLORE: Unreachable("no answer")}
    chosen = stage()
    services.stage_crawl(chosen.pk, unless_done=True)
    chosen.refresh_from_db()
    assert (chosen.state, chosen.retries) == (Stage.State.FAILED, 1)
    assert chosen.reason == "unreachable: tiktok (1 of 1 lists); last: no answer"
    assert services.stages_due() == [], "its time has not come"
    board.shows, asked = {EXPLORE: seen("1")}, len(board.asked)
    services.stage_crawl(chosen.pk, unless_done=True)
    assert len(board.asked) == asked, "a message that comes early"
    Stage.objects.filter(pk=chosen.pk).update(retry_at=timezone.now())
    assert services.stages_due() == [chosen.pk]
    assert services.stage_crawl(chosen.pk, unless_done=True)["accepted"] == 1
    chosen.refresh_from_db()
    assert (chosen.state, chosen.reason, chosen.retry_at) == (Stage.State.DONE, "", None)


def test_with_the_line_down_all_the_time_nothing_is_called_done(settings, tmp_path):
    """No part is replaced: the address of the platforms answers nobody."""
    certificate.ensure(tmp_path)
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = f"127.0.0.1:{servers.free_port()}", str(tmp_path / "ca.pem")
    chosen = services.stage_create(name="dark", attempts=1, backoff_s=0, delay_s=0)
    assert services.stage_crawl(chosen.pk) == {"found": 0, "list: unreachable": 3}
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.FAILED
    assert chosen.reason.startswith("unreachable: douyin (1 of 1 lists), kuaishou (1 of 1 lists), tiktok (1 of 1 lists)")


def test_an_outage_of_half_a_day_is_given_up_and_a_person_begins_anew(board):
    board.shows = {EXPLORE: Unreachable("no answer")}
    chosen = stage()
    for _ in range(outages.MAX_RETRIES + 1):
        services.stage_crawl(chosen.pk, unless_done=True)
        Stage.objects.filter(pk=chosen.pk, retry_at__isnull=False).update(retry_at=timezone.now())
    chosen.refresh_from_db()
    assert (chosen.state, chosen.retry_at, chosen.retries) == (Stage.State.FAILED, None, outages.MAX_RETRIES + 1)
    assert services.stages_due() == []
    board.shows = {EXPLORE: seen("1")}
    assert services.stage_crawl(chosen.pk)["accepted"] == 1


def test_videos_lost_in_an_outage_go_on_from_what_was_known_of_them(board, world, clip):
    world["files"] |= {name: [Unreachable("cut") for _ in range(videos.MAX_ATTEMPTS)] for name in "123"}
    board.shows = {EXPLORE: seen("1", "2", "3", "4")}
    chosen = stage()
    assert services.stage_crawl(chosen.pk)["failed: unreachable"] == 3
    chosen.refresh_from_db()
    assert chosen.reason == "unreachable: tiktok (3 of 4 videos)"
    world["files"] |= dict.fromkeys("123", clip)
    services.stage_reopen(chosen.pk)
    assert set(Video.objects.filter(platform_id__in="123").values_list("state", flat=True)) == {State.META}
    services.stage_crawl(chosen.pk)
    assert not Video.objects.filter(state=State.FAILED).exists()


def test_one_list_of_several_out_of_reach_leaves_the_stage_done_and_can_be_asked_again(board):
    board.shows = {EXPLORE: seen("1", words=("dance", "cat")), TAG + "cat": Unreachable("no answer")}
    chosen = stage()
    services.stage_crawl(chosen.pk)
    chosen.refresh_from_db()
    assert chosen.state == Stage.State.DONE
    board.asked.clear()
    board.shows[TAG + "cat"] = seen("2")
    services.stage_crawl(chosen.pk)
    assert board.asked == [TAG + "cat"]
    assert Video.objects.filter(platform_id="2").exists()


def test_what_no_rule_read_is_asked_again_by_hand_alone(board):
    """After a rule file for the new layout came."""
    board.shows = {EXPLORE: seen("1", words=("dance",)), TAG + "dance": seen(failure=Failure(Outcome.RULE_FAILED, "no rule found a list"))}
    chosen = stage()
    services.stage_crawl(chosen.pk)
    Video.objects.update(state=State.FAILED, number=None, reason="rule-failed: no rule found the record", media=[])
    board.asked.clear()
    services.stage_crawl(chosen.pk, unless_done=True)
    assert board.asked == []
    board.shows[TAG + "dance"] = seen("2")
    services.stage_crawl(chosen.pk)
    assert board.asked == [TAG + "dance"]
    assert not Video.objects.filter(state=State.FAILED).exists()


def test_a_conversation_belongs_to_the_network_it_began_in(settings, tmp_path):
    settings.CRAWL_REPLICA, settings.CRAWL_REPLICA_CA = "127.0.0.1:1", str(tmp_path / "first.pem")
    first = manners.client_of(None, "tiktok")
    assert manners.client_of(None, "tiktok") is first
    settings.CRAWL_REPLICA_CA = str(tmp_path / "second.pem")
    assert manners.client_of(None, "tiktok").session.verify == settings.CRAWL_REPLICA_CA


def test_what_failed_rests_longer_and_longer_before_it_is_tried_again(board, world, clip, monkeypatch):
    rests = []
    monkeypatch.setattr(stages, "rest", rests.append)
    board.shows = {EXPLORE: Unreachable("no answer")}
    services.stage_crawl(services.stage_create(name="lists", platforms=["tiktok"], backoff_s=0.5).pk)
    assert rests == [2.5, 5.0]
    rests.clear()
    board.shows = {EXPLORE: seen("1")}
    world["files"]["1"] = [Unreachable("cut"), Unreachable("cut"), clip]
    services.stage_crawl(services.stage_create(name="videos", platforms=["tiktok"], backoff_s=0.5).pk)
    assert rests == [2.5, 5.0]
