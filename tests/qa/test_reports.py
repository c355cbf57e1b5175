"""What is kept of measurements, and that it is of one moment: reports, opinions as files, the dataset's page of a large collection."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from annotation.models import Sample, Vote
from annotation.rules.taxonomy import EMOTIONS
from crawler.models import Video
from qa import selectors, services, tasks
from qa.export.reports import agreement_tables
from qa.models import ConsistencyReport
from qa.rules import adjustment, agreement
from qa.selectors import votes as vote_arrays
from qa.selectors.reports import kappa_history
from tests.qa.conftest import make_person


def client_of(role: str) -> Client:
    client = Client()
    client.force_login(make_person(f"the-{role}", role=role).user)
    return client


@pytest.fixture
def folder(settings, tmp_path):
    settings.OPINIONS_DIR = tmp_path / "opinions"
    return settings.OPINIONS_DIR


# --- reports ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 20, 36])
def test_a_sample_flagged_out_between_two_readings_is_in_neither(dataset, monkeypatch, place):
    """Its votes were read, its facts were not: others' facts stood beside its votes, or there was an IndexError for the last."""

    def later(read=vote_arrays.sample_facts):
        Sample.objects.filter(pk=dataset[place].pk).update(state="excluded", label="", decided_rung="")
        return read()

    monkeypatch.setattr(vote_arrays, "sample_facts", later)
    numbers = selectors.agreement_numbers()
    assert (numbers["num_samples"], numbers["num_votes"]) == (36, 108)
    assert numbers == selectors.agreement_numbers()


def test_a_slice_has_every_coefficient_with_its_interval(dataset):
    numbers = selectors.agreement_numbers()
    votes, facts = vote_arrays.label_data()
    samples, ratings = votes.matrix()
    mine = agreement.patterns(ratings[facts.group[facts.place(samples)] == "B"], num_categories=6)
    row = next(row for row in numbers["by_group"] if row["group"] == "B")
    assert row["value"] == pytest.approx(agreement.fleiss_kappa(mine))
    assert row["others"]["krippendorff_alpha"]["value"] == pytest.approx(agreement.krippendorff_alpha(mine))
    assert row["others"]["gwet_ac1"]["value"] == pytest.approx(agreement.gwet_ac1(mine))
    table = agreement_tables(numbers)[2]
    assert [line[:2] for line in table.rows[:4]] == [("A", "Fleiss' κ"), ("A", "Krippendorff's α"), ("A", "Gwet's AC1"), ("A", "agreement")]
    for old in numbers["by_group"]:
        del old["others"]  # as a report of before has it
    assert [line[:2] for line in agreement_tables(numbers)[2].rows] == [(letter, "Fleiss' κ") for letter in "ABC"]


def test_the_history_is_the_kappa_of_each_report(dataset):
    assert kappa_history() == []
    first = services.report_make()
    Vote.objects.filter(pk__in=dataset[0].votes.values("pk")[:1]).delete()
    second = services.report_make()
    assert kappa_history() == [report.numbers["agreement"]["overall"]["fleiss_kappa"]["value"] for report in (first, second)]


