"""The stock of fingerprints that every worker follows, the screening of a clip, and what its reviewers are shown."""

import numpy as np
import pytest

from crawler import services
from crawler.models import Fingerprint
from crawler.services import cleaning
from tests.factories import VideoFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def entered(media_root):
    """A function that stores a clip's fingerprint as the next one of the stock."""
    cleaning._stock.clear()
    rng = np.random.default_rng(0)

    def enter(place: int) -> Fingerprint:
        hashes = rng.integers(0, 256, (8, 32), np.uint8)
        video = VideoFactory()
        return Fingerprint.objects.create(
            video=video, frames_sha256=f"{place:064x}", hashes=hashes.tobytes(), times=[n / 4 for n in range(8)], entered=place
        )

    yield enter
    cleaning._stock.clear()


def test_a_worker_follows_what_others_entered(entered):
    first = entered(1)
    assert cleaning.stock().clips == {first.video_id}
    second, _waiting = entered(2), VideoFactory()
    held = cleaning.stock()
    assert (held.clips, held.last) == ({first.video_id, second.video_id}, 2)
    assert held.candidates(cleaning._hashes(second)) == [second.video_id]


def test_a_worker_that_died_left_a_file_and_the_next_one_adds_only_what_came_since(entered, monkeypatch):
    monkeypatch.setattr(cleaning, "SAVE_AFTER", 2)
    rows = [entered(1), entered(2)]
    cleaning.stock()
    assert cleaning.stock_path().is_file()
    rows.append(entered(3))
    cleaning._stock.clear()  # the process is gone, the file is there
    held = cleaning.stock()
    assert held.clips == {row.video_id for row in rows}
    assert len(held.hashes) == 3 * 8
    assert [held.candidates(cleaning._hashes(row)) for row in rows] == [[row.video_id] for row in rows]


def test_an_error_half_way_neither_loses_nor_doubles_a_clip(entered, monkeypatch):
    rows = [entered(place) for place in (1, 2, 3)]
    load, calls = cleaning.media.load_features, []

    def failing(path):
        calls.append(path)
        if len(calls) == 2:
            raise MemoryError
        return load(path)

    monkeypatch.setattr(cleaning.media, "load_features", failing)
    with pytest.raises(MemoryError):
        cleaning.stock()
    held = cleaning.stock()
    assert (held.clips, len(held.hashes)) == ({row.video_id for row in rows}, 3 * 8)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_takedown_leaves_the_stock_of_every_worker_and_its_file(entered, monkeypatch, which):
    monkeypatch.setattr(cleaning, "SAVE_AFTER", 3)
    rows = [entered(place) for place in (1, 2, 3)]
    gone = rows[which]
    hashes = cleaning._hashes(gone)
    cleaning.stock()
    services.video_takedown(gone.video_id, reason="asked by its author")
    held = cleaning.stock()
    assert gone.video_id not in held.clips
    assert held.candidates(hashes) == []
    on_disk = cleaning.media.Stock.load(cleaning.stock_path())
    assert on_disk.clips == {row.video_id for row in rows if row is not gone}
    later = entered(4)
    assert later.video_id in cleaning.stock().clips


def test_the_stock_of_another_database_is_forgotten(entered):
    entered(1), entered(2)
    cleaning.stock()
    Fingerprint.objects.all().delete()
    other = entered(1)
    held = cleaning.stock()
    assert (held.clips, held.last) == ({other.video_id}, 1)
