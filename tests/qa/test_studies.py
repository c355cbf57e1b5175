"""MOS studies: blind to the last number, without clips that were taken down, open until all is rated."""

from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from crawler.services import video_takedown
from qa import selectors, services
from qa.models import MosStudy
from tests.qa.conftest import make_person


@pytest.fixture
def study(dataset, tmp_path):
    for label in ("Joy", "Excited"):
        (tmp_path / "ekman" / label).mkdir(parents=True)
        for i in range(6):
            (tmp_path / "ekman" / label / f"{label}-{i}.mp4").write_bytes(f"{label} {i}".encode())
    ours = services.release_make(variant="all", out_dir=tmp_path / "ours", seed=1)
    theirs = services.dataset_import(tmp_path / "ekman", name="Ekman6", out_dir=tmp_path / "imported")
    return services.mos_sample("pilot", [ours, theirs], seed=3, total=20)


@pytest.fixture
def expert(db):
    return make_person("eva", role="expert")


def client_of(person):
    client = Client()
    client.force_login(person.user)
    return client


def test_the_numbers_of_the_clips_do_not_tell_the_datasets_apart(study):
    by_number = list(study.items.order_by("pk").values_list("dataset", flat=True))
    assert by_number == list(study.items.order_by("order").values_list("dataset", flat=True))
    changes = sum(first != second for first, second in pairwise(by_number))
    assert changes > 3, "the datasets lie one behind the other"


def test_a_study_waits_for_an_expert_until_every_clip_is_rated(study, expert):
    client = client_of(expert)
    items = list(study.items.all())
    for item in items:
        assert selectors.waiting_for(expert)["studies"] == 1
        services.mos_rate(item, expert, score=4)
    assert "1 study of label quality is open" not in client.get("/").content.decode()
    assert selectors.waiting_for(expert)["studies"] == 0
    assert selectors.waiting_for(make_person("mia", role="manager"))["studies"] == 0


def test_a_clip_that_was_taken_down_is_shown_to_nobody(study, dataset, expert):
    client = client_of(expert)
    item = study.items.filter(dataset="eMotions").first()
    assert client.get(f"/mos/clips/{item.pk}").status_code == 200
    video = next(sample.video for sample in dataset if f"{sample.video.number:08d}" in item.file)
    video_takedown(video.pk, reason="asked by the author")
    assert client.get(f"/mos/clips/{item.pk}").status_code == 404
    assert client.post("/mos/pilot/", {"item": item.pk, "score": 3}).status_code == 404
    assert selectors.mos_progress(study, expert) == (0, 19)
    for other in selectors.mos_items(study):
        assert selectors.mos_next(study, expert) == other
        services.mos_rate(other, expert, score=4)
    assert selectors.mos_next(study, expert) is None
    again = services.mos_sample("later", [item.release], seed=3, total=99)
    assert item.file not in again.items.values_list("file", flat=True)


@pytest.mark.parametrize("name", ["our study", "a/b", "ü", "", "x" * 61])
def test_a_study_needs_a_name_that_can_be_part_of_an_address(dataset, tmp_path, name, expert):
    release = services.release_make(variant="all", out_dir=tmp_path, seed=1)
    with pytest.raises(CommandError, match="cannot be part of an address"):
        call_command("mos_sample", name, release.name)
    assert not MosStudy.objects.exists()
    assert client_of(expert).get("/mos/").status_code == 200
