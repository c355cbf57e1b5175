"""The search among stored clips: what it finds, what it forgets, and how it comes back after a worker has died."""

import numpy as np
import pytest

from crawler import media
from crawler.media.index import BitIndex


def codes(rng, count: int, bits: int) -> np.ndarray:
    return rng.integers(0, 256, (count, bits // 8), np.uint8)


def flipped(rng, some: np.ndarray, share: float) -> np.ndarray:
    return some ^ np.packbits(rng.random((len(some), some.shape[1] * 8)) < share, axis=1)


def features(rng, descriptors: np.ndarray | None = None, num_frames: int = 3) -> media.Features:
    if descriptors is None:
        descriptors = rng.integers(0, 120, (30 * num_frames, 128), np.uint8)
    frames = np.arange(len(descriptors)) * num_frames // len(descriptors)
    return {
        "points": rng.random((len(descriptors), 2)).astype(np.float32) * 100,
        "descriptors": descriptors,
        "frames": frames.astype(np.int16),
        "responses": rng.random(len(descriptors)).astype(np.float32),
        "times": np.arange(num_frames, dtype=np.float32),
        "pictures": rng.integers(0, 256, (num_frames, 40, 30), np.uint8),
    }


@pytest.mark.parametrize("pieces", [1, 7, 60])
def test_the_index_finds_what_a_search_of_everything_finds(pieces):
    """However the codes were added; distances are exact, and nothing farther than asked comes back."""
    rng = np.random.default_rng(0)
    stored, owners = codes(rng, 3000, 256), np.arange(3000) // 5
    index = BitIndex(256, 16)
    for some in np.array_split(np.arange(3000), pieces):
        index.add(stored[some], owners[some])
    asked = flipped(rng, stored[::31], 0.12)
    rows, found, distances = index.near(asked, 72)
    exact = np.bitwise_count(asked[:, None, :] ^ stored[None, :, :]).sum(axis=2)
    assert distances.max() <= 72
    assert all(distance in exact[row][owners == owner] for row, owner, distance in zip(rows, found, distances, strict=True))
    near = exact.min(axis=1) <= 40
    assert near.sum() > 80
    assert np.isin(np.flatnonzero(near), rows).mean() > 0.9
    assert len(index) == 3000


def test_an_empty_index_answers_nothing():
    index = BitIndex(128, 8)
    assert [len(part) for part in index.near(np.zeros((3, 16), np.uint8), 30)] == [0, 0, 0]
    index.add(np.zeros((0, 16), np.uint8), np.zeros(0, int))
    assert len(index) == 0
    assert [len(part) for part in index.near(np.zeros((0, 16), np.uint8), 30)] == [0, 0, 0]


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="9 tables of 16 bits do not fit"):
        BitIndex(128, 9)


@pytest.fixture
def filled():
    """(stock of twelve clips, their hashes and features)"""
    rng = np.random.default_rng(1)
    clips = {clip: (codes(rng, 20, 256), features(rng)) for clip in range(100, 112)}
    stock = media.Stock()
    for place, (clip, (hashes, some)) in enumerate(clips.items(), start=1):
        stock.add(clip, hashes, some, place=place)
    return stock, clips


def test_a_copy_is_named_by_its_frames_alone_and_by_its_local_features_alone(filled):
    stock, clips = filled
    rng = np.random.default_rng(2)
    hashes, some = clips[105]
    assert stock.candidates(flipped(rng, hashes, 0.1)) == [105]
    strangers = codes(rng, 20, 256)
    assert stock.candidates(strangers, some)[0] == 105
    assert stock.candidates(strangers, features(rng)) == []


def test_a_clip_added_twice_is_there_once(filled):
    stock, clips = filled
    before = len(stock.hashes), len(stock.signs), len(stock)
    stock.add(105, *clips[105], place=6)
    assert (len(stock.hashes), len(stock.signs), len(stock)) == before


def test_a_removed_clip_leaves_no_trace(filled):
    stock, clips = filled
    stock.remove({105})
    assert stock.candidates(*clips[105]) == []
    assert 105 not in stock.hashes.entries()[1]
    assert 105 not in stock.signs.entries()[1]
    assert stock.candidates(*clips[106])[0] == 106


def test_a_saved_stock_answers_as_before(filled, tmp_path):
    stock, clips = filled
    stock.save(tmp_path / "stock.npz")
    again = media.Stock.load(tmp_path / "stock.npz")
    assert (again.last, again.clips) == (12, set(clips))
    for clip, (hashes, some) in clips.items():
        assert again.candidates(hashes, some) == stock.candidates(hashes, some)
        assert clip in again.candidates(hashes, some)
    assert [path.name for path in tmp_path.iterdir()] == ["stock.npz"]


@pytest.mark.parametrize("spoilt", [b"", b"PK\x03\x04 half a file", None])
def test_a_spoilt_or_missing_file_is_an_empty_stock(filled, tmp_path, spoilt):
    path = tmp_path / "stock.npz"
    if spoilt is None:
        filled[0].save(path)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(spoilt)
    assert (len(media.Stock.load(path)), media.Stock.load(path).last) == (0, 0)
    assert len(media.Stock.load(tmp_path / "nowhere.npz")) == 0


def test_a_still_clip_enters_once_per_picture_and_a_long_one_in_part():
    rng = np.random.default_rng(3)
    stock = media.Stock()
    stock.add(1, np.repeat(codes(rng, 2, 256), 30, axis=0))
    assert len(stock.hashes) == 2
    stock.add(2, codes(rng, 650, 256))
    assert len(stock.hashes) == 2 + 64
