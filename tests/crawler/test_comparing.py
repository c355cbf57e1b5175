"""The stock of fingerprints that every worker follows."""

import numpy as np
import pytest

from crawler import services
from crawler.models import Fingerprint
from crawler.services import comparing
from tests.factories import VideoFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def entered(media_root):
    """A function that stores a clip's fingerprint as the next one of the stock."""
    comparing._stock.clear()
    rng = np.random.default_rng(0)

    def enter(place: int) -> Fingerprint:
        hashes = rng.integers(0, 256, (8, 32), np.uint8)
        video = VideoFactory()
        return Fingerprint.objects.create(
            video=video, frames_sha256=f"{place:064x}", hashes=hashes.tobytes(), times=[n / 4 for n in range(8)], entered=place
        )

    yield enter
    comparing._stock.clear()


def test_a_worker_follows_what_others_entered(entered):
    first = entered(1)
    assert comparing.stock().clips == {first.video_id}
    second, _waiting = entered(2), VideoFactory()
    held = comparing.stock()
    assert (held.clips, held.last) == ({first.video_id, second.video_id}, 2)
    assert held.candidates(comparing._hashes(second)) == [second.video_id]


def test_a_worker_that_died_left_a_file_and_the_next_one_adds_only_what_came_since(entered, monkeypatch):
    monkeypatch.setattr(comparing, "SAVE_AFTER", 2)
    rows = [entered(1), entered(2)]
    comparing.stock()
    assert comparing.stock_path().is_file()
    rows.append(entered(3))
    comparing._stock.clear()  # the process is gone, the file is there
    held = comparing.stock()
    assert held.clips == {row.video_id for row in rows}
    assert len(held.hashes) == 3 * 8
    assert [held.candidates(comparing._hashes(row)) for row in rows] == [[row.video_id] for row in rows]


def test_an_error_half_way_neither_loses_nor_doubles_a_clip(entered, monkeypatch):
    rows = [entered(place) for place in (1, 2, 3)]
    load, calls = comparing.media.load_features, []

    def failing(path):
        calls.append(path)
        if len(calls) == 2:
            raise MemoryError
        return load(path)

    monkeypatch.setattr(comparing.media, "load_features", failing)
    with pytest.raises(MemoryError):
        comparing.stock()
    held = comparing.stock()
    assert (held.clips, len(held.hashes)) == ({row.video_id for row in rows}, 3 * 8)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_takedown_leaves_the_stock_of_every_worker_and_its_file(entered, monkeypatch, which):
    monkeypatch.setattr(comparing, "SAVE_AFTER", 3)
    rows = [entered(place) for place in (1, 2, 3)]
    gone = rows[which]
    hashes = comparing._hashes(gone)
    comparing.stock()
    services.video_takedown(gone.video_id, reason="asked by its author")
    held = comparing.stock()
    assert gone.video_id not in held.clips
    assert held.candidates(hashes) == []
    on_disk = comparing.media.Stock.load(comparing.stock_path())
    assert on_disk.clips == {row.video_id for row in rows if row is not gone}
    later = entered(4)
    assert later.video_id in comparing.stock().clips


def test_the_stock_of_another_database_is_forgotten(entered):
    entered(1), entered(2)
    comparing.stock()
    Fingerprint.objects.all().delete()
    other = entered(1)
    held = comparing.stock()
    assert (held.clips, held.last) == ({other.video_id}, 1)
