import socket
import uuid

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from tests.factories import UserFactory
from training import launch, selectors, services
from training.engine import metrics
from training.models import Run, Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(dana):
    client = Client()
    client.force_login(dana)
    return client


def test_an_empty_page_says_what_would_fill_it(page):
    body = page.get(reverse("training:runs")).content.decode()
    assert "A run needs a release" in body
    assert "No GPU here" in body


def test_a_run_is_started_from_the_page(page, release, dana):
    answer = page.post(
        reverse("training:run_start"),
        {"run-recipe": "debug", "run-release": release.pk, "run-seed": 2, "run-gpus": 1, "run-overrides": "epochs = 1\n\nlr=0.1"},
    )
    run = Run.objects.get()
    assert answer.url == reverse("training:run", args=[run.pk])
    assert (run.overrides, run.requested_by) == ({"epochs": "1", "lr": "0.1"}, dana)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("overrides", "epochs", "is not field=value"), ("overrides", "epochs=many", "epochs"), ("seed", "-1", "greater than or equal to 0")],
)
def test_a_wrong_field_is_told_where_the_hand_is(page, release, field, value, words):
    data = {"run-recipe": "debug", "run-release": release.pk, "run-seed": 2, "run-gpus": 1, f"run-{field}": value}
    answer = page.post(reverse("training:run_start"), data)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Run.objects.exists()


def test_a_finished_run_shows_its_scores_log_and_matrix(page, release, dana, fake_engine):
    run = services.run_start(recipe="debug", release=release, user=dana)
    services.run_execute(run.pk)
    matrix = [[3, 1, 0, 0, 0, 0], *[[0] * 6 for _ in range(5)]]
    told = {"per_class_recall": {"Excitation": 0.75, "Fear": None}, "per_class_count": {"Excitation": 4, "Fear": 0}}
    told |= {"intervals_95": {"acc": [0.21, 0.84]}, "majority_acc": 0.125, "audio_branch": {"acc": 0.375}, "num_samples": 8}
    Run.objects.filter(pk=run.pk).update(metrics={"acc": 0.5, "wa_f1": 0.4, "uar": 0.3, "confusion": matrix, **told})
    answer = page.get(reverse("training:run", args=[run.pk]))
    assert answer.context["confusion"]["rows"][0] == "Excitation"
    assert answer.context["confusion"]["values"][0][:2] == [0.75, 0.25]
    assert answer.context["confusion"]["values"][1][0] is None
    body = answer.content.decode()
    for number in ("0.5000", "0.21 – 0.84", "0.1250", "0.3750"):
        assert number in body
    assert "fake engine" in body
    compared = page.get(reverse("training:compare"), {"run": [run.pk, "nonsense"]})
    assert compared.context["charts"]["loss"]["x"] == [0, 1, 2]
    recalls = compared.context["recalls"]
    assert (recalls["rows"], recalls["columns"], recalls["values"]) == ([f"{run.pk}: debug"], ["Excitation", "Fear"], [[0.75, None]])
    page.cookies["django_language"] = "zh-hans"
    chart = page.get(reverse("training:compare"), {"run": run.pk}).context["charts"]["loss"]
    assert (chart["title"], chart["xLabel"], chart["series"][0]["name"]) == ("损失", "轮次", f"{run.pk}: debug")
    assert all(text in compared.content.decode() for text in ("0.3000", "0.21 – 0.84", 'data-value="0.5"'))


def test_the_log_of_anothers_run_is_not_shown(release, dana, erin, fake_engine):
    run = services.run_start(recipe="debug", release=release, user=dana)
    services.run_execute(run.pk)
    client = Client()
    client.force_login(erin)
    body = client.get(reverse("training:run", args=[run.pk])).content.decode()
    assert "fake engine" not in body
    assert reverse("training:run_cancel", args=[run.pk]) not in body
    assert client.post(reverse("training:run_cancel", args=[run.pk])).status_code == 404


def test_the_files_of_a_run_are_for_who_asked_and_its_figures_for_all_who_see_it(page, erin, finished):
    page_url = reverse("training:run", args=[finished.pk])
    (finished.path / "figures").mkdir(exist_ok=True)
    for name in ("figures/tsne.png", "predictions.csv", "secret.txt"):
        (finished.path / name).write_bytes(name.encode())
    Run.objects.filter(pk=finished.pk).update(
        metrics={"per_class_recall": {"Fear": 0.25, "joy": None}, "per_class_count": {"Fear": 4, "joy": 0}, "classes": ["joy", "Fear"]}
    )

    def url(name: str) -> str:
        return reverse("training:run_file", args=[finished.pk, name])

    body = page.get(page_url).content.decode()
    assert all(text in body for text in (url("predictions.csv"), "0.2500", "joy", f'src="{url("figures/tsne.png")}"'))
    assert body.index("joy") < body.index("0.2500"), "in the order of the run's classes"
    answer = page.get(url("predictions.csv"))
    assert b"".join(answer.streaming_content) == b"predictions.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="run-{finished.pk}-predictions.csv"'
    for absent in ("secret.txt", "figures/../secret.txt", "figures/../../other/result.json", "result.jsonl", "checkpoints/last.pt"):
        assert page.get(url(absent)).status_code == 404
    colleague = Client()
    colleague.force_login(erin)
    seen = colleague.get(page_url).content.decode()
    assert (url("figures/tsne.png") in seen, url("predictions.csv") in seen, "0.2500" in seen) == (True, False, True)
    assert colleague.get(url("figures/tsne.png"))["Content-Type"] == "image/png"
    assert colleague.get(url("predictions.csv")).status_code == 404


