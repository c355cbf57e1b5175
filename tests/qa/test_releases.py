"""Releases: whole or not at all, the same bytes from the same data, intact or named, and never what must not be in them."""

import json
import re
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from annotation.models import Sample
from crawler import services as crawler_services
from crawler.models import Term, Video
from qa import export, selectors, services
from qa.export.release import drafted
from qa.models import Release, ReleaseItem
from tests.factories import StageFactory
from tests.qa.conftest import COUNTS

FORMATS = tuple(export.FORMATS)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def make(folder, variant="all", seed=3, **options):
    return services.release_make(variant=variant, out_dir=folder, seed=seed, **options)


@pytest.fixture
def release(dataset, tmp_path):
    return make(tmp_path / "first", formats=FORMATS)


def test_a_release_holds_every_labelled_video_in_its_split(release):
    counts = release.counts
    assert {name: counts["train"][name] + counts["test"][name] for name in COUNTS} == COUNTS
    assert {name: counts["test"][name] for name in COUNTS} == {
        "Excitation": 2, "Fear": 0, "Neutral": 2, "Relaxation": 1, "Sadness": 1, "Tension": 1
    }  # fmt: skip
    assert release.items.count() == 37
    for split in ("train", "test"):
        rows = [json.loads(line) for line in (release.folder / split / "metadata.jsonl").read_text().splitlines()]
        assert [next(iter(row)) for row in rows] == ["file_name"] * len(rows)
        assert all((release.folder / split / row["file_name"]).is_file() for row in rows)
        assert sorted(row["file_name"] for row in rows) == sorted(path.name for path in (release.folder / split).glob("*.mp4"))


def test_a_row_tells_how_its_label_came_about(release, dataset):
    row = export.read_rows(release.folder)["00000003.mp4"]
    assert (row["label"], row["votes"][:2]) == (dataset[2].label, [dataset[2].label] * 2)
    assert row["vote_rungs"] == ["member"] * 3
    assert row["confidences"] == [0.5, 0.6, 0.7]
    assert row["decided_by"] == "member"
    assert sum(row["posterior"]) == pytest.approx(1, abs=1e-3)
    assert len(row["posterior"]) == 6


def test_the_same_data_and_seed_give_the_same_bytes(release, tmp_path):
    again = make(tmp_path / "second", formats=FORMATS)
    assert contents(release.folder) == contents(tmp_path / "second" / "all")
    assert again.pk == release.pk
    assert Release.objects.count() == 1


def test_another_seed_gives_another_split(release, tmp_path):
    other = make(tmp_path / "other", seed=4)
    assert {row["file_name"] for row in export.read_rows(other.folder).values() if row["split"] == "test"} != {
        row["file_name"] for row in export.read_rows(release.folder).values() if row["split"] == "test"
    }


def test_made_again_in_its_place_it_stays_as_it_is(release, tmp_path):
    before = (release.folder / "release.json").stat().st_mtime_ns
    assert make(tmp_path / "first", formats=FORMATS).pk == release.pk
    assert (release.folder / "release.json").stat().st_mtime_ns == before
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["all"]


def test_a_release_is_never_overwritten(release, tmp_path):
    with pytest.raises(ValidationError, match="never overwritten"):
        make(tmp_path / "first", seed=5)
    assert services.release_verify(release.folder) == []


@pytest.mark.parametrize("media", ["link", "copy"])
def test_media_is_linked_or_copied(dataset, media_root, tmp_path, media):
    release = make(tmp_path, media=media)
    clip = next((release.folder / "train").glob("*.mp4"))
    assert (clip.stat().st_nlink > 1) is (media == "link")


def test_without_media_nothing_is_claimed_about_clips(dataset, tmp_path):
    release = make(tmp_path, media="none", formats=("parquet", "shards"))
    assert not list(release.folder.rglob("*.mp4"))
    assert services.release_verify(release.folder) == []
    assert pq.read_table(next((release.folder / "parquet").glob("test-*")))["video_data"].null_count == 7


