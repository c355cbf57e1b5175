"""The pages and routes: who may open them, what they show empty and full, and that they change nothing when read."""

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from annotation.models import Assignment
from qa import services
from qa.models import AdjustmentStep, ConsistencyReport, CrossCheckSet, MosRating, Release
from tests.qa.conftest import make_person
from tests.qa.test_crosscheck import answer

PAGES = ["/quality/", "/dataset/", "/dataset/lineage/", "/mos/"]
MAY = {
    "annotator": [403, 403, 403, 403],
    "expert": [403, 403, 403, 200],
    "manager": [200, 200, 200, 403],
    "data_engineer": [403, 200, 200, 403],
    "researcher": [200, 200, 403, 403],
}


def client_of(role: str) -> Client:
    client = Client()
    client.force_login(make_person(f"the-{role}", role=role).user)
    return client


@pytest.mark.parametrize("role", MAY)
def test_each_role_opens_what_it_may(db, role):
    client = client_of(role)
    assert [client.get(page).status_code for page in PAGES] == MAY[role]


@pytest.mark.parametrize("page", [*PAGES, "/api/v1/reports/consistency", "/api/v1/releases"])
def test_strangers_are_sent_away(db, client, page):
    assert client.get(page).status_code in {302, 401, 403}


def test_empty_pages_say_what_would_fill_them(db):
    manager = client_of("manager")
    assert "Nothing has been measured yet" in manager.get("/quality/").content.decode()
    page = manager.get("/dataset/").content.decode()
    assert "No video has a label yet" in page
    assert "export_variants" in page


@pytest.fixture
def measured(dataset):
    services.cross_check_draw("sA", seed=1)
    answer("sA", wrong={"a0", "a1"})
    services.swap_propose("sA")
    return services.report_make()


def test_the_quality_page_shows_scores_swaps_and_doubts(measured):
    manager = client_of("manager")
    page = manager.get("/quality/").content.decode()
    for words in ("Gwet&#x27;s AC1", "Cross-check sA", "Confirm the swap", "ratios-sA", "Where labels were decided"):
        assert words in page
    assert "style=" not in page
    assert "onclick" not in page
    assert "Confirm the swap" not in client_of("researcher").get("/quality/").content.decode()


def test_every_number_of_a_set_opens_its_rows(measured):
    manager = client_of("manager")
    row = CrossCheckSet.objects.filter(items__isnull=False).first()
    page = manager.get(reverse("qa:rows", args=["sA", row.reviewer.letter, row.index]))
    assert page.status_code == 200
    assert page.content.decode().count('<tr><th scope="row"') == row.items.count()
    assert manager.get(reverse("qa:rows", args=["sA", "Z", 0])).status_code == 404


def test_measuring_is_asked_for_and_kept_once(dataset):
    manager = client_of("manager")
    assert manager.get("/quality/measure").status_code == 405
    services.report_make()
    services.report_make()
    assert ConsistencyReport.objects.count() == 1  # nothing had changed


def test_a_swap_is_confirmed_by_a_manager_only(measured):
    step = AdjustmentStep.objects.get(state="proposed")
    url = reverse("qa:step", args=[step.pk, "apply"])
    assert client_of("researcher").post(url).status_code == 403
    assert client_of("manager").get(url).status_code == 405
    assert AdjustmentStep.objects.get(pk=step.pk).state == "proposed"
    manager = Client()
    manager.force_login(User.objects.get(username="the-manager"))
    assert manager.post(url).status_code == 302
    step.refresh_from_db()
    assert (step.state, step.confirmed_by.username) == ("applied", "the-manager")
    assert manager.post(reverse("qa:step", args=[step.pk, "shout"])).status_code == 404
    assert "already applied" in manager.post(url, follow=True).content.decode()


def test_the_dataset_page_shows_the_tables_and_releases(dataset, tmp_path):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    manager = client_of("manager")
    page = manager.get("/dataset/").content.decode()
    assert "Tab. II" in page
    assert release.name in page
    assert manager.get(reverse("qa:release", args=[release.name])).content.decode().count("Datasheet") == 1
    csv = manager.get("/dataset/tables/table-2-emotions.csv").content.decode()
    assert csv.splitlines()[1].startswith("Excitation,11,")
    assert manager.get("/dataset/tables/nothing.csv").status_code == 404


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_vector_graphics_without_scripts(dataset, theme):
    manager = client_of("manager")
    for name in ("emotions", "durations", "topics"):
        response = manager.get(f"/dataset/figures/{name}.svg?theme={theme}")
        assert response["Content-Type"] == "image/svg+xml"
        assert b"<svg" in response.content
        assert b"<script" not in response.content
    assert manager.get("/dataset/figures/emotions.svg?theme=pink").status_code == 404


