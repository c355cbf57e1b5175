"""The pages and routes: who may open them, what they show empty and full, and that they change nothing when read."""

import io
import json
import re
import tarfile
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from annotation.models import Assignment, Delivery, Webhook
from annotation.rules.taxonomy import EMOTIONS
from crawler.models import Video
from crawler.services import clips_keep
from qa import selectors, services, tasks
from qa.models import AdjustmentStep, ConsistencyReport, CrossCheckSet, MosRating, Release, ReleaseJob, SimulationJob
from qa.rules.protocol import Settings
from tests.qa.conftest import make_person
from tests.qa.test_crosscheck import answer

PAGES = ["/quality/", "/quality/design/", "/dataset/", "/dataset/lineage/", "/mos/"]
MAY = {
    "annotator": [403, 403, 403, 403, 403],
    "expert": [403, 403, 403, 403, 200],
    "manager": [200, 200, 200, 200, 403],
    "data_engineer": [403, 403, 200, 200, 403],
    "researcher": [200, 200, 200, 403, 403],
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
    assert "month-data" in page
    assert release.name in page
    assert manager.get(reverse("qa:release", args=[release.name])).content.decode().count("Datasheet") == 1
    csv = manager.get("/dataset/tables/table-2-emotions.csv").content.decode()
    assert csv.splitlines()[1].startswith("Excitation,11,")
    assert manager.get("/dataset/tables/nothing.csv").status_code == 404


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_vector_graphics_without_scripts(dataset, theme):
    manager = client_of("manager")
    for name in ("emotions", "durations", "topics", "months", "adjectives"):
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


def test_the_card_is_shown_formatted_and_brings_no_code(dataset, tmp_path):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    url = reverse("qa:release", args=[release.name])
    manager = client_of("manager")
    page = manager.get(url).content.decode()
    assert "<h4>Columns</h4>" in page
    assert '<th class="num">videos</th>' in page
    assert "pretty_name" not in page
    assert "style=" not in page
    (release.folder / "README.md").write_text("<script>x()</script> [click](javascript:x())")
    page = manager.get(url).content.decode()
    assert "&lt;script&gt;x()" in page
    assert 'href="javascript' not in page


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


def test_a_manager_sees_the_scores_of_a_study(study):
    manager, expert = client_of("manager"), make_person("eva", role="expert")
    assert "No clip is rated yet" in manager.get("/quality/").content.decode()
    for item in study.items.all():
        services.mos_rate(item, expert, score=5 if item.dataset == "ekman6" else 3)
    page = manager.get("/quality/").content.decode()
    assert dict(zip(*(drawn_of(page, "mos-pilot")[key] for key in ("labels", "values")), strict=True)) == {"eMotions": 3.0, "ekman6": 5.0}
    table = manager.get("/quality/tables/mos-pilot.csv").content.decode()
    assert "ekman6,5,5.0" in table


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


# --- swaps drawn, members replaced -------------------------------------------------------------------------------


def drawn_of(page, name):
    return json.loads(re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', page)[1])


def test_the_moves_are_drawn_with_what_they_did(measured):
    step = AdjustmentStep.objects.get(state="proposed")
    assert "swaps-sA" not in client_of("researcher").get("/quality/").content.decode()  # nobody has moved yet
    services.swap_apply(step.pk, user=None)
    answer("sA.1")
    data = drawn_of(client_of("manager").get("/quality/").content.decode(), "swaps-sA")
    assert (data["lanes"], len(data["steps"]), len(data["people"])) == (["A", "B", "C"], 2, 9)
    moved = {one["name"]: one["lanes"] for one in data["people"] if len(set(one["lanes"])) == 2}
    assert set(moved) == {str(step.high), str(step.low)}
    before, after = step.numbers["inter_group"], selectors.stage_scores("sA").inter_groups
    for lane in "ABC":
        assert [notes[0] for notes in data["notes"][lane]] == [f"S_r {before[lane]:.2f}", f"S_r {after[lane]:.2f}"]


def test_a_manager_replaces_a_member_on_the_page(measured, groups):
    manager = client_of("manager")
    services.swap_reject(AdjustmentStep.objects.get(state="proposed").pk, user=None)
    assert "Nobody in the reserve fits" in manager.get("/quality/").content.decode()
    newcomer = make_person("newcomer", gender=groups["B"][0].gender)
    url, leaver = reverse("qa:replace", args=["sA"]), groups["B"][0]
    assert f"{leaver} → {newcomer}" in manager.get("/quality/").content.decode()
    assert "Give a reason" in manager.post(url, {"person": leaver.pk, "reason": " "}, follow=True).content.decode()
    assert "is no member" in manager.post(url, {"person": "x", "reason": "ill"}, follow=True).content.decode()
    page = manager.post(url, {"person": leaver.pk, "reason": "ill"}, follow=True).content.decode()
    assert f"{newcomer} takes the place of {leaver}" in page
    assert [one["lanes"] for one in drawn_of(page, "swaps-sA")["people"] if one["name"] == str(newcomer)] == [[None, "B"]]


# --- releases made on the site -----------------------------------------------------------------------------------

ASKED = {"seed": "3", "excitation": "5", "neutral": "4", "test_size": "20", "clips": "link"}


@pytest.fixture
def engineer(settings, tmp_path):
    settings.RELEASES_DIR = tmp_path / "releases"
    return client_of("data_engineer")


def test_a_release_is_made_on_the_site_and_downloaded(dataset, engineer, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answered = engineer.post("/dataset/make/", ASKED | {"variants": ["all", "balanced"], "formats": ["csv"]})
    assert answered.status_code == 302
    jobs = {job.variant: job for job in ReleaseJob.objects.all()}
    assert {job.state for job in jobs.values()} == {"done"}
    made = jobs["balanced"].release
    assert (jobs["balanced"].clips_done, jobs["balanced"].created_by.username) == (jobs["balanced"].clips_total, "the-data_engineer")
    assert sum(made.counts["train"].values()) + sum(made.counts["test"].values()) == 5 + 4 + 17
    assert services.release_verify(made.folder) == []
    page = engineer.get("/dataset/make/").content.decode()
    assert made.name in page
    assert 'data-live=""' in page
    answered = engineer.get(reverse("qa:release_download", args=[made.name]))
    content = b"".join(answered.streaming_content)
    assert len(content) == int(answered["Content-Length"])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        clip = next(name for name in names if name.endswith(".mp4"))
        assert archive.extractfile(f"{made.name}/{clip}").read() == (made.folder / clip).read_bytes()
    assert names == {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()}


def test_too_few_videos_is_said_in_the_page(dataset, engineer, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        engineer.post("/dataset/make/", ASKED | {"variants": ["test"], "test_size": "500"})
    job = ReleaseJob.objects.get()
    assert (job.state, job.release) == ("failed", None)
    assert "37 of 500 videos" in engineer.get("/dataset/make/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        engineer.post("/dataset/make/", ASKED | {"variants": ["test"], "test_size": "500", "allow_short": "on"})
    assert ReleaseJob.objects.first().release.counts["test"]


@pytest.mark.parametrize("wrong", [{"seed": "-1"}, {"variants": []}, {"variants": ["half"]}, {"clips": "gold"}, {"test_size": "0"}])
def test_a_wrong_form_starts_nothing(dataset, engineer, wrong):
    answered = engineer.post("/dataset/make/", ASKED | {"variants": ["all"]} | wrong)
    assert answered.status_code == 400
    assert "errorlist" in answered.content.decode()
    assert not ReleaseJob.objects.exists()


def test_the_same_release_is_not_kept_twice_and_a_job_that_is_over_stays(dataset, engineer, settings):
    first, second = (services.releases_ask(["all"], seed=1)[0] for _ in range(2))
    made = services.release_job_run(first.pk)
    assert services.release_job_run(second.pk) == made
    assert services.release_job_run(first.pk) is None
    assert [path.name for path in (settings.RELEASES_DIR / "site").iterdir()] == [str(first.pk)]
    assert made.folder.is_dir()


def test_a_job_whose_worker_died_begins_again(dataset, engineer, settings):
    job = services.releases_ask(["all"], seed=1)[0]
    ReleaseJob.objects.filter(pk=job.pk).update(state="running", alive_at=timezone.now())
    assert services.release_job_run(job.pk) is None, "another worker is at it"
    assert services.jobs_lost() == ([], [])
    ReleaseJob.objects.filter(pk=job.pk).update(alive_at=timezone.now() - timedelta(hours=1))
    assert services.jobs_lost() == ([job.pk], [])
    half = settings.RELEASES_DIR / "site" / str(job.pk) / ".all.draft"
    half.mkdir(parents=True)
    assert services.release_job_run(job.pk) is not None
    assert not half.exists()


def test_a_job_waits_while_the_store_of_the_clips_is_away(dataset, engineer, store, settings):
    clips_keep()
    for sample in dataset:
        sample.video.path.unlink()
    job = services.releases_ask(["all"], seed=1)[0]
    with store.refusing(503):
        assert services.release_job_run(job.pk) is None
    job.refresh_from_db()
    assert (job.state, "answers 503" in job.problem) == ("waiting", True)
    ReleaseJob.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert tasks.resume_lost_jobs() == 1
    job.refresh_from_db()
    assert (job.state, job.problem) == ("done", "")


def test_a_job_asked_for_while_the_broker_is_away_is_sent_later(dataset, engineer, monkeypatch, django_capture_on_commit_callbacks):
    def away(*args, **options):
        raise OperationalError("no broker")

    with monkeypatch.context() as broken, django_capture_on_commit_callbacks(execute=True):
        broken.setattr(tasks.make_release, "apply_async", away)
        assert engineer.post("/dataset/make/", ASKED | {"variants": ["all"]}).status_code == 302
    assert services.jobs_lost() == ([], []), "its message may still come"
    ReleaseJob.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert tasks.resume_lost_jobs() == 1
    assert ReleaseJob.objects.get().state == "done"


def test_what_was_taken_down_is_not_handed_out(dataset, engineer, tmp_path):
    made = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    url = reverse("qa:release_download", args=[made.name])
    video = Video.objects.filter(pk=dataset[0].video_id)
    video.update(state="dropped", number=None)
    assert "1 of its videos were taken down" in engineer.get(url, follow=True).content.decode()
    video.update(state="accepted", number=dataset[0].video.number)
    (made.folder / "README.md").unlink()
    assert "README.md" in engineer.get(url, follow=True).content.decode()


# --- design before hiring ------------------------------------------------------------------------------------------

TRIAL = {
    "num_samples": "600", "seed": "4", "num_groups": "3", "member_ability": "0.7", "leader_ability": "0.8", "expert_ability": "0.9",
    "spread": "0.05", "confusion": "1.5", "hard_share": "0.2", "mix": "paper",
}  # fmt: skip


def numbers_of(page):
    return {name: json.loads(text) for name, text in re.findall(r'id="(\w+-data)" type="application/json">(.*?)</script>', page)}


def test_a_protocol_is_tried_in_the_background_and_drawn(db, django_capture_on_commit_callbacks):
    manager = client_of("manager")
    assert "Nothing has been tried yet" in manager.get("/quality/design/").content.decode()
    with django_capture_on_commit_callbacks() as sent:
        answered = manager.post("/quality/design/", TRIAL)
    job = SimulationJob.objects.get()
    assert (answered.url, job.state, job.created_by.username) == (f"/quality/design/?trial={job.pk}", "waiting", "the-manager")
    assert 'data-live="1"' in manager.get(answered.url).content.decode()
    assert services.jobs_lost() == ([], [])
    for send in sent:
        send()
    page = manager.get(answered.url).content.decode()
    drawn = numbers_of(page)
    job.refresh_from_db()
    assert [point["y"] for point in drawn["points-data"]["points"]] == [row["accuracy"] for row in job.numbers["rows"]]
    assert sum(drawn["rungs-data"]["values"]) == pytest.approx(1)
    again = services.simulation_numbers(600, Settings(hard_share=0.2, member_ability=0.7, spread=0.05), seed=4)
    assert again == job.numbers, "the seed alone decides"
    table = manager.get(f"/quality/design/{job.pk}/protocols.csv").content.decode().splitlines()
    assert (len(table), table[1].split(",")[0]) == (8, "ladder")
    assert manager.get(f"/quality/design/{job.pk}/votes.csv").status_code == 404
    assert services.simulation_run(job.pk) is None


@pytest.mark.parametrize(
    "wrong",
    [{"num_samples": "99"}, {"num_samples": "1000000"}, {"member_ability": "1"}, {"num_groups": "1"}, {"mix": "own"}, {"mix": "data"}],
)
def test_a_trial_that_cannot_be_is_refused(db, wrong):
    shares = {f"mix_{emotion}": "0" for emotion in EMOTIONS}
    answered = client_of("manager").post("/quality/design/", TRIAL | shares | wrong)
    assert answered.status_code == 400
    assert "errorlist" in answered.content.decode()
    assert not SimulationJob.objects.exists()


def test_people_and_classes_come_from_the_data_when_asked(dataset, monkeypatch):
    monkeypatch.setattr("qa.selectors.opinions.LEAST_VOTES", 5)
    job = services.simulation_ask(num_samples=500, seed=1, settings=Settings(), people_from_data=True, mix_from_data=True)
    assert job.settings["class_mix"] == selectors.class_mix() == [11, 2, 9, 6, 4, 5]
    done = services.simulation_run(job.pk)
    assert done.state == "done", done.problem
    assert done.numbers["measured"] == {"member": 9}
    page = client_of("researcher").get("/quality/design/").content.decode()
    assert "9 members" in page


def test_a_trial_whose_worker_died_begins_again(db):
    job = services.simulation_ask(num_samples=100, seed=1, settings=Settings())
    SimulationJob.objects.update(state="running", alive_at=timezone.now() - timedelta(hours=1))
    assert tasks.resume_lost_jobs() == 1
    job.refresh_from_db()
    assert job.state == "done"


# --- behind the numbers -------------------------------------------------------------------------------------------


def num_rows(page):
    return page.content.decode().count('<tr><th scope="row"')


def test_a_number_of_agreement_opens_its_labels(measured, dataset, groups):
    manager, by_group = client_of("manager"), {row["group"]: row for row in measured.numbers["agreement"]["by_group"]}
    assert num_rows(manager.get("/quality/labels/", {"group": "B"})) == by_group["B"]["num_samples"] == 13
    ladder = {(row["rung"], row["emotion"]): row["videos"] for row in measured.numbers["agreement"]["ladder"]}
    assert num_rows(manager.get("/quality/labels/", {"rung": "member", "emotion": "Tension"})) == ladder["member", "Tension"] == 5
    pair = measured.numbers["agreement"]["pairs"][0]
    page = manager.get("/quality/labels/", {"people": ",".join(map(str, pair["people"]))})
    assert num_rows(page) == pair["num_samples"]
    assert pair["first"] in page.content.decode()
    at_half = next(row for row in measured.numbers["agreement"]["confidence"]["bins"] if row["from"] == 0.5)
    assert num_rows(manager.get("/quality/labels/", {"confidence": "0.5"})) == at_half["votes"] == 37
    assert num_rows(manager.get("/quality/labels/", {"month": "2026-05"})) == 37
    assert num_rows(manager.get("/quality/labels/", {"month": "2026-04"})) == 0
    assert num_rows(manager.get("/quality/labels/", {"platform": dataset[0].video.platform})) > 0


@pytest.mark.parametrize("query", [{"month": "2026-13"}, {"people": "1;2"}, {"emotion": "Joy"}, {"confidence": "2"}, {"rung": "boss"}])
def test_a_question_that_makes_no_sense_is_no_page(db, query):
    assert client_of("manager").get("/quality/labels/", query).status_code == 404


def test_each_outcome_of_a_set_opens_its_rows(measured):
    manager, groups = client_of("manager"), measured.numbers["stages"][0]["groups"]
    found = next((group["group"], row) for group in groups for row in group["sets"] if row["different"])
    url = reverse("qa:rows", args=["sA", found[0], found[1]["index"]])
    for outcome in ("consistent", "different", "undecided", "waiting"):
        assert num_rows(manager.get(url, {"only": outcome})) == found[1][outcome]
    assert manager.get(url, {"only": "odd"}).status_code == 404


def test_a_consistency_ratio_opens_its_rows(measured):
    manager = client_of("manager")
    member = measured.numbers["stages"][0]["groups"][1]["members"][0]
    page = manager.get(reverse("qa:ratio", args=["sA", member["person"], "Neutral"]))
    counted = page.content.decode().count(">as the label<") + page.content.decode().count(">differently<")
    assert counted == member["counts"]["Neutral"]
    assert manager.get(reverse("qa:ratio", args=["sA", 999_999, "Neutral"])).status_code == 404
    assert manager.get(reverse("qa:ratio", args=["sA", member["person"], "Joy"])).status_code == 404


def test_every_table_of_the_page_is_csv(measured):
    services.opinions_make()
    manager = client_of("manager")
    page = manager.get("/quality/").content.decode()
    links = set(re.findall(r'href="(/quality/tables/[^"]+)"', page))
    assert len(links) >= 12
    for link in links:
        answered = manager.get(link)
        assert (answered.status_code, answered["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert answered.content.decode().count("\n") > 1
    assert manager.get("/quality/tables/nothing.csv").status_code == 404


def test_the_three_models_stand_side_by_side(measured, groups):
    numbers = services.opinions_make().numbers
    assert services.opinions_make().numbers == numbers
    assert ConsistencyReport.objects.filter(stage="opinions").count() == 1  # nothing had changed
    assert {row["person"] for row in numbers["people"]} == {str(person) for people in groups.values() for person in people[:3]}
    assert all(0 <= row[model] <= 1 for row in numbers["people"] for model in ("dawid_skene", "mace"))
    assert all(row["difficulty"] > 0 for row in numbers["hardest"])
    hardness = [row["difficulty"] for row in numbers["hardest"]]
    assert hardness == sorted(hardness, reverse=True)
    page = client_of("manager").get("/quality/").content.decode()
    for words in ("How able each person is", "The hardest clips", "GLAD α"):
        assert words in page


# --- announcements ------------------------------------------------------------------------------------------------


def test_a_report_and_a_release_are_announced_once(dataset, tmp_path):
    Webhook.objects.create(url="https://example.org/hook", events=["report.made", "release.made"], sealed_secret="x")
    report = services.report_make()
    services.report_make()
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    services.release_make(variant="all", out_dir=tmp_path, seed=1)
    told = [json.loads(body) for body in Delivery.objects.order_by("pk").values_list("body", flat=True)]
    assert [row["event"] for row in told] == ["report.made", "release.made"]
    assert told[0]["data"]["report"] == report.pk
    assert told[0]["data"]["agreement"]["fleiss_kappa"] == report.numbers["agreement"]["overall"]["fleiss_kappa"]["value"]
    assert (told[1]["data"]["name"], told[1]["data"]["sha256"]) == (release.name, release.sha256)