def test_with_s3_keys_the_clips_stay_in_the_bucket_and_are_looked_for_there(dataset, store, tmp_path):
    crawler_services.clips_keep()
    release = make(tmp_path, media="s3", formats=FORMATS)
    row = export.read_rows(release.folder)["00000003.mp4"]
    assert row["media_key"] == f"s3://clips/emotions/{dataset[2].video.file}"
    assert store.buckets["clips"][row["media_key"].removeprefix("s3://clips/")] == dataset[2].video.path.read_bytes()
    assert not list(release.folder.rglob("*.mp4"))
    assert pq.read_table(next((release.folder / "parquet").glob("test-*")))["media_key"].null_count == 0
    assert "`media_key`" in (release.folder / "README.md").read_text()
    assert services.release_verify(release.folder) == []
    with store.refusing(403):
        assert services.release_verify(release.folder)[0].startswith("its clips cannot be checked now: ")
    del store.buckets["clips"][f"emotions/{dataset[2].video.file}"]
    assert services.release_verify(release.folder) == [
        f"train/00000003.mp4: {row['media_key']} is not there with {dataset[2].video.size_bytes:,} bytes"
    ]


def test_clips_are_brought_from_the_bucket_for_a_release_with_media(dataset, store, tmp_path):
    crawler_services.clips_keep()
    for sample in dataset:
        sample.video.path.unlink()
    with store.refusing(503), pytest.raises(CommandError, match=r"all: s3://clips/.* answers 503 .* run it again"):
        call_command("export_variants", out=tmp_path / "out", variants=["all"])
    assert not Release.objects.exists()
    release = make(tmp_path, media="copy")
    assert len(list(release.folder.rglob("*.mp4"))) == 37
    assert services.release_verify(release.folder) == []


def test_verify_finds_nothing_wrong_with_a_fresh_release(release):
    assert services.release_verify(release.folder) == []


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # a linked clip shares its bytes with the store
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["README.md", "croissant.json", "train/metadata.jsonl", "lists/classInd.txt", "clip", "parquet", "shard"])
def test_verify_catches_a_flipped_bit(release, name):
    path = {
        "clip": lambda: next((release.folder / "test").glob("*.mp4")),
        "parquet": lambda: next((release.folder / "parquet").iterdir()),
        "shard": lambda: next((release.folder / "shards").iterdir()),
    }.get(name, lambda: release.folder / name)()
    flip(path)
    assert services.release_verify(release.folder) == [f"{path.relative_to(release.folder)}: its sha256 differs from release.json"]


def test_verify_catches_missing_added_and_shortened_files(release):
    (release.folder / "README.md").unlink()
    (release.folder / "extra.txt").write_text("hello")
    (release.folder / "croissant.json").write_text("{}")
    problems = services.release_verify(release.folder)
    assert [line.split(":")[0] for line in problems] == ["README.md", "croissant.json", "extra.txt"] or len(problems) == 3


def test_verify_catches_a_rewritten_manifest(release):
    manifest = json.loads((release.folder / "release.json").read_text())
    manifest["seed"] += 1
    (release.folder / "release.json").write_text(json.dumps(manifest))
    assert "is not the one that was registered" in services.release_verify(release.folder)[0]


def test_verify_does_not_follow_names_out_of_the_folder(release):
    manifest = json.loads((release.folder / "release.json").read_text())
    manifest["files"]["../../secret"] = {"sha256": "0" * 64, "bytes": 1}
    (release.folder / "release.json").write_text(json.dumps(manifest))
    assert "../../secret: leads out of the folder" in services.release_verify(release.folder)


def test_a_folder_that_is_no_release_is_said_to_be_none(tmp_path):
    assert "is this a release folder?" in services.release_verify(tmp_path)[0]
    with pytest.raises(CommandError, match="is this a release folder"):
        call_command("verify_release", str(tmp_path))


def test_dropped_and_taken_down_videos_are_never_released(dataset, tmp_path):
    Video.objects.filter(number=5).update(state=Video.State.DROPPED, number=None, reason="takedown: asked by the author")
    dataset[6].state, dataset[6].label, dataset[6].decided_rung = "open", "", ""
    dataset[6].save()
    release = make(tmp_path)
    names = set(export.read_rows(release.folder))
    assert not names & {"00000005.mp4", "00000007.mp4"}
    assert len(names) == 35


def test_a_release_knows_when_it_has_been_overtaken(release, dataset):
    assert selectors.release_drift(release).is_current
    Video.objects.filter(number=5).update(state=Video.State.DROPPED, number=None)
    dataset[9].label = "Fear" if dataset[9].label != "Fear" else "Tension"
    dataset[9].save()
    drift = selectors.release_drift(release)
    assert (drift.gone, drift.relabelled, drift.is_current) == (1, 1, False)