def test_verifying_keeps_what_it_finds(dataset, tmp_path):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    (release.folder / "README.md").write_text("changed")
    assert len(services.release_check(release.pk)) == 1
    page = client_of("manager").get(reverse("qa:release", args=[release.name])).content.decode()
    assert "no longer what was written" in page
    assert "README.md" in page


def test_two_releases_are_compared(dataset, tmp_path):
    first = services.release_make(variant="all", out_dir=tmp_path / "a", seed=1)
    second = services.release_make(variant="all", out_dir=tmp_path / "b", seed=2)
    page = client_of("manager").get(reverse("qa:release_diff", args=[first.name]), {"with": second.name}).content.decode()
    assert "split" in page


def test_lineage_goes_back_to_the_page_and_on_to_the_releases(dataset, tmp_path):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    video = dataset[2].video
    page = client_of("manager").get("/dataset/lineage/", {"video": "00000003.mp4"}).content.decode()
    for words in (video.url, release.name, video.platform_id):
        assert words in page
    assert client_of("data_engineer").get("/dataset/lineage/", {"video": "999"}).status_code == 404


def test_the_front_page_draws_the_funnel_and_knows_what_waits(dataset, groups):
    from qa.views import home

    assert callable(home)
    client = Client()
    client.force_login(groups["A"][0].user)
    Assignment.objects.create(sample=dataset[0], person=groups["A"][0], round="sA")
    page = client.get("/").content.decode()
    assert "1 clip waits for your label" in page
    assert '"values": [37, 37, 37, 37, 0]' in page


def test_the_api_answers_the_last_report_and_the_releases(measured, tmp_path):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    researcher = client_of("researcher")
    report = researcher.get("/api/v1/reports/consistency").json()
    assert report["numbers"]["stages"][0]["stage"] == "sA"
    assert researcher.get("/api/v1/reports/consistency?stage=sZ").status_code == 404
    rows = researcher.get("/api/v1/releases").json()["results"]
    assert [(row["name"], row["is_current"]) for row in rows] == [(release.name, True)]
    assert "path" not in rows[0]
    assert client_of("annotator").get("/api/v1/releases").status_code == 403


# --- MOS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(dataset, tmp_path):
    for label in ("Joy", "Excited"):
        (tmp_path / "ekman" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "ekman" / label / f"{label}-{i}.mp4").write_bytes(f"{label} {i}".encode())
    ours = services.release_make(variant="all", out_dir=tmp_path / "ours", seed=1)
    theirs = services.dataset_import(tmp_path / "ekman", name="Ekman6", out_dir=tmp_path / "imported")
    return services.mos_sample("pilot", [ours, theirs], seed=3, total=10)


def test_an_expert_rates_blind_clip_after_clip(study):
    expert = client_of("expert")
    assert [item.dataset for item in study.items.all()].count("ekman6") == 5
    for done in range(10):
        page = expert.get("/mos/pilot/").content.decode()
        assert f"{done} of 10 rated" in page
        assert "ekman" not in page.lower()
        item = study.items.exclude(ratings__isnull=False).order_by("order").first()
        clip = expert.get(f"/mos/clips/{item.pk}")
        assert b"".join(clip.streaming_content) == (item.release.folder / item.file).read_bytes()
        expert.post("/mos/pilot/", {"item": item.pk, "score": 1 + done % 5})
    assert "You have rated every clip" in expert.get("/mos/pilot/").content.decode()
    assert MosRating.objects.count() == 10


@pytest.mark.parametrize("score", ["0", "6", "", "five", "-1"])
def test_a_score_outside_the_scale_is_refused(study, score):
    expert, item = client_of("expert"), study.items.first()
    assert "1 (bad)" in expert.post("/mos/pilot/", {"item": item.pk, "score": score}, follow=True).content.decode()
    assert not MosRating.objects.exists()


def test_an_imported_dataset_is_a_release_that_verifies(study):
    release = Release.objects.get(name="ekman6")
    assert services.release_verify(release.folder) == []
    rows = [json.loads(line) for line in (release.folder / "train" / "metadata.jsonl").read_text().splitlines()]
    assert {row["label"] for row in rows} == {"Joy", "Excitation"}
    assert rows[0]["original"].endswith(".mp4")
