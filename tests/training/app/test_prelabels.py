"""A finished run's predictions put the labelling queues in order, and stay with the votes."""

import uuid
from types import SimpleNamespace

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from annotation.models import Assignment, Prelabel, Vote
from annotation.rules.taxonomy import ADJECTIVES
from annotation.services import prelabels_save, vote_cast
from annotation.services.prelabels import uncertainty
from tests.factories import AssignmentFactory, PersonFactory, SampleFactory
from training import services
from training.models import Run
from training.tasks import offer_prelabels

pytestmark = pytest.mark.django_db
SIX = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")


def chances(first: float) -> dict[str, float]:
    return {emotion: first if emotion == "Excitation" else (1 - first) / 5 for emotion in SIX}


@pytest.fixture
def queue(media_root):
    """Three samples with their clips on disk, each waiting for the same two members in the order of their making."""
    people = [PersonFactory(), PersonFactory()]
    samples = [SampleFactory(video__file=f"{number}.mp4", video__state="accepted") for number in range(3)]
    for place, sample in enumerate(samples, 1):
        sample.video.path.write_bytes(b"a clip")
        for seat, person in enumerate(people):
            AssignmentFactory(sample=sample, person=person, order=place, seat=seat)
    return samples


def order_of(person_id):
    turns = Assignment.objects.filter(person=person_id, round="label", state="open").order_by("order", "pk")
    return list(turns.values_list("sample_id", flat=True))


def test_a_finished_run_puts_the_least_certain_first(finished, queue, settings):
    settings.PRELABEL_ORDER = True
    assert services.prelabels_offer(finished.pk) == 3
    assert services.prelabels_offer(finished.pk) == 3  # delivered twice
    first, second, third = queue
    people = set(Assignment.objects.values_list("person_id", flat=True))
    assert [order_of(person) for person in people] == [[third.pk, second.pk, first.pk]] * 2
    kept = Prelabel.objects.get(sample=third)
    assert (kept.run_name, kept.emotion) == (f"run {finished.pk}, debug", "Excitation")
    assert kept.probabilities["Tension"] == pytest.approx(0.3)


def test_without_the_setting_nothing_moves_and_no_vote_tells(finished, queue):
    assert services.prelabels_offer(finished.pk) == 3
    person = Assignment.objects.first().person_id
    assert order_of(person) == [sample.pk for sample in queue]
    assert cast(queue[0]).prelabel == {}


def test_what_is_on_a_screen_and_what_is_hidden_stay_where_they_are(queue, settings):
    settings.PRELABEL_ORDER = True
    person = Assignment.objects.first().person
    Assignment.objects.filter(person=person, sample=queue[0]).update(state="leased", lease_token=uuid.uuid4())
    hidden = AssignmentFactory(sample=SampleFactory(), person=person, round="gold", order=2)
    prelabels_save("run 9", {queue[0].pk: chances(0.2), queue[1].pk: chances(0.9), queue[2].pk: chances(0.4)})
    places = dict(Assignment.objects.filter(person=person, round="label").values_list("sample_id", "order"))
    assert places == {queue[0].pk: 1, queue[1].pk: 3, queue[2].pk: 2}
    hidden.refresh_from_db()
    assert hidden.order == 2


def cast(sample) -> Vote:
    turn = Assignment.objects.filter(sample=sample).first()
    vote = vote_cast(assignment=turn, client_id=uuid.uuid4(), adjective=ADJECTIVES[0].key, confidence=0.5, now=timezone.now())
    vote.refresh_from_db()
    return vote


def test_a_vote_remembers_what_had_ordered_its_queue(queue, settings):
    settings.PRELABEL_ORDER = True
    prelabels_save("run 9", {queue[0].pk: chances(0.5)})
    kept = cast(queue[0]).prelabel
    assert kept == {"run": "run 9", "emotion": "Excitation", "uncertainty": pytest.approx(uncertainty(chances(0.5)))}
    prelabels_save("run 10", {queue[0].pk: chances(0.1)})
    assert Vote.objects.get().prelabel == kept


def test_a_decided_sample_gets_no_prelabel(queue):
    type(queue[0]).objects.filter(pk=queue[0].pk).update(state="excluded")
    assert prelabels_save("run 9", {queue[0].pk: chances(0.5)}) == 0


def test_uncertainty_is_the_entropys_share():
    assert uncertainty(dict.fromkeys(SIX, 1 / 6)) == pytest.approx(1)
    assert uncertainty(chances(1.0)) == 0
    assert uncertainty({**dict.fromkeys(SIX, 0.0), "Fear": 0.5, "Tension": 0.5}) == pytest.approx(0.3868528)  # ln 2 / ln 6


@pytest.mark.parametrize("wrong", [{"Fear": 1.0}, chances(0.5) | {"Fear": 0.9}, chances(0.5) | {"Fear": -0.1}])
def test_what_is_no_distribution_over_the_six_is_refused_whole(queue, wrong):
    with pytest.raises(ValidationError, match=f"sample {queue[1].pk}"):
        prelabels_save("run 9", {queue[0].pk: chances(0.5), queue[1].pk: wrong})
    assert not Prelabel.objects.exists()


def test_a_clip_that_cannot_be_read_is_left_out_and_none_at_all_is_an_error(finished, queue):
    queue[1].video.path.unlink()
    assert services.prelabels_offer(finished.pk) == 2
    for sample in queue:
        sample.video.path.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="it is not there"):
        services.prelabels_offer(finished.pk)


def test_only_a_finished_run_of_the_six_emotions_of_ones_own_may_predict(finished, dana, erin):
    with pytest.raises(PermissionDenied):
        services.prelabels_ask(finished, user=erin)
    Run.objects.filter(pk=finished.pk).update(overrides={"classes": "A,B", "polarity": "neutral,neutral"})
    finished.refresh_from_db()
    with pytest.raises(ValidationError, match="six emotions"):
        services.prelabels_ask(finished, user=dana)
    finished.state = "failed"
    with pytest.raises(ValidationError, match="only a finished run"):
        services.prelabels_ask(finished, user=dana)


def test_the_button_stands_on_the_page_where_the_setting_is_on(
    finished, queue, client, dana, settings, monkeypatch, django_capture_on_commit_callbacks
):
    asked = []
    message = lambda name, args: SimpleNamespace(apply_async=lambda: asked.append((name, args)))  # noqa: E731 - a stand-in for Celery's
    monkeypatch.setattr("training.services.asked.signature", message)
    client.force_login(dana)
    page = f"/train/{finished.pk}/"
    assert "least certain" not in client.get(page).content.decode()
    settings.PRELABEL_ORDER = True
    assert "least certain" in client.get(page).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(f"{page}prelabels/").status_code == 302
    assert asked == [(offer_prelabels.name, (finished.pk,))]
    offer_prelabels(finished.pk)
    assert "Clips in the queues that it predicted" in client.get(page).content.decode()