def test_personal_data_is_absent(release, dataset, groups):
    everything = b"\n".join(content for name, content in contents(release.folder).items() if not name.endswith(".mp4"))
    videos = Video.objects.all()
    people = [person for group in groups.values() for person in group]
    secrets = [video.platform_id for video in videos] + [video.url for video in videos] + [video.title for video in videos]
    secrets += [person.full_name for person in people if len(person.full_name) > 3]
    assert [secret for secret in secrets if re.search(rb"\b" + re.escape(secret.encode()) + rb"\b", everything)] == []


def test_nothing_is_left_behind_when_a_file_is_missing(dataset, tmp_path):
    dataset[4].video.path.unlink()
    with pytest.raises(ValidationError, match=r"00000005\.mp4: its file .* is missing"):
        make(tmp_path)
    assert list(tmp_path.glob("*/release.json")) + list(tmp_path.glob(".all*")) == []
    assert not Release.objects.exists()


def test_a_file_that_changed_since_it_was_accepted_is_refused(dataset, tmp_path):
    dataset[4].video.path.write_bytes(b"another clip")
    with pytest.raises(ValidationError, match="no longer the file that was accepted"):
        make(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "media" not in path.parts]


def test_parquet_has_the_published_columns_and_the_bytes(release):
    table = pq.read_table(next((release.folder / "parquet").glob("test-*")))
    assert table.column_names[:3] == ["video_data", "name", "label"]
    for row in table.to_pylist():
        assert row["video_data"] == (release.folder / "test" / row["name"]).read_bytes()
        assert re.fullmatch(r"\d{8}\.mp4", row["name"])


def test_shards_pair_clip_and_json_and_carry_no_owner(release):
    with tarfile.open(release.folder / "shards" / "test-000000.tar") as shard:
        members = shard.getmembers()
        assert {(member.uid, member.mtime, member.uname) for member in members} == {(0, 0, "")}
        assert [member.name.split(".")[1] for member in members] == ["json", "mp4"] * 7
        row = json.load(shard.extractfile(members[0]))
        assert shard.extractfile(members[1]).read() == (release.folder / "test" / row["file_name"]).read_bytes()


def test_lists_are_vaanets(release):
    lists = release.folder / "lists"
    assert (lists / "classInd.txt").read_text().splitlines()[0] == "1 Excitation"
    first = (lists / "testlist01.txt").read_text().splitlines()[0]
    assert re.fullmatch(r"[A-Z][a-z]+/\d{8} [1-6]", first)
    schema = json.loads((lists / "eMotions6_01_all.json").read_text())
    assert schema["labels"] == list(COUNTS)
    assert {entry["subset"] for entry in schema["database"].values()} == {"training", "validation"}


def test_csv_cells_are_never_formulas():
    assert export.formats.cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert export.formats.cell(["a", "@b"]) == "a|'@b"
    assert export.formats.cell(-1.5) == "-1.5"
    assert export.formats.cell(None) == ""


def test_the_card_says_what_is_short_and_who_is_simulated(dataset, groups, tmp_path):
    with pytest.raises(ValidationError, match="too few videos"):
        make(tmp_path, variant="balanced")
    groups["A"][0].is_simulated = True
    groups["A"][0].save()
    card = (make(tmp_path, variant="balanced", allow_short=True).folder / "README.md").read_text()
    assert "Excitation: 11 of 4,000" in card
    assert "1 of 9 annotators are simulated" in card
    assert card.startswith("---\npretty_name: eMotions_balanced\n")


def test_sizes_are_options(dataset, tmp_path):
    release = make(tmp_path, variant="balanced", sizes={"limits": {"Excitation": 4, "Neutral": 3}})
    assert sum(release.counts["train"].values()) + sum(release.counts["test"].values()) == 37 - 7 - 6
    assert ReleaseItem.objects.filter(release=release, emotion="Excitation").count() == 4


def test_unknown_names_are_refused_by_name(dataset, tmp_path):
    for options, words in (
        ({"variant": "half"}, "unknown variant 'half'"),
        ({"formats": ("xls",)}, "unknown format xls"),
        ({"media": "cloud"}, "media must be"),
        ({"media": "s3"}, "kept on this machine, not in a bucket"),
    ):
        with pytest.raises(ValidationError, match=words):
            make(tmp_path, **options)