def test_too_many_groups_for_an_exact_search_are_refused_before_it_begins(monkeypatch):
    people = range(18)
    start = frozenset((person, "ABCDEF"[person // 3]) for person in people)
    monkeypatch.setattr(adjustment, "_allocations", lambda *args: pytest.fail("it began"))
    with pytest.raises(ValueError, match=r"5,388,768,000 allocations: too many groups"):
        adjustment.search_best({}, {person: "F" if person % 3 == 2 else "M" for person in people}, start)


@pytest.mark.parametrize("command", ["consistency_report", "dataset_statistics", "second_opinion", "simulate_protocol"])
def test_a_place_that_cannot_be_written_is_said_in_one_line(dataset, tmp_path, command):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="choose a place that can be written"):
        call_command(command, out=tmp_path / "file" / "there", **({"samples": 500} if command == "simulate_protocol" else {}))


@pytest.mark.parametrize(
    "command",
    [["export_variants", "--out", "x"], ["mos_sample", "s", "r"], ["import_dataset", "."], ["cross_check", "draw", "--stage", "sA"]],
)
def test_a_seed_that_no_row_can_keep_is_refused(db, command):
    for seed in ("-1", str(2**31)):
        with pytest.raises(CommandError, match=r"no release is called|--seed must be 0 to 2,147,483,647"):
            call_command(*command, "--seed", seed)


def test_no_variant_is_no_success(dataset, tmp_path):
    with pytest.raises(CommandError, match="--variants names none"):
        call_command("export_variants", "--variants", ",", out=tmp_path)


# --- second opinions as files -------------------------------------------------------------------------------------


def test_every_opinion_is_downloaded_on_the_site(dataset, folder):
    services.report_make()
    manager = client_of("manager")
    assert manager.get("/quality/opinions/samples.csv").status_code == 404
    tasks.second_opinions()
    page = manager.get("/quality/").content.decode()
    for name in ("samples.csv", "samples.parquet", "people.csv", "people.parquet"):
        assert f"/quality/opinions/{name}" in page
        answer = manager.get(f"/quality/opinions/{name}")
        assert b"".join(answer.streaming_content) == (folder / name).read_bytes()
        assert f'filename="opinions-{name}"' in answer["Content-Disposition"]
    lines = list(csv.DictReader((folder / "samples.csv").read_text(encoding="utf-8").splitlines()))
    assert (len(lines), lines[0]["video"], lines[0]["label"]) == (37, "1", dataset[0].label)
    for model in ("dawid_skene", "glad", "mace"):
        assert np.isclose(sum(float(lines[0][f"{model}_{emotion}"]) for emotion in EMOTIONS), 1, atol=1e-4)
    assert manager.get("/quality/opinions/secret.txt").status_code == 404
    assert client_of("data_engineer").get("/quality/opinions/people.csv").status_code == 403


def test_opinions_about_nothing_are_empty_files(db, folder):
    tasks.second_opinions()
    assert pq.read_table(folder / "samples.parquet").num_rows == 0


# --- the dataset's page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["fetched", "undone"])
def test_the_pages_numbers_are_worked_out_again_when_anything_has_changed(dataset, what):
    """A clip that came in and a vote taken back change tables, though neither labels nor rows become more."""
    before = selectors.dataset_version()
    if what == "fetched":
        Video.objects.first().save(update_fields=["touched_at"])
    else:
        Vote.objects.filter(pk=dataset[0].votes.first().pk).update(undone_at=timezone.now())
    assert selectors.dataset_version() != before


def test_adjectives_of_samples_that_were_flagged_out_are_not_counted(dataset):
    Vote.objects.filter(sample__in=dataset[:2]).update(adjective="calm")
    Sample.objects.filter(pk=dataset[0].pk).update(state="excluded", label="", decided_rung="")
    assert next(row["votes"] for row in selectors.adjective_use() if row["adjective"] == "calm") == 3


def test_a_large_collections_page_shows_what_was_kept_and_works_out_nothing(dataset, monkeypatch):
    assert tasks.dataset_statistics() is False
    monkeypatch.setattr("crawler.selectors.long_lists.LARGE", 0)
    researcher = client_of("researcher")
    assert researcher.get("/dataset/").status_code == 200, "before the first one is kept"
    assert tasks.dataset_statistics() is True
    Sample.objects.filter(pk=dataset[0].pk).update(state="open", label="", decided_rung="")
    assert tasks.dataset_statistics() is True
    assert ConsistencyReport.objects.filter(stage="dataset").count() == 1
    monkeypatch.setattr("qa.selectors.dataset_numbers", lambda: pytest.fail("it was worked out on a page"))
    page = researcher.get("/dataset/").content.decode()
    assert ">36<" in page
    assert "Measured" in page
    assert researcher.get("/dataset/tables/table-2-emotions.csv").content.decode().splitlines()[-1].startswith("Overall,36,")


# --- the card -----------------------------------------------------------------------------------------------------


def test_the_card_says_how_many_votes_saw_a_prediction(dataset, tmp_path):
    plain = services.release_make(variant="all", out_dir=tmp_path / "plain", seed=1, media="none")
    assert "no vote was cast with a network's prediction in sight" in (plain.folder / "README.md").read_text()
    for hint, places in (("seen", (0, 1)), ("unseen", (2, 3, 4)), ("held back", (5,))):
        Vote.objects.filter(pk__in=[dataset[place].votes.first().pk for place in places]).update(prelabel={"run": "r", "hint": hint})
    Vote.objects.filter(pk=dataset[7].votes.first().pk).update(prelabel={"run": "r"})  # it ordered the queue, no more
    hinted = services.release_make(variant="all", out_dir=tmp_path / "hinted", seed=1, media="none")
    assert "2 votes were cast after that prediction was seen, 4 without seeing it" in (hinted.folder / "README.md").read_text()
