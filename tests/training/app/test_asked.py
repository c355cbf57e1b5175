"""What a finished run is asked for outlives its message: a broker that is away, one that lost it, a worker that has no place."""

from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from annotation.models import Emotion
from training import services, tasks
from training.launch import NoFreeDevice
from training.models import Run
from training.services import asked

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(release, dana):
    return Run.objects.create(recipe="debug", release=release, requested_by=dana, state="finished", metrics={"classes": Emotion.values})


@pytest.fixture
def sent(monkeypatch):
    """What was sent; with `sent.away` the broker refuses."""

    class Sent(list):
        away = False

    found = Sent()

    class Message:
        def __init__(self, name, args):
            self.told = name.rpartition(".")[2], *args

        def apply_async(self):
            if found.away:
                raise BrokerError("no line")
            found.append(self.told)

    monkeypatch.setattr(asked, "signature", Message)
    return found


ASK = {
    "prelabels_asked_at": (services.prelabels_ask, "offer_prelabels", "training.services.prelabels._offered"),
    "windows_asked_at": (services.windows_ask, "write_windows", "training.services.windows._windows_written"),
}


@pytest.mark.parametrize("request_name", ASK)
def test_a_request_whose_message_was_lost_is_sent_again_until_it_is_answered(
    run, dana, sent, request_name, monkeypatch, django_capture_on_commit_callbacks
):
    ask, task, work = ASK[request_name]
    sent.away = True
    with django_capture_on_commit_callbacks(execute=True):
        ask(run, user=dana)  # no error: the row keeps it
    sent.away = False
    with django_capture_on_commit_callbacks(execute=True):
        assert services.requests_resend() == 0, "not at once: the message may be on its way"
        assert services.requests_resend(now=timezone.now() + timedelta(hours=1)) == 1
    assert sent == [(task, run.pk)]
    monkeypatch.setattr(work, lambda run, **more: 3)
    getattr(tasks, task)(run.pk)
    assert services.requests_resend(now=timezone.now() + timedelta(days=1)) == 0


@pytest.mark.parametrize("request_name", ASK)
@pytest.mark.parametrize(("error", "kept"), [(NoFreeDevice("all taken"), True), (ValueError("no clip can be used"), False)])
def test_what_waits_for_a_place_stays_asked_and_what_failed_does_not(run, dana, sent, monkeypatch, request_name, error, kept):
    ask, _task, work = ASK[request_name]
    ask(run, user=dana)

    def fails(run, **more):
        raise error

    monkeypatch.setattr(work, fails)
    with pytest.raises(type(error)):
        (services.prelabels_offer if request_name.startswith("pre") else services.windows_write)(run.pk)
    assert (getattr(Run.objects.get(pk=run.pk), request_name) is not None) == kept