def test_an_empty_dataset_cannot_be_released(db, tmp_path):
    with pytest.raises(ValidationError, match="no labelled video"):
        make(tmp_path)


def test_the_commands_make_check_and_compare(dataset, tmp_path, capsys):
    call_command("export_variants", out=tmp_path, allow_short=True, seed=1)
    for variant in ("all", "balanced", "test"):
        call_command("verify_release", str(tmp_path / variant))
    assert capsys.readouterr().out.count("intact") == 3
    Video.objects.filter(number=5).update(state=Video.State.DROPPED, number=None)
    call_command("export_variants", out=tmp_path / "later", variants=["all"], seed=1)
    call_command("diff_releases", str(tmp_path / "all"), str(tmp_path / "later" / "all"), format="json")
    difference = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert difference["removed"] == ["00000005.mp4"]
    assert not difference["added"]
    later, first = Release.objects.filter(variant="all").order_by("-pk")
    call_command("diff_releases", first.name, later.name, format="json")
    assert json.loads(capsys.readouterr().out) == difference


def test_the_command_refuses_in_one_line(dataset, tmp_path):
    with pytest.raises(CommandError, match="balanced: too few videos"):
        call_command("export_variants", out=tmp_path, variants=["balanced"])
    with pytest.raises(CommandError, match="seed must be"):
        call_command("export_variants", out=tmp_path, seed=-1)


def test_posteriors_cover_every_labelled_sample(dataset):
    found = selectors.posteriors(selectors.vote_table(selectors.label_votes()))
    assert set(found) == {sample.pk for sample in dataset}
    assert np.allclose([sum(row) for row in found.values()], 1, atol=1e-3)


