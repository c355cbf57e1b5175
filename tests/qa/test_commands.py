"""The reporting commands: the right numbers in every format, nothing else on stdout, one line on refusal."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from annotation.rules.taxonomy import EMOTIONS
from crawler.models import Check, Term
from qa import selectors, services
from qa.models import MosStudy, Release
from tests.factories import VideoFactory
from tests.qa.conftest import COUNTS, WHEN, cast, make_person
from tests.qa.test_crosscheck import answer


def printed(capsys, *arguments, **options) -> str:
    call_command(*arguments, **options)
    return capsys.readouterr().out


@pytest.fixture
def checked(dataset):
    services.cross_check_draw("sA", seed=1)
    answer("sA", wrong={"a0"})


def test_the_report_is_the_same_in_every_format(checked, capsys, tmp_path):
    numbers = json.loads(printed(capsys, "consistency_report", stage="sA", format="json"))
    first = numbers["stages"][0]["groups"][0]
    assert first["intra_group"] == pytest.approx(2 / 3)
    table = printed(capsys, "consistency_report", stage="sA")
    assert "0.667" in table
    assert "Fleiss' κ" in table
    rows = list(csv.reader(io.StringIO(printed(capsys, "consistency_report", stage="sA", format="csv"))))
    assert float(rows[2][2]) == pytest.approx(2 / 3)
    call_command("consistency_report", stage="sA", format="html", out=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<td>0.667</td>" in page
    assert "<script" not in page
    assert capsys.readouterr().out == ""


def test_the_report_of_a_stage_that_was_not_drawn_is_refused(checked):
    with pytest.raises(CommandError, match="stage 'sB' has not been drawn; there is sA"):
        call_command("consistency_report", stage="sB")


def test_the_report_works_before_there_is_anything(db, capsys):
    numbers = json.loads(printed(capsys, "consistency_report", format="json"))
    assert numbers["stages"] == []
    assert numbers["agreement"]["overall"]["fleiss_kappa"]["why"] == "no sample has two votes or more"
    assert "–" in printed(capsys, "consistency_report")


def test_agreement_reads_the_votes_of_the_label_round_only(checked):
    numbers = selectors.agreement_numbers()
    assert (numbers["num_samples"], numbers["num_votes"]) == (37, 111)
    assert 0 < numbers["overall"]["fleiss_kappa"]["value"] < 1
    assert [row["emotion"] for row in numbers["by_emotion"]] == list(COUNTS)
    assert {row["group"] for row in numbers["by_group"]} == set("ABC")
    for row in [*numbers["by_emotion"], *numbers["by_group"], *numbers["by_platform"]]:
        assert set(row["others"]) == {"krippendorff_alpha", "gwet_ac1", "percent_agreement"}
        assert all(found["low"] <= found["value"] <= found["high"] for found in row["others"].values())
    assert sum(row["num_samples"] for row in numbers["by_platform"]) == 37
    assert numbers["confidence"]["mean"] == pytest.approx(0.6)
    assert len(numbers["pairs"]) == 9  # three pairs in each of three groups


def test_the_same_person_again(dataset, groups):
    for sample, emotion in ((dataset[2], None), (dataset[5], "Fear"), (dataset[8], None)):
        person = sample.assignments.get(seat=0).person
        cast(sample, person, emotion or sample.label, round="repeat")
    rows = selectors.intra_annotator()
    assert sum(row["num_samples"] for row in rows) == 3
    assert sum(row["same"] * row["num_samples"] for row in rows) == pytest.approx(2)


def test_a_label_that_only_a_careless_member_supports_is_worth_a_second_look(dataset, groups):
    rows = selectors.second_look(limit=5)
    assert all(row["belief"] < 0.5 and row["instead"] != row["label"] for row in rows)
    assert len(rows) <= 5


def test_statistics_count_every_label_once(dataset, capsys):
    numbers = json.loads(printed(capsys, "dataset_statistics", format="json"))
    assert {row["emotion"]: row["videos"] for row in numbers["emotions"]} == COUNTS | {"Overall": 37}
    assert sum(row["labelled"] for row in numbers["platforms"][:-1]) == numbers["platforms"][-1]["labelled"] == 37
    assert sum(row["videos"] for row in numbers["label_platform_month"]) == 37
    assert sum(numbers["durations"]["videos"]) == 37
    assert len(numbers["adjectives"]) == 62
    assert numbers["topics"][0] == {"word": "clip", "videos": 37}


def test_statistics_are_written_as_tables_and_figures(dataset, tmp_path, capsys):
    call_command("dataset_statistics", out=tmp_path)
    assert len(list(tmp_path.glob("*.csv"))) == 7
    light, dark = (tmp_path / f"durations-{theme}.svg" for theme in ("light", "dark"))
    assert light.read_text().startswith("<?xml")
    assert light.read_text() != dark.read_text()
    assert "statistics.txt" in {path.name for path in tmp_path.iterdir()}


def test_figures_are_the_same_bytes_from_the_same_numbers(dataset, tmp_path):
    for folder in ("a", "b"):
        call_command("dataset_statistics", out=tmp_path / folder)
    for path in (tmp_path / "a").glob("*.svg"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_statistics_of_nothing_are_zeros(db, capsys):
    numbers = json.loads(printed(capsys, "dataset_statistics", format="json"))
    assert numbers["emotions"][-1]["videos"] == 0
    assert "Overall" in printed(capsys, "dataset_statistics")


def test_the_simulation_prints_json_only(db, capsys, tmp_path):
    found = json.loads(printed(capsys, "simulate_protocol", samples=2000, seed=4, format="json", out=tmp_path))
    assert found["num_samples"] == 2000
    assert {row["protocol"] for row in found["rows"]} >= {"ladder", "majority of 3", "adaptive stopping at equal votes"}
    assert (tmp_path / "protocols-dark.svg").is_file()
    again = json.loads(printed(capsys, "simulate_protocol", samples=2000, seed=4, format="json"))
    assert again["rows"] == found["rows"]


@pytest.mark.parametrize(("options", "words"), [({"samples": 0}, "--samples must be"), ({"member_ability": 1.5}, "member_ability")])
def test_the_simulation_refuses_nonsense(db, options, words):
    with pytest.raises(CommandError, match=words):
        call_command("simulate_protocol", **{"samples": 100} | options)


@pytest.mark.django_db
def test_lineage_tells_which_file_a_clip_was_and_by_what_right(capsys):
    VideoFactory(number=7, platform="other", platform_id="tape-7", rule_version="", raw={"file": "day 1/a.mp4", "basis": "consent"})
    assert json.loads(printed(capsys, "lineage", "7", format="json"))["video"]["brought"] == "day 1/a.mp4 · consent"
    VideoFactory(number=8, rule_version="tiktok/video.1", raw={"file": "of the page"})
    assert json.loads(printed(capsys, "lineage", "8", format="json"))["video"]["brought"] is None


def test_lineage_names_term_checks_votes_and_releases(dataset, tmp_path, capsys):
    video = dataset[4].video
    video.term = Term.objects.create(platform=video.platform, text="dance", first_stage=video.stage)
    video.save()
    Check.objects.create(video=video, name="duration", verdict="pass", version=2)
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    found = json.loads(printed(capsys, "lineage", "5", format="json"))
    assert (found["video"]["term"], found["video"]["page"]) == ("dance", video.url)
    assert found["checks"][0] | {"at": ""} == {"check": "duration", "version": 2, "verdict": "pass", "reason": "", "at": ""}
    assert [vote["rung"] for vote in found["votes"]] == ["member"] * 3
    assert found["votes"][0]["at"] > f"{WHEN:%Y-%m-%d}"
    assert [row["release"] for row in found["releases"]] == [release.name]
    assert "dance" in printed(capsys, "lineage", "00000005.mp4")
    assert json.loads(printed(capsys, "lineage", video.platform_id, format="json")) == found
    with pytest.raises(CommandError, match="no video is called 'nobody'"):
        call_command("lineage", "nobody")


# --- datasets from elsewhere, MOS --------------------------------------------------------------------------------


def test_a_release_comes_back_in_as_it_went_out(dataset, tmp_path, capsys):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    call_command("import_dataset", str(release.folder), name="again", out=tmp_path / "in")
    again = Release.objects.get(name="again")
    assert again.counts == release.counts
    call_command("import_dataset", str(release.folder), name="again", out=tmp_path / "in")
    assert Release.objects.filter(name="again").count() == 1


def test_parquet_comes_in_with_its_splits_and_bytes(db, tmp_path):
    for split, labels in (("train", ["Sad", "Fear"]), ("test", ["Neutral"])):
        rows = {
            "video_data": [f"{split} {label}".encode() for label in labels],
            "name": [f"{i:08d}.mp4" for i, _ in enumerate(labels, start=len(split))],
            "label": labels,
        }
        pq.write_table(pa.table(rows), tmp_path / f"{split}-00000-of-00001.parquet")
    release = services.dataset_import(tmp_path, name="older eMotions", out_dir=tmp_path / "in")
    assert (release.name, release.counts["train"]["Sadness"], release.counts["test"]["Neutral"]) == ("older-emotions", 1, 1)
    assert {path.read_bytes() for path in release.folder.rglob("*.mp4")} == {b"train Sad", b"train Fear", b"test Neutral"}


def test_a_folder_per_class_gets_a_split(db, tmp_path):
    for label in ("anger", "joy"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for i in range(10):
            (tmp_path / "set" / label / f"{i}.webm").write_bytes(f"{label}{i}".encode())
    release = services.dataset_import(tmp_path / "set", name="Ekman", out_dir=tmp_path / "in")
    assert release.counts == {"train": {"anger": 8, "joy": 8}, "test": {"anger": 2, "joy": 2}}


@pytest.mark.parametrize(
    "content", [{}, {"notes.txt": "hello"}, {"train/metadata.jsonl": '{"file_name": "../../etc/passwd", "label": "Fear"}\n'}]
)
def test_a_folder_without_a_dataset_is_refused(db, tmp_path, content):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(CommandError, match=r"holds no dataset|is not a file of this folder"):
        call_command("import_dataset", str(folder), out=tmp_path / "in")
    assert not Release.objects.exists()


def test_a_study_is_drawn_rated_and_reported(dataset, tmp_path, capsys):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    call_command("mos_sample", "pilot", release.name, total=8, seed=2)
    study = MosStudy.objects.get(name="pilot")
    experts = [make_person(f"expert{i}", role="expert") for i in range(2)]
    for i, item in enumerate(study.items.all()):
        for expert, score in zip(experts, (5 - i % 2, 3), strict=True):
            services.mos_rate(item, expert, score=score)
    numbers = selectors.mos_numbers(study)
    assert numbers["datasets"][0]["mean"] == pytest.approx((4.5 + 3) / 2)
    assert [row["bias"] for row in numbers["raters"]] == pytest.approx([1.5, -1.5])
    call_command("mos_report", "pilot", out=tmp_path)
    assert (tmp_path / "mos-light.svg").is_file()
    assert "3.750" in capsys.readouterr().out
    with pytest.raises(CommandError, match="exists already"):
        call_command("mos_sample", "pilot", release.name)
    with pytest.raises(CommandError, match="no release is called x"):
        call_command("mos_sample", "other", "x")


@pytest.mark.parametrize("model", ["dawid_skene", "mace"])
def test_a_second_opinion_names_people_and_labels(dataset, capsys, model):
    found = json.loads(printed(capsys, "second_opinion", model=model, format="json"))
    assert (len(found["people"]), sum(row["votes"] for row in found["people"])) == (9, 111)
    assert all(0 <= row["ability"] <= 1 for row in found["people"])
    assert "Ability of each person" in printed(capsys, "second_opinion", model=model)


def test_a_second_opinion_is_written_whole(dataset, capsys, tmp_path):
    printed(capsys, "second_opinion", out=tmp_path / "opinions")
    tables = {name: pq.read_table(tmp_path / "opinions" / f"{name}.parquet").to_pylist() for name in ("people", "samples")}
    assert (len(tables["people"]), len(tables["samples"])) == (9, 37)
    assert set(tables["people"][0]) == {"person", "votes", "ability_dawid_skene", "ability_glad", "ability_mace"}
    for row in tables["samples"]:
        for model in ("dawid_skene", "glad", "mace"):
            assert sum(row[f"{model}_{emotion}"] for emotion in EMOTIONS) == pytest.approx(1, abs=1e-5)
    for name, rows in tables.items():
        lines = (tmp_path / "opinions" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert (lines[0].split(","), len(lines)) == (list(rows[0]), len(rows) + 1)
    assert len(list((tmp_path / "opinions").iterdir())) == 4
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="choose a place that can be written"):
        call_command("second_opinion", out=tmp_path / "file")