def test_a_running_run_says_how_far_it_is_and_how_long_it_takes(page, release, dana):
    run = services.run_start(recipe="debug", release=release, user=dana)
    address, numbers = reverse("training:run", args=[run.pk]), reverse("training:api-run-metrics", args=[run.pk])
    Run.objects.filter(pk=run.pk).update(state="running", lease=uuid.uuid4(), host=socket.gethostname())
    assert "data-far hidden" in page.get(address).content.decode()
    Run.objects.filter(pk=run.pk).update(progress={"step": 120, "steps": 3000, "left_s": 7750})
    body = page.get(address).content.decode()
    assert 'max="3000" value="120"' in body
    assert "Step 120 of 3000, about 2 h 10 min left" in body
    assert page.get(numbers).json()["far"] == {"step": 120, "steps": 3000, "text": "Step 120 of 3000, about 2 h 10 min left"}
    Run.objects.filter(pk=run.pk).update(progress={"step": 3000, "steps": 3000, "left_s": 0})
    assert "scores are being taken" in page.get(address).content.decode()
    Run.objects.filter(pk=run.pk).update(state="failed", lease=None)
    assert (page.get(numbers).json()["far"], "data-far" in page.get(address).content.decode()) == (None, False)


def test_cancel_and_retry_from_the_page(page, release, dana):
    run = services.run_start(recipe="debug", release=release, user=dana)
    for name, state in (("run_cancel", "cancelled"), ("run_retry", "queued")):
        assert page.post(reverse(f"training:{name}", args=[run.pk])).status_code == 302
        run.refresh_from_db()
        assert run.state == state
    followed = page.post(reverse("training:run_retry", args=[run.pk]), follow=True)
    assert "only a failed or cancelled run" in followed.content.decode()


def test_nothing_is_changed_by_get(page, release, dana):
    run = services.run_start(recipe="debug", release=release, user=dana)
    for url in (reverse("training:run_start"), reverse("training:run_cancel", args=[run.pk]), reverse("training:schedule_save")):
        assert page.get(url).status_code == 405


def test_annotators_are_kept_out(client, release, dana):
    run = services.run_start(recipe="debug", release=release, user=dana)
    assert client.get(reverse("training:runs")).url.startswith(reverse("login"))
    client.force_login(UserFactory(role="annotator"))
    for url in (reverse("training:runs"), reverse("training:run", args=[run.pk]), reverse("training:compare")):
        assert client.get(url).status_code == 403


def test_a_schedule_is_made_changed_and_deleted_from_the_page(page, dana):
    data = {
        "schedule-name": "sunday",
        "schedule-recipe": "debug",
        "schedule-variant": "all",
        "schedule-cron": "0 3 * * 0",
        "schedule-seed": 1,
    }
    assert page.post(reverse("training:schedule_save"), data).status_code == 302
    schedule = Schedule.objects.get()
    assert (schedule.created_by, schedule.periodic_task.crontab.day_of_week) == (dana, "0")
    assert page.post(reverse("training:schedule_save"), {**data, "schedule-cron": "nonsense"}).status_code == 422
    delete = reverse("training:schedule_delete", args=[schedule.pk])
    assert delete in page.get(reverse("training:runs")).content.decode()
    other = Client()
    other.force_login(UserFactory(role="researcher"))
    body = other.get(reverse("training:runs")).content.decode()
    assert ("sunday" in body, delete in body) == (True, False)
    assert other.post(delete).status_code == 404
    assert page.post(reverse("training:schedule_delete", args=[schedule.pk])).status_code == 302
    assert not Schedule.objects.exists()


def test_the_matrix_of_another_data_set_has_its_own_classes(page, release, dana, fake_engine):
    """Ekman6 has six as well, and they are not ours."""
    run = services.run_start(recipe="debug", release=release, user=dana)
    services.run_execute(run.pk)
    ekman6 = ["anger", "disgust", "fear", "joy", "sadness", "surprise"]
    chances = np.eye(6)[[0, 1]]
    Run.objects.filter(pk=run.pk).update(metrics=metrics.summary(chances, np.array([0, 1]), ekman6))
    assert page.get(reverse("training:run", args=[run.pk])).context["confusion"]["rows"] == ekman6
    run.refresh_from_db()
    with pytest.raises(ValidationError, match="six emotions"):
        services.prelabels_ask(run, user=dana)


def test_a_gpu_of_this_machine_shows_no_run_of_another(release, monkeypatch):
    gpu = launch.Gpu("0", "u", "H200", 1000, 0, 0)
    monkeypatch.setattr(launch, "gpus", lambda allowed: [gpu])
    values = {"recipe": "debug", "release": release, "state": "running", "lease": uuid.uuid4(), "device": launch.Device((gpu,), ()).name}
    run = Run.objects.create(**values, host="elsewhere")
    assert selectors.gpu_states() == [selectors.GpuState(gpu, None)]
    Run.objects.filter(pk=run.pk).update(host=socket.gethostname())
    assert selectors.gpu_states() == [selectors.GpuState(gpu, run)]