def test_either_all_variants_can_be_made_or_none_is_begun(dataset, tmp_path):
    with pytest.raises(CommandError, match="balanced: too few"):
        call_command("export_variants", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_takes_other_sizes(dataset, tmp_path, capsys):
    call_command("export_variants", "--excitation", "4", "--neutral", "3", "--test-size", "10", out=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[1].split(" in ")[0] for line in lines] == [" train 30, test 7", " train 19, test 5", " train 9, test 1"]
    with pytest.raises(CommandError, match="1 or more"):
        call_command("export_variants", out=tmp_path, test_size=0)


# --- what may happen while a release is written -------------------------------------------------------------------


def test_a_video_taken_down_while_the_release_is_written_is_not_in_it(dataset, tmp_path):
    """Its clip was linked already; without the last look it would be in a registered release."""

    def takedown(done: int, total: int) -> None:
        if done == 5:
            crawler_services.video_takedown(Video.objects.get(number=done).pk, reason="asked by the author")

    with pytest.raises(ValidationError, match=r"1 videos were taken down or got another label .*make it again"):
        make(tmp_path / "out", progress=takedown)
    assert not Release.objects.exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_label_opened_again_while_the_release_is_written_is_not_in_it(dataset, tmp_path):
    def relabel(done: int, total: int) -> None:
        Sample.objects.filter(pk=dataset[3].pk).update(label="Fear" if dataset[3].label != "Fear" else "Tension")

    with pytest.raises(ValidationError, match="got another label"):
        make(tmp_path / "out", progress=relabel, media="none", formats=("csv",))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_clip_that_goes_away_while_the_release_is_written_is_said(dataset, tmp_path):
    with pytest.raises(ValidationError, match=r"00000037\.mp4: .* went away while the release was written"):
        make(tmp_path / "out", progress=lambda done, total: dataset[36].video.path.unlink(missing_ok=True))
    assert list((tmp_path / "out").iterdir()) == []


def test_shards_and_parquet_hold_the_bytes_that_were_compared(dataset, tmp_path):
    """Copied clips are the release's own: what becomes of the store's afterwards is not in any format."""

    def spoil(done: int, total: int) -> None:
        if done == total:
            dataset[4].video.path.write_bytes(b"another clip")

    release = make(tmp_path, media="copy", formats=("shards",), progress=spoil)
    split = export.read_rows(release.folder)["00000005.mp4"]["split"]
    with tarfile.open(release.folder / "shards" / f"{split}-000000.tar") as shard:
        assert shard.extractfile("00000005.mp4").read() == (release.folder / split / "00000005.mp4").read_bytes() != b"another clip"


def test_what_a_release_is_made_from_is_read_once(dataset, monkeypatch):
    """Votes cast between two readings would put a posterior beside votes it does not know."""
    read = []
    monkeypatch.setattr(selectors, "vote_table", lambda votes, table=selectors.vote_table: read.append(1) or table(votes))
    source = services.release_source()
    assert (len(read), len(source.posteriors), len(source.difficulties), source.facts["num_annotators"]) == (1, 37, 37, 9)


def test_sizes_in_the_databases_order_of_keys_give_the_same_bytes(dataset, tmp_path):
    """PostgreSQL gives a job's options back with the shortest key first."""
    limits = {"Excitation": 4000, "Neutral": 3000}
    first = make(tmp_path / "first", variant="balanced", allow_short=True, sizes={"limits": limits})
    second = make(tmp_path / "second", variant="balanced", allow_short=True, sizes={"limits": dict(reversed(limits.items()))})
    assert first.pk == second.pk
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_formats_named_twice_or_in_another_order_are_the_same_release(dataset, tmp_path):
    assert make(tmp_path / "a", formats=("lists", "csv", "csv")).pk == make(tmp_path / "b", formats=("csv", "lists")).pk


def test_two_workers_that_finish_the_same_release_at_once_register_it_once(dataset, tmp_path, monkeypatch):
    """The second looks before the first has written its row, and writes after it."""
    first = make(tmp_path / "first")
    queryset = type(Release.objects.all())
    monkeypatch.setattr(queryset, "first", lambda self, first=queryset.first: None if self.model is Release else first(self))
    assert make(tmp_path / "second").pk == first.pk


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_term_with_a_strange_end_of_line_breaks_no_row(dataset, tmp_path, separator):
    video = dataset[2].video
    video.term = Term.objects.create(platform=video.platform, text=f"dance{separator}music", first_stage=StageFactory())
    video.save()
    release = make(tmp_path)
    path = release.folder / export.read_rows(release.folder)["00000003.mp4"]["split"] / "metadata.jsonl"
    assert all(json.loads(line)["file_name"] for line in path.read_text(encoding="utf-8").splitlines())
    assert export.read_rows(release.folder)["00000003.mp4"]["term"] == video.term.text
    assert services.release_verify(release.folder) == []


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"README.md": "no facts"}},
        {"files": {"README.md": {"sha256": "0"}}},
        {"classes": [["Fear"]]},
        {"media": "yes"},
    ],
)
def test_a_damaged_manifest_is_a_problem_and_no_crash(release, change):
    manifest = json.loads((release.folder / "release.json").read_text())
    (release.folder / "release.json").write_text(json.dumps(manifest | change))
    assert "is not a release of format" in services.release_verify(release.folder)[0]
    with pytest.raises(ValidationError, match="is not a release of format"):
        services.releases_diff(release.folder, release.folder)


def test_an_archive_holds_nothing_from_outside_the_folder(release, tmp_path):
    (tmp_path / "secret").write_text("secret")
    manifest = json.loads((release.folder / "release.json").read_text())
    manifest["files"]["../../secret"] = {"sha256": "0" * 64, "bytes": 6}
    (release.folder / "release.json").write_text(json.dumps(manifest))
    with pytest.raises(export.ReleaseError, match="leads out of the folder"):
        export.Archive(release.folder, name="x")


def test_a_row_that_is_not_utf8_is_named(release):
    path = release.folder / "train" / "metadata.jsonl"
    path.write_bytes(path.read_bytes() + b"\xff\n")
    with pytest.raises(ValidationError, match=r"metadata\.jsonl:\d+: .*decode"):
        services.releases_diff(release.folder, release.folder)


WRITER = """
import sys, pathlib
from qa.export.release import drafted
with drafted(pathlib.Path(sys.argv[1])) as draft:
    (draft / "half").write_text("a clip")
    print(draft, flush=True)
    sys.stdin.read()
"""


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    (tmp_path / "work.lock").touch()
    (tmp_path / ".venv.lock").touch()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "test"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            draft = tmp_path / writer.stdout.readline().strip()
            with drafted(tmp_path / "all") as mine:
                assert {path.name for path in draft.iterdir()} == {"half"}
                assert not list(mine.iterdir())
        finally:
            writer.kill()
    assert draft.is_dir(), "a killed writer leaves its draft"
    with drafted(tmp_path / "all"):
        assert not draft.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"work.lock", ".venv.lock"}
